"""Attention through look(): the eager model's own on the libraries people use, with what stands beside it."""

from __future__ import annotations

import copy
import math
import re

import pytest
import torch
from attention_nets import CLOSE, heads_of, hugging, probabilities
from oracle_nets import minilm, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.testing.pristine import pristine
from pellucid.words.look import Look


def same(seen: Look, true: list[Tensor]) -> None:
    assert len(seen.attention) == len(true) > 0
    for mine, theirs in zip(seen.attention.values(), true, strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)
        torch.testing.assert_close(mine.sum(-1), torch.ones_like(mine.sum(-1)), **CLOSE)


@pytest.mark.parametrize("how", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["bert", "vit", "gpt2"])
def test_transformers_attention_is_the_eager_models_own(kind: str, how: str, vision: bool) -> None:
    subject, eager, x = hugging(kind, how)
    true, _ = probabilities(eager, x)
    with pristine(subject.module):
        seen = pellucid.look(subject, x, "attention")
    same(seen, [a[0].detach() for a in true])
    assert set(seen.beside) | set(seen.without) == {"gradient_attention", "attention_relevance", "attention_rollout"}


def test_a_trained_encoders_attention_is_its_own(vision: bool) -> None:
    model, tokenizer = minilm()
    subject = pellucid.wrap(model, tokenizer=tokenizer)
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    text = "fused attention writes no probabilities down"
    true, _ = probabilities(eager, subject.read(text).carrier.inputs)
    same(pellucid.look(subject, text, "attention"), [a[0].detach() for a in true])


def test_timms_and_torchvisions_attention_is_their_own_with_fused_kernels_on(vision: bool) -> None:
    import timm
    import torchvision

    net = settled(timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=16, depth=2, num_classes=3))
    slow, x, kept = copy.deepcopy(net), normal(1, 3, 32, 32), list[Tensor]()
    for block in slow.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_pre_hook(lambda m, args: kept.append(args[0][0]))
    with torch.no_grad():
        slow(x)
    assert all(block.attn.fused_attn for block in net.blocks)
    same(pellucid.look(net, x, "attention"), kept)

    other, x, kept = settled(torchvision.models.VisionTransformer(16, 8, 2, 2, 16, 24, num_classes=3)), normal(
        1, 3, 16, 16), []
    handles = [heads_of(m, kept) for m in other.modules() if isinstance(m, nn.MultiheadAttention)]
    with torch.no_grad():
        other(x)
    for handle in handles:
        handle.remove()
    same(pellucid.look(other, x, "attention"), kept)


def test_what_stands_beside_attention_is_what_explain_says(vision: bool) -> None:
    subject, text = pellucid.load("demo:reviews"), pellucid.samples("reviews")[0]
    with pristine(subject.module):
        seen = pellucid.look(subject, text, "attention")
    for name, e in seen.beside.items():
        torch.testing.assert_close(e.values, pellucid.explain(subject, text, name).values, rtol=1e-4, atol=1e-7)
    assert seen.beside["attention_rollout"].means == "strength"
    assert not pellucid.look(subject, text, "attention", beside=False).beside
    for lang, named in (("en", "Attention relevance"), ("zh", "注意力相关性")):
        assert named in seen.svg(lang=lang)
        assert named in seen.text(lang=lang)


def test_a_model_without_a_score_says_why_nothing_stands_beside_its_attention(vision: bool) -> None:
    net = settled(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    seen = pellucid.look(net, normal(1, 5, 8), "attention")
    assert not seen.beside
    assert {f.code for f in seen.without.values()} == {"target.needed"}
    assert "(1, 5, 8)" in seen.text()


def test_heads_spread_and_reach_by_hand() -> None:
    even, own, next_ = torch.full((4, 4), 0.25), torch.eye(4), torch.eye(4).roll(1, 1)
    seen = Look(attentions=({"a": torch.stack([even, own, next_])},))
    assert seen.entropy("a").tolist() == pytest.approx([2, 0, 0])
    assert seen.distance("a").tolist() == pytest.approx([1.25, 0, 1.5])  # the last token looks at the first: 3 away
    picture = Look(attentions=({"a": torch.stack([even, own])},), grid=(2, 2), before=0)
    assert picture.distance("a").tolist() == pytest.approx([(1 + 1 + math.sqrt(2)) / 4, 0])


def test_attention_of_a_large_transformer_is_drawn_small() -> None:
    torch.manual_seed(0)
    maps = {f"blocks.{k}.attn": (torch.randn(12, 197, 197) * 2).softmax(-1) for k in range(12)}
    drawn = Look(attentions=(maps,), grid=(14, 14), before=1, inputs=1, model="a transformer").svg()
    assert len(drawn.encode()) < 3e6
    assert len(re.findall("<image ", drawn)) == 12 * (13 + 13)  # every head, over the picture and as a matrix
