"""Methods that walk from the baseline to x."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.quadrature import FIRST, integral, stieltjes
from pellucid.words.ask import Ask, Sum, together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import units
from pellucid.words.method import AUTO, Law, method
from pellucid.words.site import Site


@method(
    asks="gradient", paper="arXiv:1703.01365", laws=[Law.COMPLETE, Law.DUMMY, Law.SYMMETRIC, Law.LINEAR],
    formula="(x − b) · ∫₀¹ ∂f(b + t (x − b)) dt", cost="9 to limit gradients, until the tolerance is met",
    use="the default for differentiable models: its values sum to the score's change from the baseline",
    avoid="inputs without a sensible baseline: compare several, or average over them",
)
async def integrated_gradients(
    case: Case, *, steps: int | None = None, tolerance: float = 0.01, limit: int = 513
) -> Estimate:
    """How much of the score's change from the baseline each element brought, walked in a straight line.

    (x - b) · ∫₀¹ ∂f(b + t (x - b)) dt. With `steps` a Gauss-Legendre rule of that many points; otherwise
    nested rules until the values change by less than `tolerance` (relative, over features), with at
    most `limit` points. The values sum to f(x) - f(b).
    """
    check(steps, tolerance, limit)
    gap = case.difference

    def measure(slope: Tensor) -> Tensor:
        return case.features.gather(gap * slope, gap.dim())

    def slopes(t: Tensor, weights: Tensor) -> Ask:
        return case.gradient(case.line(t), weights=weights)

    if steps is not None:
        return gap * await integral(slopes, steps=steps)
    objects = await objection(case, tolerance)
    return gap * await integral(slopes, tolerance=tolerance, limit=limit, measure=measure, veto=objects)


@method(
    asks="gradient", paper="arXiv:1805.12233", laws=[Law.COMPLETE, Law.DUMMY, Law.LINEAR], gives="units",
    formula="∫ ∂f/∂y dy along y(b + t (x − b))", cost="9 to limit gradients and readings",
    use="which units of a layer carried the score's change",
    avoid="layers that part of the score goes round: the verdict then says how much",
)
async def conductance(
    case: Case, *, layer: str = AUTO, steps: int | None = None, tolerance: float = 0.01, limit: int = 513
) -> Estimate:
    """How much of the score's change from the baseline went through each unit of a layer.

    ∫ ∂f/∂y dy for the layer's values y on the straight line from the baseline to x, in units of score.
    With `steps` the paper's sum Σ ∂f/∂y(t_k) · (y(t_{k+1}) - y(t_k)) over that many equal steps, both ends
    included; otherwise nested trapezoid sums until the values change by less than `tolerance` (relative,
    over units), with at most `limit` points. Where everything passes through the layer the values sum to
    f(x) - f(b).
    """
    check(steps, tolerance, limit)
    site = Site.parse(layer)
    if steps is not None:
        t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        fold = Sum(torch.ones(1, steps, dtype=torch.float64), times=site)
        (values,) = await case.gradient(case.line(t), wrt=site, weights=fold)
        return Estimate(values, None, None, (), units(tuple(values.shape)))

    async def pair(t: Tensor) -> tuple[Tensor, Tensor]:
        points = case.line(t)
        slope, seen = await together(case.gradient(points, wrt=site), case.reading(points, of=site))
        return slope, seen

    found = await stieltjes(pair, tolerance=tolerance, limit=limit, veto=await objection(case, tolerance))
    return replace(found.to(case.origin.dtype), place=units(tuple(found.value.shape)))


def check(steps: int | None, tolerance: float, limit: int) -> None:
    """Refuse numbers that no integral can be taken with."""
    if steps is None and not (tolerance > 0 and limit >= FIRST):
        raise OptionError("option.value", f"tolerance={tolerance!r}, limit={limit!r}",
                          f"a tolerance above 0 and a limit from {FIRST}", "try tolerance=0.01, limit=513")
    if steps is not None and (not isinstance(steps, int) or steps < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("option.value", f"steps={steps!r}", "a whole number from 1",
                          "leave steps out to work to a tolerance")


async def objection(case: Case, tolerance: float) -> Callable[[Tensor], bool]:
    """The sum can be right by luck, so it never approves; but where it is far off nothing is settled."""
    here, there = await together(case.score(case.here), case.score(case.there))
    scale = float(here - there)
    return lambda values: abs(float(values.sum()) - scale) > 2 * tolerance * max(abs(scale), float(values.norm()))
