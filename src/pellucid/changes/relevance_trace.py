"""What relevance knows about the values of a pass, and how an operation gets another gradient."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import WeakIdKeyDictionary

from pellucid.changes.relevance_rules import Affine
from pellucid.words.errors import ModelError

INSTEAD = "choose integrated_gradients, which needs only a gradient"

HALF = (torch.float16, torch.bfloat16)


class Ruled(torch.autograd.Function):
    """`value(*inputs)` forwards, `back(gradient, *inputs)` backwards: one gradient per input, or None.

    Inputs are kept, and nothing else: what a rule needs beside them is computed on the way back.
    """

    @staticmethod
    def forward(ctx: Any, value: Callable[..., Tensor], back: Callable[..., Any], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        ctx.back = back
        found = value(*inputs)
        # What comes from a function of one's own may be written into only where it is no view.
        return torch.ops.aten._unsafe_view(found, found.shape) if found._is_view() else found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (g,), inputs = gradients, ctx.saved_tensors
        wide = torch.float32 if g.dtype in HALF else g.dtype
        # Modes off: grad mode is this rule's own to set, and its operations are nobody's to change.
        with torch._C.DisableTorchFunction(), torch.enable_grad():
            found = ctx.back(g.to(wide), *(t.detach().to(wide) for t in inputs))
        found = found if isinstance(found, tuple) else (found,)
        return None, None, *(None if f is None else f.to(t.dtype) for f, t in zip(found, inputs, strict=True))


def ruled(value: Callable[..., Tensor], back: Callable[..., Any], *inputs: Tensor) -> Tensor:
    return Ruled.apply(value, back, *inputs)  # pyright: ignore[reportReturnType]


def factor(value: Tensor, of: int = 2) -> Tensor:
    """The same value, to which an equal part of its gradient goes: what a factor of a product of so many gets."""
    seen = value.view_as(value)
    seen.register_hook(lambda g: g / of)
    return seen


@dataclass(frozen=True)
class Mark:
    """What is known of a value that depends on the input.

    `after` a weighted layer; `positive` where it is nowhere below zero for sure; `gate` from 0 (a signal) to 2
    (between 0 and 1): of two factors the one that is more of a gate is taken as constant.
    """

    after: bool = False
    positive: bool = False
    gate: int = 0


@dataclass(frozen=True, eq=False)
class Made:
    """Which layer made a value of what, for a BatchNorm that may follow; `version` is the value's at that time."""

    layer: Affine
    x: Tensor
    version: int


class Marks:
    """Marks by storage: a view is known by what it looks at."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[StorageWeakRef, Mark]] = {}
        self._made = WeakIdKeyDictionary()

    def of(self, value: Tensor) -> Mark | None:
        known = self._known.get(value.untyped_storage()._cdata) if value.layout is torch.strided else None
        return None if known is None else known[1]

    def put(self, value: Tensor, mark: Mark, *, in_place: bool = False) -> None:
        if value.layout is not torch.strided:
            return
        before = self.of(value)
        if in_place and before is not None and value.numel() * value.element_size() < value.untyped_storage().nbytes():
            # The rest of the storage is as it was: what is said of it must hold for both.
            mark = Mark(mark.after or before.after, mark.positive and before.positive, min(mark.gate, before.gate))
        ref = StorageWeakRef(value.untyped_storage())
        self._known[ref.cdata] = ref, mark

    def made(self, value: Tensor) -> Made | None:
        found = self._made.get(value)
        return found if found is not None and found.version == value._version else None

    def came(self, value: Tensor, layer: Affine, x: Tensor) -> None:
        self._made[value] = Made(layer, x, value._version)


class _Hole:
    """Where a tensor stands among arguments, by its number."""

    def __init__(self, number: int) -> None:
        self.number = number


class Call:
    """One call of an operation, by its plain name; `tensors` are those among its arguments, in order."""

    def __init__(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], in_place: bool) -> None:
        self.func, self.name, self.args, self.kwargs, self.in_place = func, name, args, kwargs, in_place
        self.tensors = list(tensors((args, kwargs)))
        self.live = [k for k, t in enumerate(self.tensors) if t.requires_grad]

    def run(self) -> Any:
        return self.func(*self.args, **self.kwargs)

    def given(self, *names: str) -> list[Any]:
        """Arguments by the names of the operation's first parameters."""
        return [self.args[k] if k < len(self.args) else self.kwargs.get(name) for k, name in enumerate(names)]

    def over(self, *numbers: int) -> Callable[..., Any]:
        """The operation as a function of these tensors alone, which are not held on to."""
        func, found = self.func, list[Tensor]()
        args, kwargs = _emptied((self.args, self.kwargs), found)
        held = {k: t for k, t in enumerate(found) if k not in numbers}

        def of(*given: Tensor) -> Any:
            filled = {**held, **dict(zip(numbers, given, strict=True))}
            return func(*_filled(args, filled), **_filled(kwargs, filled))

        return of


def _emptied(value: Any, found: list[Tensor]) -> Any:
    """The same arguments with holes for tensors, which are put into `found`."""
    if isinstance(value, Tensor):
        found.append(value)
        return _Hole(len(found) - 1)
    if isinstance(value, list | tuple):
        return [_emptied(v, found) for v in value] if type(value) is not tuple else tuple(
            _emptied(v, found) for v in value)
    return {k: _emptied(v, found) for k, v in value.items()} if type(value) is dict else value


def _filled(value: Any, tensors: dict[int, Tensor]) -> Any:
    if isinstance(value, _Hole):
        return tensors[value.number]
    if isinstance(value, list | tuple):
        return type(value)(_filled(v, tensors) for v in value) if type(value) in (list, tuple) else value
    return {k: _filled(v, tensors) for k, v in value.items()} if type(value) is dict else value


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors among arguments or results, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors(inner)
    elif isinstance(value, dict):
        yield from tensors(tuple(value.values()))


def place(model: nn.Module) -> str:
    """The module whose forward is running: the innermost of this model that is on the stack."""
    names, frame = {id(m): name for name, m in model.named_modules()}, sys._getframe(1)
    while frame is not None:
        name = names.get(id(frame.f_locals.get("self")))
        if name is not None:
            return name or "the model's own forward"
        frame = frame.f_back
    return "the model"


def unfit(model: nn.Module, what: str, why: str = "for which relevance has no rule") -> ModelError:
    """The error for an operation without a rule, by name and place."""
    return ModelError("method.unfit", f"{what} at {place(model)}, {why}", "operations that relevance has a rule for",
                      INSTEAD)
