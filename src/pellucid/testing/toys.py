"""Toys: small models with inputs, by name, for tests of methods and of anything that is done to a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from pellucid.models.module import wrap
from pellucid.models.subject import Subject
from pellucid.testing import nets


@dataclass(frozen=True, eq=False)
class Toy:
    """A model and how it is asked.

    `make(k)` is example number k as a user would write it, one row. `layer` is one for maps and inner
    attributions. `site` is where ids are explained. `smooth` says that gradients have no kinks, `rough`
    that arithmetic is in half precision; `isolation` is what the engine is expected to choose, `error`
    the code that explaining ends with, where it does.
    """

    name: str
    model: nn.Module
    make: Callable[[int], Any]
    layer: str
    site: str | None = None
    smooth: bool = True
    rough: bool = False
    isolation: str = "shadow"
    error: str | None = None

    @property
    def x(self) -> Any:
        """The first example."""
        return self.make(0)

    @property
    def picture(self) -> bool:
        """Whether an example has channels, rows and columns."""
        return isinstance(self.x, Tensor) and self.x.dim() == 4

    def subject(self) -> Subject:
        """The model wrapped, with nothing learnt about it yet."""
        return wrap(self.model, site=self.site)


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Callable[[int], Tensor]:
    """Example k: normal numbers of a shape (one row), from a private generator."""
    return lambda k: torch.randn(1, *shape, generator=torch.Generator().manual_seed(1000 + k)).to(dtype)


def _ids(k: int) -> Tensor:
    return torch.randint(0, 20, (1, 5), generator=torch.Generator().manual_seed(1000 + k))


def _two(k: int) -> dict[str, Tensor]:
    return {"value": normal(4)(k), "context": normal(3)(50 + k)}


def _hooked() -> nn.Module:
    """A model as its owner left it: a hook that changes a value, one on a tensor, a gradient, a frozen layer."""
    model = nets.mlp(nn.GELU)
    first, second, last = model[0], model[2], model[4]
    second.register_forward_hook(lambda module, args, output: 1.5 * output)  # pyright: ignore[reportOperatorIssue]
    first.register_forward_pre_hook(lambda module, args: (args[0] * 0.9,))
    next(last.parameters()).register_hook(lambda gradient: gradient * 2)
    model(torch.ones(2, 6)).sum().backward()
    last.requires_grad_(False)
    return model


def patched(model: nn.Module) -> nn.Module:
    """The model with a forward put on it that runs the old one: a copy of it still runs the original."""
    old = model.forward
    setattr(model, "forward", lambda v: old(v) * 2)  # noqa: B010 - a plain assignment is a type error, rightly
    return model


def _patched() -> nn.Module:
    return patched(nets.mlp(nn.GELU))


def _patched_training() -> nn.Module:
    """In training mode every forward of the original moves its statistics."""
    return patched(nets.Training().train())


def _patched_leaf() -> nn.Module:
    """Only the dropout's forward is patched, and the original dropout is in training mode."""
    model = nets.Training().train()
    patched(model.drop)
    return model


def _remembering() -> nn.Module:
    model = nets.Remembering()
    model(torch.ones(2, 6))
    return model


def _frozen() -> nn.Module:
    return nets.mlp(nn.GELU).requires_grad_(False)


def _weight_normed() -> nn.Module:
    model = nets.mlp(nn.GELU)
    parametrizations.weight_norm(model[0])
    return model


IMAGE, VECTOR = normal(3, 12, 12), normal(6)

_MAKERS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Any], str, dict[str, Any]]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(5, 3)), normal(5), "0", {}),
    "quadratic": (lambda: nn.Sequential(nn.Identity(), nets.Quadratic()), normal(5), "0", {}),
    "relu_mlp": (lambda: nets.mlp(nn.ReLU), VECTOR, "2", {"smooth": False}),
    "gelu_mlp": (lambda: nets.mlp(nn.GELU), VECTOR, "2", {}),
    "cnn": (nets.Convolutional, IMAGE, "features.4", {"smooth": False}),
    "reused": (nets.Reused, IMAGE, "conv#2", {"smooth": False}),
    "residual": (nets.Residual, IMAGE, "body", {"smooth": False}),
    "vit": (nets.Vit, IMAGE, "blocks.1.norm1", {}),
    "lstm": (nets.Lstm, _ids, "lstm", {"site": "embedding"}),
    "encoder": (nets.Encoder, normal(5, 8), "encoder.layers.0", {}),
    "two_inputs": (nets.TwoInputs, _two, "value", {}),
    "dict_output": (lambda: nets.Wrapped("dict"), normal(5), "body", {}),
    "dataclass_output": (lambda: nets.Wrapped("dataclass"), normal(5), "body", {}),
    "tuples": (nets.Tuples, VECTOR, "first:0", {}),
    "training": (nets.Training, VECTOR, "norm", {}),
    "tied": (nets.Tied, VECTOR, "first", {}),
    "weight_norm": (_weight_normed, VECTOR, "2", {}),
    "half": (lambda: nets.mlp(nn.GELU).half(), normal(6, dtype=torch.float16), "2", {"rough": True}),
    "bfloat16": (lambda: nets.mlp(nn.GELU).bfloat16(), normal(6, dtype=torch.bfloat16), "2", {"rough": True}),
    "frozen": (_frozen, VECTOR, "2", {}),
    "hooked": (_hooked, VECTOR, "2", {}),
    "in_place_input": (lambda: nets.InPlaceInput(False), VECTOR, "body", {}),
    "no_grad_inside": (nets.NoGradInside, VECTOR, "trunk.0", {}),
    "interacting": (nets.Interacting, VECTOR, "body", {}),
    "writes_buffers": (nets.WritesBuffers, VECTOR, "body", {}),
    "uncopyable": (nets.Uncopyable, VECTOR, "body", {"isolation": "guard"}),
    "remembering": (_remembering, VECTOR, "body", {"isolation": "guard"}),
    "patched": (_patched, VECTOR, "2", {"isolation": "guard"}),
    "patched_training": (_patched_training, VECTOR, "norm", {"isolation": "guard"}),
    "patched_leaf": (_patched_leaf, VECTOR, "norm", {"isolation": "guard"}),
    "writes_data": (nets.WritesData, VECTOR, "body", {"error": "model.mutated"}),
    "writes_parameters": (nets.WritesParameters, VECTOR, "body", {"error": "model.mutated"}),
}

NAMES = tuple(_MAKERS)
"""Every toy."""


def toy(name: str, seed: int = 0) -> Toy:
    """A fresh toy by name; the global random state is left as it was."""
    build, make, layer, facts = _MAKERS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    if name not in ("training", "patched_training", "patched_leaf"):
        model.eval()
    return Toy(name, model, make, layer, **facts)


def twin_of_in_place_input() -> Toy:
    """The same function as the toy `in_place_input`, without the writing."""
    rude = toy("in_place_input")
    polite = nets.InPlaceInput(True)
    polite.load_state_dict(rude.model.state_dict())
    return Toy("polite", polite.eval(), rude.make, rude.layer)
