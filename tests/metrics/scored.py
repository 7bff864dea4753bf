"""Metrics asked about games in closed form: their questions are answered here, without a model or an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid import catalog
from pellucid.words.case import Carrier, Case
from pellucid.words.features import Features, units
from pellucid.words.metric import Attribution, Measured
from pellucid.words.target import Class

F64 = torch.float64


def measured(
    name: str, game: Callable[[Tensor], Tensor], values: Sequence[float] | Tensor, *, x: Tensor | None = None,
    baseline: Tensor | None = None, features: Features | None = None, seed: int = 0, means: str = "effect",
    **options: Any,
) -> Measured:
    """The metric's number for these values, where x is all ones (or as given) and the baseline zeros."""
    shown = Attribution(torch.as_tensor(values, dtype=F64).flatten(), None, means)
    origin = torch.ones(len(shown.values), dtype=F64) if x is None else x
    case = Case(Carrier({}), origin, torch.zeros_like(origin) if baseline is None else baseline,
                features or units(tuple(origin.shape)), Class(0), seed=seed)
    job, answers = catalog.find_metric(name)(case, shown, **options).__await__(), None
    while True:
        try:
            asks = job.send(answers)  # pyright: ignore[reportArgumentType]
        except StopIteration as stop:
            return stop.value
        answers = [game(a.points.rows(a.case.x[None], a.case.baseline[None], a.case.features, 0, a.points.n)[0])
                   for a in asks]


def linear(*weights: float) -> torch.nn.Module:
    """f(x) = w · x in float64, one output."""
    net = torch.nn.Linear(len(weights), 1, bias=False, dtype=F64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([weights]))
    return net
