"""What may be switched off and what carries a name: pixels, patches, tokens, words, columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from pellucid.words.errors import OptionError


@dataclass(frozen=True, eq=False)
class Features:
    """A partition of the positions of x into `n` features.

    `index` (int64) gives each position its feature, -1 where it is never switched off (special
    tokens). The positions are the axes `axes` of x; the other axes (channels, embedding) share them.
    `shape` is how the n values are drawn, `kind` which drawing fits: image, tokens, columns, units.
    """

    index: Tensor
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    kind: str = "units"
    name: str = "units"
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n, top = math.prod(self.shape), int(self.index.max()) if self.index.numel() else -1
        if self.index.dim() != len(self.axes) or top >= n or (self.names and len(self.names) != n):
            raise OptionError(
                "features.unfit",
                f"an index of {self.index.dim()} axes up to {top}, {len(self.names)} names",
                f"{len(self.axes)} axes, numbers below {n} and {n} names or none",
                "give one whole number per position, from 0 without gaps, -1 for never",
            )

    @property
    def n(self) -> int:
        """How many features there are."""
        return math.prod(self.shape)

    @cached_property
    def sizes(self) -> Tensor:
        """Positions per feature, shape (n,)."""
        flat = self.index.flatten()
        return torch.bincount(flat[flat >= 0], minlength=self.n)

    @cached_property
    def fixed(self) -> bool:
        """True where some position is never switched off."""
        return bool((self.index < 0).any())

    @cached_property
    def each(self) -> bool:
        """True where every element of x is a feature of its own, in order: nothing needs to be summed."""
        rank = len(self.axes)
        return (self.axes == tuple(range(rank)) and self.index.numel() == self.n
                and torch.equal(self.index.flatten(), torch.arange(self.n)))

    @cached_property
    def _slots(self) -> Tensor:
        return torch.where(self.index < 0, self.n, self.index)

    @cached_property
    def _in_order(self) -> bool:
        """True where position k is feature k: masks over features are masks over positions already."""
        return torch.equal(self.index.flatten(), torch.arange(self.n))

    def _over(self, positions: Tensor, rank: int) -> Tensor:
        """Give (..., *positions) the axes of x, each shared one of length 1."""
        lead = positions.shape[: positions.dim() - len(self.axes)]
        shape, at = [1] * rank, [a % rank for a in self.axes]
        for axis, size in zip(at, self.index.shape, strict=True):
            shape[axis] = size
        return positions.reshape(*lead, *shape)

    def switches(self, masks: Tensor, rank: int) -> Tensor:
        """Masks over features (..., n) as masks over x; what is never switched off stays on."""
        if self._in_order:
            return self._over(masks.reshape(*masks.shape[:-1], *self.index.shape), rank)
        on = torch.ones((), dtype=masks.dtype, device=masks.device).expand(*masks.shape[:-1], 1)
        slots = self._slots.to(masks.device)
        # gather is several times faster here than an index: a byte for each position and mask
        spread = torch.cat([masks, on], -1).gather(-1, slots.flatten().expand(*masks.shape[:-1], -1))
        return self._over(spread.unflatten(-1, slots.shape), rank)

    def movable(self, rank: int) -> Tensor:
        """True over x where a feature may be switched off."""
        return self._over(self.index >= 0, rank)

    def keep(self, x: Tensor, baseline: Tensor, masks: Tensor, out: Tensor | None = None) -> Tensor:
        """x where a feature is kept (1 or True), the baseline elsewhere.

        x and baseline (..., *shape), masks (..., k, n); the answer is (..., k, *shape), in `out` if given.
        """
        rank = x.dim() - (masks.dim() - 2)
        at = masks.dim() - 2
        x, baseline = x.unsqueeze(at), baseline.unsqueeze(at)
        on = self.switches(masks.to(x.device), rank)
        if on.dtype == torch.bool:
            return torch.where(on, x, baseline, out=out)
        return torch.mul(on.to(x), x - baseline, out=out).add_(baseline)

    def gather(self, elements: Tensor, rank: int | None = None) -> Tensor:
        """Sum the elements (..., *shape of x) of each feature: (..., n). Sums are kept."""
        rank = elements.dim() if rank is None else rank
        lead = elements.dim() - rank
        if self.each and rank == len(self.axes):
            return elements.flatten(lead)
        at = sorted(a % rank for a in self.axes)
        rest = [lead + a for a in range(rank) if a not in at]
        summed = elements.sum(rest) if rest else elements
        flat = summed.reshape(*elements.shape[:lead], -1)
        out = flat.new_zeros(*elements.shape[:lead], self.n + 1)
        return out.index_add(-1, self._slots.to(flat.device).flatten(), flat)[..., :-1]

    def spread(self, values: Tensor) -> Tensor:
        """Share each feature's value (..., n) equally among its positions: gather undoes it."""
        share = values / self.sizes.clamp(min=1).to(values)
        pad = share.new_zeros(*share.shape[:-1], 1)
        return torch.cat([share, pad], -1)[..., self._slots.to(values.device)]

    def paint(self, values: Tensor) -> Tensor:
        """Each position shows its feature's value, zero where nothing is ever switched off."""
        pad = values.new_zeros(*values.shape[:-1], 1)
        return torch.cat([values, pad], -1)[..., self._slots.to(values.device)]


@lru_cache(maxsize=64)
def units(shape: tuple[int, ...], *, kind: str = "units", name: str = "units") -> Features:
    """Every element of a tensor is its own feature."""
    size = tuple(shape)
    index = torch.arange(math.prod(size)).reshape(size)
    return Features(index, tuple(range(len(size))), size or (1,), kind, name)


@lru_cache(maxsize=64)
def pixels(height: int, width: int, axes: tuple[int, int] = (-2, -1)) -> Features:
    """Every pixel, its channels together."""
    index = torch.arange(height * width).reshape(height, width)
    return Features(index, axes, (height, width), "image", "pixels")


@lru_cache(maxsize=64)
def patches(height: int, width: int, size: int, axes: tuple[int, int] = (-2, -1)) -> Features:
    """Square patches of `size` pixels, smaller at the far edges where they do not fit."""
    if not 1 <= size <= max(height, width):
        raise OptionError("features.size", f"patches of {size} pixels", f"1 to {max(height, width)}",
                          "choose a patch that fits the picture")
    rows, columns = math.ceil(height / size), math.ceil(width / size)
    down, across = torch.arange(height) // size, torch.arange(width) // size
    index = down[:, None] * columns + across[None, :]
    return Features(index, axes, (rows, columns), "image", f"patches:{size}")


def segments(index: Tensor, axes: tuple[int, ...] = (-2, -1), name: str = "segments") -> Features:
    """A segmentation given as a map of whole numbers; they are renumbered without gaps."""
    known: Tensor = index[index >= 0].unique()
    tight = torch.searchsorted(known, index.contiguous())
    out = torch.where(index >= 0, tight, -1)
    return Features(out, axes, (len(known),), "image" if index.dim() == 2 else "units", name)


def groups(index: Sequence[int], names: Sequence[str], kind: str, name: str, axis: int = 0) -> Features:
    """One axis cut into named groups: tokens, words, columns with their one-hot entries."""
    return Features(torch.tensor(list(index), dtype=torch.int64), (axis,), (len(names),), kind, name, tuple(names))


@lru_cache(maxsize=64)
def columns(names: tuple[str, ...], name: str = "columns") -> Features:
    """Every entry of a vector, or every channel of a picture, under its own name."""
    return groups(range(len(names)), names, "columns", name)
