"""Methods that walk from the baseline to x."""

from __future__ import annotations

from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.quadrature import FIRST, integral
from pellucid.words.ask import Ask, together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.method import Law, method


@method(asks="gradient", paper="arXiv:1703.01365", laws=[Law.COMPLETE, Law.DUMMY, Law.SYMMETRIC, Law.LINEAR])
async def integrated_gradients(
    case: Case, *, steps: int | None = None, tolerance: float = 0.01, limit: int = 513
) -> Estimate:
    """How much of the score's change from the baseline each element brought, walked in a straight line.

    (x - b) · ∫₀¹ ∂f(b + t (x - b)) dt. With `steps` a Gauss-Legendre rule of that many points; otherwise
    nested rules until the values change by less than `tolerance` (relative, over features), with at
    most `limit` points. The values sum to f(x) - f(b).
    """
    if steps is None and not (tolerance > 0 and limit >= FIRST):
        raise OptionError("option.value", f"tolerance={tolerance!r}, limit={limit!r}",
                          f"a tolerance above 0 and a limit from {FIRST}", "try tolerance=0.01, limit=513")
    if steps is not None and (not isinstance(steps, int) or steps < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("option.value", f"steps={steps!r}", "a whole number from 1",
                          "leave steps out to work to a tolerance")
    gap, scale = case.difference, 0.0
    if steps is None:
        here, there = await together(case.score(case.here), case.score(case.there))
        scale = float(here - there)

    def measure(slope: Tensor) -> Tensor:
        return case.features.gather(gap * slope)

    def objects(values: Tensor) -> bool:
        # The sum can be right by luck, so it never approves; but where it is far off nothing is settled.
        return abs(float(values.sum()) - scale) > 2 * tolerance * max(abs(scale), float(values.norm()))

    def slopes(t: Tensor, weights: Tensor) -> Ask:
        return case.gradient(case.line(t), weights=weights)

    slope = await integral(slopes, steps=steps, tolerance=tolerance, limit=limit, measure=measure, veto=objects)
    return gap * slope
