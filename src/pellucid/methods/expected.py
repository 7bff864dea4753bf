"""Gradients on the way from a whole background of baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.replicates import Mean, replicated
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.method import Law, method

POINTS = (8, 32)
"""Points of a replicate at least and, where the background is larger, at most."""


@method(
    asks="gradient", paper="arXiv:1906.10670", laws=[Law.DUMMY, Law.SYMMETRIC, Law.LINEAR], baseline=True,
    formula="E over b, t and ε of (x + ε − b) · ∂f(b + t (x + ε − b))",
    cost="up to samples gradients, until the tolerance is met",
    use="a background of rows stands for 'switched off', so that no single baseline has to be chosen",
    avoid="a background that is unlike the input, or of one row: then take integrated_gradients",
)
async def expected_gradients(
    case: Case, *, baselines: Sequence[Any] = (), samples: int = 1024, spread: float = 0.0, tolerance: float = 0.01
) -> Estimate:
    """Integrated gradients averaged over a background of baselines, both by sampling (GradientSHAP).

    E[(x + ε - b) · ∂f(b + t (x + ε - b))] over b from `baselines` (the usual baseline where there are none), t
    uniform on [0, 1] and normal noise ε, whose standard deviation is `spread` in units of max(x) - min(x): none
    by default, as in the paper; some makes it GradientSHAP with smoothing (arXiv:1705.07874). Points come in
    independent replicates; each goes through all baselines equally often (of more than 32 through some) at
    places spread evenly over the way, each with noise of its own. They are drawn until two standard errors of the
    replicates' mean are within `tolerance` of the values (norms over features; 0 never stops), at most
    `samples` points. The values sum to E f(x + ε) - E f(b) in expectation. `gradient_shap` is another name.
    """
    if not isinstance(samples, int) or samples < 1 or not tolerance >= 0 or not 0 <= spread < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("option.value", f"samples={samples!r}, spread={spread!r}, tolerance={tolerance!r}",
                          "a whole number of samples from 1, a spread and a tolerance from 0",
                          "try samples=1024, tolerance=0.01")
    over = [case.from_baseline(b) for b in case.alternatives] or [case]
    least, most = POINTS
    points = min(most if len(over) > most else -(-least // len(over)) * len(over), samples)

    async def replicate(number: int) -> Tensor:
        which, t = latin(points, len(over), case.seed, number)
        if spread:
            shaken = [c for j, k in enumerate(which) for c in over[int(k)].noised(1, spread, number * points + j)]
            asks = [c.gradient(c.line(t[j : j + 1]), weights=torch.full((1, 1), 1 / points))
                    for j, c in enumerate(shaken)]
        else:
            asks = [c.gradient(c.line(t[which == k]), weights=torch.full((1, int((which == k).sum())), 1 / points))
                    for k, c in enumerate(over) if bool((which == k).any())]
        slopes = await together(*asks)
        return torch.stack([ask.case.difference * slope[0] for ask, slope in zip(asks, slopes, strict=True)]).sum(0)

    async def replicates(first: int, stop: int) -> list[Tensor]:
        return await together(*(replicate(k) for k in range(first, stop)))

    return await replicated(Mean(case), replicates, samples // points, tolerance)


def latin(points: int, baselines: int, seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Baselines (points,) and places on the way (points,), both stratified and independent of each other."""
    generator = torch.Generator().manual_seed((seed * 0x9E3779B1 + number * 0x85EBCA6B + 7) % (1 << 62))
    t = (torch.arange(points) + torch.rand(points, generator=generator, dtype=torch.float64)) / points
    share = (torch.randperm(points, generator=generator) + torch.rand(points, generator=generator).double()) / points
    order = torch.randperm(baselines, generator=generator)
    return order[(share * baselines).long().clamp(max=baselines - 1)], t
