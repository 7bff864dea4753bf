"""A guess of a cooperative game from some of its coalitions, whose Shapley values are known exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pellucid.numbers.coalitions import Pairs

PLAYERS = 32
"""With more features there are too many interactions of three for any number of pairs to tell of them."""

LEARNT = 512
"""Pairs to learn from at most: the work grows with their cube, the memory with their square."""

SCALE = 1.2
"""How strong interactions of higher orders are expected to be; half and double of it are as good."""

NOISE = 1e-6


@dataclass(eq=False)
class Guess:
    """Kriging of v(S) - v(not S), which has interactions of odd order only, from the pairs that were asked.

    `foreseen` holds for every pair what is guessed knowing its own value, and what without: leaving one
    out has a closed form. `values` are the guess's Shapley values, `total` their sum.
    """

    foreseen: tuple[Tensor, Tensor]
    values: Tensor
    total: float

    @classmethod
    def learn(cls, pairs: Pairs, y: Tensor, weight: Tensor) -> Guess | None:
        """Learn y (pairs,); the weights only say how far the guess is to be followed. None for many players."""
        n, m = pairs.n, len(pairs)
        if n > PLAYERS:
            return None
        some = torch.arange(0, m, -(-m // LEARNT))
        masks = torch.cat([pairs.block(0, m)[some], torch.ones(1, n, dtype=torch.bool)])  # y of all features is 0
        signs = 2 * masks.double() - 1
        table = _covariance(n)
        matrix = table[((n + signs @ signs.T) / 2).round().long()]
        noisy = matrix + NOISE * torch.eye(len(matrix), dtype=torch.float64)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(noisy))
        told = torch.cat([y[some], y.new_zeros(1)])
        pull = inverse @ told
        # Leaving out pair i changes the pulls by column i of the inverse; here is their mean over i.
        alone = pull / inverse.diagonal()
        pull = pull - inverse[:, :-1] @ alone[:-1] / len(some)
        seen = torch.cat([
            table[((n + (2 * pairs.block(a, min(a + LEARNT, m)).double() - 1) @ signs.T) / 2).round().long()] @ pull
            for a in range(0, m, LEARNT)])
        unseen = seen.clone()
        unseen[some] = y[some] - alone[:-1]
        # Followed as far as it foretells what it has not seen.
        follow = float((weight * unseen * y).sum() / (weight * unseen**2).sum().clamp(min=1e-300))
        follow = min(max(follow, 0.0), 1.0)
        inside, outside = _values(n)
        size = masks.sum(1)
        per_pair = torch.where(masks, inside[size][:, None], outside[size][:, None])
        return cls((follow * seen, follow * unseen), follow * (pull @ per_pair), follow * float(matrix[-1] @ pull))


@lru_cache(maxsize=32)
def _covariance(n: int) -> Tensor:
    """How alike two coalitions are by the number of features they agree on, (n + 1,).

    The odd orders of prod(1 + g s_i t_i), and much room for the first: what adds up is learnt first.
    """
    agree, g = torch.arange(n + 1, dtype=torch.float64), SCALE / n
    up, down = (1 + g) ** agree * (1 - g) ** (n - agree), (1 - g) ** agree * (1 + g) ** (n - agree)
    higher = (up - down) / 2 - g * (2 * agree - n)
    return higher / higher[-1].clamp(min=1e-300) + 10 * (2 * agree - n) / n


@lru_cache(maxsize=32)
def _values(n: int) -> tuple[Tensor, Tensor]:
    """Shapley values of the game S → covariance(S, T) / 2 for T of size 0 to n: of those in T, and outside.

    All of T play the same part, and all others: the sum over coalitions is one over their numbers in
    each.
    """
    half, log = _covariance(n) / 2, torch.lgamma(torch.arange(n + 2, dtype=torch.float64))
    inside, outside = torch.zeros(n + 1, dtype=torch.float64), torch.zeros(n + 1, dtype=torch.float64)
    for k in range(n + 1):
        if k:
            a, b = torch.arange(k)[:, None], torch.arange(n - k + 1)[None]
            orders = (log[k] - log[a + 1] - log[k - a] + log[n - k + 1] - log[b + 1] - log[n - k - b + 1]
                      + log[a + b + 1] + log[n - a - b] - log[n + 1])
            inside[k] = (orders.exp() * (half[a + 1 + n - k - b] - half[a + n - k - b])).sum()
        if k < n:
            outside[k] = (half[k] - half[n - k] - k * inside[k]) / (n - k)
    return inside, outside
