"""Tensors for any module, taken as they are: nothing needs to be known about the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.models import layouts, picture
from pellucid.models.layouts import Layout
from pellucid.models.subject import Example
from pellucid.models.tensors import as_tensor, check_finite, given_value, is_array, own, recorded
from pellucid.words.case import Carrier
from pellucid.words.errors import InputError, OptionError, nearest
from pellucid.words.explanation import Shown
from pellucid.words.features import Features, columns, groups, units
from pellucid.words.site import Site

Inputs = dict[str | int, Any]
BASELINES = ("zero", "mean", "blur")


@dataclass(frozen=True, eq=False)
class TensorReader:
    """Reads tensors, numpy arrays, a tuple of them (several inputs) or a mapping of keyword inputs.

    The batch axis comes first. `explain` names the input that is explained (position or keyword; the
    first floating one by default). With a `site`, the value there is explained instead, so that an
    input of whole numbers will do. `usual` is the layout where none is asked for, `names` the names of
    a vector's columns, `dtype` what numpy's float64 becomes.
    """

    explain: str | int | None = None
    site: Site | None = None
    usual: Layout = None
    names: tuple[str, ...] = ()
    dtype: torch.dtype = torch.float32

    @property
    def task(self) -> str:
        return "tensor"

    def split(self, raw: Any) -> list[Any] | None:
        """One input per row of the batch axis."""
        inputs = self._inputs(raw)
        n = _rows(inputs)
        if n < 2:
            return None
        rows = [{k: v[i : i + 1] if isinstance(v, Tensor) else v for k, v in inputs.items()} for i in range(n)]
        if isinstance(raw, Mapping):
            return list(rows)
        return [row[0] if is_array(raw) else tuple(row.values()) for row in rows]

    def read(self, raw: Any) -> Example:
        """Private copies of one row of every input."""
        inputs = self._inputs(raw)
        rows = _rows(inputs)
        if rows > 1:
            raise InputError("input.batch", f"{rows} rows in one example", "a batch axis of length 1",
                             "put each example's batch axis first: x[None], or give the rows as one tensor")
        key = self._explained(inputs)
        owned: Inputs = {k: own(v, _called(k, inputs)) if isinstance(v, Tensor) else v for k, v in inputs.items()}
        for k, value in owned.items():
            if isinstance(value, Tensor):
                # An additive attention mask holds -inf rightly; the input that is explained does not.
                check_finite(value, _called(k, inputs), infinite=k != key)
        if self.site is not None:
            ids = owned[key]
            shown = Shown("tensor", cells=tuple(str(v) for v in ids[0].flatten().tolist()))
            return Example(Carrier(owned), self.site, None, shown)
        x = owned[key][0].clone()
        return Example(Carrier(owned), Site(part=str(key)), x, _shown(x))

    def features(self, example: Example, layout: Layout, coarse: bool) -> Features:
        """units, columns (vectors), channels, pixels, patches and patches:N (pictures), or a map."""
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        if self.site is not None and example.x is None:
            return self._positions(example, layout)
        x = _value(example)
        shape = tuple(x.shape)
        if layout is not None and not isinstance(layout, str):
            return layouts.given(layout, shape, [tuple(range(len(shape))), *_places(len(shape))])
        known = ["units"] + ["columns"] * (x.dim() == 1) + ["channels", "pixels", "patches"] * (x.dim() == 3)
        if layout is None:
            layout = {1: "columns", 3: "patches" if coarse else "pixels"}.get(x.dim(), "units")
        name, number = layouts.spelled(layout, known)
        if name == "units":
            return units(shape)
        if name == "columns":
            return columns(self._columns(shape[0]))
        if name == "channels":
            return columns(tuple(f"channel {c}" for c in range(shape[0])), "channels")
        return layouts.over_picture(name, number, shape[1], shape[2])

    def baseline(self, example: Example, spec: Any) -> Tensor | Carrier:
        """zero (the usual one), mean (of each channel), blur (pictures), a number, or a value like x.

        At a site of the model, where x is not known yet, zero is a 0-dimensional tensor for the engine
        to expand.
        """
        name = recorded(spec, "zero")
        if example.x is None:
            if isinstance(name, str) and name == "zero":
                return torch.zeros(())
            if is_array(spec):
                return own(as_tensor(spec, self.dtype), "the baseline")
            raise OptionError("baseline.unknown", f"the baseline {spec!r}", "zero, or a value at the site",
                              "choose zero or give a tensor")
        x = _value(example)
        if isinstance(name, str) and name in BASELINES:
            if name == "zero":
                return torch.zeros_like(x)
            if x.dim() == 3:
                return picture.mean_colour(x) if name == "mean" else picture.blurred(x)
            if name == "mean":
                return x.double().mean().to(x).expand(x.shape).clone()
        value = given_value(spec, x)
        if value is None:
            known = BASELINES if x.dim() == 3 else BASELINES[:2]
            found = repr(spec) if isinstance(spec, str) else f"a {type(spec).__name__}"
            raise OptionError("baseline.unknown", f"the baseline {found}", ", ".join(known) + ", a number or a tensor",
                              nearest(str(name), known) if isinstance(spec, str) else "choose one of these")
        return value

    def layout_of(self, layout: Layout, coarse: bool) -> str:
        """The layout's name; `fine` and `coarse` are the usual ones, which depend on the shape of x."""
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        return layouts.layout_name(layout, "coarse" if coarse else "fine")

    def baseline_of(self, spec: Any) -> Any:
        """The baseline's name, or the value itself."""
        return recorded(spec, "zero")

    def _inputs(self, raw: Any) -> Inputs:
        """The inputs by position or keyword, arrays as tensors, nothing copied yet."""
        if is_array(raw):
            found: Inputs = {0: raw}
        elif isinstance(raw, Mapping):
            found = {str(k): v for k, v in raw.items()}
        elif isinstance(raw, tuple | list):
            found = dict(enumerate(raw))
        else:
            raise _unreadable(raw)
        inputs: Inputs = {k: as_tensor(v, self.dtype) if is_array(v) else v for k, v in found.items()}
        for value in inputs.values():
            # Anything may be passed on beside tensors, but a list of numbers was meant to be one.
            if isinstance(value, list | tuple):
                raise _unreadable(value)
        if not any(isinstance(v, Tensor) for v in inputs.values()):
            raise _unreadable(raw) if inputs else InputError(
                "input.empty", "no inputs", "at least one tensor", "give the model's inputs")
        return inputs

    def _explained(self, inputs: Inputs) -> str | int:
        tensors = {k: v for k, v in inputs.items() if isinstance(v, Tensor)}
        real = [k for k, v in tensors.items() if v.is_floating_point() or v.is_complex()]
        if self.explain is not None:
            key = self.explain
            if key not in tensors:
                raise OptionError("input.unknown", f"no input {key!r}", ", ".join(repr(k) for k in tensors),
                                  nearest(str(key), map(str, tensors)))
        elif self.site is not None:
            key = next(iter(tensors))
        else:
            key = real[0] if real else next(iter(tensors))
        value = tensors[key]
        if value.dim() < (1 if self.site is not None else 2):
            raise InputError("input.shape", f"a tensor of shape {tuple(value.shape)}",
                             "the batch axis first, then the example's own axes",
                             "write x[None] for one example, x[:, None] for a row per number")
        # A dtype that `own` refuses by name gets its own message there.
        if self.site is None and key not in real and not value.is_quantized:
            raise InputError("input.integer", f"whole numbers ({str(value.dtype).removeprefix('torch.')})",
                             "a floating tensor, whose values can be changed a little",
                             "ids are explained at their embedding: load the model with hf:, or wrap it with "
                             "site='name of the embedding'; convert measurements with .float()")
        return key

    def _positions(self, example: Example, layout: Layout) -> Features:
        n = len(example.shown.cells)
        if layout is not None and not isinstance(layout, str):
            return layouts.given(layout, (n,), [(0,)])
        if layout is not None:
            layouts.spelled(layout, ("positions",))
        return groups(range(n), [f"{i}: {v}" for i, v in enumerate(example.shown.cells)], "tokens", "positions")

    def _columns(self, n: int) -> tuple[str, ...]:
        if self.names and len(self.names) != n:
            raise OptionError("features.names", f"{len(self.names)} names", f"{n}, one per column", "name every column")
        return self.names or tuple(f"x{i}" for i in range(n))


def _rows(inputs: Inputs) -> int:
    """The common length of the batch axis."""
    lengths = {k: len(v) if v.dim() else -1 for k, v in inputs.items() if isinstance(v, Tensor)}
    if -1 in lengths.values():
        raise InputError("input.shape", "a tensor without axes", "the batch axis first",
                         "write x[None], or pass it as a plain number")
    if len(set(lengths.values())) > 1:
        raise InputError("input.rows", "batch axes of " + ", ".join(f"{n} ({k!r})" for k, n in lengths.items()),
                         "the same number of rows in every input", "give one row per example in each")
    return next(iter(lengths.values()))


def _called(key: str | int, inputs: Inputs) -> str:
    return "the input" if len(inputs) == 1 else f"input {key!r}"


def _value(example: Example) -> Tensor:
    if example.x is None:
        raise OptionError("features.unknown_yet", "a value that the model has not said yet", "an example with a value",
                          "choose the usual layout and baseline here")
    return example.x


def _places(rank: int) -> list[tuple[int, ...]]:
    """The axes a smaller map may lie over: the last ones, or the first."""
    last = [tuple(range(start, rank)) for start in range(1, rank)]
    return last + [tuple(range(stop)) for stop in range(rank - 1, 0, -1)]


def _shown(x: Tensor) -> Shown:
    if x.dim() == 3 and x.shape[0] in (1, 3) and min(x.shape[1:]) > 1:
        return Shown("image", image=picture.stretched(x), notes=("shown from its lowest to its highest value",))
    cells = tuple(f"{v:.4g}" for v in x.flatten().tolist()) if x.dim() == 1 else ()
    return Shown("tensor", cells=cells)


def _unreadable(raw: Any) -> InputError:
    what = "an array of objects" if isinstance(raw, np.ndarray) else f"a {type(raw).__name__}"
    return InputError("input.type", what, "a tensor or array, a tuple of them, or a mapping from keyword to tensor",
                      "give tensors with the batch axis first (a tokenizer's answer with return_tensors='pt')")
