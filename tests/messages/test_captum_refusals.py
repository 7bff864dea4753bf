"""What can go wrong around captum's methods ends in a code of ours, with what to do."""

from __future__ import annotations

import runpy
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum import attr
from refusal import refused
from torch import Tensor, nn

import pellucid
from pellucid import catalog
from pellucid.methods import captum, captum_classes

NET = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
X = torch.tensor([[0.5, -1.0, 2.0, 0.25]])


def ask(method: Any, net: nn.Module = NET, **options: Any) -> Any:
    return lambda: pellucid.explain(net, X, method, **{"target": 1, **options})


def test_an_unknown_name_gets_the_nearest() -> None:
    assert "'DeepLift'" in refused("foreign.unknown", ask("captum:DepLift")).do
    refused("foreign.unknown", ask("captum:"))
    refused("foreign.unknown", ask("captum:visualization"))
    refused("foreign.unknown", ask("captum:NoiseTunnel(Salience)"))
    refused("method.unknown", ask(object()))


@pytest.mark.parametrize(("name", "instead"), [
    ("FeaturePermutation", "permutation"), ("LayerFeaturePermutation", "permutation"), ("LLMAttribution", "target"),
    ("LLMGradientAttribution", "target"), ("RemoteLLMAttribution", "target"), ("DataLoaderAttribution", "list"),
    ("LayerAttribution", "pellucid methods"), ("NoiseTunnel(FeaturePermutation)", "permutation")])
def test_classes_that_cannot_answer_for_one_example_are_refused(name: str, instead: str) -> None:
    assert instead in refused("method.unfit", ask(f"captum:{name}")).do


@pytest.mark.parametrize("method", ["captum:NoiseTunnel", "captum:Saliency(DeepLift)", attr.NoiseTunnel,
                                    "captum:NoiseTunnel(NoiseTunnel)"])
def test_a_noise_tunnel_goes_around_one_method(method: Any) -> None:
    assert "captum:NoiseTunnel(Saliency)" in refused("foreign.around", ask(method)).do


@pytest.mark.parametrize("thing", [
    lambda: attr.Saliency(nn.Linear(4, 2)), lambda: attr.Saliency(lambda x: NET(x)[:, 0]),
    lambda: attr.LayerActivation(NET, nn.Linear(4, 6)), lambda: attr.NoiseTunnel(attr.Saliency(nn.Linear(4, 2)))])
def test_an_object_for_another_model_is_refused(thing: Any) -> None:
    assert "captum.attr." in refused("foreign.unbound", ask(thing())).do


def test_an_object_that_hides_its_settings_is_refused() -> None:
    class Hiding(attr.Saliency):
        def __init__(self, forward_func: Any, secret: int = 3) -> None:
            super().__init__(forward_func)

    assert "secret" in refused("foreign.unbound", ask(Hiding(NET))).found
    pellucid.explain(NET, X, Hiding, target=1)


def test_an_error_of_captums_is_named_and_kept_as_cause() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.relu = nn.Linear(4, 4), nn.Linear(4, 2), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.relu(self.a(self.relu(self.a(x)))))

    error = refused("foreign.failed", ask("captum:DeepLift", Twice()))
    assert isinstance(error.__cause__, RuntimeError)
    assert "our own" in error.do
    refused("foreign.failed", ask("captum:LRP", nn.Sequential(nn.Linear(4, 2), nn.GELU())))
    refused("foreign.failed", ask("captum:IntegratedGradients", captum_method="simpson"))
    refused("foreign.failed", ask("captum:KernelShap", features=torch.zeros(4, dtype=torch.int64)))  # of one feature


def test_an_error_of_the_model_is_the_models() -> None:
    refused("model.failed", ask("captum:Saliency", nn.Linear(5, 2)))
    refused("target.failed", ask("captum:Saliency", target=lambda o: o.nothing))
    refused("target.out_of_range", ask("captum:DeepLift", target=7))
    refused("target.shape", ask("captum:DeepLift", target=lambda o: o))


def test_values_that_are_none_are_refused() -> None:
    class Broken(attr.Saliency):
        def attribute(self, inputs: Tensor, target: Any = None, how: str = "nan") -> Any:  # type: ignore[override]
            return {"nan": torch.full_like(inputs, torch.nan), "text": "no", "long": torch.zeros(1, 9)}[how]

    assert "no finite" in refused("foreign.values", ask(Broken)).found
    assert "str" in refused("foreign.values", ask(Broken, how="text")).found
    assert "(1, 9)" in refused("foreign.values", ask(Broken, how="long")).found


def test_options_are_checked_by_captums_types() -> None:
    assert "n_steps" in refused("option.value", ask("captum:IntegratedGradients", n_steps="many")).found
    assert "abs" in refused("option.value", ask("captum:Saliency", abs=1)).found
    refused("option.value", ask("captum:IntegratedGradients", n_steps=0))
    refused("option.value", ask("captum:GradientShap", n_samples=0))
    refused("option.value", ask("captum:FeatureAblation", perturbations_per_eval=0))
    assert "'n_steps'" in refused("option.unknown", ask("captum:IntegratedGradients", steps=3)).do
    assert "sliding_window_shapes" in refused("option.missing", ask("captum:Occlusion")).found
    refused("option.missing", ask("captum:NeuronGradient", layer="0"))
    refused("option.value", ask("captum:NeuronGradient", layer="0", neuron="third"))
    refused("target.out_of_range", ask("captum:NeuronGradient", layer="0", neuron=99))
    refused("baseline.empty", ask("captum:DeepLiftShap", baseline=[]))


class Several(nn.Module):
    """A layer called twice, one without rows in front, one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.turned, self.idle, self.head = nn.Linear(4, 4), nn.Identity(), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.turned(self.twice(self.twice(x)).T).T))


def test_layers_that_captum_would_get_wrong_are_refused() -> None:
    net = Several().eval()
    refused("layer.unknown", ask("captum:LayerActivation", net, layer="head2"))
    refused("layer.reused", ask("captum:LayerActivation", net, layer="twice"))
    assert "calls" in refused("method.unfit", ask("captum:LayerActivation", net, layer="twice#2")).found
    assert "axis 1" in refused("method.unfit", ask("captum:LayerActivation", net, layer="turned")).found
    refused("layer.not_reached", ask("captum:LayerActivation", net, layer="idle"))
    refused("layer.needed", ask("captum:LayerActivation", net))
    assert "inside" in refused("method.unfit", ask("captum:LayerActivation", layer="0:bias")).do
    ids = torch.tensor([[1, 2, 3]])
    words = pellucid.wrap(nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2)).eval(), site="0")
    error = refused("method.unfit", lambda: pellucid.explain(words, ids, "captum:LayerActivation", layer="0"))
    assert "where the values are" in error.found


class ByFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


@pytest.mark.parametrize("name", ["GuidedBackprop", "Deconvolution", "NeuronGuidedBackprop", "NeuronDeconvolution"])
def test_gates_that_captum_would_pass_by_are_refused_by_name(name: str) -> None:
    near = {"layer": "b", "neuron": 0} if name.startswith("Neuron") else {}
    error = refused("method.unfit", ask(f"captum:{name}", ByFunction(), **near))
    assert "ReLU at the model's own forward" in error.found
    assert "integrated_gradients" in error.do


@pytest.mark.parametrize("gone", ["captum", "sklearn"])
def test_a_package_that_is_not_installed_is_named(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m == gone or m.startswith(f"{gone}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, gone, None)
    error = refused("extra.missing", ask("captum:KernelShap"))
    assert {"captum": "captum", "sklearn": "scikit-learn"}[gone] in error.found
    assert pellucid.explain(NET, X, "saliency", target=1).values.any()


def test_captum_is_not_imported_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    for module in (captum, captum_classes, catalog):
        runpy.run_path(module.__file__ or "")
    assert catalog.find("saliency").name == "saliency"
    assert "DeepLift" in catalog.families()["captum"]


def test_every_reason_to_refuse_a_class_is_met() -> None:
    names = {c.__name__ for n, c in vars(attr).items() if isinstance(c, type) for c in c.__mro__}
    assert set(captum_classes.UNFIT) <= names
