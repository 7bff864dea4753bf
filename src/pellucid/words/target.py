"""Which number is explained: from the model's whole output, one score per row."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, SupportsIndex, cast

from torch import Tensor

from pellucid.words import regions
from pellucid.words.errors import TargetError, nearest
from pellucid.words.regions import Box, Region, Similar
from pellucid.words.site import Site


class Target(Protocol):
    """A score for every row of an output."""

    @property
    def of(self) -> Site | None:
        """The layer whose value is scored; None for the model's output."""
        ...

    @property
    def key(self) -> Hashable: ...

    def score(self, value: Tensor) -> Tensor:
        """value (rows, ...) → (rows,)."""
        ...

    def describe(self, labels: Sequence[str]) -> str: ...


def classes(value: Tensor) -> int:
    """How many classes an output (rows, K) or (rows,) offers; a score that is none is an error."""
    if value.dim() == 1 or (value.dim() == 2 and value.shape[1] == 1):
        return 1
    if value.dim() == 2 and value.shape[1] > 1:
        return int(value.shape[1])
    dense = " or target='region:x0,y0,x1,y1:LABEL'" if value.dim() == 4 else ""
    raise TargetError(
        "target.needed", f"an output of shape {tuple(value.shape)}", "(rows,) or (rows, classes)",
        f"name the number to explain: target=lambda output: ... with one score per row{dense}",
    )


@dataclass(frozen=True)
class Class:
    """One class of an output (rows, K); class 0 of an output with one score per row is that score.

    `among` says of how many classes the model chose it, 0 where it was named.
    """

    index: int
    of: Site | None = None
    among: int = field(default=0, compare=False)

    @property
    def key(self) -> Hashable:
        return ("class", self.index)

    def score(self, value: Tensor) -> Tensor:
        count = classes(value)
        if not 0 <= self.index < count:
            raise TargetError(
                "target.out_of_range", f"class {self.index}", f"0 to {count - 1}", "choose a class the model has"
            )
        return value.reshape(len(value), count)[:, self.index]

    def describe(self, labels: Sequence[str]) -> str:
        return labels[self.index] if self.index < len(labels) else f"class {self.index}"


@dataclass(frozen=True)
class Predicted:
    """The class with the highest score on the clean example; settled in the first pass, then frozen."""

    of: Site | None = None

    @property
    def key(self) -> Hashable:
        return "predicted"

    def score(self, value: Tensor) -> Tensor:
        every = value.reshape(len(value), classes(value))
        # Of equal scores the first is taken, as it is when the class is settled; a maximum would share them.
        return every.gather(1, every.argmax(1, keepdim=True))[:, 0]

    def settle(self, value: Tensor) -> list[Class]:
        """The frozen target of every row."""
        best = value.reshape(len(value), classes(value)).argmax(1)
        indices: list[int] = best.tolist()
        return [Class(i, among=classes(value)) for i in indices]

    def describe(self, labels: Sequence[str]) -> str:
        return "the predicted class"


@dataclass(frozen=True)
class Contrast:
    """Why this rather than that: the difference of two scores."""

    this: Target
    that: Target
    of: Site | None = None

    @property
    def key(self) -> Hashable:
        return ("contrast", self.this.key, self.that.key)

    @property
    def whole(self) -> bool:
        """True where both read the whole output."""
        this, that = takes_whole(self.this), takes_whole(self.that)
        if this != that:
            raise TargetError("target.unreadable", "a contrast of a class with a region or a box", "two of one kind",
                              "compare a region with a region, a box with a box")
        return this

    def score(self, value: Any) -> Tensor:
        return self.this.score(value) - self.that.score(value)

    def settle(self, value: Any) -> list[Contrast]:
        settled = [t.settle(value) if isinstance(t, Predicted | Box | Contrast) and is_open(t) else None
                   for t in (self.this, self.that)]
        count = next((len(s) for s in settled if s is not None), 0)
        this, that = (s or [t] * count for s, t in zip(settled, (self.this, self.that), strict=True))
        return [Contrast(a, b) for a, b in zip(this, that, strict=True)]

    def describe(self, labels: Sequence[str]) -> str:
        return f"{self.this.describe(labels)} rather than {self.that.describe(labels)}"


@dataclass(frozen=True)
class Neuron:
    """One unit of a layer: `index` into the layer's value for one row; shorter indices average the rest."""

    layer: Site
    index: tuple[int, ...]

    @property
    def of(self) -> Site | None:
        return self.layer

    @property
    def key(self) -> Hashable:
        return ("neuron", self.layer, self.index)

    def score(self, value: Tensor) -> Tensor:
        sizes = value.shape[1:]
        if len(self.index) > len(sizes) or any(not 0 <= i < s for i, s in zip(self.index, sizes, strict=False)):
            raise TargetError(
                "target.out_of_range", f"unit {self.index} of {self.layer}",
                "an index below " + str(tuple(sizes)), "choose a unit the layer has",
            )
        chosen = value[(slice(None), *self.index)]
        return chosen.flatten(1).mean(1) if chosen.dim() > 1 else chosen

    def describe(self, labels: Sequence[str]) -> str:
        return f"unit {','.join(map(str, self.index))} of {self.layer}"


@dataclass(frozen=True, eq=False)
class Function:
    """Any row-wise function of the whole output; it gets what the model returns."""

    fn: Callable[[Any], Tensor]
    of: Site | None = None
    whole: bool = True

    @property
    def key(self) -> Hashable:
        return self

    def score(self, value: Any) -> Tensor:
        found = self.fn(value)
        if not isinstance(found, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TargetError("target.no_score", f"a {type(found).__name__}", "a tensor (rows,)",
                              "let the target function return one number per row")
        return found

    def describe(self, labels: Sequence[str]) -> str:
        return getattr(self.fn, "__name__", "a function of the output")


def is_open(target: Target) -> bool:
    """True while a target still waits for what the model says of the clean example."""
    if isinstance(target, Contrast):
        return is_open(target.this) or is_open(target.that)
    return isinstance(target, Predicted) or (isinstance(target, Box) and target.open)


def takes_whole(target: Target) -> bool:
    """True for a target that reads the model's whole output, not the scores in it."""
    return bool(getattr(target, "whole", False))


def written(target: Any) -> Any:
    """A target as a recipe keeps it: text and numbers wherever it can be said in them, otherwise as it was given."""
    if isinstance(target, tuple | list):
        given: list[Any] = list(target)  # pyright: ignore[reportUnknownArgumentType]
        return type(target)(written(t) for t in given)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return target.spelled if isinstance(target, Region | Box | Similar) else target


def read(target: Any, labels: Sequence[str] = ()) -> Target:
    """A target from what a user writes: None, a class, a label, a pair, `layer[unit]`, a region, or a function."""
    if target is None:
        return Predicted()
    if isinstance(target, Region | Box):
        return target.named(labels)
    if isinstance(target, Predicted | Class | Contrast | Neuron | Function | Similar):
        return target
    if isinstance(target, bool):
        raise _unreadable(target)
    if isinstance(target, int):
        if target < 0:
            raise TargetError("target.out_of_range", str(target), "a class from 0", "count classes from 0")
        return Class(target)
    if isinstance(target, str):
        return _spelled(target, labels)
    if isinstance(target, tuple | list):
        pair: list[Any] = list(target)  # pyright: ignore[reportUnknownArgumentType]
        if len(pair) != 2:
            raise _unreadable(pair)
        return Contrast(read(pair[0], labels), read(pair[1], labels))
    if callable(target):
        return Function(cast("Callable[[Any], Tensor]", target))
    if isinstance(target, SupportsIndex):
        return read(target.__index__(), labels)
    raise _unreadable(target)


def _spelled(text: str, labels: Sequence[str]) -> Target:
    if text in labels:
        return Class(list(labels).index(text))
    if text == "predicted":
        return Predicted()
    if text.lstrip("-").isdigit():
        return read(int(text), labels)
    this, versus, that = text.partition(" - ")
    if versus:
        return Contrast(read(this.strip(), labels), read(that.strip(), labels))
    if text.partition(":")[0] in regions.KINDS and not text.endswith("]"):
        return regions.spelled(text, labels)
    layer, bracket, index = text.partition("[")
    if bracket and index.endswith("]") and index[:-1].replace(",", "").replace(" ", "").isdigit():
        return Neuron(Site.parse(layer), tuple(int(i) for i in index[:-1].split(",")))
    raise TargetError("target.unknown", repr(text), "a label, a class number, 'A - B', 'layer[unit]' or 'region:…'",
                      nearest(text, labels) if labels else "this model has no labels: give a class number")


def _unreadable(target: object) -> TargetError:
    return TargetError("target.unreadable", f"a {type(target).__name__}",
                       "a class number, a label, a pair, 'layer[unit]', a region or a function of the output",
                       "name the number to explain")
