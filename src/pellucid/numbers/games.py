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
