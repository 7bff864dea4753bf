"""Which attentions a model computes: found in one run of an example, and named as sites."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from pellucid.changes.attending import ATTENTION, WHOLE, Attending
from pellucid.words.modules import hookable

PRODUCTS = frozenset({"matmul", "__matmul__", "__rmatmul__", "bmm", "baddbmm", "einsum"})
"""What attention does with its probabilities, and a softmax over classes or experts does not."""

OTHERS = frozenset({"encoder_hidden_states", "key_value_states", "cross_attention_states", "context", "memory"})
"""Arguments by which a module is given other tokens to look at."""


@dataclass(frozen=True)
class Attended:
    """One attention that a model computes: the innermost module, which softmax over keys in it, and its sizes.

    `windows` is above 1 where an example's tokens are cut into windows that do not see each other. `used` says
    that the probabilities weigh values: of other softmaxes over the last axis they do not. `crossed` says that the
    queries look at tokens of another input. `apart` is false where an example has no axis of its own.
    """

    layer: str
    call: int
    heads: int
    queries: int
    keys: int
    windows: int = 1
    used: bool = False
    crossed: bool = False
    apart: bool = True


class _Finding(Attending):
    """Collects every softmax over keys, and follows each to see whether it ends in a product with values."""

    follows = True

    def __init__(self, model: nn.Module, rows: int) -> None:
        super().__init__(self._found, rows)
        self.modules = dict(hookable(model))
        self.found: list[Attended] = []
        self.traits: list[Tensor] = []
        self.followed = WeakIdKeyDictionary()
        self.given: list[bool] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_function__(func, types, args, kwargs)
        if self.followed:
            self._follow(getattr(func, "__name__", ""), [*args, *(kwargs or {}).values()], out)
        return out

    def _follow(self, name: str, given: list[Any], out: Any) -> None:
        for value in [v for g in given for v in (g if isinstance(g, list | tuple) else (g,))]:
            which = self.followed.get(value) if isinstance(value, Tensor) else None
            if which is None:
                continue
            if name in PRODUCTS:
                self.found[which] = replace(self.found[which], used=True)
            elif isinstance(out, Tensor) and out.numel() == value.numel():
                self.followed[out] = which  # dropout, another dtype, another shape: still the same numbers

    def _told(self, found: Tensor, own: bool = False) -> Tensor:
        out = super()._told(found, own)
        self.followed[out] = len(self.found) - 1
        return out

    def _attended(self, *args: Any, **kwargs: Any) -> Tensor:
        before, out = len(self.found), super()._attended(*args, **kwargs)
        if len(self.found) > before:
            self.found[-1] = replace(self.found[-1], used=True)
        return out

    def _found(self, open_: tuple[str, ...], value: Tensor) -> Tensor:
        own = -2 if isinstance(self.modules[open_[-1]], nn.Softmax) and len(open_) > 1 else -1  # who calls it attends
        layer, sizes = open_[own] or WHOLE, tuple(value.shape)
        call = 1 + sum(a.layer == layer for a in self.found)
        rows, windows, heads, queries, keys = sizes if len(sizes) == 5 else (sizes[0], 1, *sizes[1:])
        self.found.append(Attended(layer, call, heads, queries, keys, windows, False, self.given[own],
                                   rows == self.rows))
        self.traits.append(value[0].detach().amax(-1))
        return value

    def _begins(self, name: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        super()._begins(name, module, args, kwargs)
        self.given.append(_crossed(module, args, kwargs))

    def _ends(self, module: nn.Module, args: Any, output: Any) -> None:
        super()._ends(module, args, output)
        self.given.pop()


def _crossed(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """True where a module is given tokens to look at that are not those which look."""
    try:
        given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return False
    own = next((v for v in given.values() if isinstance(v, Tensor)), None)
    others = [v for k, v in given.items() if k in OTHERS]
    others += [given[k] for q, k in (("query", "key"), ("q", "k")) if q in given and k in given]
    return any(isinstance(v, Tensor) and v is not own for v in others)


def attended(model: nn.Module, run: Callable[[int], Any]) -> list[Attended]:
    """Every softmax over keys in a run of one row, in order; `run` runs the example as so many equal rows."""
    one, two = _run(model, run, 1), _run(model, run, 2)
    if len(one.found) != len(two.found):
        return one.found
    return [replace(a, apart=a.apart and b.apart and _alike(alone, beside))
            for a, b, alone, beside in zip(one.found, two.found, one.traits, two.traits, strict=True)]


def _run(model: nn.Module, run: Callable[[int], Any], rows: int) -> _Finding:
    finding = _Finding(model, rows)
    with finding.tracking(finding.modules):
        run(rows)
    return finding


def _alike(alone: Tensor, beside: Tensor) -> bool:
    """Whether the first of two equal rows is the row alone: it is not where heads stand before rows in an axis."""
    near = 2e-2 if alone.dtype in (torch.float16, torch.bfloat16) else 1e-4
    return alone.shape == beside.shape and torch.allclose(alone, beside, rtol=near, atol=1e-6)


def within(found: Iterable[Attended], layer: str) -> list[Attended]:
    """The attentions of a module and of what it holds."""
    return [a for a in found if layer in ("", WHOLE, a.layer) or a.layer.startswith(layer + ".")]


def sites(found: list[Attended]) -> dict[str, Attended]:
    """The attentions that weigh values, in order, by the site at which each is asked about."""
    named: dict[str, Attended] = {}
    for a in found:
        mine = within(found, a.layer)
        call = f"#{mine.index(a) + 1}" if len(mine) > 1 else ""
        if a.used:
            named[f"{a.layer}{call}:{ATTENTION}"] = a
    return named
