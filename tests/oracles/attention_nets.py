"""Networks that write attention in every way people do, and the same attention computed slowly beside them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from oracle_nets import normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.changes.attentions import sites
from pellucid.engine.run import attentions
from pellucid.models.module import wrap
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.method import Card, Method

CLOSE = {"rtol": 0.0, "atol": 1e-5}
"""What float32 leaves between two ways to compute the same probabilities."""


def told(model: Any, x: Any, ask: Callable[[Case], Sequence[Any]], target: Any = 1, **options: Any
         ) -> tuple[list[Any], pellucid.Explanation]:
    """The answers of one row to questions that share a pass with the score, and the explanation around them."""
    got: list[Any] = []

    async def asks(case: Case) -> Tensor:
        got.extend(await together(*ask(case)))
        return case.x * 0

    e = pellucid.explain(model, x, Method("asks", asks, Card("gradient", "")), target=target, precision="exact",
                         **options)
    return [g[0] for g in got], e


def read(model: Any, x: Any, layers: Sequence[str], **options: Any) -> tuple[list[Tensor], float]:
    """The probabilities of these layers (heads, queries, keys), and the score that was asked in the same pass."""
    found, e = told(model, x, lambda case: [case.reading(case.here, of=f"{n}:attention") for n in layers], **options)
    return found, e.score


def slopes(model: Any, x: Any, layers: Sequence[str], **options: Any) -> list[Tensor]:
    return told(model, x, lambda case: [case.gradient(case.here, wrt=f"{n}:attention") for n in layers], **options)[0]


def names(model: Any, x: Any) -> list[str]:
    """The attentions that are found, without the part."""
    subject = model if isinstance(model, pellucid.Subject) else wrap(model)
    found = sites(attentions(subject.module, subject.read(x).carrier, subject.facts))
    return [name.removesuffix(":attention") for name in found]


def sums_to_one(found: list[Tensor]) -> None:
    for a in found:
        torch.testing.assert_close(a.sum(-1), torch.ones_like(a.sum(-1)), **CLOSE)


def heads_of(module: nn.MultiheadAttention, kept: list[Tensor]) -> Any:
    """A hook that lets torch's own module say its probabilities by head."""
    def hook(m: nn.Module, args: Any, kwargs: Any) -> None:
        if kwargs.get("average_attn_weights", True):
            with torch.no_grad():
                kept.append(module(*args, **{**kwargs, "need_weights": True, "average_attn_weights": False})[1][0])

    return module.register_forward_pre_hook(hook, with_kwargs=True)


# -- transformers' models: an eager twin says its own probabilities

def _config(kind: str) -> tuple[type[nn.Module], Any]:
    import transformers as t

    small = {"num_labels": 3, "vocab_size": 50}
    encoder = {**small, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
               "max_position_embeddings": 24}
    if kind == "bert":
        return t.BertForSequenceClassification, t.BertConfig(**encoder)
    if kind == "roberta":
        return t.RobertaForSequenceClassification, t.RobertaConfig(**encoder, pad_token_id=1)
    if kind == "distilbert":
        return t.DistilBertForSequenceClassification, t.DistilBertConfig(
            **small, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=24)
    if kind == "gpt2":
        return t.GPT2ForSequenceClassification, t.GPT2Config(
            **small, n_positions=24, n_embd=16, n_layer=2, n_head=2, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    if kind == "llama":  # four heads of queries to two of keys
        return t.LlamaForSequenceClassification, t.LlamaConfig(
            **encoder | {"num_attention_heads": 4}, num_key_value_heads=2, pad_token_id=0)
    return t.ViTForImageClassification, t.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=16, patch_size=8,
        num_labels=3)


TEXT_KINDS = ("bert", "roberta", "distilbert", "gpt2", "llama")


def hugging(kind: str, how: str, dtype: torch.dtype = torch.float32) -> tuple[Any, nn.Module, Any]:
    """A subject whose model computes attention in this way, its eager twin, and an input with padding where it can."""
    made, config = _config(kind)
    config._attn_implementation = "eager"
    eager = settled(made(config), dtype=dtype)
    model = copy.deepcopy(eager)
    model.set_attn_implementation(how)
    if kind == "vit":
        return pellucid.wrap(model), eager, normal(1, 3, 16, 16, dtype=dtype)
    ids = {"input_ids": torch.tensor([[2, 7, 9, 11, 5, 3, 0, 0]]), "attention_mask": torch.tensor([[1] * 6 + [0] * 2])}
    if kind == "roberta":
        ids["input_ids"][ids["attention_mask"] == 0] = 1
    words = next(n for n, m in model.named_modules() if m is model.get_input_embeddings())
    return pellucid.wrap(model, site=words), eager, ids


def probabilities(eager: nn.Module, x: Any) -> tuple[list[Tensor], Tensor]:
    """What an eager model says of its own attention, with the graph on it, and its logits."""
    given = {k: v.clone() for k, v in x.items()} if isinstance(x, dict) else {"pixel_values": x}
    words = eager.get_input_embeddings()  # a leaf to begin the graph
    handle = words.register_forward_hook(lambda m, a, out: out.detach().requires_grad_())
    with torch.enable_grad():
        out = eager(**given, output_attentions=True)
    handle.remove()
    return list(out.attentions), out.logits


# -- written by hand

class Attend(nn.Module):
    """Attention in one of the ways in which people write it; self-attention unless given more to look at."""

    def __init__(self, how: str, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.how, self.heads = how, 1 if how.startswith("single") else heads
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.soft = nn.Softmax(dim=-1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        given = x if context is None else context
        q, k, v = self.q(x), self.k(given), self.v(given)
        if self.how.startswith("single"):
            logits = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
            found = F.softmax(logits, dim=2) if self.how == "single, keyword" else logits.softmax(-1)
            return torch.bmm(found, v)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        scale = q.shape[-1] ** -0.5
        if self.how.startswith("folded"):
            q, k, v = (t.transpose(0, 1).flatten(0, 1) if self.how == "folded, heads first" else t.flatten(0, 1)
                       for t in (q, k, v))
            found = torch.softmax(torch.bmm(q, k.transpose(1, 2)) * scale, dim=-1)
            out = torch.bmm(F.dropout(found, 0.1, self.training), v)
            out = (out.unflatten(0, (self.heads, -1)).transpose(0, 1) if self.how == "folded, heads first"
                   else out.unflatten(0, (-1, self.heads)))
        elif self.how == "fused":
            out = F.scaled_dot_product_attention(q, k, v)
        elif self.how == "fused, by name":
            out = F.scaled_dot_product_attention(query=q, key=k, value=v, scale=scale)
        elif self.how == "fused, causal":
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            logits = torch.einsum("bhqd,bhkd->bhqk", q, k) * scale
            found = {"einsum, keyword": lambda: torch.softmax(logits, dim=-1), "positional": lambda: torch.softmax(
                logits, 3), "function": lambda: F.softmax(logits, 3), "method": lambda: logits.softmax(dim=3),
                "module": lambda: self.soft(logits), "values first": lambda: logits.softmax(-1)}[self.how]()
            out = (v.transpose(2, 3) @ found.transpose(2, 3)).transpose(2, 3) if self.how == "values first" else (
                torch.einsum("bhqk,bhkd->bhqd", found, v))
        return out.transpose(1, 2).flatten(2)

    def weights(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The probabilities (rows, heads, queries, keys), slowly."""
        given = x if context is None else context
        q, k = (layer(t).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer, t in (
            (self.q, x), (self.k, given)))
        logits = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        if self.how == "fused, causal":
            logits = logits.masked_fill(~torch.ones(logits.shape[2:], dtype=torch.bool).tril(), -torch.inf)
        return logits.exp() / logits.exp().sum(-1, keepdim=True)

    def weighed(self, weights: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The output for these probabilities."""
        v = self.v(x if context is None else context).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return (weights @ v).transpose(1, 2).flatten(2)


HOWS = ("einsum, keyword", "positional", "function", "method", "module", "values first", "single, keyword", "single",
        "folded", "fused", "fused, by name", "fused, causal")


class Stack(nn.Module):
    """Layers of such attention with skip connections; read as `pool` says."""

    def __init__(self, how: str = "fused", layers: int = 3, pool: str = "first", width: int = 8) -> None:
        super().__init__()
        self.pool, self.head = pool, nn.Linear(width, 3)
        self.layers = nn.ModuleList(Attend(how, width) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return self.head(self.pooled(x))

    def pooled(self, x: Tensor) -> Tensor:
        return x.mean(1) if self.pool == "mean" else x[:, 0 if self.pool == "first" else -1]

    def slowly(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """All probabilities, as parts of the graph of the logits."""
        kept: list[Tensor] = []
        for layer in self.layers:
            kept.append(layer.weights(x).detach().requires_grad_() if not kept else layer.weights(x))
            x = x + layer.weighed(kept[-1], x)
        return kept, self.head(self.pooled(x))


class Picture(nn.Module):
    """A vision transformer with more than one token before the patches, on a picture that is not square."""

    def __init__(self, before: int = 2, how: str = "fused", width: int = 8) -> None:
        super().__init__()
        self.embed, self.cls_token = nn.Conv2d(3, width, 4, 4), nn.Parameter(torch.zeros(1, before, width))
        self.body = Stack(how, 2, "first", width)

    def tokens(self, x: Tensor) -> Tensor:
        patches = self.embed(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), patches], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.tokens(x))
