"""The tuned twin computes what the model computes, or the model computes it itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from twin_nets import FOLDS, net, picture

import pellucid
from pellucid import catalog
from pellucid.engine import agreement, tuning
from pellucid.engine.run import run
from pellucid.engine.settings import Settings
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import NAMES, toy
from pellucid.testing.universal import KINKS, answered, asked
from pellucid.words.case import Carrier, Case
from pellucid.words.explanation import Explanation
from pellucid.words.features import units
from pellucid.words.method import Method
from pellucid.words.target import Class

METHODS = [*catalog.methods().values(), *map(catalog.find, (
    "inside(integrated_gradients)", "smooth(saliency)", "contrast(input_x_gradient)", "averaged(kernel_shap)"))]
PLACES = {"cnn", "reused", "residual", "vit", "lstm", "encoder"}


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about the same mathematics; bfloat16 has its own."""
    monkeypatch.setattr(agreement, "half_on", lambda device: "")


def apart(a: Explanation, b: Explanation) -> float:
    """Relative to the values, or to a tenth of the score where they are small differences of scores."""
    return float((a.values - b.values).norm()) / max(float(b.values.norm()), abs(b.score) / 10, 1e-9)


def least(method: Method) -> dict[str, Any]:
    return {k: v for k, v in {"samples": 8, "steps": 4}.items() if k in method.defaults}


@pytest.mark.parametrize("name", FOLDS)
def test_what_can_be_folded_is_right_and_what_cannot_is_left(name: str) -> None:
    model, expected = net(name), FOLDS[name][1]
    for method in ("integrated_gradients", "occlusion"):
        options: dict[str, Any] = {"steps": 8} if method == "integrated_gradients" else {"features": "patches:4"}
        twin = pellucid.explain(model, picture(), method, target=1, precision="fast", **options)
        own = pellucid.explain(model, picture(), method, target=1, precision="exact", **options)
        assert own.evidence.twin is None
        assert twin.evidence.twin == expected, twin.evidence.untuned
        assert apart(twin, own) < 1e-5
        assert twin.score == pytest.approx(own.score, rel=1e-5, abs=1e-6)
        if expected:
            assert twin.evidence.agreement["structure"] < 1e-12
            assert twin.evidence.untuned == ""
        else:
            assert twin.evidence.untuned in ("no BatchNorm to fold and no convolution to re-lay",
                                             "the model could not be copied")


@pytest.mark.parametrize("name", NAMES)
def test_every_method_gives_the_same_with_and_without(name: str) -> None:
    """Over the toys: a twin, or a reason why there is none; errors stay the same errors."""
    for method in METHODS:
        on = toy(name)
        with pristine(on.model, on.x):
            twin = answered(method, least(method), on, on.x, precision="fast")
        if method.name == "grad_cam":
            assert (twin is None) == (on.error is not None or name not in PLACES)
        if twin is None:
            continue
        own = asked(method, least(method), on, on.x, precision="exact")
        assert bool(twin.evidence.twin) != bool(twin.evidence.untuned) or twin.evidence.twin
        assert apart(twin, own) < (1e-5 if on.smooth else KINKS), method.name
        if on.isolation == "guard":
            assert twin.evidence.untuned.startswith("the model could not be copied")
    if name in ("cnn", "residual", "training"):
        assert "folded 1" in str(asked(catalog.find("saliency"), {}, on, on.x, precision="fast").evidence.twin)


@pytest.mark.parametrize("source", ["torchvision:resnet18", "timm:efficientnet_b0"])
def test_real_architectures(source: str, vision: bool) -> None:
    kind, _, name = source.partition(":")
    module = pytest.importorskip(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = module.create_model(name) if kind == "timm" else getattr(module.models, name)()
    settled(model)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    folded = "folded 20, channels-last" if kind == "torchvision" else "folded 49, channels-last"
    for method, options in (("integrated_gradients", {"steps": 40}), ("occlusion", {"features": "patches:8"})):
        twin = pellucid.explain(model, x, method, target=1, **options)
        own = pellucid.explain(model, x, method, target=1, precision="exact", **options)
        assert twin.evidence.twin == folded, twin.evidence
        assert apart(twin, own) < (KINKS if options.get("steps") else 1e-3)
        assert twin.score == pytest.approx(own.score, rel=1e-4, abs=1e-5)
    few = pellucid.explain(model, x, "saliency", target=1)
    assert few.evidence.twin is None
    assert few.evidence.untuned == tuning.FEW


def settled(model: nn.Module) -> None:
    """Statistics as after training: what a layer says has mean 0 and variance 1 over a few pictures."""
    model.train()
    with torch.no_grad():
        for k in range(12):
            model(torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(k)))
    model.eval()


# --- who answers

@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model pays as well."""
    monkeypatch.setattr(tuning, "SMALL", 0)


def test_the_choice_depends_on_the_question_alone(low: None) -> None:
    """The first call, the second, and one after other questions give the same bits from the same layers."""
    for method, options, twin in (
        ("saliency", {}, False), ("integrated_gradients", {"steps": 40}, True),
        ("occlusion", {"features": "patches:3"}, False), ("occlusion", {"features": "patches:1"}, True),
    ):
        subject = pellucid.wrap(net("plain"))
        ask: Any = {"target": 1, "chunk": 4, **options}
        first = pellucid.explain(subject, picture(), method, **ask)
        second = pellucid.explain(subject, picture(), method, **ask)
        pellucid.explain(subject, picture(1), "occlusion", target=0, features="patches:1", chunk=4)
        pellucid.explain(subject, picture(1), "saliency", target=0, precision="fast")
        third = pellucid.explain(subject, picture(), method, **ask)
        assert [bool(e.evidence.twin) for e in (first, second, third)] == [twin] * 3, (method, first.evidence)
        assert torch.equal(first.values, second.values)
        assert torch.equal(first.values, third.values)


def test_exact_and_strict_are_the_models_own_layers_bit_for_bit(low: None) -> None:
    model, x = net("plain").eval(), picture()
    x.requires_grad_()
    truth = torch.autograd.grad(model(x)[0, 1], x)[0][0]
    for options in ({"precision": "exact"}, {"precision": "fast", "strict": True}):
        subject = pellucid.wrap(model)
        pellucid.explain(subject, picture(), "smooth(saliency)", samples=40, target=1)
        e = pellucid.explain(subject, picture(), "saliency", target=1, absolute=False, **options)
        assert torch.equal(e.elements if e.elements is not None else e.values, truth)
        assert (e.evidence.twin, e.evidence.untuned, e.evidence.precision) == (None, "", "exact")


def test_a_layer_that_the_fold_hides_is_asked_of_the_model_itself(low: None) -> None:
    block = "in a block of its own"
    for name, layer, hidden in (("plain", "conv", True), ("plain", "norm", False), (block, "conv", True),
                                (block, "conv.0", True)):
        model = net(name)
        twin = pellucid.explain(model, picture(), "inside(input_x_gradient)", layer=layer, target=1, precision="fast")
        own = pellucid.explain(model, picture(), "inside(input_x_gradient)", layer=layer, target=1, precision="exact")
        assert apart(twin, own) < 1e-5
        assert f"{layer} is asked about" in twin.evidence.untuned if hidden else twin.evidence.untuned == ""


class Halved:
    """A change: the head's output is halved. `twin` says whether it may run on a twin."""

    def __init__(self, twin: bool) -> None:
        self.twin = twin

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        handle = model.get_submodule("head").register_forward_hook(lambda module, args, output: output / 2)
        yield
        handle.remove()


@pytest.mark.parametrize("declares", [False, True])
def test_a_change_gets_no_twin_unless_it_declares_it(declares: bool) -> None:
    model, x = net("plain"), picture()[0]
    case = Case(Carrier({0: x[None]}), x, torch.zeros_like(x), units(tuple(x.shape)), Class(1), change=Halved(declares))

    async def gradient(case: Case) -> Tensor:
        return await case.gradient(case.here)

    found, tally = run(model, [gradient(case)], settings=Settings(precision="fast"))
    own, _ = run(model, [gradient(replace(case, change=None))], settings=Settings(precision="exact"))
    torch.testing.assert_close(2 * found[0], own[0], rtol=1e-5, atol=1e-7)
    assert (tally.twin is not None) == declares
    assert ("the model is changed for this question" in tally.untuned) != declares


def test_a_model_in_other_numbers_answers_itself() -> None:
    for kind in (torch.float64, torch.bfloat16):
        e = pellucid.explain(net("plain").to(kind), picture().to(kind), "saliency", target=1, precision="fast")
        assert e.evidence.untuned == "the model does not compute in float32"
    with warnings.catch_warnings(action="ignore", category=Warning):
        quantised = torch.ao.quantization.quantize_dynamic(net("plain").eval(), {nn.Linear})
    e = pellucid.explain(quantised, picture(), "occlusion", features="patches:4", target=1, precision="fast")
    own = pellucid.explain(quantised, picture(), "occlusion", features="patches:4", target=1, precision="exact")
    assert torch.equal(e.values, own.values) if not e.evidence.twin else apart(e, own) < 1e-5


# --- bfloat16

def test_bfloat16_answers_where_it_agrees_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "half_on", lambda device: "cpu")
    model, x = net("plain"), torch.cat([picture(k) for k in range(6)])
    own = pellucid.explain(model, x, "saliency", target=1, precision="exact", absolute=False)
    half = pellucid.explain(model, x, "saliency", target=1, precision="fast", absolute=False)
    assert half[0].evidence.twin == "folded 1, channels-last, bfloat16"
    assert agreement.HALF_COSINE <= half[0].evidence.agreement["cosine"] < 1
    assert 1e-5 < max(apart(a, b) for a, b in zip(half, own, strict=True)) < 0.1
    assert pellucid.explain(model, x, "saliency", target=1)[0].evidence.twin is None, "never without being asked"
    monkeypatch.setattr(agreement, "HALF_COSINE", 0.99999999)
    subject = pellucid.wrap(net("plain"))
    for _ in range(2):
        full = pellucid.explain(subject, x, "saliency", target=1, precision="fast", absolute=False)
        assert full[0].evidence.twin == "folded 1, channels-last"
        assert max(apart(a, b) for a, b in zip(full, own, strict=True)) < 1e-5
    assert "bfloat16 turned the gradients" in full[0].evidence.untuned


def test_bfloat16_that_hides_small_effects_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large constant in the score: rounded to bfloat16, nothing is left of what the windows change."""
    monkeypatch.setattr(agreement, "half_on", lambda device: "cpu")
    model = net("plain")
    with torch.no_grad():
        model.head.bias += 1000
    e = pellucid.explain(model, picture(), "occlusion", features="patches:4", target=1, precision="fast")
    assert e.evidence.twin == "folded 1, channels-last"
    assert "bfloat16 moved the scores" in e.evidence.untuned
