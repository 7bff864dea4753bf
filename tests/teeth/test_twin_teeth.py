"""A twin that was made wrong on purpose is refused, and the model's own layers answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.engine import agreement, folding, twin
from pellucid.engine.passes import Outcome
from pellucid.testing.toys import toy
from pellucid.words.site import Site

FOLDED = folding.folded


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "half_on", lambda device: "")


def check(model: nn.Module, x: Tensor, reason: str) -> None:
    """Twice, so that what was learnt counts as well: no twin, the reason, and the model's own bits."""
    subject = pellucid.wrap(model)
    own = pellucid.explain(model, x, "saliency", target=1, precision="exact")
    for _ in range(2):
        e = pellucid.explain(subject, x, "saliency", target=1, precision="fast")
        assert e.evidence.twin is None
        assert reason in e.evidence.untuned
        assert torch.equal(e.values, own.values)


def _no_shift(layer: nn.Module, norm: Any) -> tuple[Tensor, Tensor]:
    weight, bias = FOLDED(layer, norm)
    return weight, torch.zeros_like(bias)


def _no_epsilon(layer: nn.Module, norm: Any) -> tuple[Tensor, Tensor]:
    eps, norm.eps = norm.eps, 0.0
    try:
        return FOLDED(layer, norm)
    finally:
        norm.eps = eps


def _wrong_channel(layer: nn.Module, norm: Any) -> tuple[Tensor, Tensor]:
    weight, bias = FOLDED(layer, norm)
    return weight, bias.roll(1)


def _forgotten_bias(layer: nn.Module, norm: Any) -> tuple[Tensor, Tensor]:
    kept, layer.bias = layer.bias, None
    try:
        return FOLDED(layer, norm)
    finally:
        layer.bias = kept  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("wrong", [_no_shift, _no_epsilon, _wrong_channel, _forgotten_bias])
@pytest.mark.parametrize("name", ["cnn", "residual", "training"])
def test_a_wrong_fold_is_another_function(
    name: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    on = toy(name)
    monkeypatch.setattr(folding, "folded", wrong)
    check(on.model, on.x, "in float64, which is another function")


def test_a_value_read_twice_but_folded_is_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.head((torch.tanh(self.norm(x)) + x).mean((2, 3)))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Twice()
    nn.init.uniform_(model.norm.weight, 0.5, 1.5)
    monkeypatch.setattr(folding.Reads, "_may", lambda self, made: made.layer == "conv")  # pyright: ignore[reportUnknownLambdaType]
    check(model.eval(), toy("cnn").x, "in float64, which is another function")


def test_a_twin_that_is_wrong_in_float32_only_is_found_by_its_first_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof sees a right copy; what is laid out afterwards is not that."""
    on, right = toy("cnn"), twin._laid_out

    def spoilt(*args: Any) -> nn.Module:
        made = right(*args)
        made.get_parameter("head.bias").requires_grad_(False)
        made.head.bias = nn.Parameter(made.get_parameter("head.bias") + 0.05, requires_grad=False)
        return made

    monkeypatch.setattr(twin, "_laid_out", spoilt)
    check(on.model, on.x, "the twin moved the scores")

    def turned(*args: Any) -> nn.Module:
        made = right(*args)
        made.head.register_full_backward_pre_hook(lambda module, grad: (grad[0].roll(1, 1),))
        return made

    monkeypatch.setattr(twin, "_laid_out", turned)
    check(on.model, on.x, "the twin turned the gradients")


def test_a_twin_that_fails_is_answered_for(monkeypatch: pytest.MonkeyPatch) -> None:
    on, right = toy("cnn"), twin._laid_out

    def failing(*args: Any) -> nn.Module:
        made = right(*args)
        made.head.register_forward_hook(lambda module, args, output: output.no_such_thing)
        return made

    monkeypatch.setattr(twin, "_laid_out", failing)
    check(on.model, on.x, "AttributeError in the twin's forward")


def test_a_number_that_only_the_twin_lost_is_infinitely_far() -> None:
    good, site = torch.rand(2, 3), Site.parse("layer")
    lost = good.clone()
    lost[1, 1] = float("nan")
    for kind in ("gradients", "readings"):
        found = agreement.measured(Outcome(**{kind: {site: lost}}), Outcome(**{kind: {site: good}}), 2, 1.0)
        assert agreement.refused(found, half=True)
        same = agreement.measured(Outcome(**{kind: {site: lost}}), Outcome(**{kind: {site: lost}}), 2, 1.0)
        assert not agreement.refused(same, half=False)
