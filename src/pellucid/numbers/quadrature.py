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

Pair = Callable[[Tensor], Awaitable[tuple[Tensor, Tensor]]]
"""Points t (n,) → the integrand g and what it is integrated over, y, at each: (n, *shape) both."""

FIRST = 9
"""Points of the first nested rule: with fewer, two rules can agree by luck."""

BLOCK = 16
"""Steps of ∫ g dy that are held at a time, a multiple of 4: memory does not grow with the points."""


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
    small by luck, two in a row hardly; it does not where the changes shrink so fast (to a third, then to
    a quarter) that nothing on the road can be a kink. Beyond `limit` points the last rule is returned
    with the note `converged.not`. `measure` takes values with further axes before their own.
    """
    if steps is not None:
        nodes, weights = gauss_legendre(steps)
        return Estimate((await integrand(nodes, weights[None]))[0], None, None)
    nodes, weights = nested_start()
    coarsest, coarse, fine = await integrand(nodes, weights)
    n, earlier = FIRST, 0.0
    while True:
        last, before = fine - coarse, (coarse - coarsest) / 2
        measured = measure(torch.stack([fine, last, before]))
        size, moved, half = measured.reshape(3, -1).norm(dim=1).tolist()
        smooth = moved <= half / 2 and 2 * half <= earlier / 3
        allowed = tolerance * size
        agreed = moved <= allowed and (smooth or half <= allowed) and not veto(measured[0])
        if agreed or 2 * n - 1 > limit:
            error = last if smooth else torch.where(last.abs() >= before.abs(), last, before)
            return Estimate(fine, error, torch.zeros_like(fine), () if agreed else ("converged.not",))
        earlier = 2 * half
        nodes, weights = between(n)
        coarsest, coarse, fine = coarse, fine, fine / 2 + (await integrand(nodes, weights))[0]
        n = 2 * n - 1


async def stieltjes(
    pair: Pair,
    *,
    tolerance: float,
    limit: int,
    measure: Callable[[Tensor], Tensor] = lambda value: value,
    veto: Callable[[Tensor], bool] = lambda values: False,
    whole: bool = False,
) -> Estimate:
    """∫ g dy over [0, 1], element by element, to a tolerance; both ends of the road are points.

    Sums of (g_k + g_{k+1}) / 2 · (y_{k+1} - y_k) over every point, every second and every fourth are
    compared over `measure` as in `integral`. What was asked is not kept, so where the change is too large
    for the next rule, whose error is a quarter, that rule is skipped. An objection of `veto` asks for a finer
    rule once: where the values hold still, what `veto` expects is not in them, and the note is `sum.apart`.
    With `whole` it must be in them, and an objection is heeded as long as there are finer rules.
    """
    n, objected = FIRST, False
    while True:
        coarsest, coarse, fine = await products(pair, n)
        last, before = fine - coarse, (coarse - coarsest) / 2
        measured = measure(torch.stack([fine, last, before]))
        size, moved, half = measured.reshape(3, -1).norm(dim=1).tolist()
        moved, allowed = max(moved, half), tolerance * size
        agreed, apart = moved <= allowed, veto(measured[0])
        settled = agreed and (not apart or (objected and not whole))
        if settled or 2 * n - 1 > limit:
            notes = () if agreed and not apart else ("sum.apart",) if agreed and not whole else ("converged.not",)
            error = torch.where(last.abs() >= before.abs(), last, before)
            return Estimate(fine, error, torch.zeros_like(fine), notes)
        objected = agreed
        n = 2 * n - 1
        while moved > 16 * allowed and 2 * n - 1 <= limit:
            n, moved = 2 * n - 1, moved / 4


async def products(pair: Pair, n: int) -> Tensor:
    """Sums of g dy over every fourth, every second and every one of n equidistant points: (3, *shape) in float64.

    They are trapezoids in y: exact for a constant g, whatever y does. The coarser two want n - 1 to be a
    multiple of 4.
    """
    nodes, totals = trapezoid(n)[0], torch.zeros((), dtype=torch.float64)
    g, y = await pair(nodes[: BLOCK + 1])
    for start in range(0, n - 1, BLOCK):
        if start:
            more = await pair(nodes[start + 1 : start + BLOCK + 1])
            g, y = torch.cat([g[-1:], more[0]]), torch.cat([y[-1:], more[1]])
        sums = [((g[:-s:s] + g[s::s]) * (y[s::s] - y[:-s:s])).sum(0, dtype=torch.float64) / 2 for s in (4, 2, 1)]
        totals = totals.to(g.device) + torch.stack(sums)
    return totals
