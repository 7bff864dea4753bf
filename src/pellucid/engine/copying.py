"""A deep copy of a module that looks at what modules are made of, a few times faster than copy.deepcopy."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

HOOKS = frozenset(name for name, value in nn.Module().__dict__.items()
                  if isinstance(value, dict) and name not in ("_parameters", "_buffers", "_modules"))
"""Dictionaries that every module has for itself, and that are nearly always empty."""

UNSAVED = "_non_persistent_buffers_set"
"""Names of buffers that every module keeps for itself; a set is what copy.deepcopy is slowest at."""

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type, torch.dtype, torch.device})
SHARED = ATOMS | {torch.jit.ScriptFunction}
"""What a copy has in common with the original; a scripted function holds no more than its own text."""

ORDINARY = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__copy__", "__getnewargs__",
            "__getnewargs_ex__", "__setstate__", "__slots__")


def copied(module: nn.Module, memo: dict[Any, Any]) -> nn.Module:
    """What copy.deepcopy(module, memo) gives: whatever is out of the ordinary is left to it."""
    if id(module) in memo:
        return memo[id(module)]
    kind, kinds = type(module), memo.setdefault("kinds", {})
    if kind not in kinds:
        kinds[kind] = any(getattr(kind, name, None) is not getattr(nn.Module, name, None) for name in ORDINARY)
    if kinds[kind]:
        return copy.deepcopy(module, memo)
    made = kind.__new__(kind)
    memo[id(module)] = made
    memo.setdefault(id(memo), []).append(module)  # as deepcopy does: an id in the memo must not be used anew
    inside = made.__dict__
    for name, value in module.__dict__.items():
        if name == "_modules":
            inside[name] = type(value)((k, None if m is None else copied(m, memo)) for k, m in value.items())
        elif name == "_parameters":
            inside[name] = type(value)((k, copy.deepcopy(p, memo)) for k, p in value.items())
        elif name == "_buffers":
            inside[name] = type(value)((k, _buffer(b, memo)) for k, b in value.items())
        elif name in HOOKS and not value:
            inside[name] = type(value)()
        elif name == UNSAVED and type(value) is set:
            inside[name] = set(value)
        else:
            inside[name] = value if type(value) in SHARED else copy.deepcopy(value, memo)
    return made


def _buffer(buffer: Tensor | None, memo: dict[Any, Any]) -> Tensor | None:
    """A plain buffer is cloned. Its memory is noted where deepcopy looks, so that what shares it goes on sharing."""
    if buffer is None or id(buffer) in memo:
        return None if buffer is None else memo[id(buffer)]
    plain = type(buffer) is Tensor and buffer.layout is torch.strided and not buffer.is_quantized
    if not plain or buffer.is_meta or buffer.requires_grad or buffer.__dict__ or not buffer.is_contiguous():
        return copy.deepcopy(buffer, memo)
    storage, known = buffer.untyped_storage(), memo.setdefault("torch", {})
    if storage._cdata in known or storage.nbytes() != buffer.numel() * buffer.element_size():
        return copy.deepcopy(buffer, memo)
    memo[id(buffer)] = made = buffer.detach().clone()
    known[storage._cdata] = made.untyped_storage()
    return made
