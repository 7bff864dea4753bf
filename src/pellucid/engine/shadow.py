"""The shadow: a copy of the model that shares its weights' storage, so that the user's is never touched."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from types import CellType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from pellucid.engine.copying import ATOMS, HOOKS, copied
from pellucid.words.errors import ModelError
from pellucid.words.modes import Watching

Versions = tuple[tuple[int, int], ...]
"""Parameters and buffers by identity, and how often each was written to."""


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
        shadow = copied(model, memo)
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


def structure(model: nn.Module) -> tuple[tuple[Hashable, ...], ...]:
    """Which modules the model is made of, and what is written on each: settings and hooks, not its weights.

    Lists and dictionaries count by identity: a model may keep a log.
    """
    return tuple((name, id(module), *[v if type(v) in ATOMS else (k, _written(v, k in HOOKS))
                                      for k, v in module.__dict__.items()
                                      if k not in _APART and not (k in HOOKS and not v)])
                 for name, module in model.named_modules())


def _written(value: Any, hooks: bool) -> Hashable:
    """Hooks by who they are, a tuple by what is in it, anything else by identity."""
    if hooks and isinstance(value, dict):
        return tuple((k, id(v)) for k, v in value.items())
    if isinstance(value, tuple):
        return tuple(v if type(v) in ATOMS else id(v) for v in value)
    return id(value)


def patched(model: nn.Module) -> tuple[int, ...]:
    """The forwards that were put on single modules, by which a shadow may be left."""
    return tuple(id(m.__dict__["forward"]) for m in model.modules() if "forward" in m.__dict__)


def leaves(model: nn.Module) -> bool:
    """True where a function on a module holds on to the original's own modules: a copy would still run them.

    Seen before anything runs, since what it would run may be in training mode.
    """
    own = {id(m) for m in model.modules()} | {id(p) for p in model.parameters()}
    return any(_holds(value, own, 3) for m in model.modules() for value in m.__dict__.values()
               if isinstance(value, FunctionType))


def _holds(thing: Any, own: set[int], depth: int) -> bool:
    if id(thing) in own or id(getattr(thing, "__self__", None)) in own:
        return True
    if depth == 0 or not isinstance(thing, FunctionType):
        return False
    cells = [c.cell_contents for c in thing.__closure__ or () if c != EMPTY]
    return any(_holds(inner, own, depth - 1) for inner in (*cells, *(thing.__defaults__ or ())))


class Unwritten(Watching):
    """While open, a model that writes into its own weights is stopped before it does.

    Version counters would see most of it afterwards, but not what is written through `.data`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.weights = {p.untyped_storage().data_ptr() for p in model.parameters() if not p.is_meta} - {0}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for k, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[k] if k < len(args) else kwargs.get(argument.name)
                if type(given) in (Tensor, nn.Parameter) and given.untyped_storage().data_ptr() in self.weights:
                    raise mutated()
        return func(*args, **kwargs)


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


EMPTY = CellType()
_NAMED = ("_parameters", "_buffers", "_modules")
_APART = frozenset({*_NAMED, "training"})
"""Looked at for themselves, or not at all: a shadow is always in evaluation."""

_LOCKS: WeakIdKeyDictionary = WeakIdKeyDictionary()
_LOCKS_GUARD = threading.Lock()


def lock_of(model: nn.Module) -> threading.RLock:
    """Whoever holds it is the only one who looks at the model as a whole, copies it or has it under guard."""
    with _LOCKS_GUARD:
        if model not in _LOCKS:
            _LOCKS[model] = threading.RLock()
        return _LOCKS[model]


@contextmanager
def guarded(model: nn.Module) -> Iterator[nn.Module]:
    """The model itself, where no shadow can be cast: one user at a time, everything put back.

    Flags, gradients, attributes and hooks are restored in all cases, buffers are replaced by copies meanwhile.
    """
    with lock_of(model):
        kept = [(m.__dict__, dict(m.__dict__), {k: dict(m.__dict__[k]) for k in (*_NAMED, *HOOKS) if k in m.__dict__})
                for m in model.modules()]
        wanted = [(p, p.requires_grad, p.grad) for p in model.parameters()]
        try:
            copies = {id(b): b.detach().clone() for b in model.buffers()}
            for module in model.modules():
                module.training = False
                for name, buffer in module._buffers.items():
                    if buffer is not None:
                        module._buffers[name] = copies[id(buffer)]
            for parameter, _, _ in wanted:
                if parameter.is_leaf:
                    parameter.requires_grad_(False)
            yield model
        finally:
            for now, before, named in kept:
                _restore(now, before)
                for name, parts in named.items():
                    _restore(now[name], parts)
            for parameter, needs, grad in wanted:
                if parameter.is_leaf:
                    parameter.requires_grad_(needs)
                parameter.grad = grad


def _restore(now: dict[str, Any], before: dict[str, Any]) -> None:
    """Put a dictionary back without a moment in which it is empty: a Ctrl-C may come at any time."""
    for key in [k for k in now if k not in before]:
        del now[key]
    now.update(before)


def versions(model: nn.Module, *, buffers: bool = True) -> Versions:
    """What would show that somebody wrote into the weights."""
    return tuple((id(p), p._version) for p in (*model.parameters(), *(model.buffers() if buffers else ())))


def assert_unchanged(model: nn.Module, before: Versions, *, buffers: bool = True) -> None:
    """Raise where a forward wrote into shared weights."""
    if versions(model, buffers=buffers) != before:
        raise mutated()


def mutated() -> ModelError:
    """The error for a forward that writes into its weights."""
    return ModelError("model.mutated", "a forward that writes into its own weights", "a forward that only reads them",
                      "move the writing out of forward(), or explain a copy of the model")
