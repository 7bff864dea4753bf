"""Correlation of ranks: how far two lists agree on what comes first."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """The rank of each value from 0, equal values sharing the mean of theirs."""
    _, which, counts = values.flatten().double().unique(return_inverse=True, return_counts=True)
    first = counts.cumsum(0) - counts
    return (first + (counts - 1) / 2)[which].double()


def spearman(a: Tensor, b: Tensor) -> float | None:
    """Spearman's rank correlation; None where all values of one list are equal, for there is none."""
    x, y = (r - r.mean() for r in (ranks(a), ranks(b)))
    scale = float(x.norm() * y.norm())
    return float(torch.dot(x, y)) / scale if scale else None
