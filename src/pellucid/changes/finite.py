"""Nothing is changed: the first place is noted where numbers stop being finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from pellucid.words.modules import hookable

OWN = "the model's own forward"


@dataclass(eq=False)
class Unfinite:
    """`forward` is the first module that says what is not finite, `backward` the first that hands it back.

    Empty where there is none. A module inside another ends before it, so that the innermost is named.
    """

    forward: str = ""
    backward: str = ""

    @property
    def name(self) -> str:
        return "unfinite"

    @property
    def twin(self) -> bool:
        return False

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            for name, module in hookable(model):

                def hook(m: nn.Module, args: Any, output: Any, name: str = name) -> None:
                    self._listen(f"{name} ({type(m).__name__})" if name else OWN, args, output)

                stack.callback(module.register_forward_hook(hook).remove)
            yield

    def _listen(self, name: str, args: Any, output: Any) -> None:
        said = _tensors(output)
        if not self.forward and not all(_finite(t) for t in said):
            self.forward = name
        fine = True  # whether what comes back to this module from behind it is finite

        def behind(gradient: Tensor) -> None:
            nonlocal fine
            fine = fine and _finite(gradient)

        def before(gradient: Tensor) -> None:
            if fine and not self.backward and not _finite(gradient):
                self.backward = name

        for tensor in said:
            if tensor.requires_grad:
                tensor.register_hook(behind)
        for tensor in _tensors(args):
            if tensor.requires_grad:
                tensor.register_hook(before)


def _tensors(tree: Any) -> list[Tensor]:
    return [t for t in _pytree.tree_leaves(tree) if isinstance(t, Tensor) and t.is_floating_point()]


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
