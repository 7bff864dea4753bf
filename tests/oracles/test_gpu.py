"""The same numbers on a GPU as on the CPU, and smaller passes where it is full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import Residual, ViT, cnn, normal, same, settled
from torch import nn

import pellucid

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@gpu
@pytest.mark.parametrize("make", [cnn, Residual, ViT], ids=lambda m: m.__name__)
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "kernel_shap", "inside(ablation)"])
def test_a_model_on_a_gpu_gives_the_values_it_gives_on_the_cpu(make: Callable[[], nn.Module], method: str) -> None:
    x = normal(2, 3, 12, 12)
    layer = {cnn: "4", Residual: "block1", ViT: "blocks.0"}[make]  # type: ignore[index]
    options: dict[str, Any] = {"kernel_shap": {"features": "patches:4"}, "inside(ablation)": {"layer": layer}}.get(
        method, {})
    slow = pellucid.explain(settled(make()).double(), x.double(), method, target=1, **options)
    fast = pellucid.explain(settled(make()).double().cuda(), x.double().cuda(), method, target=1, **options)
    for a, b in zip(fast, slow, strict=True):
        same(a, b, 1e-9)
        assert a.evidence.device.startswith("cuda")
        assert a.values.device.type == "cpu"


@gpu
def test_a_full_gpu_gets_smaller_passes() -> None:
    hog = nn.Sequential(nn.Flatten(), nn.Linear(432, 2**24, bias=False), nn.ReLU(), nn.AdaptiveAvgPool1d(4))
    hog = settled(hog.to(torch.float32)).cuda()
    e = pellucid.explain(hog, normal(1, 3, 12, 12).cuda(), "kernel_shap", target=1, features="patches:3")
    assert e.verdict.status == "pass", e.verdict
    assert e.evidence.chunk < e.evidence.rows


@gpu
def test_a_look_on_a_gpu_shows_the_maps_and_attention_of_the_cpu() -> None:
    x = normal(2, 3, 12, 12)
    slow = pellucid.look(settled(ViT()).double(), x.double(), ["stages", "attention"])
    fast = pellucid.look(settled(ViT()).double().cuda(), x.double().cuda(), ["stages", "attention"])
    assert list(fast) == list(slow)
    for layer in slow:
        torch.testing.assert_close(fast[layer].values[1], slow[layer].values[1], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(fast[layer].channels, slow[layer].channels, rtol=1e-6, atol=1e-9)
    for name, found in slow.attention.items():
        assert fast.attention[name].device.type == "cpu"
        torch.testing.assert_close(fast.attention[name], found, rtol=0, atol=1e-9)
        assert fast.agreed[name] == pytest.approx(slow.agreed[name], abs=1e-6)
