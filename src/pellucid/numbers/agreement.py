"""How far lists of values over the same features agree, what they say together, and where they contradict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pellucid.numbers import ranks
from pellucid.numbers.correlation import even

NEGLIGIBLE = 0.1
"""Below this share of a list's largest size a value's sign says nothing."""


def matrix(lists: Sequence[Tensor], measure: Callable[[Tensor, Tensor], float]) -> Tensor:
    """A symmetric measure between every two lists: (m, m), in float64."""
    out = torch.full((len(lists), len(lists)), math.nan, dtype=torch.float64)
    for i, a in enumerate(lists):
        for j, b in enumerate(lists[: i + 1]):
            out[i, j] = out[j, i] = measure(a, b)
    return out


def rank(a: Tensor, b: Tensor) -> float:
    """Spearman's rank correlation of a and b (n,), from -1 to 1; not a number where one of them is constant.

    Values that differ by rounding alone tie.
    """
    found = ranks.spearman(even(a), even(b))
    return math.nan if found is None else found


def sign(a: Tensor, b: Tensor) -> float:
    """The share of a and b (n,) whose signs are the same, each feature weighted by its size: 0 to 1.

    The weight is the mean of |a| / Σ|a| and |b| / Σ|b|, so that what neither list gives much counts little. A value
    beside an exact zero has no partner of its sign. Not a number where all of one list is zero.
    """
    x, y = unit(a), unit(b)
    if not bool(x.any()) or not bool(y.any()):
        return math.nan
    same = (x.sign() == y.sign()).double()
    return float(((x.abs() + y.abs()) / 2 * same).sum())


def top(a: Tensor, b: Tensor, k: int) -> float:
    """Which share of the k largest sizes of a (n,) is among the k largest of b: 0 to 1, k / n by chance.

    Where sizes tie at the k-th place, each of those counts by the share of them for which there is room.
    """
    return float(torch.minimum(_among(a, k), _among(b, k)).sum()) / k


def _among(values: Tensor, k: int) -> Tensor:
    """How far each value is among the k largest sizes: 1, 0, or a share where the k-th place ties."""
    size = even(values.double().abs())
    least = size.topk(k).values[-1]
    above, tied = (size > least).double(), (size == least).double()
    return above + tied * (k - above.sum()) / tied.sum()


def few(n: int) -> int:
    """How many features are compared as the first ones: a fifth of them, 1 to 10."""
    return max(1, min(10, math.ceil(n / 5)))


def unit(values: Tensor) -> Tensor:
    """Values scaled so that their sizes sum to 1; zeros stay."""
    flat = values.double()
    total = float(flat.abs().sum())
    return flat / total if total > 0 else flat


def together(lists: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The mean of the lists, each scaled to sizes that sum to 1, and how far they spread about it: (n,) each.

    The spread is the standard deviation between lists, zero for a single one.
    """
    scaled = torch.stack([unit(v) for v in lists])
    return scaled.mean(0), scaled.std(0) if len(lists) > 1 else torch.zeros_like(scaled[0])


def prominence(lists: Sequence[Tensor]) -> Tensor:
    """The mean over lists of each feature's rank by size, from 0 (smallest everywhere) to 1: (n,)."""
    n = len(lists[0])
    if n == 1:
        return torch.ones(1, dtype=torch.float64)
    return torch.stack([ranks.ranks(even(v.double().abs())) / (n - 1) for v in lists]).mean(0)


def spoken(values: Tensor, error: Tensor | None = None) -> Tensor:
    """The signs (n,) of the values that are of some size and lie outside their own 95 % interval; 0 for the others."""
    flat = values.double()
    loud = flat.abs() >= NEGLIGIBLE * float(flat.abs().max()) if flat.numel() else flat.bool()
    if error is not None:
        loud &= flat.abs() > 1.96 * error.double()
    return flat.sign() * loud
