"""ReLUs that pass gradients on differently: guided backpropagation and deconvnet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pellucid.words.errors import ModelError
from pellucid.words.modes import Watching

HARDTANH = torch.ops.aten.hardtanh_backward.default
GATES = {torch.ops.aten.threshold_backward.default, HARDTANH}
"""How the gradient of a ReLU (and of a ReLU6) is computed, whoever wrote it: module, function, in place, script."""


@dataclass(frozen=True)
class Gates:
    """Every ReLU hands on positive gradients only.

    `guided`: where its input was positive too (Springenberg et al.); `deconvnet`: wherever the gradient is
    (Zeiler and Fergus). The rule is known for ReLUs alone; other gates pass gradients on as ever.
    """

    kind: str

    @property
    def name(self) -> str:
        return self.kind

    @property
    def twin(self) -> bool:
        return True

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        watch = _Backward(self.kind == "deconvnet")
        with watch:
            yield
        if watch.backwards and not watch.gates:
            raise ModelError("method.unfit", f"a model without any ReLU on the way back ({self.kind})",
                             "ReLUs, whose gradient this method changes", "choose integrated_gradients or saliency")


class _Backward(Watching):
    """Changes the gradients of ReLUs, and counts them."""

    def __init__(self, everywhere: bool) -> None:
        super().__init__()
        self.everywhere, self.gates, self.backwards = everywhere, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.backwards += "backward" in func.name()
        if func not in GATES or (func is HARDTANH and args[2] != 0):
            return func(*args, **(kwargs or {}))
        self.gates += 1
        return args[0].clamp(min=0) if self.everywhere else func(*args, **(kwargs or {})).clamp(min=0)


GUIDED, DECONVNET = Gates("guided"), Gates("deconvnet")
