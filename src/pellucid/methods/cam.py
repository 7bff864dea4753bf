"""Class activation maps from gradients: which places of a layer spoke for the score.

Each is a sum over channels of activations a (channels, places) with weights from the gradient g = ∂f/∂a of the score.
Maps have the layer's own size and their sign: a ReLU around the sum, and resizing, belong to the drawing, which shows
what speaks against the score in another colour. Where a definition has a ReLU inside the sum, it is there.

Every one takes several layers (`layer=("a", "b")`): each layer's map is divided by its largest absolute value,
resized to the largest map and averaged; `details["layers"]` keeps what each was divided by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pellucid.changes.gates import GUIDED
from pellucid.methods.maps import Grid, Layers, over, picture, placed, resized
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.principal import principal
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.method import AUTO, Need, method

Weighed = Callable[[Tensor, Tensor], Tensor]
"""From a layer's gradient and value, channels first, to its map."""


async def _weighed(case: Case, layer: Layers, grid: Any, weigh: Weighed) -> Estimate:
    async def one(name: str, its: Grid | None) -> tuple[Tensor, dict[str, Any]]:
        slope, seen = await together(case.gradient(case.here, wrt=name), case.reading(case.here, of=name))
        return weigh(placed(slope[0], name, its), placed(seen[0], name, its)), {}

    return await over(layer, grid, one)


def _mixed(weights: Tensor, seen: Tensor) -> Tensor:
    """The sum over channels of weight times activation."""
    return torch.einsum("c,c...->...", weights, seen)


def _mean(slope: Tensor, seen: Tensor) -> Tensor:
    return _mixed(slope.flatten(1).mean(1), seen)


@method(
    asks="gradient", paper="arXiv:1610.02391", gives="map", needs=[Need.PLACES],
    formula="Σ_c mean(∂f/∂a_c) · a_c", cost="1 forward pass, and the gradient behind the layer",
    use="where a network looks, for the price of a forward pass",
    avoid="several objects of a class, or fine outlines: it is as coarse as its layer",
)
async def grad_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """Which places of a layer speak for the score, weighing each channel by its mean gradient.

    sum_c mean(∂f/∂a_c) · a_c over the layer's places, at the layer's own size and with its sign: the
    paper's ReLU belongs to the drawing, which shows what speaks against the score in another colour.
    `layer` is one name or several (each map is divided by its largest absolute value, resized to the
    largest and averaged). `grid` says how the last tokens of a (tokens, channels) layer lie, (rows,
    columns) of a picture or (tokens,) of a line, and that channels come last; tokens before them (class
    token, registers) are left out. It is found if not given. Raises `layer.no_places` where a layer has
    no places.
    """
    return await _weighed(case, layer, grid, _mean)


@method(
    asks="gradient", paper="arXiv:1710.11063", gives="map", needs=[Need.PLACES],
    formula="Σ_c w_c a_c, w_c = Σ α ReLU(g), α = g² / (2 g² + (Σ a_c) g³)",
    cost="1 forward pass, and the gradient behind the layer",
    use="several objects of one class in a picture",
    avoid="layers with values below zero: the weights were derived for what follows a ReLU",
)
async def grad_cam_plus_plus(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """Grad-CAM with channel weights that count each place that speaks for the score, however small.

    Equation 19 of the paper: w_c = Σ α ReLU(g) with α = g² / (2 g² + (Σ a_c) g³) at each place, which is
    1 / (2 + g Σ a_c). The ReLU inside is the definition's. The paper derives it for the exponential of the
    score, whose factor is the same for all channels and is left out. `layer` and `grid` as in grad_cam.
    """
    return await _weighed(case, layer, grid, _plus_plus)


def _plus_plus(slope: Tensor, seen: Tensor) -> Tensor:
    below = 2 + slope * seen.flatten(1).sum(1).reshape(-1, *[1] * (slope.dim() - 1))
    alpha = torch.where(below == 0, 0.0, 1 / below)
    return _mixed((alpha * slope.clamp(min=0)).flatten(1).sum(1), seen)


@method(
    asks="gradient", paper="arXiv:2008.02312", gives="map", needs=[Need.PLACES],
    formula="Σ_c w_c a_c, w_c = Σ g a_c / Σ a_c", cost="1 forward pass, and the gradient behind the layer",
    use="as grad_cam, weighing gradients by where a channel is active",
    avoid="layers whose channels sum to about zero: their weights are quotients by that sum",
)
async def xgrad_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """Grad-CAM with each channel's gradient averaged where the channel is active.

    w_c = Σ g a_c / Σ a_c over places; a channel whose values sum to zero gets no weight. `layer` and
    `grid` as in grad_cam.
    """
    return await _weighed(case, layer, grid, _where_active)


def _where_active(slope: Tensor, seen: Tensor) -> Tensor:
    total = seen.flatten(1).sum(1)
    return _mixed(torch.where(total == 0, 0.0, (slope * seen).flatten(1).sum(1) / total), seen)


@method(
    asks="gradient", paper="arXiv:2011.08891", gives="map", needs=[Need.PLACES],
    formula="Σ_c g_c · a_c", cost="1 forward pass, and the gradient behind the layer",
    use="only places that moved the score light up: at the last convolution it is exact for linear heads",
    avoid="early layers, where gradients are noise",
)
async def hires_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """Activation times gradient at each place, summed over channels: no gradient is carried to another place.

    Σ_c g_c a_c. Where the score is linear behind the layer, the map sums to the score less its constant.
    `layer` and `grid` as in grad_cam.
    """
    return await _weighed(case, layer, grid, lambda slope, seen: (slope * seen).sum(0))


@method(
    asks="gradient", paper="doi:10.1109/TIP.2021.3089943", gives="map", needs=[Need.PLACES],
    formula="Σ_c ReLU(g_c) · a_c", cost="1 forward pass, and the gradient behind the layer",
    use="early and middle layers, whose places need weights of their own",
    avoid="what speaks against the score: gradients below zero are left out",
)
async def layer_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """Activation times positive gradient at each place, summed over channels.

    Σ_c ReLU(g_c) a_c; the ReLU inside is the definition's. `layer` and `grid` as in grad_cam.
    """
    return await _weighed(case, layer, grid, lambda slope, seen: (slope.clamp(min=0) * seen).sum(0))


@method(
    asks="reading", means="strength", paper="arXiv:2008.00299", gives="map", needs=[Need.PLACES],
    formula="(a − mean a) · v, v the first principal component over channels",
    cost="1 forward pass to the layer",
    use="what a layer sees most of, without any gradient",
    avoid="the reason for one class: it is the same for every target",
)
async def eigen_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """The strongest pattern of a layer over its places; the score has no part in it.

    Activations, less each channel's mean over places, along the largest eigenvector of their covariance over
    channels. Its sign, which an eigenvector leaves open, is that in which the map grows with the sum of
    all channels. `details["variance"]` is the share of the variance that it holds. `layer` and `grid` as in
    grad_cam.
    """
    async def one(name: str, its: Grid | None) -> tuple[Tensor, dict[str, Any]]:
        return _strongest(placed((await case.reading(case.here, of=name))[0], name, its))

    return await over(layer, grid, one)


@method(
    asks="gradient", means="strength", paper="arXiv:2008.00299", gives="map", needs=[Need.PLACES],
    formula="as eigen_cam, of g · a in place of a", cost="1 forward pass, and the gradient behind the layer",
    use="as hires_cam with less noise: the strongest pattern in what speaks for the score",
    avoid="signs, which are about the mean place; maps of which the first component holds little (details: variance)",
)
async def eigen_grad_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """The strongest pattern over places in activation times gradient.

    As eigen_cam, of g_c a_c. The sign is that in which the map grows with Σ_c g_c a_c: a place above zero speaks
    more for the score, or less against it, than the mean place. `layer` and `grid` as in grad_cam.
    """
    async def one(name: str, its: Grid | None) -> tuple[Tensor, dict[str, Any]]:
        slope, seen = await together(case.gradient(case.here, wrt=name), case.reading(case.here, of=name))
        return _strongest(placed(slope[0], name, its) * placed(seen[0], name, its))

    return await over(layer, grid, one)


def _strongest(values: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """The map along the first principal component over channels, and the share of the variance in it."""
    found, share = principal(values.flatten(1).T)
    return found.reshape(values.shape[1:]).to(values.dtype), {"variance": share}


@method(
    asks="gradient", paper="arXiv:1610.02391", needs=[Need.PLACES, Need.GATES, Need.PICTURE],
    formula="guided backpropagation · ReLU(grad_cam), upsampled",
    cost="1 gradient, and 1 forward pass with the gradient behind the layer",
    use="fine outlines of what grad_cam points at",
    avoid="sanity: guided backpropagation restores edges whatever the weights; it fits ReLU networks only",
)
async def guided_grad_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Tensor:
    """Guided backpropagation where Grad-CAM is positive: per element of x.

    The gradient at x of a network whose ReLUs hand on positive gradients only, times the ReLU of the
    Grad-CAM map, interpolated (bilinear) to x's rows and columns. The ReLU of the map is the definition's.
    Raises `method.unfit` without a ReLU, or where x is no picture. `layer` and `grid` as in grad_cam.
    """
    (slope,), found = await together(case.under(GUIDED).gradient(case.here), _weighed(case, layer, grid, _mean))
    return slope * resized(found.value.clamp(min=0), picture(case, found.value.dim()))
