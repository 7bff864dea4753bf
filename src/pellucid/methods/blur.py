"""Integrated gradients on a way through scales: from a blurred picture to the sharp one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.paths import check, objection
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.quadrature import products, stieltjes
from pellucid.words.blur import Blurred, blurred, flat
from pellucid.words.case import Case
from pellucid.words.errors import ModelError, OptionError
from pellucid.words.method import Law, Need, method

PIXEL = 0.5
"""Standard deviation, in pixels, below which the way is walked evenly, and above which by equal factors."""


def _from_blur(case: Case, options: Mapping[str, Any]) -> Case:
    """The same case with the blurred picture as its baseline, whatever baseline was asked for."""
    start = blurred(case.x, _widest(case, options["sigma"]), case.features)
    return replace(case, baseline=start, alternatives=(start,) * len(case.alternatives))


def _widest(case: Case, sigma: float | None) -> float:
    if case.origin.dim() < 3:
        raise ModelError("method.unfit", f"a value of shape {tuple(case.origin.shape)} at {case.site}",
                         "a picture (channels, height, width), which can be blurred", "choose integrated_gradients")
    if sigma is None:
        return flat(case.origin)
    if not 0 < sigma < math.inf:
        raise OptionError("option.value", f"sigma={sigma!r}", "a number of pixels above 0",
                          "leave sigma out for a picture without anything to see")
    return float(sigma)


@method(
    asks="gradient", paper="arXiv:2004.03383", laws=[Law.COMPLETE, Law.DUMMY, Law.LINEAR], baseline=False,
    needs=[Need.PICTURE], prepare=_from_blur,
    formula="∫ ∂f(L(σ)) · ∂L(σ)/∂σ dσ from σ to 0, L the picture behind a Gaussian of σ pixels",
    cost="9 to limit gradients, until the tolerance is met",
    use="pictures for which no colour means 'nothing': information is put in scale by scale",
    avoid="pictures whose fine grain carries no meaning, or whose absolute colours matter: these are never taken away",
)
async def blur_ig(
    case: Case, *, sigma: float | None = None, steps: int | None = None, tolerance: float = 0.01, limit: int = 513
) -> Estimate:
    """How much of the score's change each pixel brought while the picture became sharp.

    ∫ ∂f/∂x(L(σ)) · dL(σ)/dσ dσ from `sigma` pixels down to 0, where L(σ) is x behind a Gaussian with that standard
    deviation; at its edges the picture goes on as its own reflection. Without `sigma` it begins where the
    picture is flat, its slowest wave at a thousandth of its height. The way is walked evenly in
    log(½ + σ): with `steps` in that many equal steps, both ends included; otherwise in ever more until the values
    change by less than `tolerance` (relative, over features), with at most `limit` points. Changes of the
    picture are taken between points, never by derivatives, so that a linear score has no error. The values sum
    to f(x) - f(L(sigma)): that score is the baseline's, and another baseline is not looked at. Raises
    `method.unfit` where there are no rows and columns.

    The paper takes equal steps of σ and its authors' code a dark frame around the picture, which would grow into
    it as σ does.
    """
    check(steps, tolerance, limit)
    widest, x = _widest(case, sigma), case.x
    stretch = math.log1p(widest / PIXEL)

    async def pair(t: Tensor) -> tuple[Tensor, Tensor]:
        sigmas: list[float] = (PIXEL * torch.expm1(stretch * (1 - t.double()))).tolist()
        slopes = await case.gradient(Blurred(tuple(sigmas)))
        return slopes, torch.stack([blurred(x, s, case.features) for s in sigmas])

    def measure(values: Tensor) -> Tensor:
        return case.features.gather(values, x.dim())

    if steps is not None:
        found = Estimate((await products(pair, steps + 1))[-1], None, None)
    else:
        objects = await objection(_from_blur(case, {"sigma": sigma}), tolerance)
        found = await stieltjes(pair, tolerance=tolerance, limit=limit, measure=measure, veto=objects,
                                whole=True)
    return replace(found.to(case.origin.dtype), details={"sigma": widest})
