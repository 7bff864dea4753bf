"""FullGrad: input and biases account for the whole score of a network of ReLUs, and the map is the paper's sum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle_nets import Residual, ViT, cnn, normal, settled
from torch import Tensor, nn

import pellucid

F64 = torch.float64


class Functional(nn.Module):
    """ReLUs and poolings that are no modules, a layer without a bias, a convolution that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.Conv2d(6, 6, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 2)
        x = F.relu_(self.conv(x)) + x
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


NETS = {"cnn": lambda: cnn(seed=2, dtype=F64), "residual": lambda: settled(Residual(), 2, F64),
        "functional": lambda: settled(Functional(), 2, F64)}


@pytest.mark.parametrize("name", NETS)
def test_input_and_biases_account_for_the_whole_score_of_a_relu_net(name: str) -> None:
    net, x = NETS[name](), normal(1, 3, 12, 12, seed=3, dtype=F64)
    for target in (0, 3):
        e = pellucid.explain(net, x, "full_grad", target=target)
        assert e.details["explained"] == pytest.approx(1, abs=1e-10)
        assert e.details["input"] + e.details["biases"] == pytest.approx(e.score, abs=1e-10)
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(leaf)[0, target], leaf)
        assert e.details["input"] == pytest.approx(float((slope * x).sum()), abs=1e-10)
        assert abs(e.details["biases"]) > 0.05
        assert e.verdict.status == "pass"


def rescaled(v: np.ndarray) -> np.ndarray:
    v = np.abs(v)
    return (v - v.min()) / (v.max() - v.min()) if v.max() > v.min() else 0 * v


def upsampled(v: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    made = F.interpolate(torch.as_tensor(v)[None, None], size, mode="bilinear", align_corners=False)
    return made[0, 0].numpy()


@pytest.mark.parametrize("rescale", ["channel", "layer"])
def test_the_map_is_the_sum_of_every_parts_psi(rescale: str) -> None:
    net, x = cnn(seed=2, dtype=F64), normal(1, 3, 12, 10, seed=3, dtype=F64)
    kept: dict[str, Tensor] = {}
    handles = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            def hook(m: nn.Module, a: object, out: Tensor, name: str = name) -> Tensor:
                kept[name] = out
                return out.clone()

            handles.append(module.register_forward_hook(hook))
    leaf = x.clone().requires_grad_()
    score = net(leaf)[0, 1]
    for handle in handles:
        handle.remove()
    slopes = torch.autograd.grad(score, [leaf, *kept.values()])
    parts = [(x * slopes[0])[0].numpy()]
    for (name, _), slope in zip(kept.items(), slopes[1:], strict=True):
        m = net.get_submodule(name)
        bias = m.bias if isinstance(m, nn.Conv2d) else (
            m.bias - m.running_mean * m.weight / (m.running_var + m.eps).sqrt())
        parts.append((bias[:, None, None] * slope[0]).numpy())
    true = np.zeros((12, 10))
    for part in parts:
        for c in range(len(part)):
            scaled = rescaled(part[c]) if rescale == "channel" else rescaled(part)[c]
            true += upsampled(scaled, (12, 10))
    e = pellucid.explain(net, x, "full_grad", target=1, rescale=rescale)
    assert float((e.values - torch.as_tensor(true)).abs().max()) <= 1e-10 * true.max()
    assert torch.equal(pellucid.explain(net, x, **e.recipe).values, e.values)
    signed = pellucid.explain(net, x, "full_grad", target=1, rescale=rescale, absolute=False).values
    flat = np.zeros((12, 10))
    for part in parts:
        most = np.abs(part).max((1, 2) if rescale == "channel" else None, keepdims=True)
        flat += sum(upsampled(c, (12, 10)) for c in np.divide(part, most, out=0 * part, where=most > 0))
    assert float((signed - torch.as_tensor(flat)).abs().max()) <= 1e-10 * np.abs(flat).max()


def test_what_is_no_relu_net_is_told_by_the_share_that_is_explained() -> None:
    net, x = settled(ViT(), 1, F64), normal(1, 3, 12, 12, dtype=F64)
    e = pellucid.explain(net, x, "full_grad", target=2)
    assert not math.isclose(e.details["explained"], 1, abs_tol=0.01)
    assert "parts.apart" in [f.code for f in e.verdict.findings]
    told = next(f.reason for f in e.verdict.findings if f.code == "parts.apart")
    assert f"{e.details['explained']:.1%}" in told
    # Its token layers have places all the same: the map takes them in.
    alone = pellucid.explain(net, x, "full_grad", target=2, layers=("patch:bias",))
    assert not torch.allclose(alone.values, e.values)


class Constant(nn.Module):
    """Adds a number that no layer's bias says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().mean((2, 3))) + 5


def test_a_constant_beside_the_layers_is_noticed() -> None:
    e = pellucid.explain(settled(Constant()), normal(1, 3, 8, 8), "full_grad", target=1)
    assert "parts.apart" in [f.code for f in e.verdict.findings]
    assert e.details["explained"] == pytest.approx((e.score - 5) / e.score, rel=1e-4)
