"""The shadow: a copy of the model that shares its weights' storage, so that the user's is never touched."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from pellucid.words.errors import ModelError


def unwrapped(model: nn.Module) -> nn.Module:
    """The module behind torch.compile, which would run without our hooks."""
    inner = getattr(model, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else model


def cast(model: nn.Module) -> nn.Module:
    """A shadow of the model: parameters and buffers over the same storage where that is safe.

    Parameters are shared (nothing writes them); buffers are copied (a forward may update them). Raises
    RuntimeError or TypeError where the model cannot be copied (a non-leaf tensor kept as attribute).
    """
    memo: dict[int, Any] = {}
    with torch.inference_mode(False):
        for parameter in model.parameters():
            memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
        shadow = copy.deepcopy(model, memo)
    for module in shadow.modules():
        module.training = False
    return shadow


class _Escape(TorchFunctionMode):
    """Watches one run for operations on the original's own parameters."""

    def __init__(self, owned: set[int]) -> None:
        super().__init__()
        self.owned, self.seen = owned, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.seen:
            self.seen = any(id(a) in self.owned for a in args if isinstance(a, Tensor))
        return func(*args, **(kwargs or {}))


def structure(model: nn.Module) -> tuple[tuple[str, int], ...]:
    """Which modules the model is made of."""
    return tuple((name, id(module)) for name, module in model.named_modules())


def patched(model: nn.Module) -> tuple[int, ...]:
    """The forwards that were put on single modules, by which a shadow may be left."""
    return tuple(id(m.__dict__["forward"]) for m in model.modules() if "forward" in m.__dict__)


class Watch:
    """Finds a shadow whose forward still runs the original (a patched `model.forward`)."""

    def __init__(self, model: nn.Module) -> None:
        self._mode = _Escape({id(p) for p in model.parameters()} | {id(b) for b in model.buffers()})

    @contextmanager
    def watching(self) -> Iterator[None]:
        with self._mode:
            yield

    @property
    def escaped(self) -> bool:
        return self._mode.seen


_LOCKS: WeakIdKeyDictionary = WeakIdKeyDictionary()
_LOCKS_GUARD = threading.Lock()


def _lock_of(model: nn.Module) -> threading.RLock:
    with _LOCKS_GUARD:
        if model not in _LOCKS:
            _LOCKS[model] = threading.RLock()
        return _LOCKS[model]


@contextmanager
def guarded(model: nn.Module) -> Iterator[nn.Module]:
    """The model itself, where no shadow can be cast: one user at a time, everything put back.

    Flags, gradients and buffers are restored in all cases; hooks are removed by who set them.
    """
    with _lock_of(model):
        modes = [(m, m.training) for m in model.modules()]
        wanted = [(p, p.requires_grad, p.grad) for p in model.parameters()]
        buffers = [(b, b.detach().clone(), b._version) for b in model.buffers()]
        try:
            for module, _ in modes:
                module.training = False
            for parameter, _, _ in wanted:
                if parameter.is_leaf:
                    parameter.requires_grad_(False)
            yield model
        finally:
            for module, training in modes:
                module.training = training
            for parameter, needs, grad in wanted:
                if parameter.is_leaf:
                    parameter.requires_grad_(needs)
                parameter.grad = grad
            with torch.no_grad():
                for buffer, value, version in buffers:
                    if buffer._version != version:
                        buffer.copy_(value)


def versions(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """What would show that somebody wrote into the weights."""
    return tuple((id(p), p._version) for p in (*model.parameters(), *model.buffers()))


def assert_unchanged(model: nn.Module, before: tuple[tuple[int, int], ...]) -> None:
    """Raise where a forward wrote into shared weights."""
    if versions(model) != before:
        raise ModelError(
            "model.mutated", "weights that changed during the forward", "a forward that only reads its weights",
            "move the writing out of forward(), or explain a copy of the model",
        )
