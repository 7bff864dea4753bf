"""Tensors that users hand in: what is refused, and a private copy of what is not."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from pellucid.words.errors import InputError, OptionError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
RANK = 8


def is_array(raw: Any) -> TypeGuard[Tensor | np.ndarray[Any, Any]]:
    """Whether this is a tensor or a numpy array."""
    return isinstance(raw, Tensor | np.ndarray)


def as_tensor(raw: Tensor | np.ndarray[Any, Any], dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor from a numpy array; float64, which is merely numpy's default, becomes `dtype`."""
    if isinstance(raw, Tensor):
        return raw
    if raw.dtype.kind == "c":
        raise _refused("complex numbers")
    if raw.dtype.kind not in "fiub" or raw.dtype.itemsize > 8:
        raise InputError("input.type", f"an array of {raw.dtype}", "an array of numbers",
                         "convert it with .astype('float32')")
    # A copy in the machine's byte order: torch takes neither other orders nor read-only arrays.
    made = torch.from_numpy(np.array(raw, dtype=raw.dtype.newbyteorder("="), copy=True, order="C"))
    return made.to(dtype) if made.dtype == torch.float64 else made


def own(value: Tensor, what: str = "the input") -> Tensor:
    """A private dense copy outside autograd and inference mode; what cannot be explained is refused."""
    if value.layout is not torch.strided:
        raise _refused("a sparse tensor", "call .to_dense() on it")
    if value.is_nested:
        raise _refused("a nested tensor", "give each example by itself")
    if value.is_quantized:
        raise _refused("a quantised tensor", "call .dequantize() on it")
    if value.is_meta:
        raise _refused("a tensor on the meta device", "give a tensor that holds values")
    if value.is_complex():
        raise _refused("complex numbers")
    if value.is_floating_point() and value.dtype not in FLOATS:
        raise _refused(f"a tensor of {_short(value.dtype)}", "call .float() on it")
    if value.dim() > RANK:
        raise InputError("input.shape", f"a tensor of {value.dim()} axes", f"at most {RANK} axes",
                         "join axes before the model and split them inside it")
    if value.numel() == 0:
        raise InputError("input.empty", f"{what} of shape {tuple(value.shape)}", "at least one value",
                         "leave the example out or read it again")
    with torch.inference_mode(False), torch.no_grad():
        return value.detach().as_subclass(Tensor).clone()


def check_finite(value: Tensor, what: str = "the input", *, infinite: bool = False) -> None:
    """NaN is an error, and so is an infinity unless allowed."""
    if not value.is_floating_point():
        return
    bad = value.isnan() if infinite else ~value.isfinite()
    if not bool(bad.any()):
        return
    first = tuple(int(i) for i in bad.nonzero()[0])
    kinds = " and ".join(k for k, there in (("NaN", value.isnan().any()), ("infinity", value.isinf().any())) if there)
    raise InputError("input.not_finite", f"{kinds} in {what}: {int(bad.sum())} of {value.numel()} values, "
                     f"the first at {first}", "finite numbers", "find where they come from, or leave the example out")


def given_value(spec: Any, x: Tensor) -> Tensor | None:
    """A baseline from a number or from a tensor of x's shape; None where `spec` is neither."""
    if isinstance(spec, str):
        try:
            spec = float(spec)
        except ValueError:
            return None
    if is_array(spec):
        value = own(as_tensor(spec, x.dtype), "the baseline")
        # A batch axis of one row is how the same value comes out of any data loader.
        value = value[0] if value.shape == (1, *x.shape) else value
        if value.shape != x.shape and value.dim():
            raise OptionError("baseline.shape", f"a baseline of shape {tuple(value.shape)}", f"{tuple(x.shape)}",
                              "give a value for each element of one example")
    elif isinstance(spec, int | float) and not isinstance(spec, bool):
        value = torch.tensor(float(spec), dtype=torch.float64)
    else:
        return None
    value = value.to(x).expand(x.shape).clone()
    if not bool(value.isfinite().all()):
        raise OptionError("baseline.not_finite", "a baseline with NaN or infinity", "finite numbers",
                          "replace them by numbers that mean 'absent'")
    return value


def recorded(spec: Any, usual: str) -> Any:
    """What a recipe writes down for a baseline: plain text and numbers, or the value itself."""
    return usual if spec is None else spec.strip().lower() if isinstance(spec, str) else spec


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _refused(found: str, do: str = "give real numbers in a dense tensor") -> InputError:
    return InputError("input.dtype", found, "a dense tensor of real numbers", do)
