"""Internal influence and the conductance of single neurons: captum where it is right, identities, closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from captum import attr
from oracle_nets import Residual, ViT, cnn, mlp, normal, settled
from torch import nn

import pellucid

F64 = torch.float64
NETS: dict[str, tuple[Any, tuple[int, ...], str, tuple[int, ...]]] = {
    "mlp": (lambda: mlp(act=nn.GELU), (6,), "2", (5,)), "cnn": (cnn, (3, 8, 8), "4", (6, 1, 2)),
    "residual": (Residual, (3, 6, 6), "block1.conv1", (3, 2, 2)), "vit": (ViT, (3, 12, 12), "blocks.0.mlp.0", (4, 9)),
}
every = pytest.mark.parametrize("net", NETS)
pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks and attributes:UserWarning")


def at(name: str, seed: int = 1) -> Any:
    make, shape, layer, unit = NETS[name]
    net = settled(make(), seed, F64)
    return net, normal(1, *shape, seed=seed, dtype=F64), normal(*shape, seed=seed + 1, dtype=F64), layer, unit


@every
def test_influence_at_the_same_points_is_captums(net: str) -> None:
    model, x, base, layer, _ = at(net)
    e = pellucid.explain(model, x, "internal_influence", layer=layer, target=1, baseline=base, steps=40)
    theirs = attr.InternalInfluence(model, model.get_submodule(layer)).attribute(
        x, base[None], target=1, n_steps=40, method="gausslegendre")[0]
    assert float((e.values - theirs).abs().max()) <= 5e-8 * float(theirs.abs().max())  # captum's weights are float32


@every
def test_conductance_of_a_neuron_at_the_same_points_is_captums(net: str) -> None:
    """With method="gausslegendre"; captum's default rule sums to 0.98 of the integral."""
    model, x, base, layer, unit = at(net)
    options: dict[str, Any] = {"target": 1, "baseline": base, "steps": 40}
    e = pellucid.explain(model, x, "neuron_conductance", layer=layer, unit=unit, **options)
    there = attr.NeuronConductance(model, model.get_submodule(layer))
    theirs = there.attribute(x, unit, base[None], target=1, n_steps=40, method="gausslegendre")[0].detach()
    values = e.values if e.elements is None else e.elements
    assert float((values - theirs).abs().max()) <= 5e-8 * float(theirs.abs().max())  # captum's weights are float32
    spelled = pellucid.explain(model, x, "neuron_conductance", neuron=f"{layer}[{','.join(map(str, unit))}]", **options)
    assert torch.equal(spelled.values, e.values)
    assert torch.equal(pellucid.explain(model, x, **spelled.recipe).values, e.values)


@every
def test_what_reaches_a_neuron_from_all_inputs_is_its_conductance(net: str) -> None:
    """To their tolerances: both ends of the way are points of the rules that stop by themselves."""
    model, x, base, layer, unit = at(net, 2)
    options: dict[str, Any] = {"target": 0, "baseline": base, "tolerance": 1e-3, "limit": 4097}
    whole = pellucid.explain(model, x, "conductance", layer=layer, **options)
    one = pellucid.explain(model, x, "neuron_conductance", layer=layer, unit=unit, **options)
    for e in (whole, one):
        assert "converged.not" not in {f.code for f in e.verdict.findings}
    assert float(one.values.sum()) == pytest.approx(float(whole.values[unit]), abs=5e-3 * float(one.values.norm()))


def test_all_units_of_a_layer_together_carry_the_scores_change() -> None:
    model, x, base = mlp((6, 7, 3), nn.Tanh, dtype=F64), normal(1, 6, dtype=F64), normal(6, seed=1, dtype=F64)
    rows = [pellucid.explain(model, x, "neuron_conductance", neuron=f"0[{j}]", target=2, baseline=base, steps=60)
            for j in range(7)]
    straight = pellucid.explain(model, x, "integrated_gradients", target=2, baseline=base, steps=60)
    torch.testing.assert_close(sum(e.values for e in rows), straight.values, rtol=1e-9, atol=1e-11)
    total = sum(float(e.values.sum()) for e in rows)
    assert total == pytest.approx(straight.score - straight.baseline_score, abs=1e-8)


@pytest.mark.parametrize("options", [{"steps": 1}, {"steps": 7}, {}])
def test_on_linear_layers_both_have_their_closed_form(options: dict[str, int]) -> None:
    first, second = nn.Linear(5, 4).double(), nn.Linear(4, 2).double()
    model, x, base = nn.Sequential(first, second), normal(5, seed=3, dtype=F64), normal(5, seed=4, dtype=F64)
    influence = pellucid.explain(model, x[None], "internal_influence", layer="0", target=1, baseline=base, **options)
    torch.testing.assert_close(influence.values, second.weight[1].detach(), rtol=1e-12, atol=1e-12)
    one = pellucid.explain(model, x[None], "neuron_conductance", neuron="0[2]", target=1, baseline=base, **options)
    true = (second.weight[1, 2] * first.weight[2] * (x - base)).detach()
    torch.testing.assert_close(one.values, true, rtol=1e-12, atol=1e-12)


def test_influence_of_one_hidden_layer_is_its_closed_form_within_a_percent() -> None:
    """∫ v_j a'(z_j(t)) dt = v_j (a(z_j(x)) - a(z_j(b))) / (z_j(x) - z_j(b)); also for kinks."""
    right = []
    for seed, act in enumerate([nn.ReLU, nn.GELU, nn.Tanh] * 4):
        model, x, b = mlp((6, 20, 1), act, seed, F64), normal(6, seed=seed, dtype=F64), normal(6, seed=99, dtype=F64)
        ends = torch.stack([model[0](b), model[0](x)])
        true = model[2].weight[0] * (model[1](ends[1]) - model[1](ends[0])) / (ends[1] - ends[0])
        e = pellucid.explain(model, x[None], "internal_influence", layer="0", baseline=b)
        right.append(float((e.values - true).norm()) <= 0.01 * float(e.values.norm()))
    assert sum(right) >= 11


def test_without_a_unit_the_one_that_pushes_most_is_taken_and_named() -> None:
    model, x, base = mlp((6, 7, 3), nn.Tanh, 1, F64), normal(1, 6, seed=1, dtype=F64), torch.zeros(6, dtype=F64)
    change = (model[0](x) - model[0](base[None]))[0]
    slope = model[2].weight[1] * (1 - torch.tanh(model[0](x)[0]) ** 2)
    best = int((slope * change).abs().argmax())
    assert best not in (int(slope.abs().argmax()), int(change.abs().argmax()))
    e = pellucid.explain(model, x, "neuron_conductance", layer="0", target=1, steps=8)
    assert e.details["unit"] == f"unit {best} of 0"
    named = pellucid.explain(model, x, "neuron_conductance", neuron=f"0[{best}]", target=1, steps=8)
    assert torch.equal(e.values, named.values)


@pytest.mark.parametrize(("options", "code"), [
    ({}, "option.missing"), ({"neuron": "0"}, "option.value"), ({"neuron": "class 3"}, "option.value"),
    ({"neuron": "0[1]", "layer": "0"}, "option.value"), ({"layer": "0", "unit": -1}, "option.value"),
    ({"layer": "0", "unit": "first"}, "option.value"), ({"layer": "0", "unit": True}, "option.value"),
    ({"layer": "0", "unit": 99}, "target.out_of_range"), ({"neuron": "0[1,1]"}, "target.out_of_range"),
    ({"neuron": "nope[1]"}, "layer.unknown"), ({"layer": "0", "unit": 1, "steps": 0}, "option.value"),
])
def test_a_unit_that_is_none_is_said(options: dict[str, Any], code: str) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(mlp(), normal(1, 6), "neuron_conductance", target=0, **options)
    assert error.value.code == code


def test_several_units_at_once_have_no_conductance() -> None:
    with pytest.raises(pellucid.PellucidError, match="single unit") as error:
        pellucid.explain(cnn(), normal(1, 3, 8, 8), "neuron_conductance", neuron="4[2]", target=0)
    assert error.value.code == "option.value"
