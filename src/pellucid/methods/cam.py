"""Class activation maps: which places of a layer spoke for the score."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import LayerError
from pellucid.words.features import Features
from pellucid.words.method import AUTO, Need, method


@method(
    asks="gradient", paper="arXiv:1610.02391", gives="map", needs=[Need.PLACES],
    formula="Σ_c mean(∂f/∂a_c) · a_c", cost="1 forward pass, and the gradient behind the layer",
    use="where a network looks, for the price of a forward pass",
    avoid="several objects of a class, or fine outlines: it is as coarse as its layer",
)
async def grad_cam(case: Case, *, layer: str = AUTO, grid: tuple[int, ...] | None = None) -> Estimate:
    """Which places of a layer speak for the score, weighing each channel by its mean gradient.

    sum_c mean(∂f/∂a_c) · a_c over the layer's places, at the layer's own size and with its sign: the
    paper's ReLU belongs to the drawing, which shows what speaks against the score in another colour.
    For token layers (tokens, channels) `grid` says how the last tokens lie: (rows, columns) of a
    picture, or (tokens,) of a line; tokens before them (class token, registers) are left out. Raises
    `layer.no_places` where a layer has no places.
    """
    slope, seen = await together(case.gradient(case.here, wrt=layer), case.reading(case.here, of=layer))
    slope, seen = _places(slope[0], layer, grid), _places(seen[0], layer, grid)
    weights = slope.flatten(1).mean(1)
    return _map(torch.einsum("c,c...->...", weights, seen))


def _places(value: Tensor, layer: str, grid: tuple[int, ...] | None) -> Tensor:
    """A layer's value with channels first and places after: (C, h, w), or (C, length)."""
    if grid is not None and value.dim() == 3 and tuple(value.shape[:2]) == tuple(grid):
        return value.movedim(-1, 0)
    if grid is not None and value.dim() == 2 and len(value) >= math.prod(grid):
        return value[len(value) - math.prod(grid) :].T.reshape(-1, *grid)
    if value.dim() in (2, 3):
        return value
    raise LayerError("layer.no_places", f"{layer} with values of shape {tuple(value.shape)}",
                     "(channels, height, width) or (tokens, channels)", "choose a layer before the pooling")


def _map(values: Tensor) -> Estimate:
    shape = tuple(values.shape)
    index = torch.arange(values.numel()).reshape(shape)
    place = Features(index, tuple(range(len(shape))), shape, "image" if len(shape) == 2 else "units", "map")
    found = Estimate.exact(values)
    return Estimate(found.value, found.numerical, found.sampling, (), place)
