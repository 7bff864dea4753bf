"""Has anything of the user's changed? A snapshot before, a comparison after, every difference by name."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._C import (
    _autograd,  # pyright: ignore[reportAttributeAccessIssue]
    _len_torch_dispatch_stack,
    _len_torch_function_stack,
)
from torch.nn.modules import module as torch_module

Snapshot = dict[str, Any]
"""What was found, by a path a reader can follow: `layer.0.weight.requires_grad`."""

_SCALARS = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)


@contextmanager
def pristine(model: nn.Module, *inputs: Any) -> Iterator[None]:
    """Raise an AssertionError that lists every difference in model, inputs, settings and random states.

    The comparison is made on the way out of an exception too; that exception is then the cause.
    """
    before = snapshot(model, *inputs)
    held = _held(model, inputs)  # an id names an object only while the object lives
    try:
        yield
    except BaseException as error:
        _compare(before, snapshot(model, *inputs), error)
        raise
    _compare(before, snapshot(model, *inputs), None)
    del held


def snapshot(model: nn.Module, *inputs: Any) -> Snapshot:
    """Everything that a careful guest leaves as it was."""
    found: Snapshot = {**_settings(), **_random_states(), **_global_hooks()}
    for name, module in model.named_modules(remove_duplicate=False):
        found |= {f"{name or 'model'}.{key}": value for key, value in _of_module(module).items()}
    for kind, named in (("parameter", model.named_parameters(remove_duplicate=False)),
                        ("buffer", model.named_buffers(remove_duplicate=False))):
        for name, tensor in named:
            found |= {f"{kind} {name}.{key}": value for key, value in _of_tensor(tensor).items()}
    for name, given in _tensors("input", inputs):
        about = _of_tensor(given) if isinstance(given, Tensor) else _of_array(given)
        found |= {f"{name}.{key}": value for key, value in about.items()}
    return found


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """What is new, gone or not the same, in words."""
    out = [f"{k}: gone (was {_short(before[k])})" for k in before if k not in after]
    out += [f"{k}: new ({_short(after[k])})" for k in after if k not in before]
    out += [f"{k}: {_short(before[k])} → {_short(after[k])}" for k in before if k in after and before[k] != after[k]]
    return out


def _compare(before: Snapshot, after: Snapshot, cause: BaseException | None) -> None:
    found = differences(before, after)
    if found:
        raise AssertionError(f"not pristine, {len(found)} differences:\n  " + "\n  ".join(found)) from cause


def _of_module(module: nn.Module) -> Snapshot:
    """Identity, class, mode, names and hooks; attributes by value where plain, by identity otherwise."""
    found: Snapshot = {"id": id(module), "class": type(module), "keys": tuple(module.__dict__)}
    for key, value in module.__dict__.items():
        if key in ("_parameters", "_buffers", "_modules"):
            found[key] = tuple((name, id(part)) for name, part in value.items())
        elif key == "_non_persistent_buffers_set":
            found[key] = frozenset(value)
        elif isinstance(value, Mapping) and "hooks" in key:
            found[key] = _hooks(value)
        elif isinstance(value, Tensor):
            found |= {f"{key}.{k}": v for k, v in _of_tensor(value).items()}
        else:
            found[key] = value if isinstance(value, _SCALARS) else id(value)
    return found


def _of_tensor(tensor: Tensor) -> Snapshot:
    found: Snapshot = {
        "id": id(tensor), "class": type(tensor), "bytes": _digest(tensor), "dtype": tensor.dtype,
        "shape": tuple(tensor.shape), "device": tensor.device,
        "requires_grad": tensor.requires_grad, "is_leaf": tensor.is_leaf,
        "grad_fn": id(tensor.grad_fn) if tensor.grad_fn is not None else None,
        "hooks": _hooks(tensor._backward_hooks or {}),
        "accumulation hooks": _hooks(getattr(tensor, "_post_accumulate_grad_hooks", None) or {}),
    }
    if tensor.layout is torch.strided:
        found |= {"stride": tensor.stride(), "offset": tensor.storage_offset(),
                  "storage": tensor.untyped_storage().data_ptr()}
    if not tensor.is_inference():
        found["version"] = tensor._version
    if tensor.is_leaf:  # asking another tensor for its gradient is a warning
        grad = tensor.grad
        found["grad"] = None if grad is None else (id(grad), grad._version, _digest(grad))
    return found


def _of_array(array: np.ndarray[Any, Any]) -> Snapshot:
    return {"id": id(array), "bytes": hashlib.sha256(array.tobytes()).hexdigest()[:16], "dtype": array.dtype,
            "shape": array.shape, "writeable": array.flags.writeable}


def _digest(tensor: Tensor) -> str:
    """sha-256 of the bytes, so that NaN equals itself and -0.0 is not 0.0."""
    with torch.inference_mode(False), torch.no_grad():
        plain = tensor.detach()
        if plain.is_quantized:
            plain = plain.int_repr()
        elif plain.layout is not torch.strided:
            plain = plain.to_dense()
        flat = plain.cpu().contiguous().flatten()
        return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"").hexdigest()[:16]


def _hooks(hooks: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple((key, id(hook) if callable(hook) else hook) for key, hook in hooks.items())


def _global_hooks() -> Snapshot:
    return {f"torch.nn {name}": _hooks(value) if isinstance(value, Mapping) else value
            for name, value in vars(torch_module).items() if name.startswith("_global_")}


def _settings() -> Snapshot:
    found: Snapshot = {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "anomaly mode": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "deterministic": (torch.are_deterministic_algorithms_enabled(),
                          torch.is_deterministic_algorithms_warn_only_enabled(),
                          torch._C._get_deterministic_fill_uninitialized_memory()),  # pyright: ignore[reportAttributeAccessIssue]
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "default dtype": torch.get_default_dtype(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "mkldnn": torch.backends.mkldnn.enabled,
        "attention kernels": (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled(),
                              torch.backends.cuda.mem_efficient_sdp_enabled(),
                              torch.backends.mha.get_fastpath_enabled()),
        "function modes": _len_torch_function_stack(),
        "dispatch modes": _len_torch_dispatch_stack(),
        "saved tensor hooks": _autograd._top_saved_tensors_default_hooks(True) is not None,
        "numpy errors": tuple(sorted(np.geterr().items())),
    }
    for device in ("cpu", "cuda"):
        found[f"autocast {device}"] = (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device))
    found["autocast cache"] = torch.is_autocast_cache_enabled()
    return found


def _random_states() -> Snapshot:
    kind, keys, *rest = np.random.get_state()
    found: Snapshot = {
        "random state of python": hash(random.getstate()),
        "random state of numpy": (kind, hash(keys.tobytes()), *rest),  # pyright: ignore[reportAttributeAccessIssue]
        "random state of torch": _digest(torch.get_rng_state()),
    }
    if torch.cuda.is_initialized():
        found |= {f"random state of cuda:{k}": _digest(s) for k, s in enumerate(torch.cuda.get_rng_state_all())}
    return found


def _tensors(path: str, value: Any) -> list[tuple[str, Tensor | np.ndarray[Any, Any]]]:
    """Every tensor and array in what the user handed over."""
    if isinstance(value, Tensor | np.ndarray):
        return [(path, value)]
    items: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, tuple | list):
        items = list(enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    return [pair for key, part in items for pair in _tensors(f"{path}[{key!r}]", part)]


def _held(model: nn.Module, inputs: Any) -> list[Any]:
    """Everything whose id stands in a snapshot, kept alive so that no id is given out twice."""
    kept: list[Any] = [inputs]
    for module in model.modules():
        kept += [module, *module.__dict__.values()]
        kept += [hook for value in module.__dict__.values() if isinstance(value, Mapping) for hook in value.values()]
    tensors = [*model.parameters(), *model.buffers(), *(t for _, t in _tensors("", inputs) if isinstance(t, Tensor))]
    return kept + tensors + [t.grad for t in tensors if t.is_leaf] + [t.grad_fn for t in tensors]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else text[:87] + "…"
