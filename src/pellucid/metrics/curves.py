"""Curves: the score while features go, or come back, in the order of their values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.numbers.ranking import area, counts, ranks
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.masks import Ranked
from pellucid.words.metric import Attribution, Measured, metric

STEPS = 20


async def walked(case: Case, order: Tensor, at: tuple[int, ...], *, kept: bool) -> tuple[Tensor, Tensor]:
    """Share of the features gone (or back), and the score there: (points,) each, in float64."""
    scores = await case.score(case.keep(Ranked(order, at, kept)))
    return torch.tensor(at, dtype=torch.float64) / case.features.n, scores.detach().cpu().double()


def evenly(n: int, steps: int, most: float = 1.0) -> tuple[int, ...]:
    """0 to the share `most` of n in so many equal steps, as far as whole numbers can be."""
    if steps < 1 or not 0 < most <= 1:
        raise OptionError("option.value", f"steps={steps}, most={most!r}", "1 or more steps, most above 0 and up to 1",
                          f"leave them out for {STEPS} and 1.0")
    return counts(max(1, round(most * n)), steps)


def told(x: Tensor, y: Tensor, what: str, tied: bool) -> Measured:
    """The area under a curve; where its steps were drawn, one run does not tell the error."""
    points = tuple(zip(x.tolist(), y.tolist(), strict=True))
    return Measured(area(x, y), None if tied else 0.0, points, (what, "score"))


def tied(values: Tensor, at: Sequence[int]) -> bool:
    """True where a step ends between equal values, so that it is drawn which of them it takes."""
    ordered, ends = values.sort(descending=True).values, torch.tensor([k for k in at if 0 < k < len(values)])
    return bool((ordered[ends - 1] == ordered[ends]).any()) if len(ends) else False


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
    at = evenly(case.features.n, steps)
    x, y = await walked(case, ranks(shown.values, case.seed), at, kept=False)
    return told(x, y, "removed", tied(shown.values, at))


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
    at = evenly(case.features.n, steps)
    x, y = await walked(case, ranks(shown.values, case.seed), at, kept=True)
    return told(x, y, "kept", tied(shown.values, at))


@metric(
    kind="faithfulness", asks="score", better="low", paper="doi:10.1371/journal.pone.0130140",
    formula="area under f(x with the first k features flipped) over k / n, k = 0, step, 2 step, …",
    cost="a row for each step, at most 101",
    use="as deletion in fine steps, or over the first features only: what is named first should count most",
    avoid="a baseline that the model knows as something: what is put in place then speaks too",
)
async def pixel_flipping(
    case: Case, shown: Attribution, *, step: int | None = None, most: float = 1.0
) -> Measured:
    """The area under the score while features are flipped a few at a time, the highest values first.

    `step` features at a time become the baseline, a hundredth of them by default, until the share `most` of all is
    flipped. The area is over the share flipped, by the trapezoid rule, divided by its width: a mean score. The paper
    turns pixels' signs round, single ones of a digit, and draws the curve; what a flipped feature becomes is the
    caller's baseline here. Its order is that of the signed values; ties are drawn.
    """
    n = case.features.n
    step = max(1, math.ceil(n / 100)) if step is None else step
    if not 1 <= step <= n or not 0 < most <= 1:
        raise OptionError("option.value", f"step={step}, most={most!r}", f"a step of 1 to {n} features, most above 0 "
                          "and up to 1", "leave them out for a hundredth of the features, and all of them")
    last = max(1, round(most * n))
    at = (*range(0, last, step), last)
    x, y = await walked(case, ranks(shown.values, case.seed), at, kept=False)
    return told(x, y, "removed", tied(shown.values, at))


@metric(
    kind="faithfulness", asks="score", better="high", paper="arXiv:1509.06321",
    formula="1 / (L + 1) Σ_{k=0}^{L} f(x) − f(x without the first k parts)",
    cost="steps + 1 rows, shared with deletion",
    use="the score's mean drop on the way: comparable between examples that score differently",
    avoid="a baseline that the model knows as something: what is put in place then speaks too",
)
async def aopc(case: Case, shown: Attribution, *, steps: int = STEPS, most: float = 1.0) -> Measured:
    """The score's mean drop while features are taken away, the highest values first.

    1/(L + 1) Σ_{k=0}^{L} f(x) - f(x_k), the drop of zero at the start included, over L = `steps` equal steps up to the
    share `most` of the features. The paper's parts are patches of 9 by 9 pixels, 100 of them one by one, which become
    random numbers, and it means the drop over a data set; here the layout, the baseline and the example are the
    caller's (`features="patches:9"`).
    """
    at = evenly(case.features.n, steps, most)
    x, y = await walked(case, ranks(shown.values, case.seed), at, kept=False)
    drops = y[0] - y
    points = tuple(zip(x.tolist(), drops.tolist(), strict=True))
    return Measured(float(drops.mean()), None if tied(shown.values, at) else 0.0, points, ("removed", "drop"))
