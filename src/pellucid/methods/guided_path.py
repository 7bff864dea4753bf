"""Integrated gradients on a way that the model itself chooses: least resistance first."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.method import Law, method


@method(
    asks="gradient", paper="arXiv:2106.09788", laws=[Law.COMPLETE, Law.DUMMY],
    formula="∫ ∂f dγ from b to x, where γ moves first what has the smallest |∂f|", cost="2 steps + 1 gradients",
    use="maps of integrated gradients that are spoilt by steep places on the straight line",
    avoid="comparisons between inputs or models: each gets a way of its own",
)
async def guided_ig(
    case: Case, *, steps: int = 100, fraction: float = 0.25, max_dist: float = 0.02, anchors: int = 0
) -> Estimate:
    """Integrated gradients on a way that keeps off steep places: what moves the score least is moved first.

    At each of `steps` points the elements with the smallest |∂f| (of those that may still move as many as the
    `fraction` of all) go towards x, until the way left, Σ |x - γ|, is as short as on the straight line at that step.
    `max_dist` bounds how far an element may run ahead of the straight line or stay behind it, as a share of its
    way: 0 is integrated gradients, 1 lets it go freely. `anchors` are points of the straight line through which the
    way must pass: they cut it into anchors + 1 parts of equally many steps (their number is rounded up).
    On each piece of the way the gradient is integrated by Simpson's rule; the stated error is how far the
    trapezoid rule is from that. The values sum to f(x) - f(b); what is missing is the residual.

    The paper's anchors are its own; `max_dist` is its authors' published code, which also takes the
    gradient at the beginning of each piece for all of it, and needs twice the steps.
    """
    if steps < 1 or anchors < 0 or not 0 < fraction <= 1 or not 0 <= max_dist <= 1:
        raise OptionError("option.value", f"steps={steps}, fraction={fraction}, max_dist={max_dist}, anchors={anchors}",
                          "steps from 1, a fraction above 0 and up to 1, a max_dist of 0 to 1, anchors from 0",
                          "leave them out for the usual ones")
    x, baseline = case.x, case.baseline.expand_as(case.origin)
    parts, each = anchors + 1, math.ceil(steps / (anchors + 1))
    difference = (x - baseline).double()
    length = difference.abs()
    gone = torch.where(length > 0, 0.0, 1.0).to(length)  # the share of its way that each element has gone

    def point(gone: Tensor) -> Tensor:
        return torch.lerp(baseline, x, gone.to(x))

    (slope,) = await case.gradient(case.given(point(gone)[None]))
    total, rough = torch.zeros_like(length), torch.zeros_like(length)
    for step in range(parts * each):
        ends = (step // each / parts, (step // each + 1) / parts)
        now = (step + 1) / (parts * each)
        after = _moved(gone, slope.double().abs(), length, now, fraction,
                       (max(now - max_dist, ends[0]), min(now + max_dist, ends[1])))
        middle, end = await case.gradient(case.given(torch.stack([point((gone + after) / 2), point(after)])))
        way = (after - gone) * difference
        total += way * (slope.double() + 4 * middle.double() + end.double()) / 6
        rough += way * (slope.double() + end.double()) / 2
        gone, slope = after, end
    return Estimate(total, total - rough, torch.zeros_like(total)).to(x.dtype)


def _moved(gone: Tensor, steep: Tensor, length: Tensor, now: float, fraction: float, within: tuple[float, float]
           ) -> Tensor:
    """The shares of their way that elements have gone after a step; `steep` is the size of their gradients.

    Those behind the lower bound catch up first; then the least steep go on, up to the upper bound, until all
    together have gone `now` of the whole way.
    """
    least, most = within
    if now == 1:
        return torch.ones_like(gone)
    gone = gone.clamp(min=least)
    left = float((length * (1 - gone)).sum()) - float(length.sum()) * (1 - now)
    rank = math.floor(fraction * (steep.numel() - 1))
    while left > 1e-12 * float(length.sum()):
        free = (gone < most) & (length > 0)
        if not bool(free.any()):
            break
        height = torch.where(free, steep, math.inf)
        chosen = free & (height <= height.flatten().kthvalue(rank + 1).values)
        room = float((length * (most - gone))[chosen].sum())
        share = min(left / room, 1.0) if room > 0 else 1.0
        gone = torch.where(chosen, most if share == 1.0 else gone + share * (most - gone), gone)
        left -= room
    return gone
