"""Attention of the libraries that people use can be read and differentiated, and the model answers as ever."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from attention_nets import CLOSE, TEXT_KINDS, heads_of, hugging, names, probabilities, read, slopes, sums_to_one
from oracle_nets import minilm, normal, settled
from torch import Tensor, nn

import pellucid


@pytest.mark.parametrize("how", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", [*TEXT_KINDS, "vit"])
def test_probabilities_and_gradients_are_the_eager_models_own(kind: str, how: str, vision: bool) -> None:
    subject, eager, x = hugging(kind, how)
    true, logits = probabilities(eager, x)
    layers = names(subject, x)
    assert len(layers) == len(true) == 2
    found, score = read(subject, x, layers)
    with torch.no_grad():
        own = subject.module(**x) if isinstance(x, dict) else subject.module(x)
    assert score == pytest.approx(float(own.logits[0, 1]), abs=1e-5)
    sums_to_one(found)
    gradients = torch.autograd.grad(logits[0, 1], true)
    for a, mine, g, slope in zip(true, found, gradients, slopes(subject, x, layers), strict=True):
        torch.testing.assert_close(mine, a[0].detach(), **CLOSE)
        torch.testing.assert_close(slope, g[0], rtol=0, atol=1e-5 * float(g.abs().max()))


def test_a_trained_encoder_is_read_as_it_is(vision: bool) -> None:
    model, tokenizer = minilm()
    subject = pellucid.wrap(model, tokenizer=tokenizer)
    text = "fused attention writes no probabilities down"
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    carrier = subject.read(text).carrier
    layers = names(subject, text)
    true, _ = probabilities(eager, carrier.inputs)
    assert len(layers) == len(true) == 6
    found, score = read(subject, text, layers)
    with torch.no_grad():
        assert score == pytest.approx(float(model(**carrier.inputs).logits[0, 1]), abs=1e-4)
    for a, mine in zip(true, found, strict=True):
        torch.testing.assert_close(mine, a[0].detach(), **CLOSE)


@pytest.mark.parametrize("fused", [True, False])
def test_timms_vit_is_read_with_fused_attention_on_and_off(fused: bool, vision: bool) -> None:
    import timm

    net = settled(timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=16, depth=2, num_classes=3))
    x, kept = normal(1, 3, 32, 32), list[Tensor]()
    for block in net.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_pre_hook(lambda m, args: kept.append(args[0][0]))
    with torch.no_grad():
        own = net(x)
    for block in net.blocks:
        block.attn.attn_drop._forward_pre_hooks.clear()
        block.attn.fused_attn = fused
    assert names(net, x) == ["blocks.0.attn", "blocks.1.attn"]
    found, score = read(net, x, names(net, x))
    assert score == pytest.approx(float(own[0, 1]), abs=1e-5)
    for a, mine in zip(kept, found, strict=True):
        torch.testing.assert_close(mine, a, **CLOSE)


def test_torchvisions_vit_and_its_multihead_attention_are_read(vision: bool) -> None:
    import torchvision

    net = settled(torchvision.models.VisionTransformer(16, 8, 2, 2, 16, 24, num_classes=3))
    x, kept = normal(1, 3, 16, 16), list[Tensor]()
    handles = [heads_of(m, kept) for m in net.modules() if isinstance(m, nn.MultiheadAttention)]
    with torch.no_grad():
        own = net(x)
    for handle in handles:
        handle.remove()
    found, score = read(net, x, names(net, x))
    assert score == pytest.approx(float(own[0, 1]), abs=1e-5)
    for a, mine in zip(kept, found, strict=True):
        torch.testing.assert_close(mine, a, **CLOSE)


class Multihead(nn.Module):
    """torch's attention with the batch in either place, masks of every kind, and other keys where asked."""

    def __init__(self, first: bool = True, weights: bool = True, masks: str = "", **options: Any) -> None:
        super().__init__()
        self.first, self.weights, self.masks = first, weights, masks
        self.attn = nn.MultiheadAttention(8, 2, batch_first=first, **options)
        self.keys = nn.Linear(8, options.get("kdim", 8))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows, n = x.shape[:2]
        more: dict[str, Any] = {}
        if "causal" in self.masks:
            more["attn_mask"] = torch.ones(n, n, dtype=torch.bool).triu(1)
        if "added" in self.masks:
            more["attn_mask"] = torch.linspace(-1, 1, n * n).reshape(n, n).expand(rows * 2, n, n)
        if "padding" in self.masks:
            hidden = (torch.arange(n) >= n - 2).expand(rows, n)
            added = torch.zeros(rows, n).masked_fill(hidden, -torch.inf)
            more["key_padding_mask"] = added if "added" in self.masks else hidden
        x = x if self.first else x.transpose(0, 1)
        keys = self.keys(x) if self.attn.kdim != 8 else x
        out = self.attn(x, keys, keys, need_weights=self.weights, **more)[0]
        return self.head(out.mean(1 if self.first else 0))


@pytest.mark.parametrize("options", [
    {}, {"weights": False}, {"first": False}, {"first": False, "weights": False, "masks": "padding"},
    {"masks": "causal"}, {"weights": False, "masks": "causal"}, {"masks": "added padding"},
    {"weights": False, "masks": "added padding"}, {"add_zero_attn": True}, {"add_bias_kv": True, "weights": False},
    {"kdim": 6, "vdim": 6}, {"bias": False, "weights": False, "masks": "padding causal"}], ids=str)
def test_multihead_attention_is_read_in_each_of_its_forms(options: dict[str, Any]) -> None:
    net, x = settled(Multihead(**options)), normal(1, 5, 8)
    kept: list[Tensor] = []
    handle = heads_of(net.attn, kept)
    with torch.no_grad():
        own = net(x)
    handle.remove()
    (found,), score = read(net, x, ["attn"])
    assert score == pytest.approx(float(own[0, 1]), abs=1e-5)
    torch.testing.assert_close(found, kept[0], **CLOSE)
    sums_to_one([found])


class Encoder(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, **options)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        out = self.encoder(x if self.encoder.layers[0].self_attn.batch_first else x.transpose(0, 1),
                           mask=torch.ones(n, n, dtype=torch.bool).triu(1),
                           src_key_padding_mask=(torch.arange(n) >= n - 1).expand(len(x), n))
        return self.head(out.mean(0 if out.shape[0] == n else 1))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("options", [{"batch_first": True}, {"batch_first": True, "norm_first": True}, {}], ids=str)
def test_torchs_encoder_is_read_behind_its_fast_path(options: dict[str, Any]) -> None:
    net, x = settled(Encoder(**options)), normal(1, 5, 8)
    with torch.no_grad():
        own = net(x)
    layers = names(net, x)
    assert layers == ["encoder.layers.0.self_attn", "encoder.layers.1.self_attn"]
    kept: list[Tensor] = []
    handles = [heads_of(layer.self_attn, kept) for layer in net.encoder.layers]
    with torch.enable_grad():  # the slow path, which calls its modules
        net(x.requires_grad_())
    for handle in handles:
        handle.remove()
    found, score = read(net, x.detach(), layers)
    assert score == pytest.approx(float(own[0, 1]), abs=1e-5)
    sums_to_one(found)
    for a, mine in zip(kept, found, strict=True):
        torch.testing.assert_close(mine, a, **CLOSE)
        assert not mine[:, :, -1].any()  # nobody looks at padding
        assert not mine.triu(1).any()
