"""Methods that need the gradient at x only."""

from __future__ import annotations

from torch import Tensor

from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features
from pellucid.words.method import Law, method


@method(
    asks="gradient", paper="arXiv:1312.6034", laws=[Law.DUMMY],
    formula="|∂f/∂x|", cost="1 gradient",
    use="a first look: which elements would move the score if they changed a little",
    avoid="saturated scores, whose gradient is close to zero; it says nothing about what the input is made of",
)
async def saliency(case: Case, *, absolute: bool = True, channels: str = "sum") -> Tensor:
    """How strongly the score reacts to a small change of each element.

    |∂f/∂x|, or ∂f/∂x with its sign where `absolute` is off. Per element of x, in units of score per
    unit of x. A feature's value is the sum of its elements; with `channels` "max" a place counts as the
    largest of its channels by size, as in the paper (channels are the axes of x that a feature's places
    share: the colours of a pixel, the entries of a word's vector).
    """
    if channels not in ("sum", "max"):
        raise OptionError("option.value", f"channels={channels!r}", "sum or max", "leave it out for the sum")
    (slope,) = await case.gradient(case.here)
    if channels == "sum":
        return slope.abs() if absolute else slope
    largest = _largest(slope, case.features)
    return case.features.gather(largest.abs() if absolute else largest)


def _largest(elements: Tensor, features: Features) -> Tensor:
    """Of the elements at each place the one of largest size, with its sign; places keep their axes."""
    places = {a % elements.dim() for a in features.axes}
    shared = [a for a in range(elements.dim()) if a not in places]
    if not shared:
        return elements
    flat = elements.movedim(shared, list(range(len(shared)))).flatten(0, len(shared) - 1)
    return flat.gather(0, flat.abs().argmax(0, keepdim=True))[0]


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
