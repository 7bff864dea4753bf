"""Methods made of methods: inside a layer, smoothed, contrasted, averaged over baselines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.sequential import excess, upcoming
from pellucid.numbers.statistics import Welford
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features, units
from pellucid.words.method import AUTO, Law, Method
from pellucid.words.site import Site
from pellucid.words.target import Contrast, read

TOGETHER = 8
"""Copies alive at once: their questions share passes, and memory does not grow with their number."""

LEAST = 16
"""Copies before their spread is looked at for the first time."""

SHARED = frozenset({"tolerance"})
"""Options that mean the same to both parts of a composition: one value goes to both."""


def _composed(
    name: str, inner: Method, run: Callable[..., Any], added: Mapping[str, Any], doc: str, **card: Any
) -> Method:
    """A method around another: its own options first, then the inner method's."""
    for option in added:
        if option in inner.defaults and option not in SHARED:
            raise OptionError("method.options_clash", f"option {option!r} in both {name} and {inner.name}",
                              "names that differ", f"compose the other way round, or leave out one {name}")
    return Method(f"{name}({inner.name})", run, replace(inner.card, **card), f"{doc}\n\nWithin: {inner.summary}",
                  {**added, **inner.defaults}, dict(inner.annotations), inner.prepare)


class _Mean:
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


async def _drawn(
    mean: _Mean, answers: Callable[[int, int], Awaitable[Sequence[Any]]], most: int, tolerance: float
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


def inside(inner: Method) -> Method:
    """The same method with its points at a layer: what each unit of the layer contributes."""

    async def moved(case: Case, *, layer: str, **options: Any) -> Estimate:
        site = Site.parse(layer)
        others = [case.from_baseline(b) for b in case.alternatives]
        here, there, *more = await together(case.reading(case.here, of=site), case.reading(case.there, of=site),
                                            *(c.reading(c.there, of=site) for c in others))
        x, baseline = here[0], there[0]
        place = _channels(x) if inner.card.coarse else units(tuple(x.shape))
        at_layer = replace(case.at(site, x, baseline, place), alternatives=tuple(m[0] for m in more))
        found = Estimate.of(await inner.run(at_layer, **options))
        return replace(found, place=found.place or place)

    return _composed("inside", inner, moved, {"layer": AUTO},
                     "The method at a layer instead of the input: what each of its units contributes.",
                     baseline=True, laws=tuple(w for w in inner.card.laws if w is not Law.SYMMETRIC))


def _channels(x: Tensor) -> Features:
    """A convolution's channels, or every unit where there are no places."""
    if x.dim() < 2:
        return units(tuple(x.shape))
    return Features(torch.arange(len(x)), (0,), (len(x),), "units", "channels")


def smooth(inner: Method) -> Method:
    """The same method, averaged over noisy copies of x (SmoothGrad, arXiv:1706.03825)."""

    async def smoothed(case: Case, *, samples: int, spread: float, tolerance: float, **options: Any) -> Estimate:
        if samples < 1 or spread < 0 or tolerance < 0:
            raise OptionError("option.value", f"samples={samples}, spread={spread}, tolerance={tolerance}",
                              "samples from 1, spread and tolerance from 0",
                              "ask for at least one copy, with some noise or none")
        if "tolerance" in inner.defaults:
            options["tolerance"] = tolerance

        async def copies(first: int, stop: int) -> list[Any]:
            return await together(*(inner.run(c, **options) for c in case.noised(stop - first, spread, first)))

        return await _drawn(_Mean(case), copies, samples, tolerance)

    return _composed("smooth", inner, smoothed, {"samples": 64, "spread": 0.15, "tolerance": 0.01},
                     "The method averaged over noisy copies of x; spread is in units of max(x) - min(x).\n\n"
                     "Copies are drawn until two standard errors are within `tolerance` of the values (0 never stops), "
                     "at most `samples`; a method with a tolerance of its own is held to the same.",
                     paper=f"{inner.card.paper}; arXiv:1706.03825".lstrip("; "),
                     laws=tuple(w for w in inner.card.laws if w is Law.LINEAR))


def contrast(inner: Method) -> Method:
    """The same method on the difference of two scores: why this rather than the other?"""

    async def contrasted(case: Case, *, other: Any, **options: Any) -> Any:
        return await inner.run(case, **options)

    def prepare(case: Case, options: Mapping[str, Any]) -> Case:
        if options.get("other") is None:
            raise OptionError("option.missing", "no option other", "the class or label to compare with",
                              "give other=, for example other=3")
        return inner.prepare(case.towards(Contrast(case.target, read(options["other"]))), options)

    made = _composed("contrast", inner, contrasted, {"other": None},
                     "The method on the difference of two scores: why this rather than the other?")
    return replace(made, prepare=prepare)


def averaged(inner: Method) -> Method:
    """The same method, averaged over several baselines."""

    async def mean_over(case: Case, *, baselines: Sequence[Any], **options: Any) -> Estimate:
        mean = _Mean(case)
        for start in range(0, len(case.alternatives), TOGETHER):
            block = case.alternatives[start : start + TOGETHER]
            mean.add(await together(*(inner.run(case.from_baseline(b), **options) for b in block)))
        return mean.estimate()

    return _composed("averaged", inner, mean_over, {"baselines": ()}, "The method averaged over several baselines.",
                     baseline=True)


COMPOSITIONS: dict[str, Callable[[Method], Method]] = {
    "inside": inside, "smooth": smooth, "contrast": contrast, "averaged": averaged,
}
