"""Data as it comes: inputs one by one, each with its label where it has one, from lists, batches and loaders."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsIndex, TypeVar

from torch import Tensor

from pellucid.models.subject import Example, Subject
from pellucid.models.tensors import is_array
from pellucid.words.errors import InputError, ModelError, OptionError, PellucidError, nearest
from pellucid.words.explanation import Finding

T = TypeVar("T")

LABELS = ("labels", "label")
"""Under which names a batch that is a mapping holds its labels."""


def streamed(subject: Subject, data: Any, labels: Any = None) -> Iterator[tuple[Any, int | None]]:
    """Inputs and labels of a batch, a list, or anything that is gone through once, such as a data loader.

    A loader's batch may be inputs, (inputs, labels) with whatever else goes with each input behind them, or a mapping
    with `labels` in it. `labels` gives them apart: a class number or a label's name for each input. Raises
    `labels.count`, `labels.unknown`, and `batch.unclear` for a batch that could be one thing or another.
    """
    given = iter(_list(labels)) if labels is not None else None
    count = 0
    for some, mine in _lots(subject, data):
        for one, label in zip(some, mine, strict=True):
            count += 1
            if given is not None:
                label = next(given, given)
                if label is given:
                    raise _count(count - 1, f"{count} or more")
            yield one, _class(label, subject)
    if given is not None and next(given, None) is not None:
        raise _count(f"more than {count}", count)


def inputs(subject: Subject, data: Any) -> tuple[bool, Iterator[Any]]:
    """Whether there is a single input, and all inputs one by one, as `streamed` does; labels are not read."""
    alone = not _streams(data) and subject.split(data) is None
    return alone, (one for some, _ in _lots(subject, data) for one in some)


@dataclass(eq=False)
class Refused:
    """Inputs that could not be used: why, by their number, and the error of the first of them."""

    found: dict[int, Finding] = field(default_factory=dict[int, Finding])
    first: tuple[int, PellucidError] | None = None

    def add(self, number: int, error: PellucidError) -> None:
        """One more."""
        self.found[number] = Finding(error.code, "warn", f"{error.found}; expected {error.expected}", error.do)
        if self.first is None or number < self.first[0]:  # only one is held: an error holds all that ran when it came
            self.first = number, error

    def error(self, data: Any) -> PellucidError:
        """The error where all were: the first input's own; or that there was none."""
        if self.first is None:
            return OptionError("input.empty", "no inputs", "at least one input", "give one")
        error = self.first[1]
        if isinstance(error, ModelError) and error.code == "model.failed" and is_array(data):
            # Rows were taken for inputs, which a single picture or sequence without a batch axis has as well.
            told = ModelError("model.failed", error.found, error.expected, "see the cause below; check shapes, dtype "
                              "and device of the input; if all of it is one input, add a batch axis: x[None]")
            told.__cause__ = error.__cause__
            return told
        return error


def settled(examples: list[tuple[int, Example]], choose: Callable[[Example], T], refused: Refused, data: Any) -> T:
    """What is chosen by the first of some numbered examples that the model takes; those before it are refused.

    Raises where it takes none of them.
    """
    while examples:
        try:
            return choose(examples[0][1])
        except ModelError as error:
            if error.code != "model.failed":
                raise
            refused.add(examples.pop(0)[0], error)
    raise refused.error(data)


def _streams(data: Any) -> bool:
    """True for a data loader, or what is gone through like one."""
    return isinstance(data, Iterator) or (hasattr(data, "__iter__") and hasattr(data, "dataset"))


def _lots(subject: Subject, data: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """Inputs as they come together, each with its label or None."""
    for batch, own in (_apart(subject, b) for b in data) if _streams(data) else [(data, None)]:
        many = subject.split(batch)
        some = [batch] if many is None else many
        mine: list[Any] = [None] * len(some) if own is None else _list(own)
        if len(mine) != len(some):
            raise _count(len(mine), len(some))
        yield some, mine


def _apart(subject: Subject, batch: Any) -> tuple[Any, Any]:
    """A batch's inputs and labels."""
    if isinstance(batch, Mapping):
        name = next((n for n in LABELS if n in batch), None)
        return {k: v for k, v in batch.items() if k not in LABELS}, None if name is None else batch[name]
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        return batch, None
    first, second = batch[0], batch[1]
    arrays = all(is_array(v) and v.ndim for v in batch)
    wanted = _wanted(subject) if arrays and subject.task == "tensor" else 1
    if wanted > 1 and wanted == len(batch):
        return tuple(batch), None
    if wanted > 1 and wanted == len(batch) - 1 and _lies(batch[-1]):
        return tuple(batch[:-1]), batch[-1]
    if _holds(first) and _lies(second) and (len(batch) == 2 or _in_step(batch)):
        return first, second
    if not arrays or (_single(subject, first) and len({v.ndim for v in batch}) == 1):
        return batch, None
    if first.ndim > 1 and wanted == 1 and _in_step(batch) and (
            tuple(first.shape) != tuple(second.shape) or (_real(first) and not _real(second))):
        return first, None  # targets that are no classes: measurements, masks
    if all(v.ndim == 1 for v in batch):
        return batch, None  # each input says by itself that its batch axis is missing
    raise InputError("batch.unclear", f"a batch of {len(batch)} tensors of shapes "
                     + ", ".join(str(tuple(v.shape)) for v in batch),
                     "inputs, (inputs, labels) with a label for each input, or a mapping with labels in it",
                     "give the inputs alone: (inputs for inputs, *_ in loader)")


def _wanted(subject: Subject) -> int:
    """How many inputs the model cannot do without; 0 where that is not known."""
    try:
        told = inspect.signature(subject.module.forward).parameters.values()
    except (TypeError, ValueError):
        return 0
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in told)


def _holds(first: Any) -> bool:
    """True for what holds several inputs: a list of numbers is a row of a table, and whole numbers may be labels."""
    if isinstance(first, Tensor):
        return first.dim() > 1 or first.is_floating_point()
    if isinstance(first, list | tuple):
        return bool(first) and not isinstance(first[0], int | float)
    return isinstance(first, Mapping) or is_array(first)


def _in_step(batch: Sequence[Any]) -> bool:
    """True where everything in a batch is there once for each input."""
    return len({len(v) if hasattr(v, "__len__") else -1 for v in batch}) == 1


def _single(subject: Subject, value: Any) -> bool:
    """True for what is read as one input."""
    try:
        return subject.split(value) is None
    except PellucidError:
        return False


def _real(value: Any) -> bool:
    return bool(value.is_floating_point()) if isinstance(value, Tensor) else value.dtype.kind == "f"


def _lies(value: Any) -> bool:
    """True for what a loader makes of labels: whole numbers, one for each input."""
    return (isinstance(value, Tensor) and value.dim() == 1 and not value.is_floating_point()) or (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(v, int) for v in value))


def _list(labels: Any) -> list[Any]:
    if isinstance(labels, Tensor):
        return labels.tolist()
    if isinstance(labels, Sequence) and not isinstance(labels, str):
        return list(labels)
    return list(labels) if hasattr(labels, "__iter__") and not isinstance(labels, str) else [labels]


def _class(label: Any, subject: Subject) -> int | None:
    if label is None or (isinstance(label, int) and not isinstance(label, bool) and label >= 0):
        return label
    if isinstance(label, str) and label in subject.labels:
        return list(subject.labels).index(label)
    if isinstance(label, SupportsIndex) and not isinstance(label, bool) and label.__index__() >= 0:
        return label.__index__()
    raise OptionError("labels.unknown", f"the label {label!r}", "a class number from 0, or one of the model's labels",
                      nearest(str(label), subject.labels) if subject.labels else "give class numbers")


def _count(found: int | str, wanted: int | str) -> OptionError:
    return OptionError("labels.count", f"{found} labels", f"{wanted}, one for each input",
                       "give as many labels as inputs")
