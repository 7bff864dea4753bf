"""What maps share: a layer's value laid over its places, several layers averaged, a map at another size."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import LayerError, ModelError, OptionError
from pellucid.words.features import Features

Grid = tuple[int, ...]
Layers = str | tuple[str, ...]

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
"""Interpolation by the number of axes that places have."""


def placed(value: Tensor, layer: str, grid: Grid | None) -> Tensor:
    """A layer's value with channels first and places after: (C, h, w), (C, length) or (C, d, h, w).

    Without a grid channels are first already. With one they are last, behind the places themselves, or behind
    tokens of which the last lie in that grid.
    """
    axis = channels(tuple(value.shape), layer, grid)
    if axis == 0:
        return value
    assert grid is not None
    return value[len(value) - math.prod(grid) :].T.reshape(-1, *grid) if value.dim() == 2 else value.movedim(-1, 0)


def channels(shape: Grid, layer: str, grid: Grid | None) -> int:
    """Which axis of a layer's value holds the channels; `layer.no_places` where it does not lie as the grid says."""
    if grid is None and len(shape) in (2, 3, 4):
        return 0
    if grid and (shape[:-1] == tuple(grid) or (len(shape) == 2 and shape[0] >= math.prod(grid))):
        return len(shape) - 1
    if grid and len(grid) > 1 and shape[1:] == tuple(grid):
        return 0
    raise LayerError("layer.no_places", f"{layer} with values of shape {shape}"
                     + (f" for a grid of {' by '.join(map(str, grid))}" if grid else ""),
                     "(channels, height, width) or (tokens, channels)", "choose a layer before the pooling")


def laid(values: Tensor, **details: Any) -> Estimate:
    """A map as an answer: a value for each of its places."""
    shape = tuple(values.shape)
    index = torch.arange(values.numel()).reshape(shape)
    place = Features(index, tuple(range(len(shape))), shape, "image" if len(shape) == 2 else "units", "map")
    zero = values.new_zeros(())
    return Estimate(values, zero, zero, (), place, details)


async def over(
    layer: Layers, grid: Any, one: Callable[[str, Grid | None], Awaitable[tuple[Tensor, dict[str, Any]]]]
) -> Estimate:
    """The map of one layer, or of several: each divided by its largest absolute value, resized and averaged."""
    layers = (layer,) if isinstance(layer, str) else tuple(layer)
    given: tuple[Any, ...] = () if grid is None else tuple(grid)
    alone = len(layers) == 1 or all(isinstance(g, int) for g in given)
    grids: list[Any] = [grid] * len(layers) if alone else list(given)
    if len(grids) != len(layers):
        raise OptionError("option.value", f"{len(grids)} grids for {len(layers)} layers", "a grid for each layer",
                          "leave grid out, or give a tuple with one entry per layer: (rows, columns) or None")
    found = await together(*(one(name, None if g is None else tuple(g)) for name, g in zip(layers, grids, strict=True)))
    maps: list[Tensor] = [m for m, _ in found]
    if len(maps) == 1:
        return laid(maps[0], **found[0][1])
    size = max((tuple(m.shape) for m in maps), key=math.prod)
    if any(m.dim() != len(size) for m in maps):
        raise OptionError("option.value", f"maps of the sizes {', '.join(str(tuple(m.shape)) for m in maps)}",
                          "layers whose places have the same axes", "explain one layer at a time")
    largest = [float(m.abs().max()) for m in maps]
    shown = [resized(m / most if most else m, size) for m, most in zip(maps, largest, strict=True)]
    return laid(torch.stack(shown).mean(0), layers=tuple(zip(layers, largest, strict=True)))


def resized(maps: Tensor, size: Sequence[int], lead: int = 0) -> Tensor:
    """Maps (…, places) interpolated to another size; before the places are `lead` axes."""
    if tuple(maps.shape[lead:]) == tuple(size):
        return maps
    flat = maps.reshape(-1, 1, *maps.shape[lead:])
    made = F.interpolate(flat, tuple(size), mode=LINEAR[len(size)], align_corners=False)
    return made.reshape(*maps.shape[:lead], *size)


def picture(case: Case, axes: int) -> Grid:
    """The size of what a map is laid over: x of channels first, with as many axes behind as the map has."""
    shape = tuple(case.origin.shape)
    if len(shape) != axes + 1 or not case.site.is_input:
        raise ModelError("method.unfit", f"a value of shape {shape} at {case.site}, and a map of {axes} axes",
                         "a picture (channels, rows, columns) as the model's input", "choose grad_cam, whose map is "
                         "the layer's own")
    return shape[1:]
