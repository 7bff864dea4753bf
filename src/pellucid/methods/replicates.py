"""Means over independent replicates, drawn until their interval suffices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.sequential import excess, upcoming
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
            if found.value.shape == self.case.origin.shape and found.place is None:
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


async def replicated(
    mean: Mean, answers: Callable[[int, int], Awaitable[Sequence[Any]]], most: int, tolerance: float
) -> Estimate:
    """The mean of answers first to stop, …, each an independent replicate, until its interval suffices."""
    n, look = 0, min(LEAST, most) if tolerance > 0 else most
    while True:
        while n < look:
            stop = min(n + TOGETHER, look)
            mean.add(await answers(n, stop))
            n = stop
        found = mean.estimate()
        if tolerance == 0:
            return found
        far = excess(mean.measured(found.value), found.sampling, tolerance)
        if far <= 1 or n >= most:
            return found if far <= 1 else replace(found, notes=(*found.notes, "interval.wide"))
        look = upcoming(n, far, most)
