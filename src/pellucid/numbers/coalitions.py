"""Complementary pairs of coalitions: how many of each size, and which, none of them twice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

RANKED = 2**40
"""Sizes with fewer coalitions are drawn without repetition; among more a repetition is out of the question."""

BLOCK = 16
"""Coalitions that cannot be numbered come in blocks of this many, each from its own seed."""


def pairs_of(n: int, k: int) -> int:
    """How many pairs {S, not S} there are with k of n features on one side, k up to n // 2."""
    return math.comb(n, k) // (2 if 2 * k == n else 1)


@lru_cache(maxsize=64)
def masses(n: int) -> tuple[float, ...]:
    """The Shapley kernel's mass on the pairs with 1, 2, … n // 2 features on the smaller side; sum 1."""
    mass = [(1 if 2 * k == n else 2) / (k * (n - k)) for k in range(1, n // 2 + 1)]
    return tuple(m / sum(mass) for m in mass)


def shares(n: int, pairs: int) -> list[float]:
    """How many of `pairs` each size should get, at most all there are.

    In proportion to mass times the size of a coalition's say in the solution, sqrt(k (n - k)): the
    optimum for equal residuals. Sizes that would get all of theirs get exactly that, the others the rest.
    """
    have = [pairs_of(n, k) for k in range(1, n // 2 + 1)]
    say = [m * math.sqrt(k * (n - k)) for k, m in enumerate(masses(n), 1)]
    found, open_, left = [0.0] * len(have), list(range(len(have))), float(pairs)
    while open_:
        each = left / sum(say[k] for k in open_)
        full = [k for k in open_ if each * say[k] >= have[k] * (1 - 1e-9)]
        for k in full or open_:
            found[k] = float(have[k]) if full else each * say[k]
        left -= sum(have[k] for k in full)
        open_ = [k for k in open_ if k not in full] if full else []
    return found


def counts(wanted: list[float], shift: float, least: list[int]) -> list[int]:
    """Whole numbers whose expectation over `shift` in [0, 1) is `wanted`, none below `least`."""
    found, before, total = list[int](), math.floor(shift), shift
    for share, had in zip(wanted, least, strict=True):
        total += share
        now = math.floor(total + 1e-9)
        found.append(max(now - before, had))
        before = now
    return found


@dataclass(frozen=True)
class Pairs:
    """Pairs of coalitions of `n` features: parts (k, first, count) of the random order of each size k."""

    n: int
    seed: int
    parts: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return sum(count for _, _, count in self.parts)

    @property
    def sizes(self) -> Tensor:
        """k of every pair, (pairs,)."""
        counted = torch.tensor([count for _, _, count in self.parts], dtype=torch.int64)
        return torch.repeat_interleave(torch.tensor([k for k, _, _ in self.parts], dtype=torch.int64), counted)

    def grown(self, pairs: int) -> tuple[Pairs, Pairs]:
        """With more pairs, about `pairs` in all, divided among the sizes as `shares` says; and the new ones."""
        had = [sum(count for k, _, count in self.parts if k == size) for size in range(1, self.n // 2 + 1)]
        shift = float(torch.rand((), generator=torch.Generator().manual_seed(_key(self.n, self.seed))))
        now = counts(shares(self.n, pairs), shift, had)
        parts = tuple((k, a, b - a) for k, (a, b) in enumerate(zip(had, now, strict=True), 1) if b > a)
        return Pairs(self.n, self.seed, self.parts + parts), Pairs(self.n, self.seed, parts)

    def block(self, start: int, stop: int) -> Tensor:
        """The smaller sides of pairs start to stop: bool (stop - start, n)."""
        found, at = [torch.zeros(0, self.n, dtype=torch.bool)], 0
        for k, first, count in self.parts:
            a, b = max(start - at, 0), min(stop - at, count)
            if a < b:
                found.append(drawn(self.n, k, self.seed, first + a, b - a))
            at += count
        return torch.cat(found)


def drawn(n: int, k: int, seed: int, first: int, count: int) -> Tensor:
    """Coalitions number `first` on of the random order of those with k features: bool (count, n)."""
    have = pairs_of(n, k)
    if have < RANKED:
        return _unranked(_scrambled(torch.arange(first, first + count), have, _key(n, k, seed)), n, k)
    blocks = [_block(n, k, seed, b) for b in range(first // BLOCK, -(-(first + count) // BLOCK))]
    at = first // BLOCK * BLOCK
    return torch.cat(blocks)[first - at : first + count - at]


@lru_cache(maxsize=1024)
def _block(n: int, k: int, seed: int, block: int) -> Tensor:
    generator = torch.Generator().manual_seed(_key(n, k, seed, block))
    return torch.rand(BLOCK, n, generator=generator).argsort(1).argsort(1) < k


def _key(*numbers: int) -> int:
    key = 0
    for number in numbers:
        key = (key * 1_000_003 + number + 1) % (1 << 61)
    return key


def _scrambled(index: Tensor, size: int, key: int) -> Tensor:
    """Places below `size` in a random order (a Feistel network): each once, none stored."""
    half = max((size - 1).bit_length() + 1, 2) // 2
    mask = (1 << half) - 1
    keys: list[int] = torch.randint(1 << 30, (6,), generator=torch.Generator().manual_seed(key)).tolist()

    def turned(place: Tensor) -> Tensor:
        left, right = place >> half, place & mask
        for k in keys:
            mixed = (right + k) * 0x9E3779B1
            mixed = ((mixed ^ (mixed >> 15)) & 0x7FFFFFFF) * 0x85EBCA6B
            left, right = right, left ^ ((mixed ^ (mixed >> 13)) & 0x7FFFFFFF) & mask
        return left << half | right

    found = turned(index)
    while bool((far := found >= size).any()):
        found = torch.where(far, turned(found), found)
    return found


def _unranked(rank: Tensor, n: int, k: int) -> Tensor:
    """Coalitions of k features by number, ordered by their last feature, then the one before it, …"""
    masks, rank = torch.zeros(len(rank), n, dtype=torch.bool), rank.clone()
    rows = torch.arange(len(rank))
    for j in range(k, 0, -1):
        table = torch.tensor([math.comb(c, j) for c in range(n)])
        last = torch.searchsorted(table, rank, right=True) - 1
        masks[rows, last] = True
        rank -= table[last]
    return masks
