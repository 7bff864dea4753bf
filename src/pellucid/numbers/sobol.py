"""Total Sobol indices: how much of a score's variance goes away with one of its parts held fixed, and all it does
with others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SCRAMBLES = 4
"""Independent scrambles that the points are divided into: how far they agree is the error, and the more there are, the
less evenly each spreads its own."""


def designs(parts: int, number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two sets of points in [0, 1]^parts, (number, parts) each, spread evenly (a scrambled Sobol sequence)."""
    engine = torch.quasirandom.SobolEngine(2 * parts, scramble=True, seed=seed)
    both = engine.draw(number, dtype=torch.float64)
    return both[:, :parts], both[:, parts:]


def total(here: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
    """Jansen's estimate (doi:10.1016/S0010-4655(98)00154-4), E[(f(A) − f(A with part i from B))²] / (2 Var f), and
    its standard error.

    here (scrambles, number), changed (scrambles, parts, number) → (parts,) twice; zero where the score does not change
    at all. The variance is that over all points. The error is the jackknife's over the scrambles, which are
    independent, points of one are not; NaN of a single one.
    """
    f = torch.cat([here[:, None], changed], 1).double()
    f = f - f.mean()
    off = (f[:, :1] - f[:, 1:]).square().mean(2) / 2
    first, second = f.mean((1, 2)), f.square().mean((1, 2))
    still = 1e-24 * torch.cat([here[:, None], changed], 1).double().square().mean().clamp(min=1e-30)

    def index(weights: Tensor) -> Tensor:
        variance = weights @ second - (weights @ first).square()
        return torch.where(variance > still, weights @ off / variance, 0.0)

    k = len(f)
    whole = index(torch.full((k,), 1 / k, dtype=torch.float64, device=f.device))
    if k < 2:
        return whole, torch.full_like(whole, math.nan)
    without = torch.stack([index(w) for w in (1 - torch.eye(k, dtype=torch.float64, device=f.device)) / (k - 1)])
    return whole, ((k - 1) * without.var(0, correction=0)).sqrt()
