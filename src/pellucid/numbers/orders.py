"""Random orders in which players come in, each beside its reverse; the parts of a tree come in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pellucid.numbers.nested import Tree, members


@dataclass(frozen=True)
class Orders:
    """Orders of n players by number: 2k is drawn, 2k + 1 is its reverse.

    With a `tree` the children of every part are shuffled, each with all that is in it.
    """

    n: int
    seed: int
    tree: Tree | None = None

    def ranks(self, first: int, count: int) -> Tensor:
        """At which place (from 0) each player comes in, in orders number `first` on: (count, n)."""
        drawn = torch.stack([_rank(self, number // 2) for number in range(first, first + count)])
        turned = torch.arange(first, first + count)[:, None] % 2 == 1
        return torch.where(turned, self.n - 1 - drawn, drawn)


@lru_cache(maxsize=32)
def _rank(orders: Orders, pair: int) -> Tensor:
    generator = torch.Generator().manual_seed((orders.seed * 0x9E3779B1 + pair * 0x85EBCA6B + 5) % (1 << 62))
    if orders.tree is None:
        return torch.randperm(orders.n, generator=generator)
    levels = _levels(orders.tree)
    luck = torch.randperm(int(levels.max()) + 1, generator=generator)
    order = torch.arange(orders.n)
    for level in levels.flip(0):  # stable sorts, the deepest level first: parts stay in one piece
        order = order[luck[level[order]].argsort(stable=True)]
    return order.argsort()


@lru_cache(maxsize=16)
def _levels(tree: Tree) -> Tensor:
    """The number of the part, or the player, that each player is in at each level below the root: (levels, n)."""
    row, levels, numbered = torch.zeros(len(members(tree)), dtype=torch.int64), list[Tensor](), 0
    inner = [tree]
    while inner:
        children = [child for part in inner if isinstance(part, tuple) for child in part]
        row = row.clone()
        for child in children:
            row[members(child)] = numbered
            numbered += 1
        levels.append(row)
        inner = [child for child in children if isinstance(child, tuple)]
    return torch.stack(levels)


def marginals(scores: Tensor, ranks: Tensor, none: float, full: float) -> Tensor:
    """What each player added when it came in, (orders, n), from the scores of the first 1, 2, … n - 1 players."""
    ends = scores.new_ones(len(ranks), 1)
    road = torch.cat([none * ends, scores.reshape(len(ranks), -1), full * ends], 1)
    return (road[:, 1:] - road[:, :-1]).gather(1, ranks)
