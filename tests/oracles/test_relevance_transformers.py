"""Relevance of transformers: against slow loops written from the papers, in relevance and never in gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import ViT, minilm, normal, settled
from torch import Tensor, nn
from torch.nn import functional as F

import pellucid

F64 = torch.float64


def ours(net: nn.Module, x: Tensor, target: Any = 1, **options: Any) -> Tensor:
    e = pellucid.explain(net, x, "lrp", target=target, epsilon=1e-13, **options)
    return e.values if e.elements is None else e.elements


def close(a: Tensor, b: Tensor, tolerance: float = 1e-8) -> None:
    assert float(b.abs().max()) > 0
    assert float((a.double() - b.double()).abs().max()) <= tolerance * float(b.abs().max())


# -- one encoder block, handed back by hand

class Encoder(nn.Module):
    """A block of attention and GELU between norms and skips, the mean over tokens, a head."""

    def __init__(self, width: int = 8, heads: int = 2, eager: bool = True) -> None:
        super().__init__()
        self.heads, self.eager = heads, eager
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down, self.head = nn.Linear(width, 12), nn.Linear(12, width), nn.Linear(width, 3)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def attended(self, x: Tensor) -> Tensor:
        q, k, v = (self.split(f(x)) for f in (self.q, self.k, self.v))
        if not self.eager:
            return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        looks = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), -1)
        return (looks @ v).transpose(1, 2).flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.out(self.attended(self.norm1(x)))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(x.mean(1))


def through_linear(layer: nn.Linear, x: Tensor, r: Tensor) -> Tensor:
    """R_i = Σ_j x_i w_ji / z_j R_j, for every row of (..., features)."""
    parts = x.unsqueeze(-2) * layer.weight
    return (parts * (r / layer(x)).unsqueeze(-1)).sum(-2)


def through_norm(norm: nn.LayerNorm, x: Tensor, r: Tensor) -> Tensor:
    """The mean is a linear layer, the deviation a number."""
    n, deviation = x.shape[-1], (x.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    centring = torch.eye(n, dtype=x.dtype) - 1 / n
    parts = x.unsqueeze(-2) * centring * (norm.weight / deviation).unsqueeze(-1)
    return (parts * (r / norm(x)).unsqueeze(-1)).sum(-2)


def through_product(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """(n, k) @ (k, m): half to each factor, by a_ik b_kj / Σ_k a_ik b_kj."""
    terms = a[..., :, :, None] * b[..., None, :, :]
    given = terms / terms.sum(-2, keepdim=True) * r[..., :, None, :] / 2
    return given.sum(-1), given.sum(-3)


def by_hand(net: Encoder, x: Tensor, target: int, halves: bool) -> Tensor:
    """Relevance of x (tokens, width), from the score back."""
    n1 = net.norm1(x)
    q, k, v = (net.split(f(n1)[None])[0] for f in (net.q, net.k, net.v))
    logits = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    looks = logits.softmax(-1)
    mixed = (looks @ v).transpose(0, 1).flatten(1)
    first = x + net.out(mixed)
    n2 = net.norm2(first)
    hidden = net.up(n2)
    second = net.down(F.gelu(hidden))
    last = first + second
    pooled = last.mean(0)

    r = torch.zeros(3, dtype=x.dtype)
    r[target] = net.head(pooled)[target]
    r = through_linear(net.head, pooled, r)
    r = last / len(x) / pooled * r
    skip, r = first / last * r, second / last * r
    r = through_linear(net.down, F.gelu(hidden), r)  # and through GELU as it is
    r = skip + through_norm(net.norm2, first, through_linear(net.up, n2, r))
    skip, r = x / first * r, (first - x) / first * r
    r = through_linear(net.out, mixed, r)
    r = r.unflatten(1, (net.heads, -1)).transpose(0, 1)
    if halves:
        r_looks, r_v = through_product(looks, v, r)
        r_logits = logits * (r_looks - looks * r_looks.sum(-1, keepdim=True))
        r_q, r_k = through_product(q, k.transpose(-2, -1), r_logits)
        given = [(net.v, r_v), (net.q, r_q), (net.k, r_k.transpose(-2, -1))]
    else:
        shares = looks[..., :, :, None] * v[..., None, :, :]
        given = [(net.v, (shares / shares.sum(-2, keepdim=True) * r[..., :, None, :]).sum(-3))]
    at_norm = sum(through_linear(layer, n1, part.transpose(0, 1).flatten(1)) for layer, part in given)
    return skip + through_norm(net.norm1, x, at_norm)


@pytest.mark.parametrize("eager", [True, False], ids=["written out", "fused"])
@pytest.mark.parametrize("composite", ["attnlrp", "cp_lrp"])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_encoder_is_handed_back_as_the_papers_say(composite: str, eager: bool, seed: int) -> None:
    net, x = settled(Encoder(eager=eager), seed, F64), normal(1, 5, 8, seed=seed + 1, dtype=F64)
    close(ours(net, x, composite=composite), by_hand(net, x[0], 1, composite == "attnlrp"), 1e-7)


def test_with_attention_as_constant_and_no_biases_the_sum_is_kept_at_every_stage() -> None:
    net = settled(ViT(), dtype=F64)
    for name, parameter in net.named_parameters():
        if name.endswith("bias") or name in ("cls", "place"):
            parameter.data.zero_()
    e = pellucid.explain(net, normal(1, 3, 12, 12, dtype=F64), "lrp", target=1, composite="cp_lrp", epsilon=1e-13)
    kept = dict(e.details["conservation"])
    assert list(kept) == ["input", "patch", "blocks.0", "blocks.1", "norm", "head", "score"]
    assert all(value == pytest.approx(e.score, rel=1e-6) for value in kept.values()), kept


@pytest.mark.parametrize("pool", [
    lambda looks, v: (looks.unsqueeze(2) * v).sum(1), lambda looks, v: torch.einsum("bn,bnd->bd", looks, v),
    lambda looks, v: (looks.unsqueeze(1) @ v).squeeze(1),
], ids=["product", "einsum", "matmul"])
def test_attention_that_pools_tokens_is_a_constant_too(pool: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Weights over tokens are a vector per row, as scores of classes are: only their use tells them apart."""
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v, self.asks, self.head = nn.Linear(6, 8), nn.Linear(6, 1), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(pool(self.asks(x).squeeze(2).softmax(1), self.v(x)))

    net, x = settled(Pooled(), dtype=F64), normal(1, 5, 6, dtype=F64)
    looks = net.asks(x)[0].softmax(0)
    close(ours(net, x, composite="cp_lrp"), x[0] * looks * (net.head.weight[1] @ net.v.weight), 1e-9)


# -- attention however it is computed

@pytest.mark.parametrize("composite", ["attnlrp", "cp_lrp"])
@pytest.mark.parametrize("how", ["mask", "added mask", "causal", "scale", "groups", "a query that sees nothing"])
def test_fused_attention_is_the_same_written_out(how: str, composite: str) -> None:
    mask = torch.tensor([[1, 1, 0, 1, 1]] * 5).bool()
    if how == "a query that sees nothing":
        mask[2] = False
    options: dict[str, Any] = {"mask": {"attn_mask": mask}, "causal": {"is_causal": True}, "scale": {"scale": 0.3},
                               "added mask": {"attn_mask": normal(5, 5, seed=9, dtype=F64)},
                               "groups": {"enable_gqa": True}}.get(how, {"attn_mask": mask})

    class Net(nn.Module):
        def __init__(self, fused: bool) -> None:
            super().__init__()
            self.fused, self.q, self.head = fused, nn.Linear(8, 16), nn.Linear(16, 3)
            self.kv = nn.Linear(8, 16 if how == "groups" else 32)

        def forward(self, x: Tensor) -> Tensor:
            q = self.q(x).unflatten(-1, (4, 4)).transpose(1, 2)
            k, v = self.kv(x).unflatten(-1, (-1, 4)).transpose(1, 2).chunk(2, 1)
            if self.fused:
                y = F.scaled_dot_product_attention(q, k, v, **options)
            else:
                k, v = (t.repeat_interleave(4 // t.shape[1], 1) for t in (k, v))
                logits = q @ k.transpose(-2, -1) * options.get("scale", 0.5)
                every = torch.ones(5, 5).bool()
                given = every.tril() if how == "causal" else options.get("attn_mask", every)
                logits = logits.masked_fill(~given, -torch.inf) if given.dtype == torch.bool else logits + given
                looks = logits.softmax(-1)
                y = (looks.masked_fill(logits.amax(-1, keepdim=True) == -torch.inf, 0.0)) @ v
            return self.head(y.transpose(1, 2).flatten(2)[:, -1])

    x = normal(1, 5, 8, seed=4, dtype=F64)
    close(ours(settled(Net(True), dtype=F64), x, composite=composite),
          ours(settled(Net(False), dtype=F64), x, composite=composite), 1e-10)


@pytest.mark.parametrize("composite", ["attnlrp", "cp_lrp"])
@pytest.mark.parametrize("weights", [True, False], ids=["weights", "no weights"])
def test_torchs_own_attention_is_the_same_written_out(weights: bool, composite: str) -> None:
    class Own(Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.MultiheadAttention(8, 2, batch_first=True)
            settled(self, 0, F64)
            with torch.no_grad():
                self.own.in_proj_weight.copy_(torch.cat([f.weight for f in (self.q, self.k, self.v)]))
                self.own.in_proj_bias.copy_(torch.cat([f.bias for f in (self.q, self.k, self.v)]))
                self.own.out_proj.weight.copy_(self.out.weight)
                self.own.out_proj.bias.copy_(self.out.bias)

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm1(x)
            x = x + self.own(y, y, y, need_weights=weights)[0]
            x = x + self.down(F.gelu(self.up(self.norm2(x))))
            return self.head(x.mean(1))

    class Written(Own):
        forward = Encoder.forward

    x = normal(1, 5, 8, seed=6, dtype=F64)
    close(ours(Own().eval(), x, composite=composite), ours(Written().eval(), x, composite=composite), 1e-9)


def test_torchs_encoder_layers_are_seen_through() -> None:
    """nn.TransformerEncoder's fast path would hide them; without biases constant attention keeps the sum."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, bias=False)
    net = settled(nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(),
                                nn.Linear(40, 3, bias=False)), dtype=F64)
    x = normal(1, 5, 8, dtype=F64)
    e = pellucid.explain(net, x, "lrp", target=1, composite="cp_lrp", epsilon=1e-13)
    assert float(e.values.sum()) == pytest.approx(e.score, rel=1e-6)
    assert float(ours(net, x, composite="attnlrp").sub(e.values).abs().max()) > 1e-3


def hugging(kind: str, how: str) -> tuple[nn.Module, str]:
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50, "num_labels": 3,
             "intermediate_size": 24, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    more = {"GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 4}, "Llama": {"num_key_value_heads": 2}}.get(kind, {})
    config = getattr(transformers, f"{kind}Config")(**{**(sizes if kind != "GPT2" else {
        k: v for k, v in sizes.items() if "_size" not in k or k == "vocab_size"}), **more})
    state = torch.get_rng_state()
    net = getattr(transformers, f"{kind}ForSequenceClassification")._from_config(config, attn_implementation=how)
    torch.set_rng_state(state)
    name = next(n for n, m in net.named_modules() if isinstance(m, nn.Embedding) and m.num_embeddings == 50)
    return settled(net, dtype=F64), name


@pytest.mark.parametrize("kind", ["Bert", "GPT2", "Llama"])
@pytest.mark.parametrize("composite", ["attnlrp", "cp_lrp"])
def test_models_of_hugging_face_give_the_same_with_either_attention(kind: str, composite: str, vision: bool) -> None:
    """LayerNorm and GELU; products that are weights, and a GELU that is written out; RMSNorm, rotations and gates."""
    found: list[Tensor] = []
    for how in ("sdpa", "eager"):
        net, site = hugging(kind, how)
        ids = {"input_ids": torch.tensor([[7, 12, 3, 44, 9]])}
        e = pellucid.explain(pellucid.wrap(net, site=site), ids, "lrp", target=1, composite=composite)
        assert e.verdict.status in ("pass", "warn")
        found.append(e.values)
    close(found[0], found[1], 1e-6 if kind == "Llama" else 1e-10)  # Llama's own norms compute in float32


def test_a_written_gelu_passes_on_what_torchs_own_does() -> None:
    def written(x: Tensor) -> Tensor:
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))

    close(ours(*acted(written)), ours(*acted(lambda x: F.gelu(x, approximate="tanh"))), 1e-10)
    close(ours(*acted(lambda x: x * torch.sigmoid(x))), ours(*acted(F.silu)), 1e-10)
    close(ours(*acted(lambda x: x * torch.tanh(F.softplus(x)))), ours(*acted(F.mish)), 1e-10)


def acted(act: Callable[[Tensor], Tensor]) -> tuple[nn.Module, Tensor]:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(act(self.first(x)))

    return settled(Net(), dtype=F64), normal(1, 6, dtype=F64)


def test_a_real_minilm_hands_its_score_back_through_every_layer(vision: bool) -> None:
    model, tokenizer = minilm()
    e = pellucid.explain(pellucid.wrap(model, tokenizer=tokenizer), "The soup was cold, nobody came.", "lrp", target=2)
    assert e.recipe["composite"] == "attnlrp"
    kept = dict(e.details["conservation"])
    assert [k for k in kept if ".layer." in k] == [f"bert.encoder.layer.{k}" for k in range(6)]
    assert kept["classifier"] == kept["score"] == pytest.approx(e.score, rel=1e-4)
    assert len(e.values) == len(e.names)
    assert torch.isfinite(e.values).all()
    assert e.values.any()
