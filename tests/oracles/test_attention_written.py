"""Attention that is written by hand can be read, differentiated and replaced, in every way people write it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attention_nets import CLOSE, HOWS, Attend, Stack, heads_of, hugging, names, read, slopes, sums_to_one, told
from oracle_nets import normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.words.method import Card, Method
from pellucid.words.site import Site


@pytest.mark.parametrize("how", HOWS)
def test_attention_written_by_hand_is_read_and_differentiated(how: str) -> None:
    net, xs = settled(Stack(how), dtype=torch.float64), normal(3, 5, 8, dtype=torch.float64)
    layers = names(net, xs[:1])
    assert layers == [f"layers.{k}" for k in range(3)]
    for x in xs:  # each alone: what is slow computes one row
        true, logits = net.slowly(x[None])
        gradients = torch.autograd.grad(logits[0, 1], true)
        found, score = read(net, x[None], layers)
        assert score == pytest.approx(float(net(x[None])[0, 1]), abs=1e-12)
        for a, mine, g, slope in zip(true, found, gradients, slopes(net, x[None], layers), strict=True):
            torch.testing.assert_close(mine, a[0].detach(), rtol=0, atol=1e-12)
            torch.testing.assert_close(slope, g[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", ["folded", "single", "fused"])
def test_examples_of_one_pass_keep_their_own_attention(how: str) -> None:
    net, xs = settled(Stack(how), dtype=torch.float64), normal(5, 4, 8, dtype=torch.float64)
    alone = [pellucid.explain(net, x[None], "attention_relevance", target=1) for x in xs]
    together = pellucid.explain(net, xs, "attention_relevance", target=1)
    assert together[0].evidence.chunk == 5
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(other.values, one.values, rtol=0, atol=1e-12)


def test_heads_that_stand_before_rows_are_refused_not_mixed_up() -> None:
    net, x = settled(Stack("folded, heads first")), normal(1, 5, 8)
    with pytest.raises(pellucid.PellucidError) as error:
        read(net, x, ["layers.0"])
    assert error.value.code == "layer.no_rows"


class Several(nn.Module):
    """One module that attends twice, is called twice, and takes softmaxes that weigh nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.head = TwoInOne(), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.twice(x))
        return self.head(x).softmax(-1).mean(1)


class TwoInOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Attend("method"), Attend("single")
        self.gate, self.experts = nn.Linear(8, 2), nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.one, x)
        share = self.gate(x).softmax(-1)
        x = x + sum(share[..., k, None] * expert(x) for k, expert in enumerate(self.experts))
        return x + self._attend(self.two, x)

    @staticmethod
    def _attend(how: Attend, x: Tensor) -> Tensor:
        return how.forward(x)  # without a call, so that no other module is seen to run


def test_several_attentions_of_one_module_are_told_apart_and_other_softmaxes_are_none() -> None:
    net, x = settled(Several(), dtype=torch.float64), normal(1, 4, 8, dtype=torch.float64)
    layers = names(net, x)
    assert layers == ["twice#1", "twice#3", "twice#4", "twice#6"]
    found, _ = read(net, x, layers)
    assert [tuple(a.shape) for a in found] == [(2, 4, 4), (1, 4, 4)] * 2
    torch.testing.assert_close(found[0], net.twice.one.weights(x)[0], rtol=0, atol=1e-12)
    second = net.twice(x)
    torch.testing.assert_close(found[2], net.twice.one.weights(second)[0], rtol=0, atol=1e-12)
    with pytest.raises(pellucid.PellucidError) as error:
        read(net, x, ["twice"])
    assert error.value.code == "layer.reused"
    assert "'twice#1:attention'" in error.value.do


class Slots(nn.Module):
    """Tokens compete for keys: the softmax is taken over queries, so that rows over keys do not sum to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.bmm(torch.softmax(torch.bmm(self.q(x), x.transpose(1, 2)), dim=1), x).mean(1))


def test_a_softmax_over_another_axis_is_no_attention() -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(settled(Slots()), normal(1, 5, 8), "attention", target=1)
    assert error.value.code == "layer.no_attention"


class Bare(nn.Module):
    """Attention in the model's own forward."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.scaled_dot_product_attention(self.q(x), x, x).mean(1))


def test_attention_in_the_models_own_forward_has_a_name() -> None:
    net, x = settled(Bare(), dtype=torch.float64), normal(1, 4, 8, dtype=torch.float64)
    assert names(net, x) == ["."]
    (found,), _ = read(net, x, ["."])
    logits = net.q(x) @ x.transpose(1, 2) / 8**0.5
    torch.testing.assert_close(found, logits.softmax(-1), rtol=0, atol=1e-12)
    assert pellucid.explain(net, x, "attention_relevance", target=1).values.shape == (4,)


class Decoder(nn.Module):
    """Learnt queries that look at themselves, then at the input."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
        self.asking, self.head = nn.Parameter(torch.zeros(1, 3, 8)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.decoder(self.asking.expand(len(x), -1, -1), x).mean(1))


def test_cross_attention_is_read_over_the_other_sequence() -> None:
    net, x = settled(Decoder()), normal(1, 5, 8)
    layers = names(net, x)
    assert layers == ["decoder.self_attn", "decoder.multihead_attn"]
    found, score = read(net, x, layers)
    assert score == pytest.approx(float(net(x)[0, 1].detach()), abs=1e-5)
    assert [tuple(a.shape) for a in found] == [(2, 3, 3), (2, 3, 5)]
    kept: list[Tensor] = []
    handle = heads_of(net.decoder.multihead_attn, kept)
    with torch.enable_grad():
        net(x.requires_grad_())
    handle.remove()
    torch.testing.assert_close(found[1], kept[0], **CLOSE)


class Grouped(nn.Module):
    """Four heads of queries to two of keys, in the fused operation."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.head = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.q(x).unflatten(-1, (4, 2)).transpose(1, 2), self.k(x).unflatten(-1, (2, 2)).transpose(1, 2)
        out = F.scaled_dot_product_attention(q, k, k, enable_gqa=True)
        return self.head(out.transpose(1, 2).flatten(2).mean(1))


def test_heads_of_queries_that_share_keys_are_read_one_by_one() -> None:
    net, x = settled(nn.Sequential(Grouped()), dtype=torch.float64), normal(1, 5, 8, dtype=torch.float64)
    (found,), score = read(net, x, ["0"])
    q, k = net[0].q(x)[0].unflatten(-1, (4, 2)), net[0].k(x)[0].unflatten(-1, (2, 2))
    true = torch.stack([(q[:, h] @ k[:, h // 2].T / 2**0.5).softmax(-1) for h in range(4)])
    torch.testing.assert_close(found, true, rtol=0, atol=1e-12)
    assert score == pytest.approx(float(net(x)[0, 1].detach()), abs=1e-12)


# -- masks

class Blind(nn.Module):
    """Queries of which some may look at nothing, under a mask of either kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.qkv, self.head = kind, nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        mask = torch.ones(5, 5, dtype=torch.bool).tril(-1)  # the first looks at nothing
        if self.kind == "added":
            mask = torch.zeros(5, 5).masked_fill(~mask, -torch.inf)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.head(out.transpose(1, 2).flatten(2).mean(1))


@pytest.mark.parametrize("kind", ["yes or no", "added"])
def test_a_query_that_sees_nothing_says_nothing_and_breaks_no_gradient(kind: str) -> None:
    net, x = settled(nn.Sequential(Blind(kind))), normal(1, 5, 8)
    (found,), score = read(net, x, ["0"])
    with torch.no_grad():
        assert score == pytest.approx(float(net(x)[0, 1]), abs=1e-5)
    assert not found[:, 0].any()
    sums_to_one([found[:, 1:]])
    wanted = x.clone().requires_grad_()
    with torch.enable_grad():
        (true,) = torch.autograd.grad(net(wanted)[0, 1], wanted)
    (slope, _), _ = told(net, x, lambda case: [case.gradient(case.here), case.gradient(case.here, wrt="0:attention")])
    torch.testing.assert_close(slope, true[0], **CLOSE)


# -- replacing

@pytest.mark.parametrize("how", ["sdpa", "eager"])
def test_a_head_is_ablated_by_points_at_its_attention(how: str, vision: bool) -> None:
    subject, eager, x = hugging("bert", how)
    (layer, _) = names(subject, x)
    (here,), _ = read(subject, x, [layer])

    async def without(case: Any) -> Tensor:
        at = case.at(Site.parse(f"{layer}:attention"), here, here * 0, case.features)
        heads = torch.stack([here * (torch.arange(2) != h)[:, None, None] for h in range(2)])
        got.append(await at.score(at.given(heads)))
        return case.x * 0

    got: list[Tensor] = []
    pellucid.explain(subject, x, Method("ablated", without, Card(
        "score", "")), target=1)
    for head in range(2):
        def silent(m: nn.Module, a: Any, out: Any, head: int = head) -> Any:
            context = out[0].clone()
            context[..., 8 * head : 8 * head + 8] = 0
            return (context, *out[1:])

        handle = eager.get_submodule(layer).register_forward_hook(silent)
        with torch.no_grad():
            true = eager(**x).logits[0, 1]
        handle.remove()
        assert float(got[0][head]) == pytest.approx(float(true), abs=1e-5)


@pytest.mark.parametrize("how", ["folded", "fused", "single"])
def test_any_probabilities_can_be_put_in_place_many_rows_after_one_prefix(how: str) -> None:
    net, x = settled(Stack(how), dtype=torch.float64), normal(1, 4, 8, dtype=torch.float64)
    heads = net.layers[1].heads
    rows = normal(7, heads, 4, 4, seed=3, dtype=torch.float64).softmax(-1)
    got: list[Tensor] = []

    async def put(case: Any) -> Tensor:
        at = case.at(Site.parse("layers.1:attention"), rows[0], rows[0], case.features)
        got.append(await at.score(at.given(rows)))
        return case.x * 0

    pellucid.explain(net, x, Method("put", put, Card("score", "")),
                     target=2)
    h = x + net.layers[0](x)
    h = h.expand(7, -1, -1)
    h = h + net.layers[1].weighed(rows, h)
    torch.testing.assert_close(got[0], net.head((h + net.layers[2](h))[:, 0])[:, 2].detach(), rtol=0, atol=1e-12)


# -- windows

@pytest.mark.parametrize("weights", [True, False])
def test_frames_that_stand_in_the_axis_of_rows_are_windows(weights: bool) -> None:
    class Frames(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            frames = x.flatten(0, 1)
            out = self.attn(frames, frames, frames, need_weights=weights)[0]
            return self.head(out.unflatten(0, x.shape[:2]).mean((1, 2)))

    net, x = settled(Frames()), normal(1, 3, 4, 8)
    (found,), _ = read(net, x, ["attn"])
    with torch.no_grad():
        true = net.attn(x[0], x[0], x[0], average_attn_weights=False)[1]
    torch.testing.assert_close(found, true, **CLOSE)
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(net, x, "attention", target=1)
    assert error.value.code == "attention.windows"


def test_windows_have_an_axis_of_their_own_for_every_example(vision: bool) -> None:
    import timm

    net = settled(timm.create_model("swin_tiny_patch4_window7_224", img_size=32, window_size=4, depths=(2, 1),
                                    embed_dim=8, num_heads=(2, 2), num_classes=3))
    xs = normal(2, 3, 32, 32)
    layers = names(net, xs[:1])
    kept: list[Tensor] = []
    for module in net.modules():
        if type(module).__name__ == "WindowAttention":
            module.fused_attn = False
            module.attn_drop.register_forward_pre_hook(lambda m, args: kept.append(args[0]))
    with torch.no_grad():
        net(xs[:1])
        for module in net.modules():
            if type(module).__name__ == "WindowAttention":
                module.attn_drop._forward_pre_hooks.clear()
                module.fused_attn = True
    found, score = read(net, xs[:1], layers)
    with torch.no_grad():
        assert score == pytest.approx(float(net(xs[:1])[0, 1]), abs=1e-5)
    assert [tuple(a.shape) for a in found] == [(4, 2, 16, 16), (4, 2, 16, 16), (2, 16, 16)]
    for a, mine in zip(kept, found, strict=True):
        torch.testing.assert_close(mine.reshape(a.shape), a, **CLOSE)
    for method in ("attention_rollout", "attention_relevance"):
        with pytest.raises(pellucid.PellucidError) as error:
            pellucid.explain(net, xs[:1], method, target=1)
        assert error.value.code == "attention.windows"
        assert "4 windows" in error.value.found
