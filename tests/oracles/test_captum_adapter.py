"""`captum:CLASS` says what captum 0.9.0 says where that is right, and what is wrong with it where it is not."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum import attr
from captum_side import BOX, CONVS, DARK, F64, MLP, PICTURE, STEPS, VECTOR, ZERO, Convs, close, drawn, theirs
from oracle_nets import Attention, Recurrent, minilm, mlp, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid import catalog
from pellucid.testing.toys import toy
from pellucid.testing.universal import asked

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum.*", "ignore::UserWarning:test_captum_adapter")


INPUT: list[tuple[str, dict[str, Any]]] = [
    ("Saliency", {}), ("Saliency", {"abs": False}), ("InputXGradient", {}), ("IntegratedGradients", STEPS),
    ("DeepLift", {}), ("GuidedBackprop", {}), ("Deconvolution", {}), ("LRP", {}), ("Occlusion", BOX),
    ("GuidedGradCam", {"layer": "two"}),
]
WITH_LAYER: list[tuple[str, str, dict[str, Any]]] = [
    ("LayerActivation", "pool", {}), ("LayerGradientXActivation", "two", {}), ("LayerGradCam", "two", {}),
    ("LayerGradCam", "two", {"relu_attributions": True}), ("LayerIntegratedGradients", "pool", STEPS),
    ("LayerConductance", "pool", STEPS), ("InternalInfluence", "two", STEPS), ("LayerDeepLift", "pool", {}),
    ("LayerDeepLift", "two", {"attribute_to_layer_input": True}), ("LayerLRP", "one", {}),
    ("LayerFeatureAblation", "head", {}),
]
NEURON: list[tuple[str, dict[str, Any]]] = [
    ("NeuronGradient", {}), ("NeuronIntegratedGradients", STEPS), ("NeuronDeepLift", {}), ("NeuronGuidedBackprop", {}),
    ("NeuronDeconvolution", {}), ("NeuronConductance", STEPS),
]


def based(name: str, baseline: Tensor) -> dict[str, Any]:
    """The baseline for captum, where the class takes one."""
    taken = inspect.signature(getattr(attr, name).attribute).parameters
    return {"baselines": baseline[None]} if "baselines" in taken else {}


@pytest.mark.parametrize(("name", "options"), INPUT, ids=lambda v: v if isinstance(v, str) else "")
def test_values_at_the_input_are_captums(name: str, options: dict[str, Any]) -> None:
    e = pellucid.explain(CONVS, PICTURE, f"captum:{name}", target=2, baseline=DARK, **options)
    wanted = theirs(name, CONVS, PICTURE, **based(name, DARK), **options)[0]
    if name == "Occlusion":  # the window is three channels high: each says the same, and is not counted thrice
        assert torch.allclose(wanted[0], wanted[1])
        close(e.values, wanted[0])
        return
    assert e.elements is not None
    assert e.elements.dtype == F64
    close(e.elements, wanted)
    close(e.values, wanted.sum(0))


@pytest.mark.parametrize(("name", "layer", "options"), WITH_LAYER, ids=lambda v: v if isinstance(v, str) else "")
def test_values_at_a_layer_are_captums(name: str, layer: str, options: dict[str, Any]) -> None:
    e = pellucid.explain(CONVS, PICTURE, f"captum:{name}", layer=layer, target=2, baseline=DARK, **options)
    wanted = theirs(name, CONVS, PICTURE, layer, **based(name, DARK), **options)[0]
    close(e.values, wanted[0] if name == "LayerGradCam" else wanted)
    assert e.text()


@pytest.mark.parametrize(("name", "options"), NEURON, ids=lambda v: v if isinstance(v, str) else "")
def test_values_for_a_neuron_are_captums_and_the_neuron_is_the_target(name: str, options: dict[str, Any]) -> None:
    unit = (3, 1, 2)
    e = pellucid.explain(CONVS, PICTURE, f"captum:{name}", layer="gate1", neuron=unit, target=2, baseline=DARK,
                         **options)
    wanted = theirs(name, CONVS, PICTURE, "gate1", neuron_selector=unit, **based(name, DARK), **options)[0]
    close(e.elements, wanted)
    if name == "NeuronConductance":
        assert e.score == pytest.approx(float(CONVS(PICTURE)[0, 2]))
        return
    assert e.target == "unit 3,1,2 of gate1"
    assert e.score == pytest.approx(float(CONVS.gate1(CONVS.one(PICTURE))[0, 3, 1, 2]))
    if e.residual is not None:
        assert abs(e.residual) <= 1e-6


@pytest.mark.parametrize("name", ["FeatureAblation", "KernelShap", "Lime", "ShapleyValueSampling", "ShapleyValues",
                                  "NeuronFeatureAblation"])
def test_values_of_groups_are_captums_once_per_group(name: str) -> None:
    """Four unequal boxes: captum writes a group's value on each of its elements."""
    groups = torch.arange(8)[:, None] // 5 * 2 + torch.arange(8)[None] // 4
    draws = {} if name in ("FeatureAblation", "ShapleyValues", "NeuronFeatureAblation") else {"n_samples": 30}
    near = {"layer": "gate2", "neuron": (1, 0, 0)} if name.startswith("Neuron") else {}
    e = pellucid.explain(CONVS, PICTURE, f"captum:{name}", target=2, baseline=DARK, features=groups, **draws, **near)
    at = {"neuron_selector": near["neuron"]} if near else {}
    found = theirs(name, CONVS, PICTURE, near.get("layer"), baselines=DARK[None], feature_mask=groups[None, None],
                   **draws, **at)[0]
    wanted = torch.stack([found[0][groups == g].mean() for g in range(4)]).double()
    close(e.values.flatten(), wanted)
    if name in ("KernelShap", "ShapleyValues", "ShapleyValueSampling"):
        with torch.no_grad():
            change = float((CONVS(PICTURE) - CONVS(DARK[None]))[0, 2])
        assert float(e.values.sum()) == pytest.approx(change, rel=1e-4)
        assert e.residual == pytest.approx(float(e.values.sum()) - change, abs=1e-9)
        assert e.verdict.status == "pass"


def test_features_of_a_permuted_map_get_their_own_values() -> None:
    """Columns numbered backwards: what is a feature's must not be an element's."""
    backwards = torch.arange(5, -1, -1)
    ask = {"target": 1, "baseline": ZERO}
    plain, turned = (pellucid.explain(MLP, VECTOR, "captum:FeatureAblation", features=f, **ask).values
                     for f in (torch.arange(6), backwards))
    close(turned, plain.flip(0))
    shap = pellucid.explain(MLP, VECTOR, "captum:KernelShap", features=backwards, n_samples=300, **ask).values
    truth = pellucid.explain(MLP, VECTOR, "kernel_shap", features=backwards, **ask).values
    close(shap, truth, 0.1)


def test_a_background_is_gone_through_one_baseline_at_a_time() -> None:
    """captum's softmax rule takes a mean over all rows of a pass: in one pass the baselines spoil each other."""
    net = settled(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1)), 2, F64)
    bases = [normal(6, seed=s, dtype=F64) for s in (5, 6, 7)]
    e = pellucid.explain(net, VECTOR, "captum:DeepLiftShap", target=2, baseline=bases)
    each = [theirs("DeepLift", net, VECTOR, baselines=b[None])[0] for b in bases]
    close(e.values, torch.stack(each).mean(0), 1e-12)
    apart = theirs("DeepLiftShap", net, VECTOR, baselines=torch.stack(bases))[0] - e.values
    assert float(apart.abs().max()) > 0.02 * float(e.values.abs().max()), "captum 0.9.0 mixes them"
    plain = pellucid.explain(net[:3], VECTOR, "captum:DeepLiftShap", target=2, baseline=bases)
    close(plain.values, theirs("DeepLiftShap", net[:3], VECTOR, baselines=torch.stack(bases))[0], 1e-9)
    assert plain.verdict.status == "pass"
    assert plain.baseline_score == pytest.approx(float(torch.stack([net[:3](b[None])[0, 2] for b in bases]).mean()))


def test_one_baseline_is_enough_for_methods_over_many() -> None:
    e = pellucid.explain(MLP, VECTOR, "captum:DeepLiftShap", target=1, baseline=ZERO)
    close(e.values, pellucid.explain(MLP, VECTOR, "captum:DeepLift", target=1, baseline=ZERO).values, 1e-12)


def test_draws_are_captums_one_by_one_with_their_spread_as_error() -> None:
    bases = torch.stack([normal(6, seed=s, dtype=F64) for s in (5, 6, 7)])
    e = pellucid.explain(MLP, VECTOR, "captum:GradientShap", target=2, baseline=list(bases), n_samples=40, stdevs=0.1)
    with drawn():
        made = attr.GradientShap(copy.deepcopy(MLP))
        each = torch.cat([made.attribute(VECTOR, bases, n_samples=1, stdevs=0.1, target=2) for _ in range(40)])
    close(e.values, each.mean(0), 1e-12)
    close(e.error, each.std(0) / 40**0.5, 1e-9)
    layer = pellucid.explain(MLP, VECTOR, "captum:LayerGradientShap", layer="2", baseline=list(bases), n_samples=3)
    assert layer.values.shape == (12,)
    assert layer.error is not None


def test_a_noise_tunnel_goes_around_another_method() -> None:
    options = {"nt_samples": 6, "stdevs": 1}
    for kind in ("smoothgrad", "vargrad"):
        e = pellucid.explain(MLP, VECTOR, "captum:NoiseTunnel(IntegratedGradients)", target=2, baseline=ZERO,
                             nt_type=kind, n_steps=8, **options)
        own = copy.deepcopy(MLP)
        with drawn():
            wanted = attr.NoiseTunnel(attr.IntegratedGradients(own)).attribute(
                VECTOR, baselines=ZERO[None], target=2, n_steps=8, nt_type=kind, nt_samples_batch_size=1, nt_samples=6,
                stdevs=1.0)
        close(e.values, wanted[0].detach(), 1e-9)
        assert e.residual is None
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    e = pellucid.explain(MLP, VECTOR, "captum:NoiseTunnel(FeatureAblation)", target=2, features=groups, stdevs=0.01)
    assert e.values.shape == (3,)


# --- judged: the sum, taken from our own scores, tells what captum does not

def codes(e: Any) -> dict[str, str]:
    return {f.code: f.level for f in e.verdict.findings}


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(x)))


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attn, self.head = nn.LayerNorm(4), Attention(4, 2), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attn(self.norm(x)).mean(1))


JUDGED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "functional": (Functional, (6,), "ReLU at the model's own forward"),
    "curved": (lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 3)), (6,),
               "GELU at 1, LayerNorm at 2, SiLU at 3"),
    "lstm": (Recurrent, (5, 4), "at lstm"),
    "attention": (Attending, (5, 4), "LayerNorm at norm"),
}


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("method", ["DeepLift", "DeepLiftShap"])
def test_operations_that_deeplift_passes_by_are_named_and_their_sum_is_off(name: str, method: str) -> None:
    make, shape, named = JUDGED[name]
    net = settled(make(), 2, F64)
    e = pellucid.explain(net, normal(1, *shape, seed=3, dtype=F64), f"captum:{method}", target=1)
    assert codes(e)["complete.not"] in ("warn", "fail")
    assert codes(e)["method.caveat"] == "warn"
    assert named in next(f.reason for f in e.verdict.findings if f.code == "method.caveat")
    assert "integrated_gradients" in next(f.do for f in e.verdict.findings if f.code == "complete.not")


def test_softmax_is_the_same_among_others_and_its_broken_sum_is_told() -> None:
    net = settled(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1)), 2, F64)
    x = normal(3, 6, seed=8, dtype=F64)
    together = pellucid.explain(net, x, "captum:DeepLift", target=1)
    for k, e in enumerate(together):
        alone = pellucid.explain(net, x[k : k + 1], "captum:DeepLift", target=1)
        assert torch.equal(e.values, alone.values)
        with torch.no_grad():
            change = float((net(x[k : k + 1]) - net(torch.zeros(1, 6, dtype=F64)))[0, 1])
        assert e.residual == pytest.approx(float(e.values.sum()) - change, abs=1e-12)
        assert e.verdict.status != "pass" or abs(e.residual) <= 1e-3 * max(abs(change), float(e.values.norm()))
    assert any(e.verdict.status != "pass" for e in together)
    in_a_batch = theirs("DeepLift", net, x)
    assert not torch.allclose(in_a_batch[0], theirs("DeepLift", net, x[:1])[0], rtol=1e-3), "captum's rows interact"


def test_relevance_is_judged_by_the_score_that_it_should_sum_to() -> None:
    """captum has rules for BatchNorm that make relevance up; without biases a plain network keeps it."""
    net = settled(Convs(), 1, F64)
    with torch.no_grad():
        for layer in (net.one, net.two, net.head):
            layer.bias.zero_()
    good = pellucid.explain(net, PICTURE, "captum:LRP", target=2)
    assert good.verdict.status == "pass"
    assert good.baseline_score == 0.0
    assert good.residual == pytest.approx(float(good.values.sum()) - good.score)
    bad = settled(nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                                nn.Conv2d(6, 3, 1)), 3, F64)
    for method, options in (("captum:LRP", {}), ("captum:LayerLRP", {"layer": "0"})):
        e = pellucid.explain(bad, PICTURE, method, target=lambda o: o[:, 1, 0, 0], **options)
        assert codes(e)["complete.not"] in ("warn", "fail")
        assert e.residual == pytest.approx(float(e.values.sum()) - e.score)
        assert abs(e.residual) > 0.01 * abs(e.score)


@pytest.mark.parametrize("method", ["captum:DeepLift", "captum:IntegratedGradients", "averaged(captum:DeepLift)"])
def test_multipliers_promise_no_sum(method: str) -> None:
    more = {"baselines": [ZERO]} if method.startswith("averaged") else {"baseline": ZERO}
    e = pellucid.explain(MLP, VECTOR, method, target=2, multiply_by_inputs=False, **more)
    assert (e.residual, e.baseline_score) == (None, None)
    assert "complete.not" not in codes(e)
    assert e.recipe["multiply_by_inputs"] is False
    whole = pellucid.explain(MLP, VECTOR, method, target=2, **more)
    close(e.values * (VECTOR[0] - ZERO), whole.values, 1e-9)


def test_few_steps_are_told_with_what_to_do() -> None:
    e = pellucid.explain(CONVS, 4 * PICTURE, "captum:IntegratedGradients", target=2, n_steps=1)
    finding = next(f for f in e.verdict.findings if f.code == "complete.not")
    assert "steps" in finding.do


# --- sites, dtypes, other inputs

def test_deeplift_and_paths_at_the_word_embedding_are_captums(vision: bool) -> None:
    model, tokenizer = minilm()
    subject = pellucid.wrap(model, tokenizer=tokenizer)
    text = "The waiter was friendly, but slow."
    ids = tokenizer(text, return_tensors="pt")
    masked = ids["input_ids"].clone()
    masked[0, 1:-1] = tokenizer.mask_token_id

    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            return self.model(input_ids=ids, attention_mask=mask).logits

    whole = Scores()
    embedding = model.bert.embeddings.word_embeddings
    for name, options in (("DeepLift", {}), ("IntegratedGradients", {"n_steps": 6})):
        wanted = getattr(attr, f"Layer{name}")(whole, embedding).attribute(
            ids["input_ids"], masked, target=2, additional_forward_args=(ids["attention_mask"],), **options)[0].detach()
        e = pellucid.explain(subject, text, f"captum:{name}", target=2, features="tokens", **options)
        close(e.elements, wanted, 2e-5)
        close(e.values, wanted.sum(-1)[1:-1], 2e-4)
    assert e.verdict.status != "pass"
    shap = pellucid.explain(subject, text, "captum:KernelShap", target=2, n_samples=25)
    assert shap.names[:3] == ("The", "waiter", "was")
    assert abs(shap.residual) <= 1e-3 * abs(shap.score - shap.baseline_score)


@pytest.mark.parametrize("name", ["Saliency", "IntegratedGradients", "DeepLift", "KernelShap", "GradientShap",
                                  "FeatureAblation", "LayerConductance", "NeuronGradient"])
def test_half_precision_models_are_explained_in_single(name: str) -> None:
    wide = mlp()
    x = normal(1, 6, seed=3).bfloat16()
    near = {"layer": "2"} if name.startswith(("Layer", "Neuron")) else {}
    near |= {"neuron": 4} if name.startswith("Neuron") else {}
    e = pellucid.explain(copy.deepcopy(wide).bfloat16(), x, f"captum:{name}", target=2, **near)
    truth = pellucid.explain(wide, x.float(), f"captum:{name}", target=2, **near)
    assert e.values.dtype == torch.float32
    assert float((e.values - truth.values).norm()) <= 0.1 * float(truth.values.norm())


class Typed(attr.Saliency):
    """Says in which number type it is given scores: 4 bytes, or 2."""

    def attribute(self, inputs: Tensor, target: Any = None) -> Any:  # type: ignore[override]
        return torch.full_like(inputs, self.forward_func(inputs).dtype.itemsize)


def test_scores_of_half_precision_models_are_single() -> None:
    e = pellucid.explain(mlp().bfloat16(), normal(1, 6).bfloat16(), Typed, target=2)
    assert e.values.tolist() == [4.0] * 6


def test_other_inputs_stay_the_examples_own() -> None:
    on = toy("two_inputs")
    e = asked(catalog.find("captum:IntegratedGradients"), {"n_steps": 40}, on, on.x)
    ours = asked(catalog.find("integrated_gradients"), {"steps": 40}, on, on.x)
    close(e.values, ours.values, 1e-5)


def test_captum_composes_like_any_other_method() -> None:
    e = pellucid.explain(MLP, VECTOR, "inside(captum:DeepLift)", layer="0", target=2, baseline=ZERO)
    close(e.values, theirs("LayerDeepLift", MLP, VECTOR, "0", baselines=ZERO[None])[0], 1e-9)
    e = pellucid.explain(MLP, VECTOR, "contrast(captum:InputXGradient)", target=2, other=0)
    one, two = (pellucid.explain(MLP, VECTOR, "captum:InputXGradient", target=t).values for t in (2, 0))
    close(e.values, one - two, 1e-9)
    two = [pellucid.explain(MLP, VECTOR, "captum:DeepLift", target=2, baseline=b).values for b in (ZERO, 0.3)]
    mean = pellucid.explain(MLP, VECTOR, attr.DeepLift(MLP), target=2, baseline=[ZERO, 0.3])
    close(mean.values, (two[0] + two[1]) / 2, 1e-9)
    smooth = pellucid.explain(MLP, VECTOR, "smooth(captum:Saliency)", target=2, samples=5, spread=0.0)
    close(smooth.values, pellucid.explain(MLP, VECTOR, "captum:Saliency", target=2).values, 1e-9)
