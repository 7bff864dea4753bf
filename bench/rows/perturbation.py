"""Switching parts off: nearly all of the cost is the model's own, so the model alone is the floor."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench import models
from bench.row import TUNED, Bound, Contest, Row
from bench.setup import Setup

FLOOR, PEER = "the model alone on the same rows", "captum at its best"
BOUNDS = [
    Bound("time", against, most, ours) for ours in ("pellucid", TUNED) for against, most in ((FLOOR, 1.10), (PEER, 0.6))
]


def segments(side: int, patch: int) -> Tensor:
    """A picture's patches, numbered row by row."""
    at = torch.arange(side) // patch
    return at[:, None] * (side // patch) + at[None, :]


def floor(setup: Setup, model: nn.Module, x: Tensor, rows: int) -> Callable[[], None]:
    """The model on so many rows in inference mode at its best batch; the rows are there already."""

    def alone(batch: int) -> None:
        with torch.inference_mode():
            for start in range(0, rows, batch):
                model(made[: min(batch, rows - start)])

    sizes = (4, 8, 16, 32)
    made = x.expand(max(sizes), *x.shape[1:]).contiguous()
    best = setup.best("best batch of the model alone", {n: lambda n=n: alone(n) for n in sizes})
    return lambda: alone(best)


def occlusion(setup: Setup) -> Contest:
    from captum.attr import Occlusion

    model, x = models.resnet(18, setup.device), models.pictures(1, setup.device)
    (wanted,) = models.classes_of(model, x)

    def captum(net: nn.Module, x: Tensor, batch: int) -> Tensor:
        found = Occlusion(net).attribute(x, (3, 32, 32), (3, 24, 24), target=wanted, perturbations_per_eval=batch)
        return found[0, 0]

    ours = setup.ours(model, x, "occlusion", features="pixels", window=(32, 32), stride=(24, 24), target=wanted)
    return beside(setup, ours, captum, model, x, 81 + 1)


def ablation(setup: Setup) -> Contest:
    from captum.attr import FeatureAblation

    model, x, places = models.resnet(18, setup.device), models.pictures(1, setup.device), segments(224, 32)
    (wanted,) = models.classes_of(model, x)

    def captum(net: nn.Module, x: Tensor, batch: int) -> Tensor:
        found = FeatureAblation(net).attribute(x, feature_mask=places.to(x.device)[None, None], target=wanted,
                                               perturbations_per_eval=batch)
        return found[0, 0, ::32, ::32].flatten()

    ours = setup.ours(model, x, "ablation", features=places, target=wanted)
    return beside(setup, ours, captum, model, x, 49 + 1)


def beside(setup: Setup, ours: dict[str, Any], captum: Callable[[nn.Module, Tensor, int], Tensor], model: nn.Module,
           x: Tensor, rows: int) -> Contest:
    best = setup.best("captum's best perturbations_per_eval", {
        n: lambda n=n: captum(model, x, n) for n in (1, 8, 16, 32)})
    return Contest({**ours, FLOOR: floor(setup, model, x, rows), PEER: lambda: captum(model, x, best)},
                   lambda: captum(copy.deepcopy(model).double(), x.double(), 8))


ROWS = [
    Row("occlusion", "Occlusion of ResNet-18 with 81 windows, one picture", occlusion, BOUNDS, seconds=25),
    Row("ablation", "Ablation of 49 patches of ResNet-18, one picture", ablation, BOUNDS),
]
