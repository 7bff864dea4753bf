"""What relevance propagation refuses, by name and place, instead of handing on a plain gradient."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from refusal import refused
from torch import Tensor, nn
from torch.nn import functional as F

import pellucid


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


X, PICTURE = torch.linspace(-1, 1, 6)[None], torch.linspace(-1, 1, 108).reshape(1, 3, 6, 6)


class Square(torch.autograd.Function):
    """An operation of somebody's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Any:
        return g[0] * 2 * ctx.saved_tensors[0]


def scripted(what: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have it exported
        return torch.jit.script(what)


def curved(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


CURVED = scripted(curved)


class Net(nn.Module):
    """A part of the test's choice between two layers."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.first, self.part, self.last = nn.Linear(6, 8), part, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.part(self.first(x)))


class Step(nn.Module):
    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Any:
        return self.step(x)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.inner = kind(8, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x[:, None])[0][:, 0]


def asked(net: nn.Module, x: Tensor = X, **options: Any) -> Any:
    return pellucid.explain(net.eval(), x, "lrp", **{"target": 0, **options})


@pytest.mark.parametrize(("part", "named"), [
    (Recurrent(nn.LSTM), "a recurrent layer at part.inner"), (Recurrent(nn.GRU), "gru at part.inner"),
    (Step(lambda x: x.cumprod(1)), "cumprod at part"), (Step(torch.log1p), ""),
    (Step(lambda x: x.logsumexp(1, keepdim=True).expand(-1, 8)), "logsumexp at part"),
    (Step(lambda x: x.abs().sqrt_()), "sqrt in place at part"), (Step(Square.apply), "SquareBackward"),
    (Step(lambda x: CURVED(x)), "unseen"),
    (Step(lambda x: F.linear(x, x.T @ x)), "linear with weights that depend on the input at part"),
    (Step(lambda x: F.prelu(x, x[0].mean()[None])), "prelu by values that depend on the input at part"),
    (Step(lambda x: F.batch_norm(x.unflatten(1, (4, 2)), None, None, training=True).flatten(1)),
     "statistics of the batch at part"),
    (Step(lambda x: x.clamp(min=x.mean())), "clamp of several values that depend on the input at part"),
    (Step(lambda x: F.layer_norm(x, (8,), x[0])), "weights that depend on the input at part"),
])
def test_an_operation_without_a_rule_is_named_with_its_place(part: nn.Module, named: str) -> None:
    if not named:  # what has a rule is not refused
        assert asked(Net(part)).values.any()
        return
    error = refused("method.unfit", lambda: asked(Net(part)))
    assert named in error.found, error
    assert "integrated_gradients" in error.do


def test_what_hides_its_operations_is_refused_before_it_runs() -> None:
    hidden = Net(scripted(nn.Sequential(nn.ReLU(), nn.Linear(8, 8))))
    error = refused("method.unfit", lambda: asked(hidden))
    assert "scripted module at part" in error.found
    compiled = Net(torch.compile(nn.ReLU(), backend="eager"))  # pyright: ignore[reportArgumentType]
    assert "compiled module at part" in refused("method.unfit", lambda: asked(compiled)).found


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_alpha2_beta1_flat", "epsilon_gamma_box"])
@pytest.mark.parametrize(("before", "named"), [
    (Step(lambda x: x / 2), "div"), (nn.BatchNorm2d(3), "batchnorm"), (nn.GELU(), "gelu"),
    (Step(lambda x: torch.cat([x, F.conv2d(x, torch.ones(3, 3, 1, 1))], 1)[:, :3]), "cat"),
])
def test_a_rule_for_the_first_layer_wants_a_layer_that_reads_the_input(before: nn.Module, named: str, composite: str
                                                                       ) -> None:
    net = nn.Sequential(before, nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    error = refused("method.unfit", lambda: asked(net, PICTURE, composite=composite, low=-9.0, high=9.0))
    assert named in error.found
    assert "first layer with weights" in error.found
    views = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 6, 6)), nn.ZeroPad2d(1), nn.Dropout(), *net[1:4],
                          nn.Linear(144, 3))
    assert asked(views, PICTURE, composite=composite, low=-9.0, high=9.0).values.any()


@pytest.mark.parametrize(("options", "code", "named"), [
    ({"composite": "epsilon_pluss"}, "composite.unknown", "epsilon_plus"), ({"first": "flatt"}, "rule.unknown", "flat"),
    ({"dense": "z+"}, "rule.unknown", "z_plus"), ({"convolution": "flat"}, "rule.unknown", "epsilon"),
    ({"attention": "all"}, "rule.unknown", "values"), ({"epsilon": -1.0}, "option.value", "usual"),
    ({"epsilon": float("nan")}, "option.value", "usual"), ({"gamma": -0.1}, "option.value", "usual"),
    ({"alpha": 0.5}, "option.value", "usual"), ({"low": 1.0, "high": 0.0}, "option.value", "usual"),
    ({"low": 0.0}, "option.value", "usual"), ({"first": "box"}, "option.value", "per channel"),
    ({"composite": "epsilon_gamma_box"}, "option.value", "per channel"), ({"low": "dark"}, "option.value", "low=0.0"),
    ({"first": "box", "low": (0.0, 0.0), "high": (1.0, 1.0)}, "option.value", "as many"),
    ({"epsilon": "small"}, "option.value", "epsilon"), ({"layers": "nowhere"}, "layer.unknown", "first"),
])
def test_what_cannot_be_meant_is_refused_by_name(options: dict[str, Any], code: str, named: str) -> None:
    error = refused(code, lambda: asked(Net(nn.ReLU()), **options))
    assert named in f"{error.found} {error.expected} {error.do}", error


def test_a_score_that_only_constants_lead_to_says_which() -> None:
    error = refused("site.disconnected", lambda: asked(Net(Step(lambda x: x.norm(dim=1, keepdim=True).expand(-1, 8)))))
    assert "norm at part" in error.found
    assert pellucid.explain(Net(nn.ReLU()).eval(), X, "inside(lrp)", layer="part", target=0).values.any()


def test_relevance_that_biases_outweigh_is_said() -> None:
    net = Net(nn.ReLU()).eval()
    with torch.no_grad():
        net.last.bias.fill_(50.0)
    e = asked(net)
    (finding,) = [f for f in e.verdict.findings if f.code == "relevance.apart"]
    assert finding.level == "warn"
    assert f"{e.score:.3g}" in finding.reason
    with torch.no_grad():
        net.last.bias.zero_()
        net.first.bias.zero_()
    assert "relevance.apart" not in {f.code for f in asked(net).verdict.findings}
