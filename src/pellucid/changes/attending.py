"""Attention as a value of its own: probabilities that fused operations never write down.

Wherever a module takes a softmax over keys, or calls an operation that fuses it with the sums around it, the
probabilities become a tensor (rows, heads, queries, keys) that can be read, replaced and differentiated. Where
a model looks inside windows it is (rows, windows, heads, queries, keys). Only modules that are asked about are
taken apart; all others keep their fused operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

ATTENTION = "attention"
"""The part of a module's site that means its attention's probabilities."""

WHOLE = "."
"""How the model itself is named where its own forward computes attention."""

Said = Callable[[tuple[str, ...], Tensor], Tensor]
"""Open modules, outermost first, and probabilities (rows, heads, queries, keys) → what runs on."""

SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax)


class Attending(TorchFunctionMode):
    """While open, hands the probabilities of every attention inside a tracked module to `said`.

    `rows` is how many examples run: heads or windows that a model folded into the axis of rows (rows first) get
    an axis of their own again. `keeps` says that `said` holds on to what it is handed: a model that wrote its
    softmax itself, and may go on in place, then goes on with a copy.
    """

    follows = False
    """Whether it matters as well what becomes of probabilities behind the modules that are tracked."""

    def __init__(self, said: Said, rows: int = 1, *, keeps: bool = False) -> None:
        super().__init__()
        self.said, self.rows, self.keeps = said, rows, keeps
        self.open: list[str] = []
        self.on = False
        self.heads: int | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not self.open:
            return func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return self._attended(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            before, self.heads = self.heads, args[4]
            try:
                with self:  # its own softmax is seen here too
                    return _unfolded(*args, **kwargs)
            finally:
                self.heads = before
        found = func(*args, **kwargs)
        if func in SOFTMAX and found.dim() in (3, 4) and _over_keys(found, args, kwargs):
            return self._told(found)
        return found

    def _told(self, found: Tensor, own: bool = False) -> Tensor:
        """Probabilities in the form (rows, heads, queries, keys), and back in their own; `own` were made here."""
        rows = self.rows if len(found) % self.rows == 0 else 1  # a prefix may run on one row
        apart = found.unflatten(0, (-1, self.heads or len(found) // rows)) if found.dim() == 3 else found
        apart = apart if len(apart) == rows else apart.unflatten(0, (rows, -1))
        out = self.said(tuple(self.open), apart)
        while out.dim() > found.dim():
            out = out.flatten(0, 1)
        return out.clone() if self.keeps and not own else out

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
                  dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
                  enable_gqa: bool = False) -> Tensor:
        """Scaled dot-product attention with its probabilities written down."""
        if enable_gqa:
            key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
        logits = query @ key.transpose(-2, -1)
        logits = logits.mul_(1 / math.sqrt(query.shape[-1]) if scale is None else scale)  # large, and nobody else's
        if is_causal:
            attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=query.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            logits = logits.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            logits = logits + attn_mask
        # A query that may look at nothing gets nothing, as in the fused operation, and its gradient is no NaN.
        blind = None if attn_mask is None else logits.detach().amax(-1, keepdim=True) == -torch.inf
        if blind is not None:
            logits = logits.masked_fill(blind, 0.0)
        wide = torch.float32 if logits.dtype in (torch.float16, torch.bfloat16) else logits.dtype
        found = torch.softmax(logits, -1, dtype=wide).to(query.dtype)
        if blind is not None:
            found = found.masked_fill(blind, 0.0)
        if found.dim() in (3, 4):
            found = self._told(found, own=True)
        return (torch.dropout(found, dropout_p, True) if dropout_p else found) @ value

    @contextmanager
    def tracking(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """While open, the mode knows which of these modules are running, and is on while any of them is.

        All other modules run as they would without it, unless it follows what became of probabilities: to ask at each
        of their operations would cost more than the probabilities do.
        """
        with ExitStack() as stack:
            stack.callback(self._off)
            if self.follows:
                self._on()
            for name, module in modules.items():
                begins = partial(self._begins, name)
                stack.callback(module.register_forward_pre_hook(begins, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._ends, always_call=True).remove)
            yield

    def _begins(self, name: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._on()
        self.open.append(name)

    def _ends(self, module: nn.Module, args: Any, output: Any) -> None:
        self.open.pop()
        if not self.open and not self.follows:
            self._off()

    def _on(self) -> None:
        if not self.on:
            self.__enter__()
            self.on = True

    def _off(self) -> None:
        if self.on:
            self.on = False
            self.__exit__(None, None, None)


def _over_keys(found: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """True for a softmax over the last axis."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return isinstance(dim, int) and dim % found.dim() == found.dim() - 1


# torch's own attention of many heads, in a copy that does not hand itself over to the mode it runs under.
_own = F.multi_head_attention_forward
_unfolded = FunctionType(_own.__code__, {**_own.__globals__, "has_torch_function": lambda *_: False}, _own.__name__,
                         _own.__defaults__, _own.__closure__)
_unfolded.__kwdefaults__ = _own.__kwdefaults__
