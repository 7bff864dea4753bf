"""Every kind of drawing in Chinese: no English is left in it but names, codes and options."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import pytest
import torch

import pellucid
from pellucid.report.page import page
from pellucid.words.explanation import Evidence, Finding, Verdict
from tests.drawings import samples

NAMES = frozenset(re.findall(r"\w+", """
    Grad CAM ReLU GELU Kernel SHAP LIME SmoothGrad Pellucid Noto Sans CJK JS AUC pt captum Transformer Python MiB
    grad cam saliency integrated gradients mean median zero data mask pad unk
"""))
"""Names of methods, fonts, units and baselines, which are the same in Chinese."""

CODES = re.compile(r"https?://\S+|\b[\w-]+=\S*|[\w-]+(?:[._:/\[#-]+[\w\]-]+)+|\w*_\w*|\b\w*\d\w*\b|sha256\S*|#\w+|p = ")
"""Options, dotted names, codes, whatever has a digit in it."""


def shown(svg: str) -> list[str]:
    """Everything that a drawing says: its texts, titles and labels for a screen reader."""
    root = ET.fromstring(svg)
    found = [n.text or "" for n in root.iter() if n.tag.rpartition("}")[2] in ("text", "tspan", "title", "desc")]
    return found + [v for n in root.iter() for k, v in n.attrib.items() if k == "aria-label"]


def english(said: Iterable[str], names: Iterable[str]) -> list[str]:
    """Lines with Latin words that are no names."""
    known = NAMES | {w for name in names for w in re.findall(r"[A-Za-z]+", name)}
    return [line for line in dict.fromkeys(said)
            if [w for w in re.findall(r"[A-Za-z]{2,}", CODES.sub(" ", line)) if w not in known]]


def test_english_is_noticed() -> None:
    assert english(["得分 3 pass", "得分 3", "layer4.conv2 处", "Grad-CAM"], ()) == ["得分 3 pass"]


@cache
def digits() -> tuple[Any, Any]:
    return pellucid.load("demo:digits"), pellucid.samples("digits")[0]


@cache
def cam() -> Any:
    return pellucid.explain(*digits())


def recommended(**more: Any) -> Any:
    return pellucid.explain(pellucid.load("demo:recommender"), pellucid.samples("recommender")[0], **more)


def doubted() -> Any:
    """A verdict with what errors and checks say."""
    found = (Finding("complete.not", "fail", "the values miss the score's change by +0.5 (12.0% of it)",
                     "ask for more steps or samples, or a tolerance"),
             Finding("method.caveat", "warn", "gates that are no ReLUs keep their own gradient: GELU at the model's "
                     "own forward, a recurrent layer at rnn and 2 more", "choose integrated_gradients, which needs "
                     "only a gradient"))
    return samples.digit(verdict=Verdict(found), evidence=Evidence(untuned="too few rows to pay for the proof"),
                         summary="The gradient, averaged over noisy copies of x.")


def heads() -> Any:
    vit = pellucid.load("demo:digits-vit")
    return pellucid.heads(vit, pellucid.samples("digits-vit")[:2], ablation="none")


def concepts() -> Any:
    subject, x = digits()
    noise = torch.rand(24, *subject.read(x).x.shape, generator=torch.Generator().manual_seed(0))
    return pellucid.tcav(subject, [x], {"dots": list(noise[:8])}, list(noise[8:]), layer="layer3", sets=2,
                         permutations=19)


RECORDS: dict[str, Callable[[], Any]] = {
    "picture": cam,
    "row": recommended,
    "doubted": doubted,
    "patches": lambda: samples.patched(verdict=Verdict(), summary=""),
    "chinese": lambda: samples.chinese(verdict=Verdict(), summary=""),
    "evaluation": lambda: pellucid.evaluate(cam(), metrics=["deletion", "sparseness", "infidelity"], controls=2),
    "comparison": lambda: pellucid.compare(*digits(), ["grad_cam", "saliency"], controls=2, metrics=["deletion"]),
    "look": lambda: pellucid.look(*digits(), ["layer2", "layer3"]),
    "attention": lambda: pellucid.look(pellucid.load("demo:digits-vit"), pellucid.samples("digits-vit")[0],
                                       "attention"),
    "activity": lambda: pellucid.activity(digits()[0], pellucid.samples("digits")[:3]),
    "heads": heads,
    "concepts": concepts,
    "visualised": lambda: pellucid.visualise(digits()[0], "layer2[1]", steps=4, controls=2),
}


def names_of(record: Any) -> list[str]:
    """What the model and the data are called: labels, columns, layers, cells."""
    keys = list(record) if hasattr(record, "keys") else []
    own = [str(getattr(record, k, "")) for k in ("model", "target", "method", "layer")]
    many = [str(one) for k in ("names", "labels") for one in getattr(record, k, None) or ()]
    found = [*own, *map(str, keys), *many]
    shown_: Any = getattr(record, "shown", None)
    found += [shown_.text, *shown_.cells] if hasattr(shown_, "cells") else []
    return [*found, "demo digits vit recommender reviews", "stem pool head blocks attn layer dots rnn"]


@pytest.mark.parametrize("kind", RECORDS)
def test_a_drawing_in_chinese_is_chinese(kind: str) -> None:
    record = RECORDS[kind]()
    names = names_of(record)
    assert english(shown(record.svg(lang="zh")), names) == []
    assert english(record.text(lang="zh").splitlines(), names) == []
    for table in record.tables(lang="zh"):
        assert english([table.title, *(c.head for c in table.columns)], names) == []


def test_a_page_in_chinese_is_chinese() -> None:
    """Markup, style and script aside; the recipe and the provenance are options, names and digests."""
    told = page([doubted(), recommended()], lang="zh")
    told = re.sub(r"<(style|script)\b.*?</\1>|<dl.*?</dl>|<svg.*?</svg>", " ", told, flags=re.DOTALL)
    said = [t for t in re.split(r"<[^>]*>", told) if t.strip()]
    assert len(said) > 40
    assert english(said, [*names_of(recommended()), *names_of(doubted()), "arXiv doi"]) == []
