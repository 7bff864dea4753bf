"""Cooperative games: Shapley values and the Shapley kernel."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def shapley(value: Callable[[Tensor], Tensor], n: int) -> Tensor:
    """Exact Shapley values from all 2^n coalitions: value(masks (m, n)) → (m,). For n up to 14.

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! · (v(S + i) - v(S)).
    """
    every = torch.arange(2**n)
    masks = bits(every, n)
    v = value(masks).double()
    sizes = masks.sum(1)
    phi = torch.zeros(n, dtype=torch.float64)
    weight = torch.tensor([math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n) for s in range(n)] + [0.0],
                          dtype=torch.float64)
    for i in range(n):
        without = every[~masks[:, i]]
        phi[i] = (weight[sizes[without]] * (v[without + 2**i] - v[without])).sum()
    return phi


def bits(numbers: Tensor, n: int) -> Tensor:
    """Whole numbers as masks: (m,) → bool (m, n), feature i from bit i."""
    return (numbers[:, None] >> torch.arange(n)) % 2 == 1


def kernel(sizes: Tensor, n: int) -> Tensor:
    """The Shapley kernel (n - 1) / (C(n, k) · k · (n - k)) for coalitions of size k, 0 < k < n."""
    table = [0.0] + [(n - 1) / (math.comb(n, k) * k * (n - k)) for k in range(1, n)] + [0.0]
    return torch.tensor(table, dtype=torch.float64)[sizes]


class ShapleySum:
    """Exact Shapley values from all coalitions but the empty one, which come in blocks; v is 0 for none."""

    def __init__(self, n: int) -> None:
        self.inside = torch.tensor([0.0] + [1 / (s * math.comb(n, s)) for s in range(1, n + 1)], dtype=torch.float64)
        self.outside = torch.tensor([1 / ((n - s) * math.comb(n, s)) for s in range(n)] + [0.0], dtype=torch.float64)
        self.values = torch.zeros(n, dtype=torch.float64)

    def add(self, masks: Tensor, v: Tensor) -> None:
        """Coalitions (m, n) and what they are worth (m,)."""
        size = masks.sum(1)
        with_, without = v * self.inside[size], v * self.outside[size]
        self.values += masks.double().T @ (with_ + without) - without.sum()
