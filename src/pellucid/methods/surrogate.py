"""A linear model that stands in for the score near x."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pellucid.methods.rounds import asked, limited, sized
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.ridge import Fit, Moments, Spread, forward, highest
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.masks import Subsets
from pellucid.words.method import Law, method
from pellucid.words.points import BLOCK

MOST = 2048
"""Features at most: the fit holds a few matrices of n by n."""

FORWARD = 6
"""Up to so many features are chosen one by one; more by their coefficients at once."""

POOR = 0.5
"""Below this share of the score's variation a linear model says little of the score."""


@method(
    asks="score", paper="arXiv:1602.04938", laws=[Law.LINEAR, Law.SYMMETRIC], coarse=True, baseline=True, most=MOST,
    formula="argmin over c of Σ π(z) (f(z) − a − z·c)² + ‖c‖², π(z) = exp(−(1 − √(|z| / n))² / 2 width²)",
    cost="samples rows, each distinct one once",
    use="a readable stand-in near x, with the share of the score's variation that it explains",
    avoid="where its fit is poor, or shares that sum up are needed: kernel_shap",
)
async def lime(
    case: Case, *, samples: int = 1000, width: float = 0.25, ridge: float = 1.0, select: int | None = None,
    choice: str = "auto",
) -> Estimate:
    """Each feature's coefficient in a linear model of the score, fitted where few features are off.

    Weighted ridge regression of f over random subsets z of the features: how many are kept is drawn evenly
    from 1 to n, then which; x itself is the first. A subset counts exp(-d² / (2 width²)) for its cosine
    distance d = 1 - √(|z| / n) from x, as in the authors' code, whose width 0.25 is meant for it (the paper
    leaves out the 2); `ridge` is the penalty on the squared coefficients. With `select` only so many
    features are kept in the model, by `choice`: "forward" one by one, "highest" by their coefficients in
    a model of all, "auto" the first for up to 6. The error is the sandwich's, for the features selected;
    `details` have the weighted R² of the fit (`r2`), its `intercept` and what it says of x (`local`).
    Raises `features.too_many` for more than 2,048 features.
    """
    sized(samples, 0.0, 1)
    n = case.features.n
    limited(case.features, MOST, "superpixels or patches")
    if not width > 0 or not ridge >= 0:
        raise OptionError("option.value", f"width={width!r}, ridge={ridge!r}", "a width above 0 and a ridge from 0",
                          "try width=0.25, ridge=1.0")
    if select is not None and not 1 <= select <= n:
        raise OptionError("option.value", f"select={select}", f"1 to {n}, the number of features",
                          "leave select out to keep them all")
    if choice not in ("auto", "forward", "highest"):
        raise OptionError("option.value", f"choice={choice!r}", "auto, forward or highest", "leave choice out")
    rows = Subsets(n, samples, case.seed)
    scores = await asked(case, rows)
    middle = float(scores.mean())

    def blocks() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for first in range(0, samples, BLOCK):
            stop = min(first + BLOCK, samples)
            z = rows.block(case.features, first, stop).double()
            d = 1 - (z.sum(1) / n).sqrt()
            yield z, scores[first:stop] - middle, torch.exp(-(d**2) / (2 * width**2))

    seen = Moments(n)
    for block in blocks():
        seen.add(*block)
    chosen = None
    if select is not None:
        one_by_one = choice == "forward" or (choice == "auto" and select <= FORWARD)
        chosen = forward(seen, select, ridge) if one_by_one else highest(seen, select)
    fit = Fit.of(seen, ridge, chosen)
    spread = Spread(fit, seen)
    for block in blocks():
        spread.add(*block)
    values, error, dtype = fit.coefficients, spread.error(), case.origin.dtype
    intercept = fit.intercept + middle
    details = {"r2": fit.r2, "intercept": intercept, "local": intercept + float(values.sum())}
    notes = (*(["fit.poor"] if fit.r2 < POOR else []), *(["samples.few"] if error is None else []))
    return Estimate(values, torch.zeros_like(values), error, notes, None, details).to(dtype)
