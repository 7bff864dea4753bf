"""One attribution judged by several metrics in one conversation, so that all their questions share passes."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pellucid.laying import found, laid
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.ranking import elsewhere, lots, others
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.change import both
from pellucid.words.errors import PellucidError
from pellucid.words.evaluation import Measurement
from pellucid.words.explanation import Finding
from pellucid.words.features import Features
from pellucid.words.method import Method
from pellucid.words.metric import Attribution, Measured, Metric

CONTROLS = 20
"""Attributions that know nothing: as many as a share of 1 in 20 takes."""

REPLICATES = 5
"""Runs of a metric that draws, or of values with an error, from which its own error is told."""


@dataclass(frozen=True, eq=False)
class Judge:
    """What is asked: metrics with their options settled, how many controls and replicates, at which level."""

    metrics: Sequence[tuple[Metric, Mapping[str, Any]]]
    controls: int = CONTROLS
    replicates: int = REPLICATES
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Judged:
    measurements: dict[str, Measurement]
    unfit: dict[str, Finding]
    notes: dict[str, tuple[str, ...]]


async def judged(
    case: Case, values: Tensor, error: Tensor | None, again: Callable[[Case], Awaitable[Tensor]] | None, means: str,
    asked: Judge, unit: bool = True
) -> Judged:
    """Every metric of these values (n,) over the case's features; one that does not fit says so in its place.

    `unit` says that values are in units of the score. A metric that draws is run with several seeds. Where the values
    have an error, they are drawn from it as well: what a metric cannot tell apart within that error is no difference.
    """
    shown = Attribution(values, again, means, unit)
    results = await together(*(_tried(case, shown, error, metric, options, asked)
                               for metric, options in asked.metrics))
    good: dict[str, Measurement] = {}
    unfit: dict[str, Finding] = {}
    notes: dict[str, tuple[str, ...]] = {}
    for (metric, _), result in zip(asked.metrics, results, strict=True):
        if isinstance(result, PellucidError):
            unfit[metric.name] = Finding(result.code, "warn", f"{result.found}; expected {result.expected}", result.do)
        else:
            good[metric.name], notes[metric.name] = result
    return Judged(good, unfit, notes)


async def _tried(
    case: Case, shown: Attribution, error: Tensor | None, metric: Metric, options: Mapping[str, Any], asked: Judge
) -> Any:
    """A metric's result, or its error in its place: the others must not suffer."""
    try:
        return await _measured(case, shown, error, metric, options, asked)
    except PellucidError as unfit:
        return unfit


async def _defined(metric: Metric, case: Case, shown: Attribution, options: Mapping[str, Any]) -> Measured | None:
    """A metric of values beside the explanation's own, which may be such that it has no number."""
    try:
        return await metric.run(case, shown, **options)
    except PellucidError as error:
        if error.code != "metric.degenerate":
            raise
        return None


async def _measured(
    case: Case, shown: Attribution, error: Tensor | None, metric: Metric, options: Mapping[str, Any], asked: Judge
) -> tuple[Measurement, tuple[str, ...]]:
    shape, card = case.features.shape, metric.card
    elsewheres = others(shown.values, shape, asked.seed, asked.controls) if card.control else []
    controls = len(elsewheres)
    unsure = error is not None and bool((error > 0).any())
    seeded = replace(case, seed=asked.seed)
    jobs = [metric.run(seeded, shown, **options)]
    jobs += [_defined(metric, seeded, _control(shown, values, shape, asked.seed, k), options)
             for k, values in enumerate(elsewheres)]
    # Within their error values are others with the same right; their metric's spread is not made less by averaging.
    drawn = [replace(shown, values=shown.values + error * _normal(shown.values, asked.seed, k))
             for k in range(asked.replicates)] if unsure and error is not None else []
    jobs += [_defined(metric, seeded, d, options) for d in drawn]
    measured, *more = await together(*jobs)
    beside, within = ([m for m in part if m is not None] for part in (more[:controls], more[controls:]))
    own, freedom, value = measured.error, measured.freedom, measured.value
    if own is None:
        again = await together(*(_defined(metric, replace(case, seed=asked.seed + k), shown, options)
                                 for k in range(1, asked.replicates)))
        runs = torch.tensor([measured.value, *(m.value for m in again if m is not None)], dtype=torch.float64)
        value = float(runs.mean())
        if len(runs) > 1:
            own, freedom = float(runs.std()) / math.sqrt(len(runs)), len(runs) - 1
    if within:
        spread = _spread([w.value for w in within], measured.value)
        own = None if own is None else math.hypot(own, spread)
        freedom = min(freedom, len(within))
    made = Measurement(
        metric.name, value, own, card.better, card.kind, tuple(c.value for c in beside), freedom,
        asked.level, measured.curve, tuple(c.curve for c in beside if c.curve), measured.axes,
        metric.summary, card.paper, dict(options), dict(measured.details))
    return made, measured.notes


def _spread(values: Sequence[float], about: float) -> float:
    """Root mean square distance of a metric's values, for values drawn within their error, from the one told."""
    apart = torch.tensor(values, dtype=torch.float64) - about
    return float(apart.square().mean().sqrt())


def _normal(values: Tensor, seed: int, k: int) -> Tensor:
    return torch.randn(values.shape, generator=lots(seed, k + 1_000_003), dtype=torch.float64)


def _control(shown: Attribution, values: Tensor, shape: tuple[int, ...], seed: int, k: int) -> Attribution:
    """The same values at other places; asked again they lie at others still."""
    asked = 0

    async def again(case: Case) -> Tensor:
        nonlocal asked
        asked += 1
        assert shown.again is not None
        return elsewhere(await shown.again(case), shape, seed + 1 + k, asked)

    return replace(shown, values=values, again=None if shown.again is None else again)


def asking(method: Method, options: Mapping[str, Any], prepared: Case, layout: Features
           ) -> Callable[[Case], Awaitable[Tensor]]:
    """The same method with the same options about another case, its values over the same layout."""

    async def again(case: Case) -> Tensor:
        change = prepared.change
        if change is not None:
            case = replace(case, change=change if case.change is None else both(case.change, change))
        case = replace(case, features=prepared.features, seed=prepared.seed)  # its own draws are the same again
        answer = Estimate.of(await method.run(case, **options))
        return laid(*found(answer, case, method), layout)

    return again

