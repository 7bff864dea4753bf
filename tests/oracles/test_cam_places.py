"""Where a layer's places are is found in the vision models that people use, without anybody saying how they lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import ViT, normal, settled
from torch import Tensor, nn

import pellucid


def timm(name: str, **options: Any) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=5, **options)


def hf(kind: str, **options: Any) -> nn.Module:
    import transformers

    return getattr(transformers, f"{kind}ForImageClassification")(getattr(transformers, f"{kind}Config")(
        **options, num_labels=5))


def tv_swin() -> nn.Module:
    import torchvision as tv

    return tv.models.SwinTransformer([2, 2], 8, [1, 1], [1, 2], [4, 4], num_classes=5)


def tv_convnext() -> nn.Module:
    import torchvision as tv

    block = tv.models.convnext.CNBlockConfig
    return tv.models.ConvNeXt([block(8, 16, 1), block(16, None, 1)], num_classes=5)


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "patch_size": 8}
DINO = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "patch_size": 8}
SWIN = {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4, "patch_size": 2}

FIRST, LAST = "channels first", "channels last"
Case = tuple[Callable[[], nn.Module], tuple[int, int], str, tuple[int, int], str]

CASES: dict[str, Case] = {
    "timm deit, distilled": (
        lambda: timm("deit_tiny_distilled_patch16_224", img_size=32, patch_size=8, depth=2, embed_dim=24), (32, 32),
        "blocks.1.norm1", (4, 4), "4 by 4 tokens after 1 class token and 1 distillation token"),
    "timm vit with registers": (
        lambda: timm("vit_tiny_patch16_224", img_size=(16, 32), patch_size=8, depth=2, embed_dim=24, reg_tokens=4),
        (16, 32), "blocks.1.norm1", (2, 4), "2 by 4 tokens after 1 class token and 4 register tokens"),
    "timm vit, mean of tokens": (
        lambda: timm("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, embed_dim=24, class_token=False,
                     global_pool="avg"), (32, 32), "norm", (4, 4), "4 by 4 tokens"),
    "timm swin": (
        lambda: timm("swin_tiny_patch4_window7_224", img_size=(32, 64), window_size=4, depths=(1, 1), embed_dim=12,
                     num_heads=(1, 2)), (32, 64), "norm", (4, 8), "4 by 8 places, with channels last"),
    "timm cait, class token last": (
        lambda: timm("cait_xxs24_224", img_size=32, patch_size=8, depth=1, embed_dim=24, num_heads=2), (32, 32),
        "blocks", (4, 4), "4 by 4 tokens"),
    "transformers deit": (lambda: hf("DeiT", **SMALL, image_size=32), (32, 32), "*.layers.1.layernorm_before", (4, 4),
                          "4 by 4 tokens after 1 class token and 1 distillation token"),
    "transformers dinov2 with registers": (
        lambda: hf("Dinov2WithRegisters", **DINO, image_size=32, num_register_tokens=2), (16, 32),
        "*.layer.1.norm1", (2, 4), "2 by 4 tokens after 1 class token and 2 register tokens"),
    "transformers swin": (lambda: hf("Swin", **SWIN, image_size=32), (16, 32), "swin.layernorm", (4, 8),
                          "4 by 8 tokens"),
    "transformers convnext": (
        lambda: hf("ConvNext", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2), (32, 64), "convnext.encoder", (4, 8),
        "4 by 8 places"),
    "torchvision swin": (tv_swin, (16, 32), "permute", (4, 8), "4 by 8 places"),
    "torchvision convnext": (tv_convnext, (32, 64), "features", (4, 8), "4 by 8 places"),
}


def by_hand(net: nn.Module, x: Tensor, layer: str, target: int, grid: tuple[int, int]) -> Tensor:
    """Grad-CAM by hooks; the layout is told by its known grid alone."""
    kept: list[Tensor] = []

    def hook(m: nn.Module, a: Any, out: Any) -> Any:
        kept.append(out[0] if isinstance(out, tuple) else getattr(out, "last_hidden_state", out))
        if isinstance(out, tuple):
            return (out[0].clone(), *out[1:])
        return out.clone() if isinstance(out, Tensor) else None

    handle = net.get_submodule(layer).register_forward_hook(hook)
    out = net(x.clone().requires_grad_())
    handle.remove()
    (slope,) = torch.autograd.grad(getattr(out, "logits", out)[0, target], kept[0])
    pair = (slope[0], kept[0][0])
    if slope.dim() == 3:
        pair = tuple(v[-grid[0] * grid[1]:].T.reshape(-1, *grid) for v in pair)
    elif slope.shape[1:3] == grid:
        pair = tuple(v.permute(2, 0, 1) for v in pair)
    return (pair[0].mean((1, 2), keepdim=True) * pair[1]).sum(0)


@pytest.mark.parametrize("name", CASES)
def test_the_layer_and_its_places_are_found_and_said(name: str, vision: bool) -> None:
    make, size, layer, grid, said = CASES[name]
    net, x = settled(make()), normal(1, 3, *size)
    e = pellucid.explain(net, x, "grad_cam", target=3)
    chosen = e.recipe["layer"]
    assert chosen == layer or (layer[0] == "*" and chosen.endswith(layer[1:]))
    assert e.evidence.chosen["grid"] == said
    torch.testing.assert_close(e.values, by_hand(net, x, chosen, 3, grid), rtol=1e-4, atol=1e-6)
    assert torch.equal(pellucid.explain(net, x, **e.recipe).values, e.values)


@pytest.mark.parametrize(("name", "layer", "grid"), [
    ("timm swin", "layers.0", (8, 16)), ("timm swin", "layers.1.blocks.0.mlp", (4, 8)),
    ("timm swin", "patch_embed.proj", (8, 16)), ("transformers swin", "swin.encoder.layers.0.blocks.0", (8, 16)),
    ("transformers swin", "swin.embeddings", (8, 16)), ("torchvision swin", "features.1.0", (8, 16)),
    ("torchvision swin", "features.2", (4, 8)), ("torchvision convnext", "features.1.0.block.2", (8, 16)),
    ("timm deit, distilled", "blocks.0.mlp", (4, 4)), ("transformers convnext", "convnext.embeddings", (8, 16)),
])
def test_a_layer_of_ones_own_choice_is_laid_out_by_itself(name: str, layer: str, grid: tuple[int, int], vision: bool
                                                          ) -> None:
    make, size, *_ = CASES[name]
    net, x = settled(make()), normal(1, 3, *size)
    e = pellucid.explain(net, x, "grad_cam", target=1, layer=layer)
    torch.testing.assert_close(e.values, by_hand(net, x, layer, 1, grid), rtol=1e-4, atol=1e-6)


class Cut(nn.Module):
    """Patches without a convolution, in an order of their own."""

    def __init__(self, order: list[int], head: bool = True) -> None:
        super().__init__()
        self.order, self.linear = order, nn.Linear(48, 8)
        self.register_buffer("cls_token", torch.zeros(1, 1, 8))
        self.norm1, self.norm2, self.head = nn.LayerNorm(8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.linear(nn.functional.unfold(x, 4, stride=4).transpose(1, 2))[:, self.order]
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1)
        return self.head(self.norm2(self.norm1(tokens).tanh()).mean(1))


def test_patches_that_were_cut_without_a_convolution_are_found_by_changing_them() -> None:
    net, x = settled(Cut(list(range(6)))), normal(1, 3, 8, 12)
    e = pellucid.explain(net, x, "grad_cam", layer="norm2", target=1)
    torch.testing.assert_close(e.values, by_hand(net, x, "norm2", 1, (2, 3)), rtol=1e-4, atol=1e-6)
    assert e.evidence.chosen["grid"] == "2 by 3 tokens after 1 token of another kind"


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [0, 3, 1, 4, 2, 5], [1, 2, 3, 4, 5, 0]])
def test_tokens_that_do_not_lie_as_the_patches_do_are_refused_rather_than_drawn_in_the_wrong_place(order: list[int]
                                                                                                ) -> None:
    net, x = settled(Cut(order)), normal(1, 3, 8, 12)
    for layer, code in (({}, "layer.needed"), ({"layer": "norm2"}, "layer.no_places")):
        with pytest.raises(pellucid.PellucidError) as error:
            pellucid.explain(net, x, "grad_cam", target=1, **layer)
        assert error.value.code == code
    e = pellucid.explain(net, x, "grad_cam", target=1, layer="norm2", grid=(2, 3))
    torch.testing.assert_close(e.values, by_hand(net, x, "norm2", 1, (2, 3)), rtol=1e-4, atol=1e-6)


def test_hiera_which_puts_its_tokens_in_another_order_is_explained_before_that_and_not_after(vision: bool) -> None:
    net = settled(timm("hiera_tiny_224", img_size=64, embed_dim=8, num_heads=1, stages=(1, 1, 1, 1)))
    x = normal(1, 3, 64, 64)
    e = pellucid.explain(net, x, "grad_cam", layer="patch_embed", target=1)
    torch.testing.assert_close(e.values, by_hand(net, x, "patch_embed", 1, (16, 16)), rtol=1e-4, atol=1e-6)
    for layer in ("blocks.0.norm1", "blocks.0", "blocks.3"):
        with pytest.raises(pellucid.PellucidError) as error:
            pellucid.explain(net, x, "grad_cam", layer=layer, target=1)
        assert error.value.code == "layer.no_places"


class Stack(nn.Module):
    """Convolutions over one axis, and a layer behind them that puts channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv1d(2, 5, 3), nn.ReLU()
        self.each, self.head = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.each(self.act(self.conv(x)).transpose(1, 2)).mean(1))


def test_a_signals_channels_are_told_from_its_times() -> None:
    net, x = settled(Stack()), normal(1, 2, 10)
    usual = pellucid.explain(net, x, "grad_cam", target=1)
    assert usual.recipe["layer"] == "act"
    for layer in ("act", "each"):
        e = pellucid.explain(net, x, "hires_cam", layer=layer, target=1)
        assert tuple(e.values.shape) == (8,)
        kept: list[Tensor] = []
        handle = net.get_submodule(layer).register_forward_hook(
            lambda m, a, out, kept=kept: kept.append(out) or out.clone())
        (slope,) = torch.autograd.grad(net(x.clone().requires_grad_())[0, 1], kept[0])
        handle.remove()
        torch.testing.assert_close(e.values, (slope * kept[0])[0].sum(0 if layer == "act" else 1))


class Volume(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
                         nn.Linear(4, 3))


def test_a_volume_has_places_along_three_axes() -> None:
    net, x = settled(Volume()), normal(1, 1, 4, 5, 6)
    e = pellucid.explain(net, x, "grad_cam", target=2)
    assert (e.recipe["layer"], tuple(e.values.shape)) == ("1", (4, 5, 6))
    seen = net[1](net[0](x))[0]
    torch.testing.assert_close(e.values, torch.einsum("c,cdhw->dhw", net[4].weight[2] / 120, seen))


def test_what_is_no_place_is_refused_with_its_shape_and_the_layers_that_have_some() -> None:
    net, x = settled(ViT()), normal(1, 3, 12, 12)
    for layer, found in (("norm", "(10, 8)"), ("head", "(5,)")):
        if layer == "norm":
            assert pellucid.explain(net, x, "grad_cam", layer=layer, target=1).values.shape == (3, 3)
            continue
        with pytest.raises(pellucid.PellucidError) as error:
            pellucid.explain(net, x, "grad_cam", layer=layer, target=1)
        assert error.value.code == "layer.no_places"
        assert found in error.value.found
        assert "blocks.1" in error.value.do
