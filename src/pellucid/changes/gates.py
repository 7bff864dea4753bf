"""ReLUs that pass gradients on differently: guided backpropagation and deconvnet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pellucid.words.errors import ModelError
from pellucid.words.method import Need
from pellucid.words.modes import Watching

THRESHOLD, HARDTANH = torch.ops.aten.threshold_backward.default, torch.ops.aten.hardtanh_backward.default
"""How the gradient of a ReLU, and of one that is cut off above, is computed: module, function, in place, script."""

OTHERS = {f"aten::{op}_backward": op.strip("_").removesuffix("_kernel").removesuffix("_with_noise") for op in (
    "gelu", "silu", "mish", "leaky_relu", "elu", "_prelu_kernel", "rrelu_with_noise", "softplus", "hardswish",
    "hardsigmoid", "sigmoid", "tanh", "log_sigmoid", "softshrink", "hardshrink", "glu", "hardtanh", "threshold")}
"""Gradients of other gates by their operator: what a model without ReLUs is said to have instead."""


@dataclass(frozen=True)
class Gates:
    """Every ReLU hands on positive gradients only.

    `guided`: where its input was positive too (Springenberg et al., arXiv:1412.6806); `deconvnet`: wherever the
    gradient is (Zeiler and Fergus, arXiv:1311.2901). The same goes for a ReLU6. The rule is known for these
    alone: other gates pass gradients on as ever, which the verdict says by name.
    """

    kind: str

    @property
    def name(self) -> str:
        return self.kind

    @property
    def twin(self) -> bool:
        return True

    @property
    def backward(self) -> bool:
        """It works on the way back from the score: whoever walks that himself does not get to see it."""
        return True

    @property
    def needs(self) -> tuple[Need, ...]:
        """What the model must have for this change to mean something."""
        return (Need.GATES,)

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        watch = _Backward(self.kind == "deconvnet")
        with _as_written(model), watch:
            yield
        if watch.backwards and not watch.relus:
            others = ", ".join(watch.others) or "no other gate either"
            raise ModelError("method.unfit", f"no ReLU on the way back from the score ({others})",
                             f"ReLUs, whose gradient {self.kind} changes", "choose integrated_gradients or saliency")


@contextmanager
def _as_written(model: nn.Module) -> Iterator[None]:
    """While open, scripted parts run operation by operation, in copies that never did otherwise.

    After its first runs a script differentiates itself, by formulas in which its ReLUs cannot be told.
    """
    scripts: list[nn.Module] = [m for m in model.modules() if isinstance(m, torch.jit.ScriptModule)]
    inner = {id(part) for m in scripts for part in m.modules() if part is not m}
    # A script keeps its own forward there once it has run; anybody else's function runs what it likes.
    before = {m: m.__dict__.get("forward") for m in scripts if id(m) not in inner}
    before = {m: f for m, f in before.items() if f is None or isinstance(f, torch._C.ScriptMethod)}
    with torch.jit.optimized_execution(False):  # pyright: ignore[reportPrivateImportUsage]
        try:
            for module in before:
                file = io.BytesIO()
                torch.jit.save(module, file)
                file.seek(0)
                copy = torch.jit.load(file)
                for parameter in copy.parameters():
                    parameter.requires_grad_(False)
                module.__dict__["forward"] = copy.forward
            yield
        finally:
            for module, forward in before.items():
                module.__dict__.pop("forward", None)
                if forward is not None:
                    module.__dict__["forward"] = forward


class _Backward(Watching):
    """Changes the gradients of ReLUs, and counts them."""

    def __init__(self, everywhere: bool) -> None:
        super().__init__()
        self.everywhere, self.relus, self.backwards = everywhere, 0, 0
        self.others: dict[str, None] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch._C._current_autograd_node() is None:
            return func(*args, **(kwargs or {}))
        self.backwards += 1
        # Both are (gradient, input, lower end, …); a ReLU's lower end is 0.
        if func in (THRESHOLD, HARDTANH) and args[2] == 0:
            self.relus += 1
            return args[0].clamp(min=0) if self.everywhere else func(*args, **(kwargs or {})).clamp(min=0)
        if func.name() in OTHERS:
            self.others[OTHERS[func.name()]] = None
        return func(*args, **(kwargs or {}))


GUIDED, DECONVNET = Gates("guided"), Gates("deconvnet")
