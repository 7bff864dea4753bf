"""Gradients where one row does not fit: what blocks would keep for the way back is computed again instead."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import (
    TorchFunctionMode,
    _get_current_function_mode_stack,  # pyright: ignore[reportPrivateUsage]
)
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from pellucid.engine.capture import parts
from pellucid.words.errors import ModelError

Forward = Callable[..., Any]

WHOLE = {"early_stop": False} if "early_stop" in inspect.signature(checkpoint).parameters else {}
"""Says to one block that it runs to its end. Older versions of torch know it as a setting of all threads only."""


@contextmanager
def recomputing(model: nn.Module, apart: Iterable[nn.Module]) -> Iterator[None]:
    """While open, blocks of this shadow keep their inputs only, and run once more on the way back.

    A block with one of the modules of `apart` inside runs as ever: what is read there must be read once. The
    numbers are the same. Raises `model.unrepeatable` where a block writes into its inputs, or does not say the
    same twice.
    """
    found = _forwards(model, {id(m) for m in apart})
    before = {module: module.__dict__.get("forward") for module in found}
    try:
        for module, forward in found.items():
            module.__dict__["forward"] = forward
        with nullcontext() if WHOLE else set_checkpoint_early_stop(False):
            yield
    finally:
        for module, forward in before.items():
            if forward is None:
                module.__dict__.pop("forward", None)
            else:
                module.__dict__["forward"] = forward


def _forwards(model: nn.Module, apart: set[int]) -> dict[nn.Module, Forward]:
    """What the blocks run instead: the outermost modules that are small enough, and members of a row together.

    Of n layers with weights a block holds at most √n: the inputs of all blocks and the values of one are kept.
    """
    most = max(math.isqrt(_weighted(model)), 1)
    found: dict[nn.Module, Forward] = {}

    def may(module: nn.Module) -> bool:
        scripted = isinstance(module, torch.jit.ScriptModule)
        return not scripted and _weighted(module) <= most and not any(id(m) in apart for m in module.modules())

    def walk(module: nn.Module) -> None:
        left = list(module.children())
        if type(module).forward is nn.Sequential.forward and "forward" not in module.__dict__:
            runs = _runs(left, may, most)
            blocks = [may(run[0]) and (len(run) > 1 or _composed(run[0])) for run in runs]
            found[module] = partial(_by_runs, runs, blocks)
            left = [run[0] for run, block in zip(runs, blocks, strict=True) if not block]
        for child in left:
            if not _composed(child):
                continue
            if may(child) and callable(getattr(child, "forward", None)):
                found[child] = partial(_again, child.forward)
            else:
                walk(child)

    walk(model)
    return found


def _weighted(module: nn.Module) -> int:
    """How many modules with weights of their own it holds."""
    return sum(any(p is not None for p in m._parameters.values()) for m in module.modules())


def _composed(module: nn.Module) -> bool:
    return any(True for _ in module.children())


def _runs(members: list[nn.Module], may: Callable[[nn.Module], bool], most: int) -> list[list[nn.Module]]:
    """Members that follow each other, as many together as make a block; those that are none alone."""
    runs: list[list[nn.Module]] = []
    room = 0
    for member in members:
        if may(member) and _weighted(member) <= room:
            runs[-1].append(member)
            room -= _weighted(member)
        else:
            runs.append([member])
            room = most - _weighted(member) if may(member) else -1
    return runs


def _by_runs(runs: list[list[nn.Module]], blocks: list[bool], value: Any) -> Any:
    for run, block in zip(runs, blocks, strict=True):
        value = _again(partial(_through, run), value) if block else _through(run, value)
    return value


def _through(run: list[nn.Module], value: Any) -> Any:
    for layer in run:
        value = layer(value)
    return value


def _again(forward: Forward, *args: Any, **kwargs: Any) -> Any:
    """A block's output, of which autograd keeps the inputs only."""
    given = list(parts([*args, kwargs]).values())
    before = [t._version for t in given]
    said: list[list[Tensor]] = []

    def once(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        said.append([t.detach().sum().nan_to_num() for t in parts(output).values()])
        if len(said) > 1 and any(map(_differ, said[0], said[-1])):
            raise unrepeatable("a block that does not say the same twice")
        return output

    output = checkpoint(once, *args, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts, **WHOLE,
                        **kwargs)
    if [t._version for t in given] != before:
        raise unrepeatable("a block that writes into its input")
    return output


def _differ(one: Tensor, two: Tensor) -> bool:
    ghost = getattr(one, "fake_mode", None) is not None  # a run without values has none to compare
    return not ghost and not torch.equal(one, two)


def _contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    return nullcontext(), _alike(_get_current_function_mode_stack())


@contextmanager
def _alike(modes: Sequence[TorchFunctionMode]) -> Iterator[None]:
    """As on the way there: autograd on, also within a pass that lets nobody turn it on or off, and the modes that were
    open, which a way back knows nothing of."""
    with torch._C.DisableTorchFunction():
        before = torch.is_grad_enabled()
        torch._C._set_grad_enabled(True)
    try:
        with ExitStack() as stack:
            for mode in modes:
                if mode not in _get_current_function_mode_stack():
                    stack.enter_context(mode)
            yield
    finally:
        with torch._C.DisableTorchFunction():
            torch._C._set_grad_enabled(before)


def unrepeatable(found: str) -> ModelError:
    """The error for a block that cannot be run twice."""
    return ModelError("model.unrepeatable", found, "blocks that can be run again for their gradients",
                      "free memory or raise budget=, so that a row fits without")
