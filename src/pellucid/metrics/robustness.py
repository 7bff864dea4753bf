"""Robustness: how much the values change where the input hardly does. The method is asked again about neighbours."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.numbers.ranking import elsewhere
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.metric import Attribution, Measured, metric
from pellucid.words.site import Site
from pellucid.words.target import takes_whole

SAMPLES, RADIUS = 10, 0.02
"""So many neighbours, within this share of x's range: metrics that ask about neighbours ask about the same."""

LEAST, STILL = 1e-3, 1e-6
"""What a relative change is relative to at least: this share of the largest value; and a change of nothing."""


def asking(shown: Attribution) -> Callable[[Case], Awaitable[Tensor]]:
    """What asks the method once more; an error where nobody can."""
    if shown.again is None:
        raise OptionError("metric.again", "values without their method", "an explanation that can be made again",
                          "give the model and the input: evaluate(e, subject, x)")
    return shown.again


def neighbours(case: Case, samples: int, radius: float) -> list[Case]:
    """`samples` cases about points near x, drawn from the case's seed."""
    if samples < 1 or not 0 < radius < math.inf:
        raise OptionError("option.value", f"samples={samples}, radius={radius!r}", "samples from 1, a radius above 0",
                          f"leave them out for {SAMPLES} and {RADIUS}")
    if bool((case.x == case.x.flatten()[0]).all()):
        raise OptionError("metric.degenerate", "an x whose values are all the same", "values with a range",
                          "the radius is a share of that range: take another input")
    return list(case.near(samples, radius))


async def moved(case: Case, shown: Attribution, samples: int, radius: float) -> tuple[Tensor, Tensor]:
    """The values at x (n,) and at its neighbours (samples, n), found by the same method with the same draws."""
    again, around = asking(shown), neighbours(case, samples, radius)
    here, *there = await together(again(case), *(again(c) for c in around))
    if not bool(here.any()):
        raise OptionError("metric.degenerate", "values that are all zero", "values with a size to compare with",
                          "try another target, layer or baseline")
    return here, torch.stack(there)


async def changes(case: Case, shown: Attribution, samples: int, radius: float) -> tuple[Tensor, float]:
    """‖φ(x') − φ(x)‖ / ‖φ(x)‖ at each neighbour, and what it is for the same values at another place."""
    here, there = await moved(case, shown, samples, radius)
    apart = elsewhere(here, case.features.shape, case.seed, 1)
    return (there - here).norm(dim=1) / here.norm(), float((apart - here).norm() / here.norm())


def told(shares: Tensor) -> tuple[tuple[float, float], ...]:
    """The changes in ascending order, to be drawn."""
    return tuple((k + 1, y) for k, y in enumerate(shares.sort().values.tolist()))


@metric(
    kind="robustness", asks="again", better="low", paper="arXiv:1901.09392", control=False,
    formula="max over x' of ‖φ(x') − φ(x)‖ / ‖φ(x)‖, x' uniform with |x'_i − x_i| ≤ radius · (max x − min x)",
    cost="samples + 1 explanations, for each of the replicates",
    use="could a change that nobody sees make another explanation?",
    avoid="as a sign of truth: a map that never changes is the most robust, and knows nothing",
)
async def max_sensitivity(
    case: Case, shown: Attribution, *, samples: int = SAMPLES, radius: float = RADIUS
) -> Measured:
    """The largest relative change of the values over small changes of the input.

    `samples` neighbours are drawn uniformly from the box about x, whose half width `radius` is in units of
    max(x) - min(x), as noise is; what is never switched off stays. The same target is explained, with the same
    draws. Norms are Euclidean, over features. The largest of a few is less than the largest of all: it grows with
    `samples`. `details` holds what it would be for the same values at another place (`unrelated`). There are no
    controls, for values that know nothing need not change at all. In the paper r is absolute.

    Raises `metric.degenerate` where x or all its values are constant.
    """
    shares, unrelated = await changes(case, shown, samples, radius)
    return Measured(float(shares.max()), None, told(shares), ("neighbour", "change"),
                    details={"unrelated": unrelated})


@metric(
    kind="robustness", asks="again", better="low", paper="arXiv:1901.09392", control=False,
    formula="mean over x' of ‖φ(x') − φ(x)‖ / ‖φ(x)‖, x' uniform with |x'_i − x_i| ≤ radius · (max x − min x)",
    cost="samples + 1 explanations, shared with max_sensitivity",
    use="as max_sensitivity for what usually happens; its error is known from one run",
    avoid="as a sign of truth: a map that never changes is the most robust, and knows nothing",
)
async def avg_sensitivity(
    case: Case, shown: Attribution, *, samples: int = SAMPLES, radius: float = RADIUS
) -> Measured:
    """The mean relative change of the values over small changes of the input.

    As max_sensitivity, over the same neighbours.
    """
    shares, unrelated = await changes(case, shown, samples, radius)
    error = float(shares.std()) / math.sqrt(samples) if samples > 1 else None
    return Measured(float(shares.mean()), error, told(shares), ("neighbour", "change"),
                    details={"unrelated": unrelated}, freedom=samples - 1)


@dataclass(frozen=True)
class Winner:
    """The number of the class with the highest score; 0 where there are no classes."""

    of: Site | None = None

    @property
    def key(self) -> Hashable:
        return "winner"

    def score(self, value: Tensor) -> Tensor:
        wide = value.dtype if value.dtype in (torch.float32, torch.float64) else torch.float32
        return (value.argmax(1) if value.dim() == 2 else value.new_zeros(len(value))).to(wide)

    def describe(self, labels: Sequence[str]) -> str:
        return "the class that is said"


async def _stable(case: Case, shown: Attribution, samples: int, radius: float) -> tuple[Tensor, Tensor, Tensor]:
    """Relative changes of values, of x and of the score at those neighbours that are of the same class: (k,) each."""
    around = [case, *neighbours(case, samples, radius)]
    (here, there), scores, said = await together(
        moved(case, shown, samples, radius), together(*(c.score(c.here) for c in around)), _classes(case, around))
    same = torch.tensor([said[0] == s for s in said[1:]])
    if not bool(same.any()):
        raise OptionError("metric.degenerate", f"{samples} neighbours that are all of another class",
                          "one of the same class at least", "take a smaller radius, or more samples")
    score = torch.cat([s.detach().cpu().double() for s in scores])
    x = torch.stack([c.x.detach().cpu().double().flatten() for c in around])
    return (relative(there - here, here)[same], relative(x[1:] - x[0], x[0])[same],
            (score[1:] - score[0]).abs()[same])


async def _classes(case: Case, around: Sequence[Case]) -> list[float]:
    """Which class each point is of; where the target is no class's score, all are of one."""
    if takes_whole(case.target) or case.target.of is not None:
        return [0.0] * len(around)
    return [float(s) for s in await together(*(c.towards(Winner()).score(c.here) for c in around))]


def relative(change: Tensor, of: Tensor) -> Tensor:
    """‖change / of‖, element by element: change (k, n), of (n,); nothing is less than LEAST of the largest."""
    size = of.abs()
    return (change / size.clamp(min=LEAST * float(size.max()))).norm(dim=1)


@metric(
    kind="robustness", asks="again", better="low", paper="arXiv:2203.06877", control=False,
    formula="max over x' of the same class of ‖(φ(x) − φ(x')) / φ(x)‖ / max(‖(x − x') / x‖, ε)",
    cost="samples + 1 explanations, shared with max_sensitivity, for each of the replicates",
    use="do the values change more than the input does?",
    avoid="maps with many values near zero: relative changes are large there, and decide",
)
async def relative_input_stability(
    case: Case, shown: Attribution, *, samples: int = SAMPLES, radius: float = RADIUS
) -> Measured:
    """The largest relative change of the values for a relative change of the input.

    Neighbours as in max_sensitivity, those left out that the model gives another class. Quotients are taken
    element by element, norms are Euclidean. The paper divides by values as they are, which gives infinity at zero:
    here none counts as less than a thousandth of the largest. Its ε is 1e-6. Its neighbours are normal.
    """
    values, x, _ = await _stable(case, shown, samples, radius)
    return Measured(float((values / x.clamp(min=STILL)).max()), None, details={"neighbours": len(values)})


@metric(
    kind="robustness", asks="again", better="low", paper="arXiv:2203.06877", control=False,
    formula="max over x' of the same class of ‖(φ(x) − φ(x')) / φ(x)‖ / max(|f(x) − f(x')|, ε)",
    cost="samples + 1 explanations, shared with max_sensitivity, for each of the replicates",
    use="do the values change more than what the model says does?",
    avoid="saturated scores, which do not change at all; maps with many values near zero",
)
async def relative_output_stability(
    case: Case, shown: Attribution, *, samples: int = SAMPLES, radius: float = RADIUS
) -> Measured:
    """The largest relative change of the values for a change of the score.

    As relative_input_stability. The paper's f is the vector of all logits; here it is the score that is explained,
    for the values are about no other.
    """
    values, _, score = await _stable(case, shown, samples, radius)
    return Measured(float((values / score.clamp(min=STILL)).max()), None, details={"neighbours": len(values)})
