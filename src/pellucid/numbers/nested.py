"""Games whose players come in parts, and parts of parts: which coalitions count, and what each is worth to whom.

Averaged are the orders in which every part comes in one piece, at every level (Owen 1977; Winter 1989 for
several levels). Only such coalitions then matter that are mixed down to a single part: of the levels
around it whole children are in or out, and of its own children some. Each is the one of a part, and none
of another's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.numbers import games

Tree: TypeAlias = "int | tuple[Tree, ...]"
"""A player by number, or a part: the trees in it."""


def members(tree: Tree) -> list[int]:
    """The players in a part, in the order in which the tree names them."""
    return [tree] if isinstance(tree, int) else [i for child in tree for i in members(child)]


def tidy(tree: Tree) -> Tree:
    """The same without parts of one, and without empty ones."""
    if isinstance(tree, int):
        return tree
    kept = tuple(t for t in map(tidy, tree) if t != ())
    return kept[0] if len(kept) == 1 else kept


def count(tree: Tree, contexts: int = 1) -> int:
    """How many coalitions the exact values take, without the empty and the full one."""
    if isinstance(tree, int):
        return 0
    inside = contexts * 2 ** (len(tree) - 1)
    return contexts * (2 ** len(tree) - 2) + sum(count(child, inside) for child in tree)


@dataclass(frozen=True, eq=False)
class Part:
    """The coalitions that are mixed in this part, from number `first` on.

    `units` (k + c, n) are the players of each sibling around, `around` of them at every level, and of each
    of the c children; `shares` (c, n) is how what a child adds as a whole goes to its players at first.
    """

    first: int
    around: tuple[int, ...]
    units: Tensor
    shares: Tensor

    @property
    def own(self) -> int:
        """Its children."""
        return len(self.shares)

    @property
    def n(self) -> int:
        return 2 ** sum(self.around) * (2**self.own - 2)

    def switches(self, start: int, stop: int) -> Tensor:
        """Which units are in, for its coalitions start to stop: bool (stop - start, k + c)."""
        number, some = torch.arange(start, stop), 2**self.own - 2
        outside, inside = number // some, number % some + 1
        return torch.cat([games.bits(outside, sum(self.around)), games.bits(inside, self.own)], 1)

    def masks(self, start: int, stop: int) -> Tensor:
        """Its coalitions start to stop: bool (stop - start, n)."""
        return self.switches(start, stop).float() @ self.units.float() > 0

    def worth(self, start: int, stop: int, v: Tensor) -> Tensor:
        """What coalitions start to stop, worth v, add to the players' values: (n,)."""
        on, at = self.switches(start, stop), 0
        for size in self.around:
            k = on[:, at : at + size].sum(1)
            v = v * _shapley(size + 1)[k]
            at += size
        own, c = on[:, at:], self.own
        k = own.sum(1, keepdim=True)
        say = torch.where(own, _shapley(c)[k - 1], -_shapley(c)[k.clamp(max=c - 1)])
        return (v @ say) @ self.shares


@lru_cache(maxsize=256)
def _shapley(n: int) -> Tensor:
    """The weight of k others being in before one of n, k from 0: k! (n - k - 1)! / n!."""
    return torch.tensor([1 / (n * math.comb(n - 1, k)) for k in range(n)], dtype=torch.float64)


@lru_cache(maxsize=8)
def parts(tree: Tree) -> tuple[Part, ...]:
    """Every inner part, for trees of which `count` is small."""
    found, n, first = list[Part](), len(members(tree)), 0
    todo: list[tuple[Tree, tuple[int, ...], list[Tensor]]] = [(tree, (), [])]
    while todo:
        part, around, siblings = todo.pop()
        if isinstance(part, int):
            continue
        own = [_inside(child, n) for child in part]
        found.append(Part(first, around, torch.stack([*siblings, *own]), torch.stack([shares(c, n) for c in part])))
        first += found[-1].n
        todo += [(child, (*around, len(part) - 1), [*siblings, *own[:k], *own[k + 1 :]])
                 for k, child in enumerate(part)]
    return tuple(found)


def _inside(tree: Tree, n: int) -> Tensor:
    on = torch.zeros(n, dtype=torch.bool)
    on[members(tree)] = True
    return on


def shares(tree: Tree, n: int, whole: float = 1.0) -> Tensor:
    """What each player gets of a whole that is shared equally among children, level by level: (n,)."""
    found, todo = torch.zeros(n, dtype=torch.float64), [(tree, whole)]
    while todo:
        part, share = todo.pop()
        if isinstance(part, int):
            found[part] = share
        else:
            todo += [(child, share / len(part)) for child in part]
    return found


def block(tree: Tree, start: int, stop: int) -> Tensor:
    """Coalitions start to stop of all that count: bool (stop - start, n)."""
    return torch.cat([part.masks(a, b) for part, a, b in _cut(tree, start, stop)])


def worth(tree: Tree, start: int, v: Tensor) -> Tensor:
    """What coalitions from `start` on, worth v more than none, add to the players' values: (n,)."""
    cut, at, total = _cut(tree, start, start + len(v)), 0, torch.zeros((), dtype=torch.float64)
    for part, a, b in cut:
        total = total + part.worth(a, b, v[at : at + b - a])
        at += b - a
    return total


def _cut(tree: Tree, start: int, stop: int) -> list[tuple[Part, int, int]]:
    """The parts that have some of the coalitions start to stop, and which of theirs."""
    return [(p, max(start - p.first, 0), min(stop - p.first, p.n)) for p in parts(tree)
            if p.first < stop and start < p.first + p.n]
