"""Captum's side of a comparison: its classes on a copy, with its global random states put back."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from captum import attr
from oracle_nets import mlp, normal, settled
from torch import Tensor, nn

F64 = torch.float64


class Convs(nn.Module):
    """Two convolutions of modules that every class of captum's knows, each used once."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.gate1, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)
        self.two, self.gate2, self.head = nn.Conv2d(4, 5, 3), nn.ReLU(), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gate2(self.two(self.pool(self.gate1(self.one(x))))).mean((2, 3)))


CONVS, PICTURE = settled(Convs(), 1, F64), normal(1, 3, 8, 8, seed=1, dtype=F64)
STEPS, BOX = {"n_steps": 12}, {"sliding_window_shapes": (3, 2, 2), "strides": (3, 2, 2)}
DARK = normal(3, 8, 8, seed=2, dtype=F64) / 3
MLP, VECTOR, ZERO = mlp(dtype=F64), normal(1, 6, seed=3, dtype=F64), normal(6, seed=4, dtype=F64) / 3


@contextmanager
def drawn(seed: int = 0) -> Iterator[None]:
    """captum's global random states begin where ours do, and are put back."""
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        yield
    np.random.set_state(before)


def theirs(name: str, net: nn.Module, x: Tensor, layer: str | None = None, **call: Any) -> Tensor:
    """What captum itself says, on a copy; of the third class, or of a neuron."""
    own = copy.deepcopy(net)
    kind = getattr(attr, name)
    made = kind(own, own.get_submodule(layer)) if layer else kind(own)
    call |= {"target": 2} if "target" in inspect.signature(kind.attribute).parameters else {}
    with drawn():
        return made.attribute(x.clone().requires_grad_(isinstance(made, attr.GradientAttribution)), **call).detach()


def close(found: Tensor, wanted: Tensor, tolerance: float = 1e-6) -> None:
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= tolerance * float(wanted.abs().max())
