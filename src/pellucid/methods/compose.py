"""Methods made of methods: inside a layer, smoothed, contrasted, averaged over baselines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.replicates import TOGETHER, Mean, replicated
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features, units
from pellucid.words.method import AUTO, Law, Method
from pellucid.words.site import Site
from pellucid.words.target import Contrast, read

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
    own = {p.name: p.annotation for p in inspect.signature(run).parameters.values() if p.name in added}
    return Method(f"{name}({inner.name})", run, replace(inner.card, **card), f"{doc}\n\nWithin: {inner.summary}",
                  {**added, **inner.defaults}, {**inner.annotations, **own}, inner.prepare)


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
        if samples < 1 or not spread >= 0 or not tolerance >= 0:  # NaN is neither
            raise OptionError("option.value", f"samples={samples}, spread={spread}, tolerance={tolerance}",
                              "samples from 1, spread and tolerance from 0",
                              "ask for at least one copy, with some noise or none")
        if "tolerance" in inner.defaults:
            options["tolerance"] = tolerance

        async def copies(first: int, stop: int) -> list[Any]:
            return await together(*(inner.run(c, **options) for c in case.noised(stop - first, spread, first)))

        return await replicated(Mean(case), copies, samples, tolerance)

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
        mean = Mean(case)
        for start in range(0, len(case.alternatives), TOGETHER):
            block = case.alternatives[start : start + TOGETHER]
            mean.add(await together(*(inner.run(case.from_baseline(b), **options) for b in block)))
        return mean.estimate()

    return _composed("averaged", inner, mean_over, {"baselines": ()}, "The method averaged over several baselines.",
                     baseline=True)


COMPOSITIONS: dict[str, Callable[[Method], Method]] = {
    "inside": inside, "smooth": smooth, "contrast": contrast, "averaged": averaged,
}
