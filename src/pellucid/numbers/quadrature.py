"""Integrals along a road of length 1, with a fixed rule or until the error is small enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate

Integrand = Callable[[Tensor, Tensor], Awaitable[Tensor]]
"""Points t (n,) and weights (k, n) → the k weighted sums of the integrand, (k, *shape)."""

FIRST = 9
"""Points of the first nested rule: with fewer, two rules can agree by luck."""


@lru_cache(maxsize=64)
def gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [0, 1] in float64: exact for polynomials of degree 2n - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


@lru_cache(maxsize=64)
def trapezoid(n: int) -> tuple[Tensor, Tensor]:
    """n equidistant points with both ends; the weights sum to 1."""
    weights = torch.full((n,), 1.0 / (n - 1), dtype=torch.float64)
    weights[[0, -1]] /= 2
    return torch.linspace(0, 1, n, dtype=torch.float64), weights


@lru_cache(maxsize=16)
def nested_start() -> tuple[Tensor, Tensor]:
    """The first three trapezoid rules on the same points: weights (3, 9), the coarsest first."""
    nodes, fine = trapezoid(FIRST)
    rules = torch.zeros(3, FIRST, dtype=torch.float64)
    rules[0, ::4], rules[1, ::2], rules[2] = trapezoid(3)[1], trapezoid(5)[1], fine
    return nodes, rules


@lru_cache(maxsize=16)
def between(n: int) -> tuple[Tensor, Tensor]:
    """The n - 1 points halfway between those of the n-point rule, weighted for the next rule."""
    nodes = (torch.arange(n - 1, dtype=torch.float64) + 0.5) / (n - 1)
    return nodes, torch.full((1, n - 1), 0.5 / (n - 1), dtype=torch.float64)


async def integral(
    integrand: Integrand,
    *,
    steps: int | None = None,
    tolerance: float = 0.01,
    limit: int = 513,
    measure: Callable[[Tensor], Tensor] = lambda value: value,
    veto: Callable[[Tensor], bool] = lambda values: False,
) -> Estimate:
    """The integral over [0, 1]: Gauss-Legendre with `steps` points, or nested rules to a tolerance.

    Without `steps`, trapezoid rules of 9, 17, 33, … points reuse each other's points until they agree:
    the last change and half of the one before it are at most tolerance · ‖A‖ over `measure` of the
    value, and `veto` has no objection. The change before counts because at a kink one change can be
    small by luck, two in a row hardly. Beyond `limit` points the last rule is returned with the note
    `converged.not`.
    """
    if steps is not None:
        nodes, weights = gauss_legendre(steps)
        return Estimate((await integrand(nodes, weights[None]))[0], None, None)
    nodes, weights = nested_start()
    coarsest, coarse, fine = await integrand(nodes, weights)
    n = FIRST
    while True:
        last, before = fine - coarse, (coarse - coarsest) / 2
        values = measure(fine)
        moved = max(float(measure(last).norm()), float(measure(before).norm()))
        agreed = moved <= tolerance * float(values.norm()) and not veto(values)
        if agreed or 2 * n - 1 > limit:
            error = torch.where(last.abs() >= before.abs(), last, before)
            return Estimate(fine, error, torch.zeros_like(fine), () if agreed else ("converged.not",))
        nodes, weights = between(n)
        coarsest, coarse, fine = coarse, fine, fine / 2 + (await integrand(nodes, weights))[0]
        n = 2 * n - 1
