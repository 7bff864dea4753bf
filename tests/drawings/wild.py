"""A record of every kind whose every name is one of the hostile texts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pellucid.words.activity import Activity, Channels, Fault
from pellucid.words.concepts import Concepts, Tested
from pellucid.words.craft import Craft, Crop, Part
from pellucid.words.explanation import Explanation, Finding, Recipe, Shown
from pellucid.words.features import groups
from pellucid.words.heads import Averages, Heads
from pellucid.words.look import Look, Seen
from pellucid.words.multiples import multiples
from pellucid.words.visualised import Visualised
from pellucid.words.watch import Event, Explained, Flow, Record, Run, Training, Watched

sys.path.insert(0, str(Path(__file__).parent))
import samples
from hostile import HOSTILE
from test_evaluation import comparison, evaluation

N = len(HOSTILE)
ONE = HOSTILE[4]
"""For the places that hold a single name."""


def explanation(kind: str = "columns", **more: Any) -> Explanation:
    """Columns, or tokens, called like that."""
    values = torch.linspace(1, -1, N)
    shown = Shown("table", cells=HOSTILE) if kind == "columns" else Shown("text", text=" ".join(HOSTILE))
    return samples.made(values, groups(range(N), list(HOSTILE), kind, kind), {
        "error": torch.full((N,), 0.1), "target": ONE, "method": ONE, "summary": ONE, "paper": ONE, "labels": HOSTILE,
        "scores": {bad: float(k) for k, bad in enumerate(HOSTILE)}, "provenance": dict.fromkeys(HOSTILE, ONE),
        "recipe": Recipe(dict.fromkeys(filter(None, HOSTILE), ONE)), "details": dict.fromkeys(HOSTILE, ONE),
        "shown": shown, **more})


def finding(kind: type[Finding] = Finding, **more: Any) -> Any:
    return kind(code=ONE, level="warn", reason=" ".join(HOSTILE[:6]), do=HOSTILE[2], **more)


def records() -> dict[str, Any]:
    """By kind; several of the same where the names go to different places."""
    rows = torch.linspace(0, 1, N)
    channels = {bad: Channels(bad, "units", (4,), 8, 1, torch.arange(4.0), rows[:4], dead=(0,)) for bad in HOSTILE}
    tested = {(bad, ONE): Tested(bad, ONE, 9, 0.9, 0.5, (0.9, 0.8), (0.5, 0.4), 0.01, 0.01, 0.02, 0.9, 0.01, 0.8,
                                 torch.rand(20, 2, generator=torch.Generator().manual_seed(0)), torch.ones(2, 3),
                                 findings=(finding(),)) for bad in HOSTILE}
    seen = {bad: Seen(bad, "units", (4,), 0, 1, (rows[:4],), channels=torch.ones(4, 7), order=(0, 1, 2, 3),
                      profile={"mean": 1.0, "spread": 0.5}, scale=(0.0, 1.0)) for bad in HOSTILE}
    heads = Averages.of(torch.stack([rows, rows + 0.1]))
    flow = {bad: Flow(3, 1.0, 0.5, 0.1) for bad in HOSTILE}
    watched = {bad: Watched(0.0, 1.0, -1.0, 1.0, 0.1, 0.2, 0.0, 9) for bad in HOSTILE}
    looks = [Record(step, dict.fromkeys(filter(None, HOSTILE), 1.0 + step), watched, flow, {ONE: (0.5,)},
                    Explained(ONE, (ONE,), ((2, 2),), ((0.0, 1.0, 0.5, 0.2),))) for step in (0, 10)]
    crop = Crop(0, (0, 0, 4, 4), 0.5, np.zeros((4, 4, 3), np.uint8))
    return {
        "columns": explanation(), "tokens": explanation("tokens"),
        "evaluation": evaluation(target=ONE, method=ONE, model=ONE,
                                 unfit={bad: Finding(bad, "warn", bad, bad) for bad in HOSTILE}),
        "comparison": comparison(groups(range(N), list(HOSTILE), "columns", "columns"), Shown("table", cells=HOSTILE),
                                 names=HOSTILE[:3], target=ONE),
        "multiples": multiples([[explanation(), explanation("tokens")]], rows=(ONE,), columns=HOSTILE[:2]),
        "look": Look(seen, inputs=1, model=ONE, shown=(Shown("text", text=ONE),)),
        "activity": Activity(channels, tuple(finding(Fault, layer=bad) for bad in HOSTILE), 8, ONE),
        "heads": Heads([(bad, k) for k, bad in enumerate(HOSTILE)], 2, {"score": heads}, heads, heads,
                       torch.eye(N), torch.eye(N), 2, findings=(finding(),), model=ONE),
        "concepts": Concepts(tested, ONE, 9, 2, 20, 0.05, "bh", "units", ONE, 1.0, 0, ONE),
        "craft": Craft((Part(1, 0.5, 0.1, 1.0, 0.9, torch.ones(3), (crop,)),), ONE, ONE, 1, 4, 4, 0.1, 0,
                       torch.ones(1, 1, 4), (2, 2), ONE, (finding(),)),
        "visualised": Visualised(np.zeros((4, 4, 3), np.uint8), torch.zeros(1, 3, 4, 4), ONE, 2.0, 0.0, (1.0, 1.1),
                                 ((0, 0.0), (9, 2.0)), 9, 0, ONE, (finding(),)),
        "training": Training(Run(ONE, HOSTILE, HOSTILE, (ONE,), ONE, 1, ONE), looks,
                             tuple(finding(Event, step=10, layer=bad) for bad in HOSTILE), HOSTILE),
    }
