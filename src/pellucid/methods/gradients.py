"""Methods that need the gradient at x only."""

from __future__ import annotations

from torch import Tensor

from pellucid.words.case import Case
from pellucid.words.method import Law, method


@method(
    asks="gradient", paper="arXiv:1312.6034", laws=[Law.DUMMY],
    formula="|∂f/∂x|", cost="1 gradient",
    use="a first look: which elements would move the score if they changed a little",
    avoid="saturated scores, whose gradient is close to zero; it says nothing about what the input is made of",
)
async def saliency(case: Case, *, absolute: bool = True) -> Tensor:
    """How strongly the score reacts to a small change of each element.

    |∂f/∂x|, or ∂f/∂x with its sign where `absolute` is off. Per element of x, in units of score per
    unit of x. The paper takes the largest channel; here a feature's value is the sum of its elements.
    """
    (slope,) = await case.gradient(case.here)
    return slope.abs() if absolute else slope


@method(
    asks="gradient", paper="arXiv:1605.01713", laws=[Law.DUMMY, Law.LINEAR],
    formula="x · ∂f/∂x", cost="1 gradient",
    use="networks of ReLUs without biases, where it is exact; a cheap signed map elsewhere",
    avoid="inputs whose zero means something: what is zero gets zero; it does not sum to the score",
)
async def input_x_gradient(case: Case) -> Tensor:
    """Each element's share in a linear reading of the score: x · ∂f/∂x."""
    (slope,) = await case.gradient(case.here)
    return case.x * slope
