"""Gradients that only count what switched units on: guided backpropagation and deconvnet."""

from __future__ import annotations

from torch import Tensor

from pellucid.changes.gates import DECONVNET, GUIDED
from pellucid.words.case import Case
from pellucid.words.method import Need, method


@method(
    asks="gradient", paper="arXiv:1412.6806", needs=[Need.GATES], prepare=lambda case, options: case.under(GUIDED),
    formula="∂f/∂x, each ReLU's gradient replaced by its positive part", cost="1 gradient",
    use="sharp outlines of what excites a network of ReLUs",
    avoid="questions about one class or about what was learnt: it redraws edges, nearly whatever the class and the "
          "later weights are (arXiv:1810.03292)",
)
async def guided_backprop(case: Case) -> Tensor:
    """The gradient without what would switch a unit off: every ReLU hands on positive gradients only.

    Where a ReLU's input is z, it hands on g · [z > 0] · [g > 0] instead of g · [z > 0]. Per element of x, in
    units of score per unit of x. ReLU6 counts as a ReLU; other gates keep their own gradient, which the
    verdict says by name. Raises `method.unfit` where there is no ReLU: it would be the plain gradient.
    """
    (slope,) = await case.gradient(case.here)
    return slope


@method(
    asks="gradient", paper="arXiv:1311.2901", needs=[Need.GATES],
    prepare=lambda case, options: case.under(DECONVNET),
    formula="∂f/∂x, each ReLU's gradient replaced by the positive part of the one above it", cost="1 gradient",
    use="comparison with published pictures; guided_backprop is sharper",
    avoid="questions about one class or about what was learnt: it hardly depends on either (arXiv:1810.03292)",
)
async def deconvnet(case: Case) -> Tensor:
    """The score sent back through the network as a deconvnet would: ReLUs rectify gradients, not values.

    A ReLU hands on g · [g > 0], whatever its own input was; max pooling sends back to where the largest
    value was, as the paper's switches do. Otherwise as guided_backprop.
    """
    (slope,) = await case.gradient(case.here)
    return slope
