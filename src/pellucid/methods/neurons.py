"""Single units and layers: which part of the input reaches the score through a unit, and what units push at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.paths import check
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.quadrature import integral
from pellucid.words.ask import Ask, together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError, PellucidError, TargetError
from pellucid.words.features import units
from pellucid.words.method import AUTO, Law, method
from pellucid.words.site import Site
from pellucid.words.target import Neuron, read

TOGETHER = 16
"""Gradients of a layer that are held at a time: memory does not grow with the points."""


@method(
    asks="gradient", paper="arXiv:1802.03788", laws=[Law.DUMMY, Law.LINEAR], gives="units", baseline=True,
    formula="∫₀¹ ∂f/∂y(b + t (x − b)) dt", cost="9 to limit gradients, until the tolerance is met",
    use="which units of a layer would move the score, on the whole way from the baseline to x",
    avoid="shares of the score: a unit that never moves may have influence; conductance says what went through it",
)
async def internal_influence(
    case: Case, *, layer: str = AUTO, steps: int | None = None, tolerance: float = 0.01, limit: int = 513
) -> Estimate:
    """How strongly the score reacts to each unit of a layer, on average from the baseline to x.

    ∫₀¹ ∂f/∂y(b + t (x - b)) dt for the layer's values y, in units of score per unit of activation: it is not
    multiplied by how far the activation moves. With `steps` a Gauss-Legendre rule of that many points;
    otherwise nested rules until the values change by less than `tolerance` (relative, over units), with at
    most `limit` points. The paper's distribution of interest is the straight line here.
    """
    check(steps, tolerance, limit)
    site = Site.parse(layer)

    def slopes(t: Tensor, weights: Tensor) -> Ask:
        return case.gradient(case.line(t), wrt=site, weights=weights)

    found = await integral(slopes, steps=steps, tolerance=tolerance, limit=limit)
    return replace(found, place=units(tuple(found.value.shape)))


@method(
    asks="gradient", paper="arXiv:1805.12233", laws=[Law.DUMMY], baseline=True,
    formula="(x − b) · ∫₀¹ ∂f/∂y_j · ∂y_j/∂x dt along b + t (x − b)", cost="18 to 2 limit gradients",
    use="which part of the input speaks to the score through one unit of a layer",
    avoid="a first look: conductance says which units are worth asking about",
)
async def neuron_conductance(
    case: Case, *, layer: str | None = None, unit: int | tuple[int, ...] | None = None, neuron: str | None = None,
    steps: int | None = None, tolerance: float = 0.01, limit: int = 513
) -> Estimate:
    """How much of the score's change from the baseline each element brought by way of one unit of a layer.

    (x - b) · ∫₀¹ ∂f/∂y_j · ∂y_j/∂x dt along b + t (x - b). The unit is `neuron` ("layer[3]", "layer[3,0,1]"), or
    `layer` and `unit`, its whole index in the layer's value; without `unit` it is the one for which gradient times
    change of activation is largest at x. With `steps` a Gauss-Legendre rule of that many points; otherwise
    nested rules, both ends included, until the values change by less than `tolerance` (relative, over features),
    with at most `limit` points. The values sum to the unit's conductance. Raises `target.out_of_range` for a
    unit that the layer does not have, `option.value` for an index that means several units.
    """
    check(steps, tolerance, limit)
    site, index = _unit(layer, unit, neuron)
    one = Neuron(site, await _strongest(case, site) if index is None else index)
    gap = case.difference

    async def through(t: Tensor, weights: Tensor) -> Tensor:
        """Σ w · ∂f/∂y_j · ∂y_j/∂x over the points: what the first gives are weights for the second."""
        total = torch.zeros((), device=gap.device)
        for first in range(0, len(t), TOGETHER):
            points = case.line(t[first : first + TOGETHER])
            outer = _single(await case.gradient(points, wrt=site), one)
            inner = weights[:, first : first + TOGETHER] * outer.double().cpu()
            total = total + await case.towards(one).gradient(points, weights=inner)
        return total

    def measure(values: Tensor) -> Tensor:
        return case.features.gather(gap * values, gap.dim())

    found = gap * await integral(through, steps=steps, tolerance=tolerance, limit=limit, measure=measure)
    return replace(found, details={"unit": one.describe(())})


async def _strongest(case: Case, site: Site) -> tuple[int, ...]:
    """The unit for which gradient times change of activation is largest at x."""
    slope, here, there = await together(case.gradient(case.here, wrt=site), case.reading(case.here, of=site),
                                        case.reading(case.there, of=site))
    push = (slope * (here - there))[0].abs()
    return tuple(int(i) for i in torch.unravel_index(push.argmax(), push.shape))


def _single(values: Tensor, one: Neuron) -> Tensor:
    """The unit's own entry of each row; an index that means none or several is an error."""
    shape = tuple(values.shape[1:])
    if len(one.index) > len(shape) or any(i >= s for i, s in zip(one.index, shape, strict=False)):
        raise TargetError("target.out_of_range", one.describe(()), f"an index below {shape}",
                          "choose a unit the layer has")
    if len(one.index) < len(shape):
        raise OptionError("option.value", f"{one.describe(())}, whose values are {shape} large",
                          f"an index of {len(shape)} numbers", "name a single unit: a mean of some has no conductance")
    return values[(slice(None), *one.index)]


def _unit(layer: str | None, unit: Any, neuron: str | None) -> tuple[Site, tuple[int, ...] | None]:
    """The layer and the index that are meant, however they were written."""
    if neuron is not None and (layer is not None or unit is not None):
        raise OptionError("option.value", f"neuron={neuron!r} beside layer={layer!r}, unit={unit!r}", "one of the two",
                          "leave out layer and unit")
    if neuron is not None:
        try:
            found = read(neuron)
        except PellucidError:
            found = None
        if not isinstance(found, Neuron):
            raise OptionError("option.value", f"neuron={neuron!r}", "a layer and a unit",
                              "write for example neuron='layer4[7,0,0]'")
        return found.layer, found.index
    if layer is None:
        raise OptionError("option.missing", "neither neuron nor layer", "a unit of a layer",
                          "give neuron='layer[3]', or layer= and unit=")
    whole = (unit,) if isinstance(unit, int) else unit
    if whole is not None and (not isinstance(whole, tuple | list) or not whole or not all(
            isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in whole)):
        raise OptionError("option.value", f"unit={unit!r}", "a whole number from 0, or one for each axis of the layer",
                          "count units from 0")
    return Site.parse(layer), None if whole is None else tuple(whole)
