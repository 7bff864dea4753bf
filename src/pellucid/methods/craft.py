"""Conversations for concept discovery: what crops say at a layer, and what each part of a layer does to the score."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.numbers.activity import channels_first
from pellucid.numbers.factorisation import amounts_of
from pellucid.numbers.ranking import lots
from pellucid.numbers.sobol import SCRAMBLES, designs, total
from pellucid.words.ask import Each, together
from pellucid.words.case import Case
from pellucid.words.features import Features, units
from pellucid.words.site import Site

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; right and bottom exclusive."""


@dataclass(frozen=True)
class Crops:
    """Boxes cut out of x (channels, rows, columns), each enlarged to the size of x."""

    boxes: tuple[Box, ...]

    @property
    def n(self) -> int:
        return len(self.boxes)

    @property
    def key(self) -> Hashable:
        return ("crops", self.boxes)

    @property
    def uses(self) -> str:
        return "x"

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        size = tuple(x.shape[2:])
        made = torch.stack([F.interpolate(x[:, :, top:bottom, left:right], size=size, mode="bilinear",
                                          align_corners=False)
                            for left, top, right, bottom in self.boxes[start:stop]], 1)
        return made if out is None else out.copy_(made)


def boxes(height: int, width: int, crop: int, step: int) -> tuple[Box, ...]:
    """Squares of `crop` pixels, `step` apart, the last of each row and column at the far edge."""
    def starts(length: int) -> list[int]:
        return sorted({*range(0, length - crop, step), length - crop})
    return tuple((left, top, left + crop, top + crop) for top in starts(height) for left in starts(width))


@dataclass(frozen=True)
class Pooled:
    """The mean of each channel over its places: values (rows, *shape) → (rows, channels)."""

    axis: int

    def __call__(self, values: Tensor) -> Tensor:
        return channels_first(values, self.axis).mean(2)


async def enlarged(case: Case, crops: Crops, site: Site, axis: int) -> Tensor:
    """What a layer says of every crop as an input of its own, averaged over places: (crops, channels)."""
    return await case.reading(crops, of=site, weights=Each(Pooled(axis)))


async def regions(case: Case, crops: Crops, site: Site, axis: int, size: tuple[int, int], before: int) -> Tensor:
    """What a layer says inside every crop of the whole input, averaged over its places there: (crops, channels).

    `size` are the rows and columns of the layer's places, behind `before` others; a place counts as far as it lies in
    the crop.
    """
    (seen,) = await case.own(of=site)
    places = channels_first(seen[None], axis)[0][:, before:].unflatten(1, size)
    height, width = case.x.shape[1:]
    down = _inside(size[0], height, [(b[1], b[3]) for b in crops.boxes]).to(places)
    across = _inside(size[1], width, [(b[0], b[2]) for b in crops.boxes]).to(places)
    return torch.einsum("chw,bh,bw->bc", places, down, across)


def _inside(cells: int, length: int, spans: list[tuple[int, int]]) -> Tensor:
    """Which share of each span lies in each of `cells` equal parts of a length: (spans, cells), rows sum to one."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * length / cells
    some = torch.tensor(spans, dtype=torch.float64)
    over = torch.minimum(some[:, 1:], edges[1:]) - torch.maximum(some[:, :1], edges[:-1])
    return over.clamp(min=0) / (some[:, 1:] - some[:, :1])


@dataclass(frozen=True, eq=False)
class Mixed:
    """rest + Σ_k m_k · pieces_k for each row m of masks (n, parts); made when it is asked about."""

    masks: Tensor
    pieces: Tensor
    rest: Tensor

    @property
    def n(self) -> int:
        return len(self.masks)

    @property
    def key(self) -> Hashable:
        return self

    @property
    def uses(self) -> str:
        return ""

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        m = self.masks[start:stop].to(self.pieces)
        made = torch.tensordot(m, self.pieces, 1) + self.rest
        made = made.to(x).expand(len(x), -1, *x.shape[1:])
        return made if out is None else out.copy_(made)


@dataclass(frozen=True, eq=False)
class Weight:
    """Of one image: each part's total Sobol index and the error of it that points leave, what the score loses without
    the part, and its amounts by place."""

    importance: Tensor
    error: Tensor
    effect: Tensor
    amounts: Tensor
    score: float


async def weighed(case: Case, site: Site, axis: int, parts: Tensor, number: int, seed: int) -> Weight:
    """What each part of a layer's value does to the score.

    The value is taken apart place by place, a = rest + Σ_k u_k w_k; parts w (r, channels). Amounts u_k are multiplied
    by m_k in [0, 1]: the total index is the share of the score's variance over m that goes away when m_k is known
    last; the effect is the score minus the score with m_k = 0. The rest, which no part explains, stays as it is.
    `number` points at least, in SCRAMBLES scrambles of their own for each `seed`.
    """
    (seen,) = await case.reading(case.here, of=site)
    channels = channels_first(seen[None], axis)[0]
    amounts = amounts_of(channels.mT, parts)
    made = (amounts.mT[:, :, None] * parts[:, None, :]).to(seen)
    pieces = _back(made, seen, axis)
    rest = seen - pieces.sum(0)
    r = len(parts)
    each = -(-number // SCRAMBLES)
    drawn = torch.randint(1 << 62, (SCRAMBLES,), generator=lots(seed)).tolist()
    a, b = (torch.cat(points) for points in zip(*(designs(r, each, one) for one in drawn), strict=True))
    changed = a[None].expand(r, -1, -1).clone()
    changed[torch.arange(r), :, torch.arange(r)] = b.mT
    removed = 1 - torch.eye(r, dtype=torch.float64)
    masks = torch.cat([torch.ones(1, r, dtype=torch.float64), removed, a, changed.flatten(0, 1)])
    there = case.at(site, seen, torch.zeros_like(seen), units(tuple(seen.shape)))
    (scores,) = await together(there.score(Mixed(masks, pieces, rest)))
    scores = scores.double().cpu()
    here, without = scores[0], scores[1 : 1 + r]
    some = scores[1 + r :].unflatten(0, (r + 1, SCRAMBLES, each)).movedim(0, 1)
    return Weight(*total(some[:, 0], some[:, 1:]), here - without, amounts.mT, float(here))


def _back(pieces: Tensor, like: Tensor, axis: int) -> Tensor:
    """(parts, places, channels) in the shape of the layer's value: (parts, *shape)."""
    if axis < 0:
        return pieces.reshape(len(pieces), *like.shape)
    others = [s for a, s in enumerate(like.shape) if a != axis]
    return pieces.unflatten(1, others).movedim(-1, axis + 1) if others else pieces.reshape(len(pieces), *like.shape)
