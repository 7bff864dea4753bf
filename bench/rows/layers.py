"""At a layer: everything before it runs once, everything after it in shared passes."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

import bench.models as models
from bench.row import TUNED, Bound, Contest, Row
from bench.setup import Setup

STEPS, BEST = 50, "captum, best chunk"
BOUNDS = [Bound("time", "captum", 0.5), Bound("time", "captum", 0.5, ours=TUNED)]


def layer_ig(setup: Setup) -> Contest:
    from captum.attr import LayerIntegratedGradients

    return at_layer(setup, LayerIntegratedGradients, "inside(integrated_gradients)", "layer3.0.conv1", 224, STEPS, {})


def conductance(setup: Setup) -> Contest:
    from captum.attr import LayerConductance

    return at_layer(setup, LayerConductance, "conductance", "layer3.0.conv2", 112, 400, {"method": "riemann_trapezoid"})


def at_layer(setup: Setup, peer: Any, method: str, layer: str, side: int, fine: int, rule: dict[str, str]) -> Contest:
    """Ours and the peer's at the same number of steps; the reference is the peer's sum in float64."""
    model, x = models.resnet(18, setup.device), models.pictures(1, setup.device, side)
    (wanted,) = models.classes_of(model, x)
    there = peer(model, model.get_submodule(layer))

    def captum(chunk: int | None) -> Tensor:
        return there.attribute(x, target=wanted, n_steps=STEPS, internal_batch_size=chunk)

    def reference() -> Tensor:
        wide = copy.deepcopy(model).double()
        return peer(wide, wide.get_submodule(layer)).attribute(
            x.double(), target=wanted, n_steps=fine, internal_batch_size=10, **rule)

    best = setup.best("captum's best internal_batch_size", {n: lambda n=n: captum(n) for n in (4, 8, 16, 50)})
    ours = setup.ours(model, x, method, layer=layer, steps=STEPS, target=wanted)
    return Contest({**ours, "captum": lambda: captum(None), BEST: lambda: captum(best)}, reference)


def no_conductance() -> str | None:
    from pellucid import catalog

    return None if "conductance" in catalog.methods() else "no method conductance"


ROWS = [
    Row("layer_ig", f"Integrated gradients inside layer3[0].conv1 of ResNet-18, the same {STEPS} points, one picture; "
        "error against the same sum in float64", layer_ig, BOUNDS),
    Row("conductance", f"Conductance of layer3[0].conv2 of ResNet-18, {STEPS} steps, one picture of 112 by 112; error "
        "against 400 trapezoid steps in float64", conductance, BOUNDS, needs=no_conductance),
]
