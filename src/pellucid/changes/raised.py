"""A model in half precision, computed in single precision meanwhile: what its own number format does to an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Raised:
    """Weights, buffers and inputs of 16 bits as the same numbers in float32."""

    @property
    def name(self) -> str:
        return "raised"

    @property
    def twin(self) -> bool:
        return False

    @property
    def quiet(self) -> bool:
        return True

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        kept: list[tuple[nn.Module, str, Tensor]] = [
            (module, name, held) for module in model.modules() for part in (module._parameters, module._buffers)
            for name, held in part.items() if held is not None and held.dtype in HALVES]
        handle = model.register_forward_pre_hook(_widened, with_kwargs=True)
        try:
            for module, name, held in kept:
                wide = held.detach().float()
                # By attribute: a recurrent layer keeps a list of its weights up to date that way.
                setattr(module, name, nn.Parameter(wide, False) if isinstance(held, nn.Parameter) else wide)
            yield
        finally:
            handle.remove()
            for module, name, held in kept:
                setattr(module, name, held)


RAISED = Raised()


def _widened(module: nn.Module, args: Any, kwargs: Any) -> Any:
    return _pytree.tree_map(_wide, args), _pytree.tree_map(_wide, kwargs)


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in HALVES else value
