"""Masks over features as plain data: which coalitions are asked about. Rows are made when a pass needs them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from pellucid.numbers import games, nested
from pellucid.numbers.coalitions import Pairs
from pellucid.numbers.nested import Tree
from pellucid.numbers.orders import Orders
from pellucid.words.features import Features
from pellucid.words.points import BLOCK

FEW = 62
"""Coalitions of up to so many features are whole numbers: each distinct one can be asked once."""


@dataclass(frozen=True)
class Every:
    """Coalitions number `first` to `first + n` of all, the empty and the full one left out."""

    players: int
    first: int
    n: int

    @property
    def key(self) -> Hashable:
        return ("every coalition", self.players, self.first, self.n)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        return games.bits(torch.arange(self.first + start, self.first + stop) + 1, self.players)


@dataclass(frozen=True)
class Paired:
    """n coalitions of these pairs from number `first` on: one, its complement, the next, …"""

    pairs: Pairs
    first: int
    n: int

    @property
    def key(self) -> Hashable:
        return ("paired coalitions", self.pairs, self.first, self.n)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        start, stop = start + self.first, stop + self.first
        some = self.pairs.block(start // 2, -(-stop // 2))
        return torch.stack([some, ~some], 1).flatten(0, 1)[start % 2 : start % 2 + stop - start]


@dataclass(frozen=True, eq=False)
class Coded:
    """Coalitions by number (n,), feature i from bit i. Equal only to itself."""

    players: int
    codes: Tensor

    @property
    def n(self) -> int:
        return len(self.codes)

    @property
    def key(self) -> Hashable:
        return self

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        return games.bits(self.codes[start:stop], self.players)


@dataclass(frozen=True)
class Nested:
    """Coalitions number `first` to `first + n` of those that count where features come in parts."""

    tree: Tree
    first: int
    n: int

    @property
    def key(self) -> Hashable:
        return ("nested coalitions", self.tree, self.first, self.n)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        return nested.block(self.tree, self.first + start, self.first + stop)


@dataclass(frozen=True)
class Prefixes:
    """The first 1, 2, … all but one features of each of `count` orders, from number `first` on."""

    orders: Orders
    first: int
    count: int

    @property
    def n(self) -> int:
        return self.count * (self.orders.n - 1)

    @property
    def key(self) -> Hashable:
        return ("prefixes", self.orders, self.first, self.count)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        row, each = torch.arange(start, stop), self.orders.n - 1
        low, high = start // each, -(-stop // each)
        ranks = self.orders.ranks(self.first + low, high - low)
        return ranks[row // each - low] <= (row % each)[:, None]


@dataclass(frozen=True)
class OneMore:
    """The first a features of an order and one that comes later, for every a from 1 and every later one.

    Without what is asked elsewhere: a = 0 is a feature alone, and all but one and that one are all.
    """

    orders: Orders
    first: int
    count: int

    @property
    def n(self) -> int:
        return self.count * len(ahead(self.orders.n))

    @property
    def key(self) -> Hashable:
        return ("one more", self.orders, self.first, self.count)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        row, places = torch.arange(start, stop), ahead(self.orders.n)
        low, high = start // len(places), -(-stop // len(places))
        ranks = self.orders.ranks(self.first + low, high - low)[row // len(places) - low]
        before, more = places[row % len(places)].T
        return (ranks < before[:, None]) | (ranks == more[:, None])


@lru_cache(maxsize=8)
def ahead(n: int) -> Tensor:
    """Pairs (a, b) with 0 < a < n - 1 and a <= b < n: the first a in an order and the one at place b."""
    return torch.tensor([(a, b) for a in range(1, n - 1) for b in range(a, n)], dtype=torch.int64).reshape(-1, 2)


@dataclass(frozen=True)
class Subsets:
    """n random subsets: how many are kept is uniform from 1 to all, and then which. The first keeps all."""

    players: int
    n: int
    seed: int

    @property
    def key(self) -> Hashable:
        return ("subsets", self.players, self.n, self.seed)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        return _blocks(_subsets, start, stop, self.players, self.seed)


@dataclass(frozen=True)
class Coins:
    """n masks that keep each feature with probability `kept`, each by itself."""

    players: int
    n: int
    kept: float
    seed: int

    @property
    def key(self) -> Hashable:
        return ("coins", self.players, self.n, self.kept, self.seed)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        return _blocks(_coins, start, stop, self.players, self.kept, self.seed)


@dataclass(frozen=True)
class Grids:
    """n soft masks over a drawn shape of rows and columns: coarse random grids, enlarged and shifted (RISE).

    A grid of `cells` by `cells`, each kept with probability `kept`, is interpolated bilinearly to one cell
    more than the shape along each axis; the shape is cut out of it with a random shift of less than a cell.
    """

    shape: tuple[int, int]
    n: int
    cells: int
    kept: float
    seed: int

    @property
    def key(self) -> Hashable:
        return ("grids", self.shape, self.n, self.cells, self.kept, self.seed)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        first = start // BLOCK
        drawn = [_grids(self.cells, self.cell(0), self.cell(1), self.kept, self.seed, b)
                 for b in range(first, -(-stop // BLOCK))]
        cut = slice(start - first * BLOCK, stop - first * BLOCK)
        grids, down, across = (torch.cat(part)[cut] for part in zip(*drawn, strict=True))
        rows, columns = (interpolation(side, self.cells) for side in self.shape)
        return (rows[down] @ grids @ columns[across].mT).flatten(1)

    def cell(self, axis: int) -> int:
        """Features along a cell's side."""
        return -(-self.shape[axis] // self.cells)


@lru_cache(maxsize=8)
def interpolation(side: int, cells: int) -> Tensor:
    """For each shift, what each of `side` places takes of each of `cells` cells: (shifts, side, cells)."""
    cell = -(-side // cells)
    place = torch.arange(cell)[:, None] + torch.arange(side)
    at = ((place + 0.5) * cells / ((cells + 1) * cell) - 0.5).clamp(0, cells - 1)
    return (1 - (at[..., None] - torch.arange(cells)).abs()).clamp(min=0)


def _blocks(make: Callable[..., Tensor], start: int, stop: int, *how: float) -> Tensor:
    """Rows start to stop of what is drawn in blocks, each from its own seed."""
    first = start // BLOCK
    drawn = torch.cat([make(*how, b) for b in range(first, -(-stop // BLOCK))])
    return drawn[start - first * BLOCK : stop - first * BLOCK]


def _private(seed: int, block: int, salt: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + block * 0x85EBCA6B + salt) % (1 << 62))


@lru_cache(maxsize=4)
def _subsets(players: int, seed: int, block: int) -> Tensor:
    generator = _private(seed, block, 11)
    size = torch.randint(1, players + 1, (BLOCK, 1), generator=generator)
    masks = torch.rand(BLOCK, players, generator=generator).argsort(1).argsort(1) < size
    if block == 0:
        masks[0] = True
    return masks


@lru_cache(maxsize=4)
def _coins(players: int, kept: float, seed: int, block: int) -> Tensor:
    return torch.rand(BLOCK, players, generator=_private(seed, block, 13)) < kept


@lru_cache(maxsize=4)
def _grids(cells: int, down: int, across: int, kept: float, seed: int, block: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = _private(seed, block, 17)
    grids = (torch.rand(BLOCK, cells, cells, generator=generator) < kept).float()
    rows, columns = (torch.randint(0, cell, (BLOCK,), generator=generator) for cell in (down, across))
    return grids, rows, columns


@dataclass(frozen=True, eq=False)
class Ranked:
    """Features in an order: mask j keeps the first counts[j] of them, or, with `kept` False, all but these.

    `ranks` (n,) gives each feature its place, 0 first. Equal to another where each step takes the same features,
    which is found out once: several metrics walk the same way, and ties within a step make no difference.
    """

    ranks: Tensor
    counts: tuple[int, ...]
    kept: bool = True

    @property
    def n(self) -> int:
        return len(self.counts)

    @cached_property
    def key(self) -> Hashable:
        step = torch.bucketize(self.ranks, torch.tensor(sorted(set(self.counts))), right=True, out_int32=True)
        return ("ranked", hashlib.blake2b(step.numpy().tobytes(), digest_size=16).digest(), self.counts, self.kept)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        cut = torch.tensor(self.counts[start:stop])[:, None]
        return self.ranks < cut if self.kept else self.ranks >= cut
