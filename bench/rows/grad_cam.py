"""Grad-CAM: one map costs one forward pass, because nothing before the layer needs a gradient."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench import models
from bench.row import TUNED, Bound, Contest, Row
from bench.setup import Setup

FORWARD = "one forward without autograd"
TIME = [
    Bound("time", FORWARD, 1.05), Bound("time", FORWARD, 0.85, ours=TUNED),
    Bound("time", "grad-cam", 1 / 3), Bound("time", "captum", 1 / 1.4),
]
MEMORY = [Bound("memory", FORWARD, 1.10), Bound("memory", "grad-cam", 1 / 6), Bound("memory", "captum", 1 / 6)]


def convolutional(rows: int) -> Callable[[Setup], Contest]:
    def build(setup: Setup) -> Contest:
        return contest(setup, models.resnet(50, setup.device), "layer4", rows, None)

    return build


def transformer(rows: int) -> Callable[[Setup], Contest]:
    def build(setup: Setup) -> Contest:
        return contest(setup, models.vit(setup.device), "blocks.11.norm1", rows, (14, 14))

    return build


def contest(setup: Setup, model: nn.Module, layer: str, rows: int, grid: tuple[int, int] | None) -> Contest:
    from captum.attr import LayerGradCam
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    x = models.pictures(rows, setup.device)
    classes = list(range(rows))  # the same for all, so that nobody needs a pass to predict them
    place = model.get_submodule(layer)

    def forward() -> None:
        with torch.inference_mode():
            model(x)

    def captum() -> Tensor | None:
        found = LayerGradCam(model, place).attribute(x, target=torch.tensor(classes, device=x.device))
        return None if grid else found.detach()  # it takes tokens for channels: its time counts, its values do not

    def grad_cam() -> Tensor:
        with GradCAM(model, [place], reshape_transform=None if grid is None else lambda t: as_picture(t, grid)) as cam:
            return torch.from_numpy(cam(x, [ClassifierOutputTarget(c) for c in classes]))

    def reference() -> dict[str, Tensor]:
        maps = by_hand(model, layer, x, classes, grid)
        return {**dict.fromkeys([*ours, "captum"], maps), "grad-cam": normalised(maps)}

    ours = setup.ours(model, x, "grad_cam", layer=layer, target=classes)
    return Contest({**ours, FORWARD: forward, "captum": captum, "grad-cam": grad_cam}, reference)


def as_picture(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(n, tokens, channels), the class token first → (n, channels, rows, columns)."""
    return tokens[:, -math.prod(grid):].transpose(1, 2).reshape(len(tokens), -1, *grid)


def by_hand(model: nn.Module, layer: str, x: Tensor, classes: list[int], grid: tuple[int, int] | None) -> Tensor:
    """The paper's formula before its ReLU in float64, image by image."""
    wide, maps, kept = copy.deepcopy(model).double(), list[Tensor](), list[Any]()
    wide.get_submodule(layer).register_forward_hook(lambda m, a, out: kept.append(out))
    for row, wanted in zip(x.double().split(1), classes, strict=True):
        score = wide(row)[0, wanted]
        seen = kept.pop()
        (slope,) = torch.autograd.grad(score, seen)
        if grid is not None:
            seen, slope = as_picture(seen, grid), as_picture(slope, grid)
        maps.append((slope.mean((2, 3), keepdim=True) * seen).sum(1).detach())
    return torch.cat(maps)


def normalised(maps: Tensor) -> Tensor:
    """What grad-cam makes of a map: ReLU, each stretched to 0..1, resized to the picture, stretched again."""
    def stretched(t: Tensor) -> Tensor:
        t = t - t.amin((1, 2), keepdim=True)
        return t / (1e-7 + t.amax((1, 2), keepdim=True))

    return stretched(nn.functional.interpolate(stretched(maps.relu())[:, None], size=(224, 224), mode="bilinear")[:, 0])


ROWS = [
    Row("grad_cam/resnet50", "Grad-CAM at the last block of ResNet-50, 8 pictures", convolutional(8), TIME),
    Row("grad_cam/resnet50_memory", "Memory of the same with 32 pictures, over the model", convolutional(32), MEMORY,
        measures=("memory",)),
    Row("grad_cam/vit", "Grad-CAM at the last block's first norm of ViT-S/16, 8 pictures", transformer(8), TIME),
    Row("grad_cam/vit_memory", "Memory of the same with 32 pictures, over the model", transformer(32), MEMORY,
        measures=("memory",)),
]
