"""KernelSHAP and LIME on a picture: a small network, so that everything around it shows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench import models
from bench.row import Contest, Row
from bench.rows.perturbation import BOUNDS, FLOOR, PEER, floor, segments
from bench.setup import Setup

SAMPLES = 1000


def kernel_shap(setup: Setup) -> Contest:
    from captum.attr import KernelShap

    return drawn(setup, KernelShap, "kernel_shap")


def lime(setup: Setup) -> Contest:
    from captum.attr import Lime

    return drawn(setup, Lime, "lime")


def drawn(setup: Setup, peer: type, method: str) -> Contest:
    """1,000 coalitions of 196 patches; each side draws its own, so their errors are another row's matter."""
    model, x, places = models.small_cnn(setup.device), models.pictures(1, setup.device), segments(224, 16)
    (wanted,) = models.classes_of(model, x)
    mask = places.to(x.device)[None, None]

    def captum(batch: int) -> Tensor:
        torch.manual_seed(0)
        return peer(model).attribute(x, target=wanted, feature_mask=mask, n_samples=SAMPLES,
                                     perturbations_per_eval=batch)

    best = setup.best("captum's best perturbations_per_eval", {n: lambda n=n: captum(n) for n in (1, 16, 64, 256)})
    all_of_them: dict[str, Any] = {"tolerance": 0} if method == "kernel_shap" else {}
    ours = setup.ours(model, x, method, samples=SAMPLES, features=places, target=wanted, **all_of_them)
    return Contest({**ours, FLOOR: floor(setup, model, x, SAMPLES + 2), PEER: lambda: captum(best)})


def no_lime() -> str | None:
    from pellucid import catalog

    return None if "lime" in catalog.methods() else "no method lime"


ROWS = [
    Row("kernel_shap", "KernelSHAP of a small network with 1,000 coalitions of 196 patches (errors: see shapley_error)",
        kernel_shap, BOUNDS),
    Row("lime", "LIME of the same network with 1,000 coalitions of 196 patches", lime, BOUNDS, needs=no_lime),
]
