"""Means and variances over independent replicates, drawn until their interval suffices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.sequential import excess, upcoming, widened
from pellucid.numbers.statistics import Welford
from pellucid.words.case import Case

TOGETHER = 8
"""Replicates alive at once: their questions share passes, and memory does not grow with their number."""

LEAST = 16
"""Replicates before their spread is looked at for the first time."""


class Mean:
    """The mean of many answers: the numerical error is averaged, the spread gives the sampling error.

    Answers that draw at random draw from the same seed, so that their own sampling error stays in the
    mean and is not seen in the spread: it is added.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.values, self.features, self.errors, self.draws = Welford(), Welford(), Welford(), Welford()
        self.known, self.told, self.place, self.notes = True, True, None, ()

    def add(self, answers: Sequence[Any]) -> None:
        for answer in answers:
            found = Estimate.of(answer)
            self.values.add(found.value)
            self.place, self.notes = found.place, tuple(dict.fromkeys(self.notes + found.notes))
            own = found.sampling
            if _per_element(self.case, found):
                # Neighbouring elements share their noise: the spread is taken after they are summed.
                self.features.add(self.case.features.gather(found.value))
                if own is not None and own.shape == found.value.shape:
                    own = self.case.features.gather(own)
            if own is None:
                self.told = False
            else:
                self.draws.add(own)
            if found.numerical is None:
                self.known = False
            else:
                self.errors.add(found.numerical)

    def measured(self, value: Tensor) -> Tensor:
        """The value as its error is laid: summed over each feature where that is told per feature."""
        return self.case.features.gather(value) if self.features.n else value

    def estimate(self) -> Estimate:
        mean, dtype = self.values.estimate(), self.case.origin.dtype
        spread = self.features.estimate().sampling if self.features.n else mean.sampling
        draws = self.draws.mean if self.told else None
        sampling = None if spread is None or draws is None else torch.hypot(spread, draws)
        numerical = self.errors.mean if self.known else None
        return Estimate(mean.value, numerical, sampling, self.notes, self.place).to(dtype)


class Variance:
    """The variance of many answers (divided by n - 1), element by element, with the error of it.

    The sampling error comes from the spread of what each answer adds to the sum of squares, taken after
    the elements of a feature are summed. Where answers have a numerical error δ of their own, the variance
    is off by twice the covariance of answer and δ. What an answer drew itself would pass for variance
    between answers: then the error is unknown.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.values, self.steps, self.errors = Welford(), Welford(), Welford()
        self.shared = torch.zeros((), dtype=torch.float64)
        self.known, self.told, self.laid, self.place, self.notes = True, True, False, None, ()

    def add(self, answers: Sequence[Any]) -> None:
        for answer in answers:
            found = Estimate.of(answer)
            self.place, self.notes = found.place, tuple(dict.fromkeys(self.notes + found.notes))
            self.laid = _per_element(self.case, found)
            ahead = None if self.values.mean is None else found.value.to(torch.float64) - self.values.mean
            step = self.values.add(found.value)
            if step is not None:
                self.steps.add(self.measured(step))
            self.told = self.told and found.sampling is not None and not bool(found.sampling.any())
            self.known = self.known and found.numerical is not None
            if found.numerical is not None:
                self.errors.add(found.numerical)
                if ahead is not None and self.errors.mean is not None:
                    off = found.numerical.to(torch.float64) - self.errors.mean
                    self.shared = self.shared.to(off.device) + ahead * off

    def measured(self, value: Tensor) -> Tensor:
        """The value as its error is laid: summed over each feature where that is told per feature."""
        return self.case.features.gather(value) if self.laid else value

    def estimate(self) -> Estimate:
        numerical = 2 * self.shared / (self.values.n - 1) if self.known else None
        sampling = self.steps.estimate().sampling if self.told else None
        return Estimate(self.values.variance, numerical, sampling, self.notes, self.place).to(self.case.origin.dtype)


def squared(answer: Any) -> Estimate:
    """An answer's square, element by element; of what it drew itself the square's error is unknown."""
    found = Estimate.of(answer)
    numerical = None if found.numerical is None else 2 * found.value * found.numerical
    drawn = found.sampling is None or bool(found.sampling.any())
    return replace(found, value=found.value**2, numerical=numerical, sampling=None if drawn else found.sampling)


def _per_element(case: Case, found: Estimate) -> bool:
    """True where values lie over the elements of x, several of which may make a feature."""
    return found.value.shape == case.origin.shape and found.place is None


async def replicated(
    mean: Mean | Variance, answers: Callable[[int, int], Awaitable[Sequence[Any]]], most: int, tolerance: float
) -> Estimate:
    """The mean of answers first to stop, …, each an independent replicate, until its interval suffices.

    The error that is told is widened: of few replicates the spread is itself uncertain.
    """
    n, look = 0, min(LEAST, most) if tolerance > 0 else most
    while True:
        while n < look:
            stop = min(n + TOGETHER, look)
            mean.add(await answers(n, stop))
            n = stop
        found = mean.estimate()
        far = excess(mean.measured(found.value), found.sampling, tolerance) if tolerance > 0 else 0.0
        if far <= 1 or n >= most:
            wide = ("interval.wide",) if far > 1 else ()
            return replace(found, sampling=widened(found.sampling, n), notes=(*found.notes, *wide))
        look = upcoming(n, far, most)
