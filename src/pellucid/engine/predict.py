"""What a pass will hold, told before it runs: the pass itself, on tensors that have shapes and no values."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from pellucid.engine import memory, passes, probe, shadow
from pellucid.engine.assemble import assemble
from pellucid.engine.capture import parts
from pellucid.engine.memory import MOST_ROWS, Alive, Forecast
from pellucid.engine.share import Piece
from pellucid.words.target import Class, Contrast, Function, Predicted, Target

if TYPE_CHECKING:
    from pellucid.engine.group import Group

KEPT = 8
"""Values that a model may keep for every value of a layer, in the guess of whether predicting is worth its time."""


RUNS = (2, MOST_ROWS)
"""Rows of the two runs without values."""


DEAR = 16
"""How much more must be at stake where torch's compiler, without which shapes cannot be run alone, is not loaded
yet: that takes seconds, once in a process."""

COMPILER = 2**30
"""Free bytes from which it is loaded at all; an import that ends in the middle would spoil it for everybody."""


def matters(group: Group, rows: int) -> bool:
    """Whether so many rows could fill what a pass may take, so that knowing it before is worth the time."""
    stake, budget = rows * guess(group), group.settings.budget
    if stake <= (memory.LITTLE if budget is None else budget):
        return False
    loaded, have = "torch._dynamo" in sys.modules, memory.free_bytes(group.device)
    if not loaded and have < COMPILER:
        return False
    if budget is not None or stake // KEPT > have:
        return True
    return rows > 1 and stake > memory.COMFORT * (1 if loaded else DEAR)


def guess(group: Group) -> int:
    """A generous guess of a row's bytes, from its size and the widths of the model's layers; costs nothing.

    It only says whether the row is worth a prediction: every position of the input is thought to pass every layer.
    """
    if "widths" not in group.facts:
        group.facts["widths"] = sum(min(p.shape[0], 2**14) for p in group.loop.model.parameters() if p.dim() > 1)
    first = group.bundles[0].first
    values = [v for v in first.carrier.inputs.values() if isinstance(v, Tensor)]
    if group.overrides:
        values.append(first.case.origin)
    size = sum(v.numel() * v.element_size() for v in values)
    positions = max((v.numel() for v in first.carrier.inputs.values() if isinstance(v, Tensor)), default=1)
    return KEPT * (size + 4 * positions * group.facts["widths"])


def foresee(group: Group, widen: bool) -> Forecast | None:
    """Fixed and per-row bytes of this group's passes, from two runs of the pass without values.

    The peak is a convex function of the rows (of several moments the fullest), so that the line through few
    rows and the most rows lies above it. None where the model cannot be run so: it reads values on the way,
    has operations of its own that know no shapes, is compiled or scripted, or carries functions that somebody
    put on it, which must not see such tensors.
    """
    if group.facts.get("guard") or _foreign(group.choice.model):
        return None
    try:
        order, _ = assemble(group, [Piece(group.bundles[0], 0, 1, 0, 1)])
        order = replace(order, half=group.choice.half)
        kernels: dict[Any, bool] = {}
        few, most = RUNS
        low = _peak(group, order, widen, few, kernels)
        if any(kernels.values()):  # what is run for real must be small
            most = 2 * few
        per_row = max(-((low - _peak(group, order, widen, most, kernels)) // (most - few)), 1)
    except Exception:  # whatever a model does with tensors that have no values, the real pass will tell
        return None
    return Forecast(max(low - few * per_row, 0), per_row)


def _peak(group: Group, order: passes.Order, widen: bool, rows: int, kernels: dict[Any, bool]) -> int:
    from torch._subclasses.fake_tensor import FakeTensorMode

    copy, watch = shadow.cast(group.choice.model), shadow.Watch(group.loop.original)
    with _quiet(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        _empty(copy, mode)
        with _Ghosts(mode, kernels) as alive, watch.watching():
            passes.run(copy, _with(order, rows, widen, mode), group.axes)
    if watch.escaped:
        raise RuntimeError("the copy ran the original")
    return alive.peak


def _foreign(model: nn.Module) -> bool:
    """Whether something would run that is not a plain module's own forward."""
    return bool(shadow.patched(model)) or any(
        isinstance(m, torch.jit.ScriptModule) or hasattr(m, "_orig_mod") or m._forward_hooks or m._forward_pre_hooks
        for m in model.modules())


class _Ghosts(Alive):
    """The count on tensors without values, with the work space that some kernels keep for their backward.

    torch may give that space no size, since only the kernel knows it: such a kernel is run for real. `kernels`
    learns which have work space and which only leave something empty.
    """

    def __init__(self, mode: Any, kernels: dict[Any, bool]) -> None:
        super().__init__()
        self.mode, self.kernels = mode, kernels

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if not (isinstance(out, tuple) and any(map(_lacks, out)) and self.kernels.get(func, True)):
            return out
        with torch._C._DisableTorchDispatch():
            real = func(*tree_map(_zeros, args), **tree_map(_zeros, kwargs or {}))
        space = [_lacks(o) and isinstance(r, Tensor) and r.numel() > 0 for o, r in zip(out, real, strict=True)]
        self.kernels[func] = any(space)
        with self.mode:
            out = tuple(torch.empty(r.shape, dtype=r.dtype, device=o.device) if s else o
                        for o, r, s in zip(out, real, space, strict=True))
        for tensor in out:
            self.hold(tensor)
        return out


def _lacks(thing: Any) -> bool:
    return isinstance(thing, Tensor) and thing.numel() == 0


def _zeros(thing: Any) -> Any:
    return torch.zeros(thing.shape, dtype=thing.dtype) if isinstance(thing, Tensor) else thing


def _empty(copy: nn.Module, mode: Any) -> None:
    """Parameters and buffers of a copy without their values; what is shared stays shared."""
    made: dict[int, Any] = {}
    for module in copy.modules():
        for named in (module._parameters, module._buffers):
            for name, tensor in named.items():
                if tensor is not None:
                    _, named[name] = made.setdefault(id(tensor), (tensor, mode.from_tensor(tensor)))


@contextmanager
def _quiet() -> Iterator[None]:
    """torch logs what cannot be run without values; it is no error here. Other threads' messages pass."""
    log, me = logging.getLogger("torch._subclasses.fake_tensor"), threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return record.thread != me

    log.addFilter(others)
    try:
        yield
    finally:
        log.removeFilter(others)


def _with(order: passes.Order, n: int, widen: bool, mode: Any) -> passes.Order:
    """The same pass for n rows without values."""
    inputs: Mapping[str | int, Any] = {
        k: mode.from_tensor(v) if isinstance(v, Tensor) else v for k, v in order.inputs.items()}
    if not widen:
        inputs = probe.repeated(inputs, n)
        if order.rows is None:  # then every example brings its own
            inputs = {k: v.clone() if isinstance(v, Tensor) else v for k, v in inputs.items()}
    rows = order.rows
    if rows is not None:
        rows = torch.empty(n, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
    graded = None if order.graded is None else torch.zeros(n, dtype=torch.int64)
    return replace(order, inputs=inputs, n=n, rows=rows, graded=graded, widen=widen, pads=(),
                   targets=[_closed(t) for t in order.targets])


def _closed(target: Target) -> Target:
    """A target that needs no values to be scored: any class takes the memory of the predicted one.

    Somebody's own function is not shown such tensors: it might keep them.
    """
    if isinstance(target, Function):
        return Function(_sums, target.of)
    if isinstance(target, Predicted):
        return Class(0, target.of)
    if isinstance(target, Contrast):
        return Contrast(_closed(target.this), _closed(target.that), target.of)
    return getattr(target, "closed", target)


def _sums(output: Any) -> Tensor:
    """Some score that depends on all of an output."""
    found = [t.flatten(1).sum(1) for t in parts(output).values() if t.is_floating_point() and t.dim() > 1]
    return torch.stack(found or [t for t in parts(output).values() if t.is_floating_point()]).sum(0)
