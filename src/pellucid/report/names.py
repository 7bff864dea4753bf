"""Entries of a report told apart: which input each is about, and names that are not the same twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from pellucid.report.document import Entry, Group
from pellucid.views.words import method_name, say
from pellucid.views.writing import isolate, visible
from pellucid.words.explanation import Explanation


def input_of(e: Explanation) -> str:
    """The same for explanations of the same input, whichever model and call they come from."""
    shown = e.shown
    if shown is not None and (shown.image is not None or shown.text or shown.cells):
        made = hashlib.sha256(repr((shown.text, shown.cells)).encode("utf-8", "surrogatepass"))
        if shown.image is not None:
            made.update(repr(shown.image.shape).encode() + shown.image.tobytes())
        return made.hexdigest()
    return str(e.provenance.get("input") or e.ordinal)


def places(entries: Sequence[Entry]) -> dict[str, int]:
    """Inputs by number, from 1, in the order in which they come."""
    found = dict.fromkeys(input_of(e.item) for e in entries if isinstance(e.item, Explanation))
    return {key: k + 1 for k, key in enumerate(found)}


def model_of(e: Explanation) -> str:
    """The model's name, empty where it has none."""
    return visible(str(e.provenance.get("model") or ""), 120)


def told(done: Sequence[Entry | Group], lang: str) -> tuple[Entry | Group, ...]:
    """The same with names: the question, and what tells it from others with the same question."""
    entries = [e for d in done for e in ((d,) if isinstance(d, Entry) else d.entries)]
    numbers = places(entries)
    names = {e.id: e.question for e in entries}
    more: tuple[Callable[[Explanation], str], ...] = (
        lambda e: method_name(e.method, lang), lambda e: isolate(model_of(e)),
        lambda e: f"{say(lang, 'input')} {numbers[input_of(e)]}")
    for tell in more:
        twice = Counter(names.values())
        for name in [n for n, times in twice.items() if times > 1]:
            same = [e for e in entries if names[e.id] == name and isinstance(e.item, Explanation)]
            if len({tell(e.item) for e in same if isinstance(e.item, Explanation)}) > 1:
                for e in same:
                    if isinstance(e.item, Explanation) and (word := tell(e.item)):
                        names[e.id] = say(lang, "joint").join((name, word))

    def named(entry: Entry) -> Entry:
        return replace(entry, name=names[entry.id])

    return tuple(named(d) if isinstance(d, Entry) else replace(d, entries=tuple(map(named, d.entries))) for d in done)
