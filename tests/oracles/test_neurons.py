"""Layer and neuron versions of methods come from where points live and what is scored: they are captum's classes.

Layer integrated gradients, layer gradient times activation and layer Grad-CAM stand in test_captum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum import attr
from oracle_nets import Residual, ViT, cnn, mlp, normal, settled
from torch import Tensor, nn

import pellucid

F64 = torch.float64
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, tuple[int, ...]]] = {
    "mlp": (mlp, (6,), "2", (5,)), "cnn": (cnn, (3, 8, 8), "4", (6, 1, 2)),
    "residual": (Residual, (3, 6, 6), "block1.conv1", (3, 2, 2)), "vit": (ViT, (3, 12, 12), "blocks.0.mlp.0", (4, 9)),
}
every = pytest.mark.parametrize("net", NETS)
pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks and attributes:UserWarning",
                                        "ignore:Setting backward hooks on ReLU activations:UserWarning",
                                        "ignore:Input Tensor . did not already require gradients:UserWarning")


def at(name: str) -> Any:
    make, shape, layer, unit = NETS[name]
    net = settled(make(), 1, F64)
    spelled = f"{layer}[{','.join(map(str, unit))}]"
    return net, net.get_submodule(layer), normal(2, *shape, seed=1, dtype=F64), normal(*shape, seed=2, dtype=F64), (
        layer, unit, spelled)


def equal(ours: Any, theirs: Tensor, tolerance: float = 1e-12) -> None:
    got = torch.stack([e.values if e.elements is None else e.elements for e in ours])
    theirs = theirs.detach().reshape(got.shape)
    assert float((got - theirs).abs().max()) <= tolerance * float(theirs.abs().max())
    assert bool(theirs.any())


@every
def test_the_gradient_of_a_neuron_is_captums(net: str) -> None:
    model, layer, x, _, (_, unit, spelled) = at(net)
    ours = pellucid.explain(model, x, "saliency", target=spelled, absolute=False)
    equal(ours, attr.NeuronGradient(model, layer).attribute(x.clone(), unit))


@every
def test_integrated_gradients_of_a_neuron_are_captums_and_complete(net: str) -> None:
    model, layer, x, base, (_, unit, spelled) = at(net)
    ours = pellucid.explain(model, x, "integrated_gradients", target=spelled, baseline=base, steps=60)
    theirs = attr.NeuronIntegratedGradients(model, layer).attribute(x, unit, base[None].expand_as(x), n_steps=60)
    equal(ours, theirs, 1e-8)
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, args, output: kept.append(output))
    model(x)
    handle.remove()
    for k, e in enumerate(ours):
        assert e.score == pytest.approx(float(kept[0][(k, *unit)]), abs=1e-12)
        assert abs(e.residual) <= 0.02 * float(e.values.norm())


@every
def test_ablation_for_a_neuron_is_captums(net: str) -> None:
    model, layer, x, base, (_, unit, spelled) = at(net)
    ours = pellucid.explain(model, x, "ablation", target=spelled, baseline=base, features="units")
    theirs = attr.NeuronFeatureAblation(model, layer).attribute(x, unit, base[None], perturbations_per_eval=16)
    equal(ours, theirs.to(F64), 1e-9)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_gradients_through_rectified_gates_for_a_neuron_are_captums(method: str) -> None:
    make = {"guided_backprop": attr.NeuronGuidedBackprop, "deconvnet": attr.NeuronDeconvolution}[method]
    model, layer, x, _, (_, unit, spelled) = at("cnn")
    ours = pellucid.explain(model, x, method, target=spelled)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    equal(ours, make(model, layer).attribute(x.clone(), unit))


@pytest.mark.parametrize("net", ["mlp", "vit"])
def test_ablation_of_single_units_of_a_layer_is_captums(net: str) -> None:
    """A unit takes the value that it has at the baseline."""
    model, layer, x, base, (name, _, _) = at(net)
    with torch.no_grad():
        kept: list[Tensor] = []
        handle = layer.register_forward_hook(lambda module, args, output: kept.append(output))
        model(base[None])
        handle.remove()
    options: dict[str, Any] = {"layer": name, "target": 1, "baseline": base}
    if net == "mlp":
        ours = pellucid.explain(model, x, "inside(ablation)", **options)
        theirs = attr.LayerFeatureAblation(model, layer).attribute(x, kept[0].expand(2, -1), target=1)
        equal(ours, theirs.to(F64), 1e-9)
    else:  # whole tokens at once: their units share a value, which captum writes on each of them
        ours = pellucid.explain(model, x, "inside(ablation)", **options)
        mask = torch.arange(10)[None, :, None].expand(1, 10, 16)
        theirs = attr.LayerFeatureAblation(model, layer).attribute(
            x, kept[0].expand(2, -1, -1), target=1, layer_mask=mask)[..., 0]
        equal(ours, theirs.to(F64), 1e-9)


def test_ablation_of_a_layers_channels_is_captums_once_per_channel() -> None:
    model, layer, x, base, (name, _, _) = at("cnn")
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, args, output: kept.append(output.detach()))
    model(base[None])
    handle.remove()
    ours = pellucid.explain(model, x, "inside(ablation)", layer=name, target=1, baseline=base)
    mask = torch.arange(8)[None, :, None, None].expand(1, *kept[0].shape[1:])
    theirs = attr.LayerFeatureAblation(model, layer).attribute(
        x, kept[0].expand(2, -1, -1, -1), target=1, layer_mask=mask)[:, :, 0, 0]
    equal(ours, theirs.to(F64), 1e-9)


@every
def test_a_layer_with_respect_to_a_neuron_behind_it(net: str) -> None:
    """Both at once: which units of one layer reach a unit of a later one. captum has no class for it."""
    model, layer, x, _, (_, unit, spelled) = at(net)
    earlier = {"mlp": "0", "cnn": "0", "residual": "stem", "vit": "patch"}[net]
    kept: dict[str, Tensor] = {}
    handles = [model.get_submodule(earlier).register_forward_hook(lambda m, a, out: kept.update(early=out)),
               layer.register_forward_hook(lambda m, a, out: kept.update(late=out))]
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    model(x[:1].clone().requires_grad_())
    for handle in handles:
        handle.remove()
    (slope,) = torch.autograd.grad(kept["late"][(0, *unit)], kept["early"])
    e = pellucid.explain(model, x[:1], "inside(input_x_gradient)", layer=earlier, target=spelled)
    torch.testing.assert_close(e.values, (slope * kept["early"])[0].detach(), rtol=1e-11, atol=1e-13)
