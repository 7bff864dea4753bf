"""Twelve kinds of models that explanations meet, in the state in which their owners use them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations

from pellucid.testing import nets
from pellucid.testing.toys import VECTOR, Toy, toy


def _compiled() -> nn.Module:
    return torch.compile(nets.mlp(nn.ReLU), backend="eager")  # pyright: ignore[reportReturnType]


def _compiled_inside() -> nn.Module:
    inner = torch.compile(nn.Sequential(nn.Linear(8, 6), nn.Tanh()), backend="eager")
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), inner, nn.Linear(6, 3))  # pyright: ignore[reportArgumentType]


def _quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces where this will live
        return torch.ao.quantization.quantize_dynamic(nets.mlp(nn.ReLU).eval(), {nn.Linear}, dtype=torch.qint8)


def _spectral() -> nn.Module:
    model = nets.mlp(nn.ReLU)
    parametrizations.spectral_norm(model[0])
    return model


MADE: dict[str, tuple[Callable[[], nn.Module], str, bool]] = {
    "spectral_norm": (_spectral, "2", False),
    "quantised": (_quantised, "2", False),
    "compiled": (_compiled, "2", False),
    "compiled_inside": (_compiled_inside, "0", True),
}
"""What is no toy yet, over six numbers: how it is made, its layer, whether it is smooth."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "in-place": ("cnn", "residual", "in_place_input"),
    "reused": ("reused",),
    "batch norm": ("training",),
    "tied": ("tied",),
    "recurrent": ("lstm",),
    "attention": ("encoder", "vit"),
    "parametrised": ("weight_norm", "spectral_norm"),
    "quantised": ("quantised",),
    "compiled": ("compiled", "compiled_inside"),
    "hooked": ("hooked",),
    "frozen": ("frozen",),
    "half": ("half", "bfloat16"),
}
"""Kinds of models, each with the toys that are of it."""


@dataclass(frozen=True)
class Owner:
    """How a model is used: `busy` in the middle of its training, with gradients that wait for a step; `stray` with a
    value as an attribute that cannot be copied, so that there is no shadow."""

    busy: bool = False
    stray: bool = False


def owned(name: str, owner: Owner) -> Toy:
    """A fresh toy as its owner left it; the same name and owner give the same weights again."""
    made = _toy(name)
    model = made.model
    if owner.busy:
        model.train()
        for p in model.parameters():
            if p.requires_grad:
                p.grad = torch.full_like(p, 0.5)
    if owner.stray:
        # A compiled model is asked behind its wrapper.
        inner: Any = getattr(model, "_orig_mod", model)
        inner.stray = torch.ones(1, requires_grad=True) * 2
        made = replace(made, isolation="guard")
    return made


def _toy(name: str) -> Toy:
    if name not in MADE:
        return toy(name)
    build, layer, smooth = MADE[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build()
    return Toy(name, model.eval(), VECTOR, layer, smooth=smooth)
