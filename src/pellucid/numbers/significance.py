"""What errors allow to say: which values differ from zero, and which come first however the errors fall."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.numbers.ranking import lots

DRAWS = 1000
"""Drawings of all values within their errors: a probability is then known to 0.03 at two standard errors."""

HELD = 1 << 22
"""Numbers that are drawn at a time at most."""


def p_values(values: Tensor, errors: Tensor) -> Tensor:
    """How often a value at least so far from zero is seen where the true one is zero: two-sided, for normal errors.

    An exact value (error 0) gets 0, and 1 where it is zero itself.
    """
    off, error = values.double().abs(), errors.double()
    z = off / error.clamp(min=1e-300)
    return torch.where(error > 0, torch.erfc(z / math.sqrt(2)), torch.where(off > 0, 0.0, 1.0).double())


def discoveries(p: Tensor, level: float) -> Tensor:
    """Which of these p-values (any shape) hold, so that of those that do a share `level` is wrong on average.

    Benjamini and Hochberg (doi:10.1111/j.2517-6161.1995.tb02031.x): with p sorted, all up to the last with
    p_k <= level · k / m. It is proved for independent and for positively dependent tests. Values of one explanation
    also depend negatively (they share a sum): for two-sided normal tests the share stays below the level there too,
    in all cases known; Benjamini and Yekutieli's bound for any dependence would cost a factor ln m, 11 for the
    pixels of a picture.
    """
    flat = p.flatten()
    ordered = flat.sort().values
    below = (ordered <= level * torch.arange(1, len(flat) + 1, dtype=p.dtype) / max(len(flat), 1)).nonzero()
    if not len(below):
        return torch.zeros_like(p, dtype=torch.bool)
    return p <= ordered[below[-1, 0]]


def stays(values: Tensor, errors: Tensor, k: int, *, seed: int = 0, draws: int = DRAWS) -> tuple[Tensor, Tensor]:
    """The places of the k largest sizes of values (n,), largest first, and how likely each stays among the k largest.

    All values are drawn within their normal errors, each by itself, from a private generator. Of equal sizes the
    first counts as larger, in every drawing as in the values themselves.
    """
    mean, error = values.double().flatten(), errors.double().flatten()
    k = max(0, min(k, len(mean)))
    first = mean.abs().argsort(descending=True, stable=True)[:k]
    kept, generator = torch.zeros(len(mean), dtype=torch.float64), lots(seed, 977)
    rows = max(1, HELD // max(len(mean), 1))
    for start in range(0, draws, rows):
        noise = torch.randn(min(rows, draws - start), len(mean), generator=generator, dtype=torch.float64)
        order = (mean + error * noise).abs().argsort(dim=1, descending=True, stable=True)[:, :k]
        kept += torch.bincount(order.flatten(), minlength=len(mean))
    return first, kept[first] / draws


def settled(values: Tensor, errors: Tensor, k: int) -> float:
    """Which share of those that may come first (n,) are the k that do, from 0 to 1, in closed form.

    The cut lies halfway between the k-th and the next size; each value is above it with the probability that its
    error says. The answer is the sum of these over the first k, by the sum over all.
    """
    size, error = values.double().abs().flatten(), errors.double().flatten()
    if not 0 < k < len(size):
        return 1.0
    top = size.topk(k + 1)
    cut = float(top.values[k - 1] + top.values[k]) / 2
    above = 0.5 * torch.erfc((cut - size) / (error.clamp(min=1e-300) * math.sqrt(2)))
    # A value may lie above the cut on the other side of zero as well.
    above = above + 0.5 * torch.erfc((cut + size) / (error.clamp(min=1e-300) * math.sqrt(2)))
    among, every = float(above[top.indices[:k]].sum()), float(above.sum())
    return among / every if every > 0 else 1.0
