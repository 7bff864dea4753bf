"""Peer cases 20 to 35: state, number formats, memory layouts, random states. See test_peer_cases.py."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from oracle_nets import normal, settled
from peer_nets import DOUBLE, PICTURE, Functional, refused, slope
from torch import Tensor, nn

import pellucid
from pellucid.catalog import find, methods


class Rude(nn.Module):
    """Σ x after x.sub_(½) in place: every feature is worth what it is above its baseline."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sub_(0.5).sum(1, keepdim=True)


@pytest.mark.parametrize("method", ["ablation", "occlusion", "kernel_shap", "shapley_sampling", "shapley", "lime"])
def test_peer_case_20(method: str) -> None:
    """captum: a model that changes its input in place gets 2.5 where 1 is true, and the user's tensor is changed."""
    x = torch.ones(1, 4)
    e = pellucid.explain(Rude(), x, method)
    assert torch.equal(x, torch.ones(1, 4))
    assert torch.allclose(e.values, torch.ones(4), atol=0.02 if method == "lime" else 1e-5)


def test_peer_case_21() -> None:
    """captum: a model in training mode moves its statistics, answers differently each time and by its neighbours."""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    settled(net).train()
    before = copy.deepcopy(net.state_dict())
    x = normal(3, 4)
    one, two = (pellucid.explain(net, x, "integrated_gradients", target=1)[0].values for _ in range(2))
    alone = pellucid.explain(net, x[:1], "integrated_gradients", target=1).values
    assert torch.equal(one, two)
    assert torch.allclose(one, alone, atol=1e-6)
    assert net.training
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_peer_case_22() -> None:
    """shap: its additivity tolerance of 0.01 absolute passes small outputs whatever their error."""
    net = settled(nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)), 6, DOUBLE)
    with torch.no_grad():
        net[2].weight *= 1e-3
        net[0].weight *= 4
    e = pellucid.explain(net, normal(1, 4, dtype=DOUBLE), "integrated_gradients", target=1, steps=1)
    assert abs(e.residual) < 0.01
    assert abs(e.residual) > 0.05 * abs(e.score - e.baseline_score)
    assert e.verdict.status != "pass"


def test_peer_case_23() -> None:
    """shap: an in-place ReLU ends in an unclear error about a BackwardHookFunction."""
    found, twin = (pellucid.explain(Functional(how), PICTURE, "captum:DeepLift", target=1)
                   for how in ("in place", "modules"))
    assert torch.allclose(found.values, twin.values)
    assert found.verdict.status == "pass"


def test_peer_case_24() -> None:
    """In half precision a sharp softmax has a gradient of zero, in silence; the logit has not."""
    net = settled(nn.Linear(4, 3), 1, torch.float16)
    x = 400 * normal(1, 4, seed=2, dtype=torch.float16)
    flat = pellucid.explain(net, x, "saliency", target=lambda o: o.softmax(1).amax(1))
    assert not flat.values.any()
    assert "values.all_zero" in [f.code for f in flat.verdict.findings]
    logit = pellucid.explain(net, x, "saliency")
    assert logit.values.all()
    assert logit.verdict.status == "pass"


def test_peer_case_25() -> None:
    """In half precision the output overflows, and the attribution is finite all the same."""
    net = settled(nn.Linear(4, 3), 1, torch.float16)
    x = torch.full((1, 4), 6e4, dtype=torch.float16)
    refused("output.not_finite", lambda: pellucid.explain(net, x, "input_x_gradient", target=int(
        net(x)[0].float().isinf().nonzero()[0])))


def test_peer_case_26() -> None:
    """grad-cam: bfloat16 ends in a TypeError."""
    wide = Functional("modules").float()
    e = pellucid.explain(copy.deepcopy(wide).bfloat16(), PICTURE.bfloat16(), "grad_cam", layer="two", target=1)
    truth = pellucid.explain(wide, PICTURE.bfloat16().float(), "grad_cam", layer="two", target=1).values
    assert e.values.dtype == torch.float32
    assert float((e.values - truth).norm() / truth.norm()) < 0.05


def test_peer_case_27() -> None:
    """captum: integrated gradients of a sharp softmax with 50 steps miss 9 % of the change, unless one asks."""
    net = settled(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)), 7, DOUBLE)
    sharp = lambda o: (200 * o).softmax(1)[:, 1]  # noqa: E731
    x = normal(1, 4, seed=2, dtype=DOUBLE)
    settled_ = pellucid.explain(net, x, "integrated_gradients", target=sharp)
    fixed = pellucid.explain(net, x, "integrated_gradients", target=sharp, steps=20)
    missed = abs(fixed.residual) / abs(fixed.score - fixed.baseline_score)
    assert missed > 0.09, "the case is as hard as it is meant to be"
    assert "complete.not" in [f.code for f in fixed.verdict.findings]
    share = abs(settled_.residual) / abs(settled_.score - settled_.baseline_score)
    assert share <= 0.02 or settled_.verdict.status != "pass"


def test_peer_case_28() -> None:
    """captum: layer methods on a compiled model say that a hook obtained no outputs."""
    net = Functional("modules")
    compiled = torch.compile(net, backend="eager")
    ask = {"layer": "two", "target": 1}
    assert torch.equal(pellucid.explain(compiled, PICTURE, "grad_cam", **ask).values,
                       pellucid.explain(net, PICTURE, "grad_cam", **ask).values)
    assert pellucid.wrap(compiled).card["compiled"]


def test_peer_case_29() -> None:
    """Tensors made in inference mode, and calls within it, end in unclear errors."""
    net = Functional("modules")
    with torch.inference_mode():
        x = PICTURE.clone()
        inside = pellucid.explain(net, x, "saliency", target=1, absolute=False).elements
    assert torch.allclose(inside, slope(net, PICTURE, 1))
    assert torch.allclose(pellucid.explain(net, x, "saliency", target=1, absolute=False).elements, inside)


def test_peer_case_30() -> None:
    """grad-cam: frozen parameters end in `element 0 of tensors does not require grad`."""
    net = Functional("modules").requires_grad_(False)
    thawed = copy.deepcopy(net).requires_grad_(True)
    with torch.no_grad():
        found = pellucid.explain(net, PICTURE, "grad_cam", layer="two", target=1).values
    assert torch.equal(found, pellucid.explain(thawed, PICTURE, "grad_cam", layer="two", target=1).values)
    assert found.any()


def test_peer_case_31() -> None:
    """captum: whole numbers as input give an unclear error, or floats."""
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3))
    ids = torch.tensor([[1, 2, 3]])
    assert "embedding" in refused("input.integer", lambda: pellucid.explain(net, ids, "saliency", target=1)).do
    e = pellucid.explain(pellucid.wrap(net, site="0"), ids, "input_x_gradient", target=1)
    weight = net[2].weight[1].reshape(3, 4)
    assert torch.allclose(e.values, (net[0](ids)[0] * weight).sum(1).detach(), atol=1e-6)


@pytest.mark.parametrize("how", ["transposed", "expanded", "channels_last", "step"])
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "occlusion", "grad_cam", "lrp"])
def test_peer_case_32(method: str, how: str) -> None:
    """captum: LRP refuses some layouts of memory, and the calls after it fail with a NoneType."""
    x = {"transposed": PICTURE.transpose(2, 3).contiguous().transpose(2, 3), "step": torch.cat(
        [PICTURE, PICTURE], 3)[..., :9], "expanded": PICTURE[:, :1].expand(1, 3, 9, 9),
        "channels_last": PICTURE.to(memory_format=torch.channels_last)}[how]
    options = {"layer": "two"} if method == "grad_cam" else {}
    net = Functional("modules")
    found = pellucid.explain(net, x, method, target=1, **options).values
    assert torch.allclose(found, pellucid.explain(net, x.contiguous().clone(), method, target=1, **options).values,
                          rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "integrated_gradients", "conductance", "grad_cam",
                                    "inside(integrated_gradients)", "inside(input_x_gradient)", "guided_backprop",
                                    "internal_influence", "occlusion", "lrp"])
def test_peer_case_33(method: str) -> None:
    """captum: LayerIntegratedGradients of a network with in-place ReLUs complains of a leaf variable."""
    known = find(method)
    options: dict[str, Any] = {"layer": "one"} if "layer" in known.defaults else {}
    options |= {"steps": 8} if "steps" in known.defaults else {}
    found, twin = (pellucid.explain(Functional(how), PICTURE, method, target=1, **options).values
                   for how in ("in place", "modules"))
    assert torch.allclose(found, twin)


def test_peer_case_34() -> None:
    """DataParallel: captum is right on one CPU; on several devices nobody ran it."""
    net = nn.DataParallel(Functional("modules"))
    assert "model.module" in refused("model.parallel", lambda: pellucid.explain(net, PICTURE, "saliency", target=1)).do


SAMPLING = sorted(name for name, m in methods().items() if {"samples", "masks"} & set(m.defaults))


@pytest.mark.parametrize("method", [*SAMPLING, "smooth(saliency)", "captum:KernelShap", "captum:GradientShap"])
def test_peer_case_35(method: str) -> None:
    """shap reseeds the user's numpy; 9 of 10 sampling methods of the peers move a global random state."""
    known = find(method)
    few = {k: 8 for k in ("samples", "masks", "n_samples") if k in known.defaults}
    if "baselines" in known.defaults:
        few["baselines"] = ["zero", 0.3]
    net = settled(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    # strict: else the second run, which knows the model, may take more rows at once and round otherwise
    one, two = (pellucid.explain(net, normal(1, 4), method, target=1, seed=5, strict=True, **few) for _ in range(2))
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.equal(one.values, two.values)
