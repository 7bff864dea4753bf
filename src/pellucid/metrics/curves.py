"""Curves: the score while features go, or come back, in the order of their values."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.numbers.ranking import area, counts, ranks
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.masks import Ranked
from pellucid.words.metric import Attribution, Measured, metric

STEPS = 20


async def walked(case: Case, order: Tensor, steps: int, *, kept: bool) -> tuple[Tensor, Tensor]:
    """Share of the features gone (or back), and the score there: (steps + 1,) each, in float64."""
    if steps < 1:
        raise OptionError("option.value", f"steps={steps}", "1 or more steps", "leave it out for 20")
    at = counts(case.features.n, steps)
    scores = await case.score(case.keep(Ranked(order, at, kept)))
    return torch.tensor(at, dtype=torch.float64) / case.features.n, scores.detach().cpu().double()


def told(x: Tensor, y: Tensor, what: str, tied: bool) -> Measured:
    """The area under a curve; where values are equal their order was drawn, and one run does not tell the error."""
    points = tuple(zip(x.tolist(), y.tolist(), strict=True))
    return Measured(area(x, y), None if tied else 0.0, points, (what, "score"))


def ties(values: Tensor) -> bool:
    """True where an order has to be drawn."""
    return len(values.unique()) < len(values)


@metric(
    kind="faithfulness", asks="score", better="low", paper="arXiv:1806.07421",
    formula="area under f(x without the first k features) over k / n", cost="steps + 1 rows",
    use="does the score fall at once when what is named first is taken away?",
    avoid="a baseline that the model knows as something: what is put in place then speaks too",
)
async def deletion(case: Case, shown: Attribution, *, steps: int = STEPS) -> Measured:
    """The area under the score while features are taken away, the highest values first.

    Features are replaced by the baseline in descending order of their signed values, all at last, in `steps` equal
    steps; ties are drawn. The area is over the share of features gone, by the trapezoid rule, in units of the
    score. The paper takes probabilities and pixels, 224 a step; here the target and the layout are the caller's.
    """
    x, y = await walked(case, ranks(shown.values, case.seed), steps, kept=False)
    return told(x, y, "removed", ties(shown.values))


@metric(
    kind="faithfulness", asks="score", better="high", paper="arXiv:1806.07421",
    formula="area under f(baseline with the first k features) over k / n", cost="steps + 1 rows",
    use="is what is named first enough to bring the score back?",
    avoid="a baseline that the model knows as something: what is put in place then speaks too",
)
async def insertion(case: Case, shown: Attribution, *, steps: int = STEPS) -> Measured:
    """The area under the score while features are put back, the highest values first.

    As deletion, from the baseline to x. The paper starts from the blurred picture: give `baseline="blur"`.
    """
    x, y = await walked(case, ranks(shown.values, case.seed), steps, kept=True)
    return told(x, y, "kept", ties(shown.values))
