"""What a report is for: which part comes first, what is laid side by side, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.report.document import Entry, Grid, Group
from pellucid.report.names import input_of, model_of, places
from pellucid.report.told import verdict_of
from pellucid.views import story
from pellucid.views.words import method_name, say
from pellucid.views.writing import isolate, number
from pellucid.words.draw import Drawn
from pellucid.words.explanation import Explanation

TEMPLATES = ("prediction", "methods", "models", "audit", "training")

OF_THE_MODEL = {"heads", "activity", "concepts", "craft", "visualised", "training"}
"""Kinds that say something of a model rather than of a prediction."""

FIRST: dict[str, tuple[str, ...]] = {
    "prediction": ("explanation", "evaluation", "comparison", "look"),
    "methods": ("comparison", "explanation", "evaluation"),
    "training": ("training", "activity"),
}
"""Kinds in the order in which a template shows them; the others follow as they came."""

GRAVE = {"fail": 0, "warn": 1, "pass": 2}


def chosen(items: Sequence[Drawn]) -> str:
    """The template that fits; empty where the items have nothing in common to be ordered by."""
    kinds = {item.drawn for item in items}
    explained = [item for item in items if isinstance(item, Explanation)]
    if "training" in kinds and kinds <= {"training", "activity", "look"}:
        return "training"
    if kinds & OF_THE_MODEL:
        return "audit"
    alike = len({(e.features.kind, e.labels) for e in explained}) == 1
    if alike and len({model_of(e) for e in explained}) > 1:
        return "models"
    asked = {(model_of(e), input_of(e), e.target) for e in explained}
    if len(asked) < 2 and ("comparison" in kinds or len({e.method for e in explained}) > 1):
        return "methods"
    return "prediction" if len(explained) == 1 else ""


def ordered(items: Sequence[Drawn], template: str) -> list[Drawn]:
    """The items as the template shows them."""
    if template == "audit":
        return sorted(items, key=lambda item: GRAVE.get(v.status, 3) if (v := verdict_of(item)) else 3)
    first = FIRST.get(template, ())
    return sorted(items, key=lambda item: first.index(item.drawn) if item.drawn in first else len(first))


def grouped(entries: Sequence[Entry], template: str, lang: str) -> tuple[Entry | Group, ...]:
    """Of several models, what they say of the same input side by side."""
    if template != "models":
        return tuple(entries)
    made = list[Entry | Group]()
    for key, at in places(entries).items():
        inside = tuple(e for e in entries if isinstance(e.item, Explanation) and input_of(e.item) == key)
        scales = {number(float(e.item.values.abs().max()), 2) for e in inside if isinstance(e.item, Explanation)}
        note = (say(lang, "own scales"),) if len(scales) > 1 else ()
        made.append(Group(f"{say(lang, 'input')} {at}", note, inside, beside=len(inside) > 1))
    return (*made, *(e for e in entries if not isinstance(e.item, Explanation)))


def overview(entries: Sequence[Entry], template: str, lang: str) -> Grid | None:
    """A row for each entry, in the columns that tell them apart; None where there is one only."""
    if template == "audit":
        rows = [(e.label, e.name, _word(e, lang), _count(e)) for e in entries]
        return _table(("kind", "question", "verdict", "found"), rows, lang, numbers=3)
    explained = [(entry, entry.item) for entry in entries if isinstance(entry.item, Explanation)]
    if template == "methods":
        rows = [(method_name(e.method, lang), _word(entry, lang), _most(e, lang), number(e.score),
                 number(e.evidence.seconds, 2)) for entry, e in explained]
        return _table(("method", "verdict", "most", "score", "seconds"), rows, lang, numbers=3)
    if template == "models":
        rows = [(model_of(e) or say(lang, "none"), entry.question, method_name(e.method, lang), _word(entry, lang),
                 _most(e, lang), number(e.score)) for entry, e in explained]
        return _table(("model", "question", "method", "verdict", "most", "score"), rows, lang, numbers=5)
    return None


def _table(columns: Sequence[str], rows: Sequence[tuple[str, ...]], lang: str, numbers: int) -> Grid | None:
    if len(rows) < 2:
        return None
    return Grid(tuple(say(lang, f"over {c}") for c in columns), tuple(rows), numbers=numbers)


def _word(entry: Entry, lang: str) -> str:
    return say(lang, entry.status) if entry.status else say(lang, "no verdict")


def _most(e: Explanation, lang: str) -> str:
    """The strongest part."""
    return say(lang, "comma").join(isolate(i.name.strip()) for i in story.strongest(e, 2, lang))


def _count(entry: Entry) -> str:
    """How many findings there are."""
    verdict: Any = verdict_of(entry.item)
    return "–" if verdict is None else str(sum(f.level in ("fail", "warn") for f in verdict.findings))


