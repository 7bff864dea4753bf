"""Class activation maps find their own layer and grid, in the models that people use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import normal, settled
from torch import Tensor, nn

import pellucid


def torchvision(name: str, **options: Any) -> nn.Module:
    import torchvision as tv

    return getattr(tv.models, name)(num_classes=5, **options)


def timm(name: str, **options: Any) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=5, **options)


def hf_vit() -> nn.Module:
    import transformers

    return transformers.ViTForImageClassification(transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=48, patch_size=8,
        num_labels=5))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int], set[str], tuple[int, int]]] = {
    "torchvision resnet18": (lambda: torchvision("resnet18"), (64, 96), {"layer4", "layer4.1"}, (2, 3)),
    "torchvision mobilenet_v2": (lambda: torchvision("mobilenet_v2"), (96, 64), {"features", "features.18"}, (3, 2)),
    "torchvision densenet121": (lambda: torchvision("densenet121"), (64, 96), {"features", "features.norm5"}, (2, 3)),
    "torchvision vit_b_16": (lambda: torchvision("vit_b_16", image_size=48), (48, 48),
                             {"encoder.layers.encoder_layer_11.ln_1"}, (3, 3)),
    "timm vit_tiny": (lambda: timm("vit_tiny_patch16_224", img_size=64, depth=3), (64, 64), {"blocks.2.norm1"}, (4, 4)),
    "timm vit_tiny, wide": (lambda: timm("vit_tiny_patch16_224", img_size=(32, 64), depth=2), (32, 64),
                            {"blocks.1.norm1"}, (2, 4)),
    "timm resnet18": (lambda: timm("resnet18"), (64, 96), {"layer4", "layer4.1"}, (2, 3)),
    "timm efficientnet_b0": (lambda: timm("efficientnet_b0"), (96, 64), {"bn2", "bn2.act"}, (3, 2)),
    "timm convnext_atto": (lambda: timm("convnext_atto"), (64, 96), {"stages", "stages.3", "norm_pre"}, (2, 3)),
    "transformers vit": (hf_vit, (48, 48), {"vit.encoder.layer.1.layernorm_before", "vit.layers.1.layernorm_before"},
                         (6, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_grad_cam_finds_the_last_layer_that_still_has_places_and_its_grid(name: str, vision: bool) -> None:
    make, size, layers, grid = CASES[name]
    net, x = settled(make()), normal(1, 3, *size)
    e = pellucid.explain(net, x, "grad_cam", target=3)
    layer = e.recipe["layer"]
    assert layer in layers
    assert tuple(e.values.shape) == grid
    torch.testing.assert_close(e.values, by_hand(net, x, layer, 3, grid), rtol=1e-4, atol=1e-6)
    again = pellucid.explain(net, x, **e.recipe)
    assert torch.equal(again.values, e.values)


def by_hand(net: nn.Module, x: Tensor, layer: str, target: int, grid: tuple[int, int]) -> Tensor:
    kept: dict[str, Tensor] = {}

    def hook(m: nn.Module, a: Any, out: Tensor) -> Tensor:
        kept["value"] = out
        return out.clone()

    handle = net.get_submodule(layer).register_forward_hook(hook)
    out = net(x.clone().requires_grad_())
    handle.remove()
    (slope,) = torch.autograd.grad(getattr(out, "logits", out)[0, target], kept["value"])
    slope, seen = slope[0], kept["value"][0]
    if slope.dim() == 2:  # tokens; what comes before the patches is no place
        patches = grid[0] * grid[1]
        slope, seen = (v[-patches:].T.reshape(-1, *grid) for v in (slope, seen))
    return (slope.mean((1, 2), keepdim=True) * seen).sum(0)


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.1.norm2", "blocks.2.attn"])
def test_a_token_layer_of_ones_own_choice_gets_the_pictures_grid(layer: str, vision: bool) -> None:
    net, x = settled(timm("vit_tiny_patch16_224", img_size=(32, 64), depth=3)), normal(1, 3, 32, 64)
    e = pellucid.explain(net, x, "grad_cam", target=1, layer=layer)
    torch.testing.assert_close(e.values, by_hand(net, x, layer, 1, (2, 4)), rtol=1e-4, atol=1e-6)


def test_a_planted_bright_corner_is_where_the_map_is_largest(vision: bool) -> None:
    """One channel carries the corner to the score: wherever the layer is, the map must show it there."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(inplace=True),
                        nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.ReLU(inplace=True),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.constant_(module.weight, 0.1)
            nn.init.zeros_(module.bias)
    x = torch.zeros(1, 3, 32, 24)
    x[..., :8, 16:] = 1.0
    e = pellucid.explain(net.eval(), x, "grad_cam", target=1)
    assert tuple(e.values.shape) == (8, 6)
    corner = e.values[:3, 3:].clamp(min=0).sum() / e.values.clamp(min=0).sum()
    assert float(corner) == pytest.approx(1.0)


def test_models_without_a_sure_layer_ask_for_one(vision: bool) -> None:
    hiera = settled(timm("hiera_tiny_224", img_size=64, embed_dim=8, num_heads=1, stages=(1, 1, 1, 1)))
    for net, x in ((hiera, normal(1, 3, 64, 64)), (nn.Sequential(nn.Linear(4, 3)), normal(1, 4))):
        with pytest.raises(pellucid.PellucidError) as error:
            pellucid.explain(net, x, "grad_cam")
        assert error.value.code == "layer.needed"
        assert "layer=" in error.value.do
