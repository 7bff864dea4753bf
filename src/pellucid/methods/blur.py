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
from pellucid.numbers.quadrature import integral
from pellucid.words.blur import Blurred, blurred, flat, moving
from pellucid.words.case import Case
from pellucid.words.errors import ModelError, OptionError
from pellucid.words.method import Law, Need, method

PIXEL = 0.5
"""Standard deviation, in pixels, below which the way is walked evenly, and above which by equal factors."""

TOGETHER = 16
"""Gradients that are held at a time: memory does not grow with the points."""


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
    log(½ + σ): with `steps` a Gauss-Legendre rule of that many points; otherwise nested rules, both ends included,
    until the values change by less than `tolerance` (relative, over features), with at most `limit` points. What
    the rule misses of the picture's own change counts at the mean gradient, so that a linear score has no
    error. The values sum to f(x) - f(L(sigma)): that score is the baseline's, and another baseline is not looked
    at. Raises `method.unfit` where there are no rows and columns.

    The authors' code takes equal steps of σ, of which most go where nothing happens any more, and a dark frame around
    the picture, which grows into it with σ.
    """
    check(steps, tolerance, limit)
    widest, x = _widest(case, sigma), case.x
    stretch, rank = math.log1p(widest / PIXEL), x.dim()

    async def changes(t: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of gradient times speed, gradient, and speed: (k, 3, *shape)."""
        total = torch.zeros(len(weights), 3, *x.shape, dtype=torch.float64, device=x.device)
        sigmas: list[float] = (PIXEL * torch.expm1(stretch * (1 - t.double()))).tolist()
        for first in range(0, len(sigmas), TOGETHER):
            some = tuple(sigmas[first : first + TOGETHER])
            for k, slope in enumerate(await case.gradient(Blurred(some))):
                speed = -stretch * (some[k] + PIXEL) * moving(x, some[k], case.features)
                row = torch.stack([slope * speed, slope, speed]).double()
                total += weights[:, first + k].to(x.device).reshape(-1, 1, *[1] * rank) * row
        return total

    def measure(values: Tensor) -> Tensor:
        return case.features.gather(values.select(-rank - 1, 0), rank)

    start = _from_blur(case, {"sigma": sigma})
    if steps is not None:
        found = await integral(changes, steps=steps)
    else:
        objects = await objection(start, tolerance)
        found = await integral(changes, tolerance=tolerance, limit=limit, measure=measure, veto=objects)
    product, slope, speed = found.value
    value = product + slope * (start.difference - speed)
    error = None if found.numerical is None else found.numerical[0]
    sampling = None if error is None else torch.zeros_like(value)
    return Estimate(value, error, sampling, found.notes, details={"sigma": widest}).to(x.dtype)
