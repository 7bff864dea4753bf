"""Integrated gradients at the same points: the same sum, so only the way of computing it differs."""

from __future__ import annotations

import copy

from torch import Tensor

from bench import models
from bench.row import TUNED, Bound, Contest, Row
from bench.setup import Setup

DEFAULT, BEST = "captum", "captum, best chunk"
STEPS = 50


def build(setup: Setup) -> Contest:
    from captum.attr import IntegratedGradients

    model, x = models.resnet(18, setup.device), models.pictures(1, setup.device)
    (wanted,) = models.classes_of(model, x)
    peer = IntegratedGradients(model)

    def captum(chunk: int | None) -> Tensor:
        return peer.attribute(x, target=wanted, n_steps=STEPS, internal_batch_size=chunk)

    def reference() -> Tensor:
        wide = IntegratedGradients(copy.deepcopy(model).double())
        return wide.attribute(x.double(), target=wanted, n_steps=STEPS, internal_batch_size=10)

    tried = (2, 8, 16) if setup.quick else (1, 2, 4, 8, 16, 25)
    best = setup.best("captum's best internal_batch_size", {n: lambda n=n: captum(n) for n in tried})
    ours = setup.ours(model, x, "integrated_gradients", steps=STEPS, target=wanted)
    return Contest({**ours, DEFAULT: lambda: captum(None), BEST: lambda: captum(best)}, reference)


BOUNDS = [
    Bound(what, against, most, ours)
    for ours in ("pellucid", TUNED)
    for what, against, most in (("time", DEFAULT, 0.40), ("time", BEST, 1.0), ("memory", DEFAULT, 0.30))
]

ROWS = [
    Row("ig_same_points", f"Integrated gradients of ResNet-18 at the same {STEPS} Gauss-Legendre points, one picture, "
        "against the same sum in float64", build, BOUNDS, ("time", "error", "memory"), seconds=40),
]
