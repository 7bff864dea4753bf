"""Guided backpropagation and deconvnet: the rule written out, captum where it is right, and what is refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum import attr
from oracle_nets import Residual, cnn, mlp, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid import catalog
from pellucid.methods.compose import under
from pellucid.words.method import Card, of

F64 = torch.float64
METHODS = {"guided_backprop": "guided", "deconvnet": "deconvnet"}
both = pytest.mark.parametrize("method", METHODS)


class Rule(torch.autograd.Function):
    """A ReLU (cut at `top`) that hands on gradients by the papers' rules."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: str, top: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.rule, ctx.top = rule, top
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        on = ((x > 0) & (x < ctx.top)).to(g)
        return g * (g > 0) * (on if ctx.rule == "guided" else 1), None, None


def relu(x: Tensor, rule: str, top: float = float("inf")) -> Tensor:
    return Rule.apply(x, rule, top)


Rectify = Callable[[Tensor], Tensor]


class Net(nn.Module):
    """Two convolutions and a head, with ReLUs that are written in one way or another."""

    def __init__(self, rectify: Rectify) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 9)
        self.last, self.rectify = nn.Linear(9, 3), rectify

    def forward(self, x: Tensor) -> Tensor:
        y = self.rectify(self.two(F.max_pool2d(self.rectify(self.one(x)), 2)))
        return self.last(self.rectify(self.head(y.flatten(2).transpose(1, 2)) - 0.1).mean(1))


def in_place_on_a_view(x: Tensor) -> Tensor:
    y = x + 0
    y.view(-1).relu_()
    return y


WAYS: dict[str, tuple[Rectify, float]] = {
    "module": (nn.ReLU(), float("inf")), "in place": (nn.ReLU(inplace=True), float("inf")),
    "function": (F.relu, float("inf")), "method": (torch.Tensor.relu, float("inf")),
    "view in place": (in_place_on_a_view, float("inf")), "threshold": (lambda x: F.threshold(x, 0, 0), float("inf")),
    "ReLU6": (nn.ReLU6(), 6.0), "ReLU6 in place": (nn.ReLU6(inplace=True), 6.0), "relu6": (F.relu6, 6.0),
    "hardtanh": (lambda x: F.hardtanh(x, 0.0, 0.5), 0.5), "ReLU6 that is full": (lambda x: F.relu6(6 * x) / 6, 1.0),
}
X = normal(1, 2, 8, 8, seed=1, dtype=F64)


def truth(method: str, top: float, x: Tensor = X) -> Tensor:
    net = settled(Net(lambda v: relu(v, METHODS[method], top)), dtype=F64)
    v = x.clone().requires_grad_()
    return torch.autograd.grad(net(v)[0, 1], v)[0][0]


def plain(net: nn.Module, x: Tensor = X) -> Tensor:
    v = x.clone().requires_grad_()
    return torch.autograd.grad(net(v)[0, 1], v)[0][0]


@both
@pytest.mark.parametrize("way", WAYS)
def test_the_rule_holds_however_a_relu_is_written(way: str, method: str) -> None:
    rectify, top = WAYS[way]
    net = settled(Net(rectify), dtype=F64)
    e = pellucid.explain(net, X, method, target=1)
    torch.testing.assert_close(e.elements, truth(method, top), rtol=1e-12, atol=1e-14)
    assert float((e.elements - plain(net)).norm()) > 0.1 * float(plain(net).norm())
    assert e.verdict.status == "pass", e.verdict


@both
def test_the_rule_holds_in_a_script_however_often_it_has_run(method: str) -> None:
    """From its third run on a script differentiates itself; and one that is part of an ordinary model."""
    true = truth(method, float("inf"))

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = whole

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    with quiet():
        whole = torch.jit.script(settled(Net(nn.ReLU()), dtype=F64))
        traced = torch.jit.trace(settled(Net(nn.ReLU()), dtype=F64), X)
        for net in (whole, traced, Outer()):
            for _ in range(4):
                net(X.clone().requires_grad_())[0, 1].backward()
                e = pellucid.explain(net, X, method, target=1)
                torch.testing.assert_close(e.elements, true, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(plain(whole), plain(settled(Net(nn.ReLU()), dtype=F64)))


@both
def test_the_rule_holds_in_an_exported_program(method: str) -> None:
    with quiet():
        exported = torch.export.export(settled(Net(nn.ReLU()), dtype=F64), (X,)).module()
        e = pellucid.explain(exported, X, method, target=1)
    torch.testing.assert_close(e.elements, truth(method, float("inf")), rtol=1e-12, atol=1e-14)


@contextmanager
def quiet() -> Iterator[None]:
    """torch says of scripts and exports that they are not what they were."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@both
def test_on_modules_that_are_used_once_it_is_captums(method: str) -> None:
    theirs = {"guided_backprop": attr.GuidedBackprop, "deconvnet": attr.Deconvolution}[method]
    for make in (cnn, Residual):
        net, x = settled(make(), 3, F64), normal(2, 3, 12, 12, seed=3, dtype=F64)
        ours = pellucid.explain(net, x, method, target=2)
        for module in net.modules():  # captum's hooks cannot stand beside what works in place
            if isinstance(module, nn.ReLU):
                module.inplace = False
        with quiet():
            found = theirs(net).attribute(x.clone(), target=2).detach()
        for e, value in zip(ours, found, strict=True):
            torch.testing.assert_close(e.elements, value, rtol=1e-11, atol=1e-13)


def test_where_a_relu_is_a_function_captum_gives_the_plain_gradient_and_we_do_not() -> None:
    net = settled(Net(F.relu), dtype=F64)
    with quiet():
        theirs = attr.GuidedBackprop(net).attribute(X.clone(), target=1).detach()[0]
    torch.testing.assert_close(theirs, plain(net))
    ours = pellucid.explain(net, X, "guided_backprop", target=1).elements
    torch.testing.assert_close(ours, truth("guided_backprop", float("inf")), rtol=1e-12, atol=1e-14)


@both
def test_what_the_model_ignores_gets_zero(method: str) -> None:
    net = mlp((6, 16, 12, 3), dtype=F64)
    with torch.no_grad():
        net[0].weight[:, [1, 4]] = 0.0
    e = pellucid.explain(net, normal(1, 6, dtype=F64), method, target=0)
    assert not e.values[[1, 4]].any()
    assert e.values[[0, 2, 3, 5]].any()


OTHER: dict[str, tuple[Rectify, str]] = {
    "GELU": (F.gelu, "gelu"), "SiLU": (F.silu, "silu"), "leaky": (F.leaky_relu, "leaky"), "ELU": (F.elu, "elu"),
    "clamp": (lambda x: x.clamp(min=0), "clamp"), "maximum": (lambda x: torch.maximum(x, torch.zeros_like(x)), "max"),
    "where": (lambda x: torch.where(x > 0, x, 0.0), "where"), "tanh": (torch.tanh, "tanh"), "mish": (F.mish, "mish"),
}


@both
@pytest.mark.parametrize("gate", OTHER)
def test_a_model_without_relus_is_refused_and_its_gate_is_named(gate: str, method: str) -> None:
    rectify, name = OTHER[gate]
    with pytest.raises(pellucid.PellucidError, match=f"(?i){name}") as error:
        pellucid.explain(settled(Net(rectify), dtype=F64), X, method, target=1)
    assert error.value.code == "method.unfit"
    assert "integrated_gradients" in error.value.do
    with pytest.raises(pellucid.PellucidError, match="ReLU") as error:
        pellucid.explain(settled(Net(rectify), dtype=F64), X, "under(saliency)", change=METHODS[method], target=1)
    assert error.value.code == "method.unfit"


@both
def test_a_gate_that_works_in_place_on_a_part_of_a_value_is_seen_when_it_runs(method: str) -> None:
    """The graph does not tell what it is."""
    def in_part(x: Tensor) -> Tensor:
        y = x + 0
        y.view(-1).tanh_()
        return y

    with pytest.raises(pellucid.PellucidError, match="tanh") as error:
        pellucid.explain(settled(Net(in_part), dtype=F64), X, method, target=1)
    assert error.value.code == "method.unfit"


@pytest.mark.parametrize("gate", OTHER)
@pytest.mark.parametrize(("method", "more"), [("guided_backprop", {}), ("under(saliency)", {"change": "guided"}),
                                              ("smooth(under(saliency))", {"change": "guided", "samples": 2})])
def test_relus_beside_other_gates_are_answered_with_a_warning_that_names_those(
    gate: str, method: str, more: dict[str, Any]) -> None:
    rectify, name = OTHER[gate]
    mixed = settled(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), Gate(rectify), nn.Flatten(),
                                  nn.Linear(64, 3)), dtype=F64)
    e = pellucid.explain(mixed, X, method, target=1, **more)
    told = [f for f in e.verdict.findings if f.code == "method.caveat"]
    assert len(told) == 1, e.verdict
    assert name in told[0].reason.lower()


class Gate(nn.Module):
    def __init__(self, rectify: Rectify) -> None:
        super().__init__()
        self.rectify = rectify

    def forward(self, x: Tensor) -> Tensor:
        return self.rectify(x)


# -- any method on a changed model

@pytest.mark.parametrize("name", ["saliency", "input_x_gradient", "integrated_gradients", "smooth(saliency)",
                                  "inside(saliency)"])
def test_under_a_change_any_method_asks_the_changed_model(name: str) -> None:
    """Beside the same method on a model whose ReLUs follow the rule by themselves."""
    options: dict[str, Any] = {"integrated_gradients": {"steps": 12}, "inside(saliency)": {"layer": "one"},
                               "smooth(saliency)": {"samples": 4, "tolerance": 0}}.get(name, {})
    changed = settled(Net(lambda v: relu(v, "guided")), dtype=F64)
    true = pellucid.explain(changed, X, name, target=1, **options)
    e = pellucid.explain(settled(Net(nn.ReLU()), dtype=F64), X, f"under({name})", change="guided", target=1, **options)
    torch.testing.assert_close(e.values, true.values, rtol=1e-11, atol=1e-13)
    assert e.residual is None  # completeness is not promised where only gradients are changed
    again = pellucid.explain(settled(Net(nn.ReLU()), dtype=F64), X, **e.recipe)
    assert e.recipe["change"] == "guided"
    assert e.recipe.replayable
    assert torch.equal(again.values, e.values)


@dataclass(frozen=True)
class Halved:
    """What a layer says counts half."""

    layer: str
    name: str = "halved"
    twin: bool = False

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        handle = model.get_submodule(self.layer).register_forward_hook(lambda module, args, output: output / 2)
        try:
            yield
        finally:
            handle.remove()


def test_a_change_of_ones_own_is_taken_and_the_score_is_the_changed_models() -> None:
    net, x = mlp((6, 16, 12, 3), nn.Tanh, dtype=F64), normal(1, 6, dtype=F64)
    e = pellucid.explain(net, x, "under(integrated_gradients)", change=Halved("1"), target=1, steps=40)
    half = nn.Sequential(net[0], nn.Tanh(), Gate(lambda v: v / 2), *net[2:])
    true = pellucid.explain(half, x, "integrated_gradients", target=1, steps=40)
    torch.testing.assert_close(e.values, true.values, rtol=1e-11, atol=1e-13)
    assert e.score == pytest.approx(true.score, abs=1e-12)
    assert not e.recipe.replayable


def test_a_change_changes_nothing_for_the_methods_beside_it() -> None:
    net = settled(Net(nn.ReLU(inplace=True)), dtype=F64)
    alone = pellucid.explain(net, X, "saliency", target=1, absolute=False)
    beside = pellucid.explain(net, X, ["guided_backprop", "deconvnet", "input_x_gradient"], target=1)
    torch.testing.assert_close(beside["input_x_gradient"].elements, X[0] * alone.elements, rtol=1e-12, atol=1e-14)
    for method in METHODS:
        torch.testing.assert_close(beside[method].elements, truth(method, float("inf")), rtol=1e-12, atol=1e-14)


def test_called_from_another_method_the_rule_holds_too_and_is_refused_where_there_is_no_relu() -> None:
    async def twice(case: Any) -> Tensor:
        return 2 * await catalog.find("guided_backprop")(case)

    e = pellucid.explain(settled(Net(nn.ReLU()), dtype=F64), X, twice, target=1)
    torch.testing.assert_close(e.elements, 2 * truth("guided_backprop", float("inf")), rtol=1e-12, atol=1e-14)
    for net, other in ((mlp((6, 5, 3), nn.Tanh), "tanh"), (nn.Linear(6, 3), "no other gate")):
        with pytest.raises(pellucid.PellucidError, match=other) as error:
            pellucid.explain(net, normal(1, 6), twice, target=1)
        assert error.value.code == "method.unfit"


@pytest.mark.parametrize(("change", "code"), [(None, "option.missing"), ("guidde", "change.unknown"),
                                              (7, "change.unknown")])
def test_a_change_that_is_none_is_said(change: Any, code: str) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(settled(Net(nn.ReLU()), dtype=F64), X, "under(saliency)", change=change, target=1)
    assert error.value.code == code
    assert "guided" in str(error.value)


def test_another_librarys_gradients_would_not_see_the_rule_and_are_refused() -> None:
    async def elsewhere(case: Any) -> Tensor:
        return await case.foreign(lambda score: plain_of(score, case.x))

    def plain_of(score: nn.Module, x: Tensor) -> Tensor:
        v = x[None].clone().requires_grad_()
        return torch.autograd.grad(score(v).sum(), v)[0][0]

    made = under(of(elsewhere, Card("foreign", "")))
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(settled(Net(nn.ReLU()), dtype=F64), X, made, change="guided", target=1)
    assert error.value.code == "change.unfit"
    net = mlp((6, 16, 12, 3), nn.Tanh, dtype=F64)
    e = pellucid.explain(net, normal(1, 6, dtype=F64), made, change=Halved("1"), target=1)
    true = pellucid.explain(net, normal(1, 6, dtype=F64), "under(saliency)", change=Halved("1"), target=1,
                            absolute=False)
    torch.testing.assert_close(e.values, true.values, rtol=1e-12, atol=1e-14)


def test_a_change_is_a_flag_in_the_shell() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pellucid.cli.main", "explain", "demo:digits", str(pellucid.samples("digits")[0]),
         "--method", "under(integrated_gradients)", "--change", "guided", "--steps", "4", "--json", "--no-progress"],
        capture_output=True, text=True, timeout=200, check=False, env=dict(os.environ))
    assert run.returncode in (0, 1), run.stderr
    told = json.loads(run.stdout)
    assert (told["recipe"]["method"], told["recipe"]["change"]) == ("under(integrated_gradients)", "guided")
