"""Values that were found over one layout, over another: a map over pixels, pixels over words or patches."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.explanation import Explanation
from pellucid.words.features import Features
from pellucid.words.method import Method

LINEAR = {1: "linear", 2: "bilinear"}
"""Interpolation by the number of axes of a map."""


def found(answer: Estimate, case: Case, method: Method) -> tuple[Tensor, Features, Tensor | None]:
    """What a method returned as values in the shape of their features, and the elements where there are any."""
    place, elements, value = answer.place, None, answer.value.detach().cpu()
    if place is None:
        place = case.features
        if value.shape == case.origin.shape and method.card.gives == "elements":
            elements, value = value, place.gather(value)
    elif value.shape != place.shape and value.dim() == len(place.index.shape):
        elements, value = value, place.gather(value)
    return value.reshape(place.shape), place, elements


def over(e: Explanation, layout: Features) -> Tensor:
    """An explanation's values over the features of a layout of the same input: (n,), float64."""
    return laid(e.values, e.features, e.elements, layout)


def laid(values: Tensor, place: Features, elements: Tensor | None, layout: Features) -> Tensor:
    """Values over `place` as values over `layout`: (n,), float64.

    Elements and shares of features are summed into the new ones, so that sums stay. A map is enlarged to the
    positions, and a feature's value is its mean there: a map says how strong, not how much. Raises
    `metric.unfit` where the values lie at a layer, over something that is no part of the input.
    """
    flat = values.detach().cpu().double().flatten()
    same = place.index.shape == layout.index.shape and place.axes == layout.axes
    if place is layout or (same and place.n == layout.n and bool((place.index == layout.index).all())):
        return flat
    if place.name == "map" and values.dim() == len(layout.axes) and values.dim() in LINEAR:
        size = tuple(layout.index.shape)
        wide = F.interpolate(values.detach().cpu().double()[None, None], size=size, mode=LINEAR[values.dim()],
                             align_corners=False)[0, 0]
        return _gathered(wide, layout) / layout.sizes.clamp(min=1)
    if elements is not None and _lies(elements, layout) and same:
        return layout.gather(elements.detach().cpu().double())
    if same:
        return _gathered(place.spread(flat), layout)
    raise OptionError(
        "metric.unfit", f"values over {place.name} of shape {tuple(values.shape)}",
        f"values over the input, which lies over {layout.name} of shape {tuple(layout.shape)}",
        "choose a method whose values lie over the input, or a metric that only reads them, such as sparseness")


def _gathered(positions: Tensor, layout: Features) -> Tensor:
    """Values over positions, summed over each feature."""
    flat, slots = positions.flatten(), layout.index.flatten()
    keep = slots >= 0
    return flat.new_zeros(layout.n).index_add(0, slots[keep], flat[keep])


def _lies(elements: Tensor, layout: Features) -> bool:
    """True where elements have the layout's positions at its axes."""
    rank = elements.dim()
    return all(-rank <= a < rank for a in layout.axes) and tuple(
        elements.shape[a] for a in layout.axes) == tuple(layout.index.shape)
