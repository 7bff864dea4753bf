"""Memory does not grow with steps, samples, windows or baselines: sixteen times as many, the same peak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench import models
from bench.row import Bound, Contest, Row
from bench.rows.perturbation import segments
from bench.setup import Setup

PATCHES = segments(224, 32)
GROWTH: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "integrated_gradients": ({"steps": 32}, {"steps": 512}, "steps"),
    "conductance": ({"steps": 32, "layer": "2"}, {"steps": 512, "layer": "2"}, "steps"),
    "occlusion": ({"stride": 32}, {"stride": 8}, "windows"),
    "kernel_shap": ({"samples": 256}, {"samples": 4096}, "samples"),
    "smooth(saliency)": ({"samples": 16}, {"samples": 256}, "samples"),
    "averaged(integrated_gradients)": ({"baselines": 4, "steps": 8}, {"baselines": 64, "steps": 8}, "baselines"),
}
SHARED: dict[str, dict[str, Any]] = {"occlusion": {"window": 32, "features": "pixels"},
                                     "kernel_shap": {"features": PATCHES, "tolerance": 0},
                                     "smooth(saliency)": {"tolerance": 0}}


def build(setup: Setup) -> Contest:
    import pellucid

    model, x = models.small_cnn(setup.device), models.pictures(1, setup.device)

    def ask(method: str, options: dict[str, Any]) -> Callable[[], Any]:
        options = {**SHARED.get(method, {}), **options}
        count = options.get("baselines")
        if count is not None:
            options["baselines"] = [torch.full(x.shape[1:], k / count, device=x.device) for k in range(count)]
        return lambda: pellucid.explain(model, x, method, target=1, chunk=16, **options) and None

    sides, pairs = {}, []
    for method, (few, many, what) in GROWTH.items():
        if known(method):
            pairs.append((f"{method}, 16 × the {what}", f"{method}, few {what}"))
            sides |= {pairs[-1][0]: ask(method, many), pairs[-1][1]: ask(method, few)}
    return Contest(sides, pairs=pairs)


def known(method: str) -> bool:
    from pellucid import catalog

    return method.partition("(")[0] in {*catalog.methods(), *catalog.compositions()}


ROWS = [
    Row("memory_flat", "Peak memory with 16 times the steps, windows, samples or baselines, a small network in chunks "
        "of 16 rows", build, [Bound("memory", f"{method}, few {what}", 1.10, f"{method}, 16 × the {what}")
                           for method, (_, _, what) in GROWTH.items()], measures=("memory",)),
]
