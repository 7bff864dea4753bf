"""A long run of mixed explanations: does memory grow?"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from torch import Tensor

from pellucid.explain import explain
from pellucid.models import demo

MIXED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("digits", ("saliency", "integrated_gradients", "grad_cam", "occlusion", "smooth(saliency)")),
    ("reviews", ("saliency", "integrated_gradients", "kernel_shap", "ablation")),
    ("recommender", ("input_x_gradient", "kernel_shap", "integrated_gradients")),
    ("digits-vit", ("grad_cam", "saliency", "inside(ablation)")),
    ("tumours", ("ablation", "averaged(integrated_gradients)", "saliency")),
)
"""Demo subjects, pictures, texts and tables, each with methods that ask in different ways."""

LESS: dict[str, dict[str, Any]] = {
    "kernel_shap": {"samples": 64}, "occlusion": {"window": 8, "stride": 8}, "smooth(saliency)": {"samples": 4},
    "averaged(integrated_gradients)": {"steps": 9, "baselines": ["mean", "data:0"]},
    "integrated_gradients": {"steps": 9},
}
"""Sizes that keep one explanation short; what is left over does not depend on them."""

GROWTH = 24 * 2**20
"""Resident bytes that the second half may stand above the first, after the warm-up: what allocators keep."""

TENSORS = 16
"""Live tensors that it may stand above: a cache may be filled late."""


@dataclass
class Soak:
    """Resident bytes and live tensors, one entry each time somebody looked."""

    resident: list[int] = field(default_factory=list[int])
    tensors: list[int] = field(default_factory=list[int])

    def grown(self) -> tuple[int, int]:
        """How far the medians of the last third stand above those of the third before; the first is warm-up."""
        third = len(self.tensors) // 3
        before, after = slice(third, 2 * third), slice(2 * third, None)
        return (int(median(self.resident[after]) - median(self.resident[before])),
                int(median(self.tensors[after]) - median(self.tensors[before])))

    def check(self) -> None:
        """An AssertionError that says what grew."""
        bytes_, tensors = self.grown()
        assert tensors <= TENSORS, f"{tensors} more live tensors in the last third of the run than in the one before"
        assert bytes_ <= GROWTH, f"{bytes_:,} more resident bytes in the last third of the run than in the one before"


def soak(count: int, every: int = 10, after: Callable[[Any], object] = lambda e: None) -> Soak:
    """`count` explanations in turn over subjects, their samples and methods; each is handed to `after` and dropped."""
    subjects = [(demo.demo(name), demo.samples(name), methods) for name, methods in MIXED]
    seen = Soak()
    gc.collect()
    gc.freeze()  # what was there before is not looked through each time
    try:
        _explained(count, every, subjects, seen, after)
    finally:
        gc.unfreeze()
    return seen


def _explained(count: int, every: int, subjects: list[Any], seen: Soak, after: Callable[[Any], object]) -> None:
    for k in range(count):
        subject, samples, methods = subjects[k % len(subjects)]
        turn = k // len(subjects)
        method = methods[turn % len(methods)]
        options: dict[str, Any] = {"layer": "blocks.0"} if method.startswith("inside") else LESS.get(method, {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            after(explain(subject, samples[turn // len(methods) % len(samples)], method, **options))
        if k % every == every - 1:
            gc.collect()
            seen.resident.append(resident())
            seen.tensors.append(sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()))


def resident() -> int:
    """Resident bytes of this process; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
