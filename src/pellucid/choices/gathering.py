"""Sets of examples that stand for a concept: folders of pictures, lists, batches, and filters over a pool."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.models.subject import Subject
from pellucid.numbers.ranking import lots
from pellucid.words.errors import FileError, OptionError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LEAST = 4
"""Examples that a concept, and a counter-set, must have: one is held out, and a direction needs more than two."""

SIZE = 50
"""Examples of a counter-set at most, where they are drawn from a pool: a fit grows with the third power."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """A concept's examples and the ones it is told from, as numbers into one list of all inputs.

    `counters` (sets, m) are places in `union`, behind the concept's own.
    """

    name: str
    union: Tensor
    concept: int
    counters: Tensor


@dataclass(eq=False)
class Inputs:
    """All inputs that are read, each once."""

    every: list[Any]

    def add(self, some: list[Any]) -> list[int]:
        start = len(self.every)
        self.every += some
        return list(range(start, len(self.every)))


def gathered(subject: Subject, concepts: Mapping[str, Any], counters: Any, sets: int, seed: int
             ) -> tuple[list[Any], list[Gathered]]:
    """Every input, and each concept with its counter-sets.

    Raises `concept.few` where examples do not suffice, `concept.counters` where there is nothing to tell them from.
    """
    inputs, given = Inputs([]), _sets(subject, counters)
    pool = [inputs.add(s) for s in given]
    flat = [i for s in pool for i in s]
    found: list[Gathered] = []
    for k, (name, spec) in enumerate(concepts.items()):
        chosen = _filter(spec)
        if chosen is None:
            own, others = inputs.add(_members(subject, spec, name)), pool
        else:
            passing = {i for i in flat if chosen(inputs.every[i])}
            own, others = sorted(passing), [[i for i in s if i not in passing] for s in pool]
        if len(own) < LEAST:
            raise OptionError("concept.few", f"{len(own)} examples of {name!r}", f"at least {LEAST}",
                              "give more examples, or a filter that more rows pass")
        found.append(_laid(name, own, others, sets, seed * 1009 + k))
    return inputs.every, found


def _laid(name: str, own: list[int], others: list[list[int]], sets: int, seed: int) -> Gathered:
    """Counter-sets as places behind the concept's: those that were given, or drawn by lot from one pool."""
    n, rest = len(own), sum(map(len, others))
    generator = lots(seed, 63)
    if len(others) > 1:
        size = min(map(len, others))
        starts = [n + sum(map(len, others[:k])) for k in range(len(others))]
        rows = [s + torch.randperm(len(o), generator=generator)[:size] for s, o in zip(starts, others, strict=True)]
    else:
        # Half of the pool at most: sets that hold almost all of it would be one set.
        size = min(n, rest // 2, SIZE) if rest >= 2 * LEAST else 0
        rows = [n + torch.randperm(rest, generator=generator)[:size] for _ in range(sets)]
    if size < LEAST:
        raise OptionError("concept.few", f"{rest} examples to tell {name!r} from", f"at least {2 * LEAST} in a pool, "
                          f"or sets of {LEAST}", "give more counter-examples, drawn as the model's inputs usually are")
    return Gathered(name, torch.tensor([*own, *(i for s in others for i in s)]), n, torch.stack(rows))


def _sets(subject: Subject, counters: Any) -> list[list[Any]]:
    """Counter-sets that were given, or one pool."""
    if counters is None:
        counters = getattr(subject.reader, "background", None)
        if counters is None:
            raise OptionError("concept.counters", "no counter-examples", "counters=: a pool to draw random sets from, "
                              "or several sets", "give inputs as the model usually gets them, without the concept")
    several = isinstance(counters, list | tuple) and len(counters) > 0 and all(
        isinstance(s, list | tuple) or _folder(s) for s in counters)
    return [_members(subject, s, "counters") for s in (counters if several else [counters])]


def _members(subject: Subject, spec: Any, name: str) -> list[Any]:
    """The single inputs of a folder, a list, a batch."""
    if _folder(spec):
        return pictures(Path(spec))
    if isinstance(spec, str | os.PathLike):
        raise OptionError("concept.unreadable", f"{str(spec)[:60]!r} for {name!r}, which is no folder",
                          "a folder of pictures, a list of inputs, a batch, or a filter", "give a list of inputs")
    if isinstance(spec, list) and subject.task != "table":
        return list[Any](spec)
    many = subject.split(spec)
    return [spec] if many is None else many


def pictures(folder: Path) -> list[Any]:
    """The pictures in a folder, by name."""
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in PICTURES)
    if not files:
        raise FileError("concept.folder", f"no picture in {folder.name!r}", f"files that end in {', '.join(PICTURES)}",
                        "name the folder that holds the pictures")
    return list(files)


def _folder(spec: Any) -> bool:
    return isinstance(spec, str | os.PathLike) and Path(spec).is_dir()


def _filter(spec: Any) -> Callable[[Any], bool] | None:
    """A filter over the pool: a function of an input, or conditions on columns."""
    if isinstance(spec, Mapping):
        return lambda row: all(_holds(row, str(column), wanted) for column, wanted in spec.items())
    if callable(spec) and not isinstance(spec, Tensor):
        return lambda raw: bool(spec(raw))
    return None


def _holds(row: Any, column: str, wanted: Any) -> bool:
    """A value, one of several (a set or list), or between two ends (a pair; None leaves an end open)."""
    try:
        value = row[column]
    except (KeyError, IndexError, TypeError):
        known = ", ".join(map(str, row))[:200] if isinstance(row, Mapping) else "rows with named columns"
        raise OptionError("concept.column", f"no column {column!r}", known, "name a column of the rows") from None
    if isinstance(wanted, tuple):
        low, high = wanted
        number = float(value)
        return (low is None or number >= low) and (high is None or number <= high)
    if isinstance(wanted, set | frozenset | list):
        return value in wanted or str(value) in {str(w) for w in wanted}
    return value == wanted or str(value) == str(wanted)
