"""ROAD: the score while parts are taken out and filled in from around them, the largest values first and last."""

from __future__ import annotations

from pellucid.metrics.curves import tied
from pellucid.numbers.ranking import ranks
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.imputed import Imputed
from pellucid.words.masks import Ranked
from pellucid.words.metric import Attribution, Measured, metric

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@metric(
    kind="faithfulness", asks="score", better="high", paper="arXiv:2202.00449",
    formula="mean over shares of (f(x without the lowest) − f(x without the highest)) / 2, filled in from around",
    cost="2 rows for each share",
    use="pictures: as deletion, where a baseline would be seen as a thing of its own",
    avoid="wide smooth areas that matter by their colour: what is around them fills them in as they were",
)
async def road(
    case: Case, shown: Attribution, *, shares: float | tuple[float, ...] = SHARES, noise: float = 0.01
) -> Measured:
    """How much more the score loses by the highest values than by the lowest, both filled in from what is around.

    For each share of the features the highest are taken out (MoRF), or the lowest (LeRF); each place that is gone
    becomes the mean of its eight neighbours, weighted 1/6 beside and 1/12 across a corner, all at once, plus normal
    `noise` in units of x. The number is the mean of (LeRF - MoRF) / 2, the curve half the difference at each share;
    `details` holds the mean score of both. Features of equal value are ordered by lot: of a sparse map no more is
    taken out than was asked for. The paper measures accuracy over a data set; here it is the target's score.
    Raises `metric.unfit` where features do not lie in rows and columns.
    """
    n, place = case.features.n, case.features
    if len(place.index.shape) != 2 or n < 2:
        raise OptionError(
            "metric.unfit", f"{n} features over {len(place.index.shape)} axes", "several features of a picture, in "
            "rows and columns", "take deletion and insertion, which need no neighbours")
    shares = tuple(shares) if isinstance(shares, tuple | list) else (shares,)
    if not shares or not all(0 < s < 1 for s in shares) or not noise >= 0:
        raise OptionError("option.value", f"shares={shares!r}, noise={noise!r}", "shares between 0 and 1, noise from 0",
                          "leave them out for 0.1 to 0.9 and 0.01")
    order = ranks(shown.values, case.seed)
    at = tuple(sorted({min(max(round(s * n), 1), n - 1) for s in shares}))
    kept = tuple(n - k for k in at)
    highest, lowest = await together(
        case.score(Imputed(Ranked(order, at, kept=False), noise, case.seed, 0)),
        case.score(Imputed(Ranked(order, kept), noise, case.seed, 1)))
    morf, lerf = (s.detach().cpu().double() for s in (highest, lowest))
    half = (lerf - morf) / 2
    exact = noise == 0 and not tied(shown.values, (*at, *kept))
    curve = tuple((k / n, y) for k, y in zip(at, half.tolist(), strict=True))
    return Measured(float(half.mean()), 0.0 if exact else None, curve, ("removed", "half the difference"),
                    details={"morf": float(morf.mean()), "lerf": float(lerf.mean())})
