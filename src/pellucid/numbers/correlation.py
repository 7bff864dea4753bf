"""Correlation of two lists with its standard error, told by leaving out one pair at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.numbers.ranks import ranks

LEVEL = 1e-9
"""Sums that differ by less than this share of their size differ by rounding: they are taken as equal."""

SOME = 256
"""Pairs that are left out at a time: all at once would take memory as the square of their number."""


def constant(values: Tensor, rounding: float = LEVEL) -> bool:
    """True where values (n,) are all the same, but for a share `rounding` of the largest."""
    return float(values.max() - values.min()) <= rounding * float(values.abs().max())


def pearson(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Pearson's correlation of a and b (n,), and its standard error; neither may be constant.

    The error is the jackknife's: the spread of the correlations that are left without one of the pairs.
    """
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    a, b = a / a.norm(), b / b.norm()
    n, r = len(a), float(a @ b)
    if n < 3:
        return r, 0.0
    # Without pair i a sum of squares is less by a_i² n / (n - 1): the pair itself, and the shift of the mean.
    share = n / (n - 1)
    left = ((1 - share * a**2) * (1 - share * b**2)).clamp(min=0)
    without = torch.where(left > 1e-12, (r - share * a * b) / left.clamp(min=1e-12).sqrt(), 0.0)
    return r, jackknife(without)


def spearman(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Spearman's rank correlation of a and b (n,), and its standard error; neither may be constant.

    The error is the jackknife's. A pair that is left out takes a place from all that come after it: where that is
    forgotten the error is too small.
    """
    x, y = ranks(even(a)), ranks(even(b))
    r, _ = pearson(x, y)
    return r, jackknife(torch.cat([_without(x, y, k) for k in range(0, len(x), SOME)])) if len(x) > 2 else 0.0


def _without(x: Tensor, y: Tensor, first: int) -> Tensor:
    """The rank correlations without pair `first`, the next, … of ranks x and y (n,): at most SOME of them."""
    some = slice(first, first + SOME)
    own = torch.arange(len(x)) == torch.arange(len(x))[some, None]
    left: list[Tensor] = []
    for rank in (x, y):
        moved = rank - (rank > rank[some, None]).double() - 0.5 * (rank == rank[some, None]).double()
        moved = torch.where(own, 0.0, moved - (len(x) - 2) / 2)  # the mean of ranks from 0
        left.append(moved)
    scale = left[0].norm(dim=1) * left[1].norm(dim=1)
    return torch.where(scale > 0, (left[0] * left[1]).sum(1) / scale.clamp(min=1e-300), 0.0)


def even(values: Tensor) -> Tensor:
    """Values without the last digits, so that what was equal before rounding ties again."""
    scale = float(values.abs().max())
    return (values.double() / scale / LEVEL).round() if scale else values.double()


def jackknife(without: Tensor) -> float:
    """The standard error of a figure, from what it is without each of the n draws: (n,)."""
    n = len(without)
    return math.sqrt((n - 1) / n * float((without - without.mean()).square().sum()))
