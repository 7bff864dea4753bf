"""A copy of a model without some heads of attention: smaller where the build is known, with masked heads elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.changes.ablate import Head, HeadsOff

THREE = (("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("q_lin", "k_lin", "v_lin"), ("q", "k", "v"),
         ("to_q", "to_k", "to_v"))
"""How layers are called that make queries, keys and values apart."""

ONE = ("qkv", "qkv_proj", "Wqkv")
"""How a layer is called that makes all three, one after the other."""

AFTER = ("proj", "out_proj", "o_proj", "out_lin", "out", "to_out", "dense", "o")
"""How the layer is called that reads what all heads say."""

COUNTS = ("num_attention_heads", "num_heads", "n_heads", "heads", "num_key_value_heads", "n_head")
WIDTHS = ("all_head_size", "attn_dim", "inner_dim", "attention_all_head_size")
"""Attributes that hold how many heads there are, and how wide they are together."""

Undo = Callable[[], None]


class Masked(nn.Module):
    """A model whose heads run and say zero."""

    def __init__(self, inner: nn.Module, change: HeadsOff) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with self.change.on(self.inner):
            return self.inner(*args, **kwargs)


class FewerHeads(nn.Module):
    """torch's attention of many heads with some of them gone: called in the same way, and returns the same.

    nn.MultiheadAttention itself always has heads as wide as all of them together divided by their number.
    """

    def __init__(self, whole: nn.MultiheadAttention, kept: Sequence[int]) -> None:
        super().__init__()
        wide = whole.head_dim
        rows = _rows(kept, wide, 1, whole.num_heads)
        self.embed_dim, self.num_heads, self.head_dim = whole.embed_dim, len(kept), wide
        self.dropout, self.batch_first = whole.dropout, whole.batch_first
        # What torch's own encoder reads of its attention, to see that this one has no fused form.
        self._qkv_same_embed_dim, self.in_proj_bias = False, None
        if whole.in_proj_weight is not None:
            weights = list(whole.in_proj_weight.detach().chunk(3))
        else:
            weights = [w.detach() for w in (whole.q_proj_weight, whole.k_proj_weight, whole.v_proj_weight)]
        biases = [None] * 3 if whole.in_proj_bias is None else list(whole.in_proj_bias.detach().chunk(3))
        self.q_proj, self.k_proj, self.v_proj = (
            _linear(w[rows], None if b is None else b[rows]) for w, b in zip(weights, biases, strict=True))
        self.out_proj = _linear(whole.out_proj.weight.detach()[:, rows], whole.out_proj.bias)
        for part in (self.q_proj, self.k_proj, self.v_proj, self.out_proj):
            part.requires_grad_(whole.out_proj.weight.requires_grad)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
                need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
        alone = query.dim() == 2
        given = [t[None] if alone else t if self.batch_first else t.transpose(0, 1) for t in (query, key, value)]
        q, k, v = (layer(t).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
                   for layer, t in zip((self.q_proj, self.k_proj, self.v_proj), given, strict=True))
        mask = self._mask(attn_mask, key_padding_mask, q)
        dropped = self.dropout if self.training else 0.0
        if need_weights:
            logits = q @ k.transpose(-2, -1) / self.head_dim**0.5 + (0.0 if mask is None else mask)
            weights = torch.softmax(logits, -1)
            mixed = F.dropout(weights, dropped) @ v
            told = weights.mean(1) if average_attn_weights else weights
            told = told[0] if alone else told
        else:
            mixed, told = F.scaled_dot_product_attention(q, k, v, mask, dropped), None
        out = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out[0] if alone else out if self.batch_first else out.transpose(0, 1), told

    def _mask(self, mask: Tensor | None, padding: Tensor | None, q: Tensor) -> Tensor | None:
        """Both masks as what is added to the logits: (rows, heads or 1, queries, keys)."""
        total: Tensor | None = None
        if mask is not None:
            if mask.dim() == 3:
                raise ValueError("a mask for each head belongs to heads that may be gone")
            total = _added(mask, q)
        if padding is not None:
            more = _added(padding, q)[:, None, None] if padding.dim() == 2 else _added(padding, q)
            total = more if total is None else total + more
        return total


def _added(mask: Tensor, q: Tensor) -> Tensor:
    return torch.zeros_like(mask, dtype=q.dtype).masked_fill(mask, -torch.inf) if mask.dtype == torch.bool else mask


def narrowed(model: nn.Module, layer: str, gone: Sequence[int], heads: int) -> Undo | None:
    """Cut heads out of an attention of this model, in place; how to undo it, None where the build is not known."""
    module = model if layer in ("", ".") else model.get_submodule(layer)
    kept = [h for h in range(heads) if h not in gone]
    parent = model.get_submodule(layer.rpartition(".")[0]) if "." in layer else model
    if isinstance(module, nn.MultiheadAttention):
        plain = module.bias_k is None and not module.add_zero_attn and module.num_heads == heads
        name = layer.rpartition(".")[2]
        return _put(parent, name, FewerHeads(module, kept).train(module.training)) if plain and layer else None
    built = _built(module, parent, heads)
    if built is None:
        return None
    inner, fused, after_of, after = built
    made: nn.Linear = getattr(module, inner[0])
    wide = made.out_features // (3 if fused else 1) // heads
    rows = _rows(kept, wide, 3 if fused else 1, heads)
    undo = [_put(module, name, _cut(getattr(module, name), rows, 0)) for name in inner]
    undo.append(_put(after_of, after, _cut(getattr(after_of, after), _rows(kept, wide, 1, heads), 1)))
    undo += [_put(module, name, len(kept)) for name in COUNTS if getattr(module, name, None) == heads]
    undo += [_put(module, name, len(kept) * wide) for name in WIDTHS if getattr(module, name, None) == heads * wide]

    def back() -> None:
        for one in undo:
            one()

    return back


def _built(module: nn.Module, parent: nn.Module, heads: int) -> tuple[tuple[str, ...], bool, nn.Module, str] | None:
    """The layers before the heads, whether they are one, and the layer after them; None where they do not fit."""
    inner: tuple[str, ...] = next((n for n in THREE if all(isinstance(getattr(module, k, None), nn.Linear)
                                                           for k in n)), ())
    fused = not inner
    if fused:
        inner = next(((n,) for n in ONE if isinstance(getattr(module, n, None), nn.Linear)), ())
    if not inner:
        return None
    width = {getattr(module, n).out_features for n in inner}
    wide = width.pop() // (3 if fused else 1)
    if width or wide % heads:
        return None  # fewer keys than queries, say
    # HF's BERT and its kin keep the layer that reads the heads in a module beside, `output.dense`.
    places = [(module, n) for n in AFTER] + [(getattr(parent, "output", None), "dense")]
    found = next(((m, n) for m, n in places if isinstance(m, nn.Module)
                  and isinstance(getattr(m, n, None), nn.Linear) and getattr(m, n).in_features == wide
                  and n not in inner), None)
    return None if found is None else (inner, fused, *found)


def _rows(kept: Sequence[int], wide: int, times: int, heads: int) -> Tensor:
    """Which of the numbers that heads say one after the other are left, of each of `times` such rows."""
    one = torch.cat([torch.arange(h * wide, (h + 1) * wide) for h in kept])
    return torch.cat([one + k * heads * wide for k in range(times)])


def _cut(layer: nn.Linear, rows: Tensor, axis: int) -> nn.Linear:
    """A layer with some of its outputs (axis 0) or inputs (axis 1)."""
    weight, bias = layer.weight.detach(), layer.bias
    rows = rows.to(weight.device)
    cut = _linear(weight.index_select(axis, rows), bias if bias is None or axis else bias.detach()[rows])
    cut.requires_grad_(layer.weight.requires_grad)
    return cut.train(layer.training)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta", dtype=weight.dtype)
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made


def _put(module: nn.Module, name: str, value: Any) -> Undo:
    before = getattr(module, name)
    setattr(module, name, value)
    return lambda: setattr(module, name, before)


def saved(model: nn.Module, layer: str, gone: int, heads: int) -> int:
    """How many parameters fewer there are without so many heads; 0 where the build is not known."""
    module = model if layer in ("", ".") else model.get_submodule(layer)
    if isinstance(module, nn.MultiheadAttention):
        plain = module.bias_k is None and not module.add_zero_attn
        wide = module.head_dim
        each = sum(w.shape[1] for w in ((module.in_proj_weight,) * 3 if module.in_proj_weight is not None else (
            module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)))
        each += (3 if module.in_proj_bias is not None else 0) + module.embed_dim
        return gone * wide * each if plain else 0
    parent = model.get_submodule(layer.rpartition(".")[0]) if "." in layer else model
    built = _built(module, parent, heads)
    if built is None:
        return 0
    inner, fused, after_of, after = built
    layers: list[nn.Linear] = [getattr(module, n) for n in inner]
    each = sum(x.in_features + (x.bias is not None) for x in layers) * (3 if fused else 1)
    wide = layers[0].out_features // (3 if fused else 1) // heads
    return gone * wide * (each + getattr(after_of, after).out_features)


def masking(heads: Sequence[Head]) -> HeadsOff:
    """The change that does for a pass what pruning does for good."""
    return HeadsOff(tuple(heads))


@contextmanager
def settled(*models: nn.Module) -> Iterator[None]:
    """While open, these copies run as they do in use: without dropout."""
    before = [(m, m.training) for model in models for m in model.modules()]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, training in before:
            module.training = training
