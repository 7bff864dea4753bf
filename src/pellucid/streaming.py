"""Data as it comes: inputs one by one, each with its label where it has one, from lists, batches and loaders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, SupportsIndex

from torch import Tensor

from pellucid.models.subject import Subject
from pellucid.words.errors import OptionError, nearest

LABELS = ("labels", "label")
"""Under which names a batch that is a mapping holds its labels."""


def streamed(subject: Subject, data: Any, labels: Any = None) -> Iterator[tuple[Any, int | None]]:
    """Inputs and labels of a batch, a list, or anything that is gone through once, such as a data loader.

    A loader's batch may be inputs, a pair (inputs, labels), or a mapping with `labels` in it. `labels` gives them
    apart: a class number or a label's name for each input. Raises `labels.count`, `labels.unknown`.
    """
    loader = isinstance(data, Iterator) or (hasattr(data, "__iter__") and hasattr(data, "dataset"))
    given = iter(_list(labels)) if labels is not None else None
    count = 0
    for inputs, own in ((_apart(b) for b in data) if loader else [(data, None)]):
        many = subject.split(inputs)
        some = [inputs] if many is None else many
        mine: Iterable[Any] = (None,) * len(some) if own is None else _list(own)
        if own is not None and len(list(mine)) != len(some):
            raise _count(len(list(mine)), len(some))
        for one, label in zip(some, mine, strict=True):
            count += 1
            if given is not None:
                label = next(given, given)
                if label is given:
                    raise _count(count - 1, f"{count} or more")
            yield one, _class(label, subject)
    if given is not None and next(given, None) is not None:
        raise _count(f"more than {count}", count)


def _apart(batch: Any) -> tuple[Any, Any]:
    """A batch's inputs and labels."""
    if isinstance(batch, Mapping):
        name = next((n for n in LABELS if n in batch), None)
        return {k: v for k, v in batch.items() if k not in LABELS}, None if name is None else batch[name]
    if isinstance(batch, tuple | list) and len(batch) == 2 and _lies(batch[1]):
        return batch[0], batch[1]
    return batch, None


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
