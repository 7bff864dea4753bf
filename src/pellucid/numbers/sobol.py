"""Total Sobol indices: how much of a score's variance goes away with one of its parts held fixed, and all it does
with others."""

from __future__ import annotations

import torch
from torch import Tensor


def designs(parts: int, number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two sets of points in [0, 1]^parts, (number, parts) each, spread evenly (a scrambled Sobol sequence)."""
    engine = torch.quasirandom.SobolEngine(2 * parts, scramble=True, seed=seed)
    both = engine.draw(number, dtype=torch.float64)
    return both[:, :parts], both[:, parts:]


def total(here: Tensor, changed: Tensor) -> Tensor:
    """Jansen's estimate (doi:10.1016/S0010-4655(98)00154-4): E[(f(A) − f(A with part i from B))²] / (2 Var f).

    here (number,), changed (parts, number) → (parts,); zero where the score does not change at all.
    """
    variance = here.double().var(correction=0)
    off = (here[None] - changed).double().square().mean(1) / 2
    return torch.where(variance > 1e-24 * here.double().square().mean().clamp(min=1e-30), off / variance, 0.0)
