"""Methods asked about noisy copies of x: their mean, their variance, or the mean of their squares."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from torch import Tensor

from pellucid.methods.replicates import Mean, Variance, replicated, squared
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.method import Law, method

STATISTICS = ("mean", "variance", "square")
"""What can be said of the answers for noisy copies."""


async def over_noise(
    case: Case, run: Callable[[Case], Coroutine[Any, Any, Any]], statistic: str, samples: int, spread: float,
    tolerance: float
) -> Estimate:
    """A statistic of the answers for noisy copies of x, which are drawn until it is known well enough.

    Raises `option.value` for numbers without meaning.
    """
    least = 2 if statistic == "variance" else 1
    if samples < least or not spread >= 0 or not tolerance >= 0:  # NaN is neither
        raise OptionError("option.value", f"samples={samples}, spread={spread}, tolerance={tolerance}",
                          f"samples from {least}, spread and tolerance from 0",
                          "ask for at least one copy (two for a variance), with some noise or none")
    if statistic not in STATISTICS:
        raise OptionError("option.value", f"statistic={statistic!r}", " or ".join(STATISTICS),
                          "mean is SmoothGrad, variance VarGrad, square SquareGrad")

    async def copies(first: int, stop: int) -> list[Any]:
        answers = await together(*(run(c) for c in case.noised(stop - first, spread, first)))
        return [squared(a) for a in answers] if statistic == "square" else answers

    return await replicated(Variance(case) if statistic == "variance" else Mean(case), copies, samples, tolerance)


async def _slope(case: Case) -> Tensor:
    (slope,) = await case.gradient(case.here)
    return slope


@method(
    asks="gradient", paper="arXiv:1706.03825", laws=[Law.DUMMY, Law.LINEAR],
    formula="mean of ∂f(x + ε) over ε ~ N(0, (spread · (max x − min x))²)", cost="samples gradients at most",
    use="a gradient without the grain that changes from one point to the next",
    avoid="saturated scores; noise wide enough to leave what the network knows",
)
async def smoothgrad(case: Case, *, samples: int = 64, spread: float = 0.15, tolerance: float = 0.01) -> Estimate:
    """The gradient, averaged over noisy copies of x.

    Mean of ∂f(x + ε), with its sign; ε is normal with standard deviation `spread` in units of max(x) - min(x).
    Copies are drawn until two standard errors are within `tolerance` of the values (norms over features; 0
    never stops), at most `samples`. `smooth(METHOD)` does the same with any method.
    """
    return await over_noise(case, _slope, "mean", samples, spread, tolerance)


@method(
    asks="gradient", means="strength", paper="arXiv:1810.03307", laws=[Law.DUMMY],
    formula="variance of ∂f(x + ε) over ε ~ N(0, (spread · (max x − min x))²)", cost="samples gradients at most",
    use="where the score's reaction itself changes nearby: edges of what was learnt",
    avoid="signs and sizes of effects: a strong effect that is the same everywhere has no variance",
)
async def vargrad(case: Case, *, samples: int = 64, spread: float = 0.15, tolerance: float = 0.1) -> Estimate:
    """How much the gradient varies over noisy copies of x.

    Var ∂f(x + ε) per element, by Welford's update in float64 and divided by n - 1 (peers divide by n and
    subtract two large numbers). A feature's value is the sum over its elements: the mean squared distance of
    its gradient, as a vector, from the mean one, whichever way the axes of colour or meaning are turned. A
    variance takes many copies: for a tolerance of a tenth about 800. Otherwise as smoothgrad.
    """
    return await over_noise(case, _slope, "variance", samples, spread, tolerance)


@method(
    asks="gradient", means="strength", paper="arXiv:1806.10758", laws=[Law.DUMMY],
    formula="mean of (∂f(x + ε))² over ε ~ N(0, (spread · (max x − min x))²)", cost="samples gradients at most",
    use="a ranking of what matters: it did best when what ranks high was removed and the network retrained",
    avoid="signs, and sums that should mean something",
)
async def squaregrad(case: Case, *, samples: int = 64, spread: float = 0.15, tolerance: float = 0.1) -> Estimate:
    """The squared gradient, averaged over noisy copies of x.

    Mean of (∂f(x + ε))² per element: smoothgrad's square and vargrad's variance together. A feature's value
    is the sum over its elements, the mean squared length of its gradient. Otherwise as smoothgrad.
    """
    return await over_noise(case, _slope, "square", samples, spread, tolerance)
