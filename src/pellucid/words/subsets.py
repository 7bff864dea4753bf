"""Subsets of a fixed size that are switched off together; and x shaken, feature by feature."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pellucid.numbers.ranking import lots
from pellucid.words.features import Features
from pellucid.words.points import BLOCK


@dataclass(frozen=True)
class Sized:
    """Masks that switch `off` of the features off: every such subset if they are at most `most`, or `most` by lot."""

    players: int
    off: int
    most: int
    seed: int

    @property
    def every(self) -> bool:
        """True where no subset is left out, and none comes twice."""
        return _count(self.players, self.off, self.most) <= self.most

    @property
    def n(self) -> int:
        return min(_count(self.players, self.off, self.most), self.most)

    @property
    def key(self) -> Hashable:
        return ("sized", self.players, self.off, self.most, None if self.every else self.seed)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        if self.every:
            return _every(self.players, self.off)[start:stop]
        first = start // BLOCK
        drawn = torch.cat([_drawn(self.players, self.off, self.seed, b) for b in range(first, -(-stop // BLOCK))])
        return drawn[start - first * BLOCK : stop - first * BLOCK]

    def totals(self, values: Tensor, features: Features) -> Tensor:
        """The sum of the values (players,) that each subset switches off: (n,), in float64."""
        sums = [values.sum() - self.block(features, k, min(k + BLOCK, self.n)).to(values) @ values
                for k in range(0, self.n, BLOCK)]
        return torch.cat(sums)


@lru_cache(maxsize=64)
def _count(players: int, off: int, most: int) -> int:
    """How many subsets there are, counted until they are more than `most`: the number itself may be very long."""
    count = 1
    for k in range(min(off, players - off)):
        count = count * (players - k) // (k + 1)
        if count > most:
            break
    return count


@lru_cache(maxsize=8)
def _every(players: int, off: int) -> Tensor:
    gone = torch.tensor(list(itertools.combinations(range(players), off)))
    return torch.ones(len(gone), players, dtype=torch.bool).scatter_(1, gone, False)


@lru_cache(maxsize=24)
def _drawn(players: int, off: int, seed: int, block: int) -> Tensor:
    """The `off` smallest of random numbers; these are so long that no two of them are equal."""
    drawn = torch.rand(BLOCK, players, generator=lots(seed, block + (off << 20)), dtype=torch.float64)
    return drawn > drawn.kthvalue(off, 1, keepdim=True).values


@dataclass(frozen=True)
class Shaken:
    """x - I, where all elements of a feature move by the same normal number.

    The standard deviation is `spread` · (max - min of x); what is never switched off stays as it is.
    """

    players: int
    n: int
    spread: float
    seed: int

    @property
    def key(self) -> Hashable:
        return ("shaken", self.players, self.n, self.spread, self.seed)

    @property
    def uses(self) -> str:
        return "xf"

    def by(self, x: Tensor, start: int, stop: int) -> Tensor:
        """I of rows start to stop, (stop - start, players) in float64 on the CPU."""
        first = start // BLOCK
        drawn = torch.cat([_normal(self.players, self.seed, b) for b in range(first, -(-stop // BLOCK))])
        return drawn[start - first * BLOCK : stop - first * BLOCK] * (self.spread * float(x.max() - x.min()))

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        rows = x.new_empty(len(x), stop - start, *x.shape[1:]) if out is None else out
        for value, row in zip(x, rows, strict=True):
            moved = features.switches(self.by(value, start, stop).to(value), value.dim())
            torch.sub(value, moved * features.movable(value.dim()).to(moved), out=row)
        return rows

    def totals(self, values: Tensor, x: Tensor) -> Tensor:
        """I · values for every row, with values (players,): (n,), in float64."""
        return torch.cat([self.by(x, k, min(k + BLOCK, self.n)) @ values for k in range(0, self.n, BLOCK)])


@lru_cache(maxsize=8)
def _normal(players: int, seed: int, block: int) -> Tensor:
    return torch.randn(BLOCK, players, generator=lots(seed, block + 7_000_003), dtype=torch.float64)
