"""Methods made of methods: inside a layer, smoothed, contrasted, averaged over baselines, on a changed model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.changes.named import NAMED
from pellucid.changes.named import change as changed_by
from pellucid.methods.noise import over_noise
from pellucid.methods.replicates import TOGETHER, Mean
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features, units
from pellucid.words.method import AUTO, Law, Method, Need
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

    if inner.card.gives == "map" and "layer" not in inner.defaults:
        raise OptionError("method.inside", f"inside({inner.name}), whose map lies over the picture",
                          "a method whose values lie over what it is asked about", f"ask {inner.name} itself")
    # A way through scales begins, at a layer, where the blurred input does not lead.
    gone = (Law.SYMMETRIC, Law.COMPLETE) if Need.PICTURE in inner.card.needs else (Law.SYMMETRIC,)
    return _composed("inside", inner, moved, {"layer": AUTO},
                     "The method at a layer instead of the input: what each of its units contributes.",
                     baseline=True, laws=tuple(w for w in inner.card.laws if w not in gone))


def _channels(x: Tensor) -> Features:
    """A convolution's channels, or every unit where there are no places."""
    if x.dim() < 2:
        return units(tuple(x.shape))
    return Features(torch.arange(len(x)), (0,), (len(x),), "units", "channels")


def smooth(inner: Method) -> Method:
    """The same method, over noisy copies of x: averaged (SmoothGrad, arXiv:1706.03825), or how it varies."""

    async def smoothed(
        case: Case, *, statistic: str, samples: int, spread: float, tolerance: float, **options: Any
    ) -> Estimate:
        if "tolerance" in inner.defaults:
            options["tolerance"] = tolerance
        return await over_noise(case, lambda c: inner.run(c, **options), statistic, samples, spread, tolerance)

    return _composed("smooth", inner, smoothed,
                     {"statistic": "mean", "samples": 64, "spread": 0.15, "tolerance": 0.01},
                     "The method over noisy copies of x, averaged; spread is in units of max(x) - min(x).\n\n"
                     "`statistic` is `mean` (SmoothGrad), `variance` (VarGrad, arXiv:1810.03307) or `square`, the mean "
                     "of squares (SquareGrad, arXiv:1806.10758), of each element before a feature's elements are "
                     "summed. Copies are drawn until two standard errors are within `tolerance` of the values (0 never "
                     "stops), at most `samples`; a method with a tolerance of its own is held to the same.",
                     paper=f"{inner.card.paper}; arXiv:1706.03825".lstrip("; "),
                     laws=tuple(w for w in inner.card.laws if w is Law.LINEAR))


def under(inner: Method) -> Method:
    """The same method on a model that is different meanwhile: ReLUs that pass gradients on otherwise, and the like."""

    async def changed(case: Case, *, change: Any, **options: Any) -> Any:
        return await inner.run(case, **options)

    def prepare(case: Case, options: Mapping[str, Any]) -> Case:
        if options.get("change") is None:
            raise OptionError("option.missing", "no option change", f"one of {', '.join(NAMED)}, or a Change",
                              "give change=, for example change='guided'")
        change = changed_by(options["change"])
        if inner.card.asks == "foreign" and getattr(change, "backward", False):
            raise OptionError("change.unfit", f"the change {change.name} under {inner.name}, which goes back from the "
                              "score by itself", "a method of our own, or a change of what layers say",
                              "choose saliency or input_x_gradient under this change")
        return inner.prepare(case.under(change), options)

    made = _composed("under", inner, changed, {"change": None},
                     "The method on a model that is different meanwhile.\n\n"
                     f"`change` is one of {', '.join(NAMED)}, or a Change of your own. Scores are the changed model's. "
                     "What the method promises holds for the model that is asked, and need not hold where only "
                     "gradients are changed: no law is declared.", laws=())
    return replace(made, prepare=prepare)


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
    "inside": inside, "smooth": smooth, "contrast": contrast, "averaged": averaged, "under": under,
}
