"""The page on files says what is written: every ending, option, table and column, and no other."""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pellucid.cli.writing import ENDINGS as SHELL
from pellucid.export import ENDINGS, export
from pellucid.words.draw import VIEWS

sys.path.insert(0, str(Path(__file__).parents[1] / "drawings"))
import samples
import wild
from test_evaluation import over_picture

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
IMPORTANCE = ("gradient", "score", "margin", "changed", "loss", "accuracy")


def rows(head: str) -> list[list[str]]:
    """The cells of the table under a head."""
    lines = PAGE[PAGE.index(head) :].splitlines()
    table = lines[: next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def ticked(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


def test_every_ending_and_option_is_there() -> None:
    assert [ticked(r[0])[0] for r in rows("| ending |")] == list(ENDINGS)
    assert set(SHELL) == set(ENDINGS)
    named = [p.name for p in inspect.signature(export).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert [r[0].strip("`") for r in rows("| option |")] == [*named, "others"]


def made() -> Iterator[Any]:
    """Records of every kind in which every column is known."""
    found = wild.records()
    part = torch.full((8, 8), 0.1)
    yield samples.patched(errors={"numerical": part, "sampling": part, "format": part})
    yield over_picture(baselines=True)
    averages = found["heads"].importance["score"]
    yield replace(found["heads"], importance=dict.fromkeys(IMPORTANCE, averages))
    e = samples.sentence()
    yield replace(found["look"], attentions=({"attn": torch.full((2, 3, 3), 1 / 3)},), agreed={"attn": 0.5},
                  beside=dict.fromkeys(("gradient_attention", "attention_relevance", "attention_rollout"), e))
    yield from found.values()


def test_every_table_and_column_is_there_and_no_other() -> None:
    known, told = defaultdict[tuple[str, str], set[str]](set), dict[tuple[str, str], set[str]]()
    for item in made():
        for table in item.tables():
            for column in table.columns:
                known[item.drawn, table.name].add(column.name)
    for record, tables, _, columns in rows("| record |"):
        names = set(ticked(columns)) - {"_low", "_high"}
        if "`_low`" in columns:
            names |= {f"{n}{end}" for n in IMPORTANCE for end in ("_low", "_high")}
        kinds = [record] if record in VIEWS else [k for k in VIEWS if (k, "findings") in known and k != "activity"]
        told |= {(kind, name): names for kind in kinds for name in ticked(tables)}
    assert {k for k, _ in told} == set(VIEWS)
    assert told == dict(known)


def test_every_unit_is_explained() -> None:
    units = {c.unit for item in made() for table in item.tables() for c in table.columns}
    sentence = PAGE[PAGE.index("Units are") : PAGE.index("empty where a number")]
    assert units - {""} <= set(ticked(sentence))
