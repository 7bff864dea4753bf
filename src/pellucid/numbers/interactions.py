"""Pairs of players: what both add beyond what each adds, by the Shapley-Taylor index of order 2.

A player alone gets v(i) - v(none). A pair gets the mean, over all orders, of
v(S + i + j) - v(S + i) - v(S + j) + v(S), S being whoever came in before both. In every single order these sum
to v(all) - v(none).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


class TaylorSum:
    """The exact pairs (n, n), from all coalitions, which come in blocks in any order; v is 0 for none."""

    def __init__(self, n: int) -> None:
        # A pair's weight for a coalition of s others: 2 / n / C(n - 1, s); outside its range it is never used.
        self.weight = torch.tensor([2 / (n * math.comb(n - 1, s)) for s in range(n - 1)], dtype=torch.float64)
        self.pairs = torch.zeros(n, n, dtype=torch.float64)

    def add(self, masks: Tensor, v: Tensor) -> None:
        """Coalitions (m, n) and what they are worth (m,)."""
        z, size = masks.double(), masks.sum(1)
        both, one, none = (v * self._of(size - k) for k in (2, 1, 0))
        # z_i z_j both - (z_i (1 - z_j) + (1 - z_i) z_j) one + (1 - z_i)(1 - z_j) none
        alone = z.T @ (one + none)
        self.pairs += z.T @ ((both + 2 * one + none)[:, None] * z) - alone[:, None] - alone + none.sum()

    def _of(self, size: Tensor) -> Tensor:
        known = (size >= 0) & (size < len(self.weight))
        return torch.where(known, self.weight[size.clamp(0, max(len(self.weight) - 1, 0))], 0.0)


def in_orders(scores: Tensor, ranks: Tensor, alone: Tensor, none: float, full: float) -> Tensor:
    """The pairs (orders, n, n) in each order alone; the diagonal is nobody's.

    scores (orders, places) are of the first a players and the one at place b, for every a and b of
    `words.masks.ahead`; `alone` (n,) are those of single players.
    """
    count, n = ranks.shape
    # table[a, b]: the first a and the one at place b; by place, and by player at the end
    table = scores.new_zeros(count, n, n)
    table[:, 0] = alone[ranks.argsort(1)]
    later = torch.triu_indices(n, n)
    inner = later[:, (later[0] > 0) & (later[0] < n - 1)]
    table[:, inner[0], inner[1]] = scores.reshape(count, -1)
    table[:, n - 1, n - 1] = full
    before = torch.cat([scores.new_full((count, 1), none), table.diagonal(dim1=1, dim2=2)[:, :-1]], 1)
    # the one at place a comes first, the one at place b > a later: S is the first a
    second = torch.zeros_like(table)
    second[:, :-1] = table[:, 1:] - table[:, :-1] - (table.diagonal(dim1=1, dim2=2) - before)[:, :-1, None]
    second = torch.triu(second, 1)
    second = second + second.mT
    by_player = second.gather(1, ranks[:, :, None].expand(-1, -1, n))
    return by_player.gather(2, ranks[:, None, :].expand(-1, n, -1))
