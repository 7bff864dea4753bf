"""Lazy points: plain data that says which rows to ask about; the engine makes a chunk at a time."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from pellucid.words.features import Features

BLOCK = 64
"""Random rows come in blocks of this many, each from its own seed, so that a row never depends on
how the rows were cut."""


class Points(Protocol):
    """n rows described by coefficients that many examples can share."""

    @property
    def n(self) -> int: ...

    @property
    def key(self) -> Hashable:
        """Equal keys on the same example mean the same rows; compared by symbol, never by value."""
        ...

    @property
    def uses(self) -> str:
        """What the rows depend on, of x, b(aseline) and f(eatures)."""
        ...

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        """Rows start to stop for c examples: x and baseline (c, *shape) → (c, stop - start, *shape).

        With `out` they are written there, and no other tensor of their size is made.
        """
        ...


@dataclass(frozen=True)
class Line:
    """baseline + t · (x - baseline) for each t."""

    t: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.t)

    @property
    def key(self) -> Hashable:
        return ("line", self.t)

    @property
    def uses(self) -> str:
        return "x" if self.t == (1.0,) else "b" if self.t == (0.0,) else "xb"

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        if self.t == (1.0,):
            return _put(x.unsqueeze(1), out)
        if self.t == (0.0,):
            return _put(baseline.unsqueeze(1), out)
        t = torch.tensor(self.t[start:stop], dtype=torch.float64).to(x)
        x, baseline = x.unsqueeze(1), baseline.unsqueeze(1)
        mixed = torch.lerp(baseline, x, t.reshape(-1, *[1] * (x.dim() - 2)), out=out)
        return mixed


HERE, THERE = Line((1.0,)), Line((0.0,))
"""x itself and the baseline."""


@dataclass(frozen=True, eq=False)
class Given:
    """Rows written out: (n, *shape of x). Equal only to itself."""

    values: Tensor

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def key(self) -> Hashable:
        return self

    @property
    def uses(self) -> str:
        return ""

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        return _put(self.values[start:stop].to(x).expand(len(x), -1, *x.shape[1:]), out)


@dataclass(frozen=True)
class AsIs:
    """The example's own inputs, nothing put in their place: how the values at a layer are first read."""

    baseline: bool = False
    n: int = 1

    @property
    def key(self) -> Hashable:
        return ("as is", self.baseline)

    @property
    def uses(self) -> str:
        return ""

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        return _put((baseline if self.baseline else x).unsqueeze(1), out)


class Masks(Protocol):
    """n masks over features."""

    @property
    def n(self) -> int: ...

    @property
    def key(self) -> Hashable: ...

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        """Masks start to stop, bool (stop - start, number of features), True where kept."""
        ...


@dataclass(frozen=True, eq=False)
class Chosen:
    """Masks written out: (n, number of features), bool or shares in [0, 1]. Equal only to itself."""

    masks: Tensor

    @property
    def n(self) -> int:
        return len(self.masks)

    @property
    def key(self) -> Hashable:
        return self

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        return self.masks[start:stop]


@dataclass(frozen=True)
class LeaveOneOut:
    """Feature i is missing in mask i."""

    n: int

    @property
    def key(self) -> Hashable:
        return ("leave one out", self.n)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        masks = torch.ones(stop - start, self.n, dtype=torch.bool)
        masks[torch.arange(stop - start), torch.arange(start, stop)] = False
        return masks


@dataclass(frozen=True)
class Windows:
    """A box of `size` features slides over the drawn shape by `stride`; inside it all are missing.

    Places run in row order; the last box of each axis is cut at the far edge.
    """

    shape: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", tuple(
            tuple(k * step for k in range(math.ceil(max(length - size, 0) / step) + 1))
            for length, size, step in zip(self.shape, self.size, self.stride, strict=True)))

    @property
    def n(self) -> int:
        return math.prod(len(s) for s in self.starts)

    @property
    def key(self) -> Hashable:
        return ("windows", self.shape, self.size, self.stride)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        masks = torch.ones(stop - start, *self.shape, dtype=torch.bool)
        for row, place in enumerate(range(start, stop)):
            masks[(row, *self.box(place))] = False
        return masks.reshape(stop - start, -1)

    def box(self, place: int) -> tuple[slice, ...]:
        """The slices of window number `place`."""
        corner: list[slice] = []
        for starts, size in zip(reversed(self.starts), reversed(self.size), strict=True):
            place, at = divmod(place, len(starts))
            corner.append(slice(starts[at], starts[at] + size))
        return tuple(reversed(corner))


@dataclass(frozen=True)
class Keep:
    """x where a mask keeps a feature, the baseline elsewhere."""

    masks: Masks

    @property
    def n(self) -> int:
        return self.masks.n

    @property
    def key(self) -> Hashable:
        return ("keep", self.masks.key)

    @property
    def uses(self) -> str:
        return "xbf"

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        masks = self.masks.block(features, start, stop)
        return features.keep(x, baseline, masks.expand(len(x), *masks.shape), out)


@dataclass(frozen=True)
class Ball:
    """Point number `index` of the stream `seed`, uniform in the box of half width `radius` · (max - min of x) about x.

    That box is the ball of the largest deviation (L∞).
    """

    seed: int
    index: int
    radius: float

    def on(self, x: Tensor, features: Features, out: Tensor | None = None) -> Tensor:
        """The point; what is never switched off stays as it is."""
        generator = torch.Generator().manual_seed((self.seed * 0x9E3779B1 + self.index * 0x85EBCA6B + 3) % (1 << 63))
        moved = torch.rand(tuple(x.shape), generator=generator, dtype=torch.float32).mul_(2).sub_(1).to(x)
        scale = self.radius * (x.max() - x.min())
        return _put(moved.mul_(scale).mul_(features.movable(x.dim()).to(x)).add_(x), out)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise number `index` of the stream `seed`, with standard deviation `spread` · (max - min of x).

    x is first moved to where `around` says, if it is given: noise on a neighbour of x.
    """

    seed: int
    index: int
    spread: float
    around: Ball | None = None

    def on(self, x: Tensor, features: Features, out: Tensor | None = None) -> Tensor:
        """x with this noise; what is never switched off stays as it is."""
        if self.around is not None:
            x = self.around.on(x, features)
        scale = self.spread * (x.max() - x.min())
        # Drawn where the answer goes, then changed in place: no other tensor of its size is made.
        direct = out is not None and out.dtype == torch.float32 and out.device.type == "cpu" and out.is_contiguous()
        noise = draw(x.shape, self.seed, self.index, out if direct else None).to(x)
        noisy = noise.mul_(scale).mul_(features.movable(x.dim()).to(x)).add_(x)
        return noisy if direct else _put(noisy, out)


def draw(shape: Sequence[int], seed: int, block: int, out: Tensor | None = None) -> Tensor:
    """Standard normal numbers from a private generator keyed by (seed, block), made on the CPU in float32."""
    generator = torch.Generator().manual_seed((seed * 0x9E3779B1 + block * 0x85EBCA6B + 1) % (1 << 63))
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32, out=out)


def _put(value: Tensor, out: Tensor | None) -> Tensor:
    return value if out is None else out.copy_(value)
