"""Values that are NaN or infinite inside a model: look() and activity() name the layer where they arise, and go on."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.diagnosis.activity import FIGURES
from pellucid.numbers.activity import Figures, Running, Spread
from pellucid.numbers.ranking import lots


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=lots(seed))


class Pooled(nn.Module):
    """A convolution and its rectifier; what is not finite is zero before the head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.nan_to_num(self.relu(self.conv(x)), 0.0).mean((2, 3)))


class Divides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / (x * 0)


def made(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def half_broken() -> nn.Module:
    net = made(Pooled)
    with torch.no_grad():
        net.conv.weight[:8] = math.nan
    return net


def one_weight() -> nn.Module:
    net = made(lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    with torch.no_grad():
        net[0].weight[3, 1] = math.nan
    return net


def divides() -> nn.Module:
    return made(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Divides(), nn.Flatten(), nn.Linear(64, 2)))


CASES: list[tuple[Callable[[], nn.Module], tuple[int, ...], str, tuple[int, ...]]] = [
    (half_broken, (3, 10, 10), "conv", tuple(range(8))), (one_weight, (4,), "0", (3,)),
    (divides, (3, 6, 6), "1", (0, 1, 2, 3)),
]


@pytest.mark.parametrize(("make", "shape", "layer", "channels"), CASES, ids=["channels", "weight", "module"])
@pytest.mark.parametrize("verb", [pellucid.look, pellucid.activity])
def test_the_layer_where_nan_arises_is_named_and_nothing_else_is(
        verb: Any, make: Callable[[], nn.Module], shape: tuple[int, ...], layer: str, channels: tuple[int, ...]
) -> None:
    found = verb(make(), normal(40, *shape))
    (fault,) = found.findings  # nothing nearly dead, nothing linear, and not again of the layers that hand it on
    assert (fault.code, fault.level, fault.layer, fault.channels) == ("layer.not_finite", "fail", layer, channels)
    assert f"{len(channels)} of " in fault.reason
    assert "for 40 of 40 inputs" in fault.reason
    english, chinese = found.text(), found.text(lang="zh")
    assert "not finite" in english
    assert "非有限" in chinese
    assert f"{len(channels)} 个" in "".join(chinese.split("\n"))


@pytest.mark.parametrize(("make", "shape"), [c[:2] for c in CASES], ids=["channels", "weight", "module"])
def test_what_is_finite_of_a_broken_layer_is_told_as_ever_and_all_is_drawn(
        make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    net, x = make(), normal(6, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen, watched = pellucid.look(net, x), pellucid.activity(net, x)
        for record in (seen, watched):
            assert "<svg" in record.svg()
            assert "NaN" not in record.svg().replace("NaN or", "").replace("NaN in", "")
            assert len(list(record.tables())) >= 3  # layers, channels, findings
    broken = {name for name, one in seen.items() if "not_finite" in one.profile}
    assert broken
    assert all(math.isfinite(v) for one in seen.values() for v in (*one.scale, *one.profile.values()))


def test_figures_are_of_what_is_finite_and_the_share_that_is_not_is_counted() -> None:
    values = normal(5, 4, 3, 3)
    broken = values.clone()
    broken[1, 0, 0, 0], broken[3, 0, 1, 1], broken[3, 2] = math.nan, math.inf, -math.inf
    running, clean = Running(9), Running(9)
    for row in Figures(0)(broken):
        running.add(row)
    for k in (0, 2, 4):  # the rows in which channel 0 is whole
        clean.add(Figures(0)(values[k : k + 1])[0])
    assert running.odd.tolist() == [2, 0, 1, 0]
    assert running.hit == 2
    for figure in FIGURES:
        assert float(running.column(figure)[0]) == pytest.approx(float(clean.column(figure)[0]), abs=1e-12)
    assert float(running.variance[0]) == pytest.approx(float(clean.variance[0]), abs=1e-12)
    assert running.profile()["not_finite"] == pytest.approx(3 / 20)
    assert running.scale[1] == pytest.approx(float(values.amax()), abs=1)  # a number, and not infinity
    assert math.isfinite(running.scale[1])
    assert math.isnan(float(Spread(0)(broken[1:2])))
    assert float(Spread(0)(broken[:1])) > 1


def test_half_precision_that_overflows_for_some_inputs_is_said_for_how_many() -> None:
    net = made(lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).half())
    with torch.no_grad():
        net[0].weight.mul_(2e4)
    x = normal(5, 4).half()
    x[[0, 3]] *= 30  # these alone are too large
    with torch.no_grad():
        hit = int((~torch.isfinite(net[0](x))).any(1).sum())
    assert 0 < hit < 5
    for verb in (pellucid.look, pellucid.activity):
        (fault,) = verb(net, x).findings
        assert fault.layer == "0"
        assert f"for {hit} of 5 inputs" in fault.reason


def test_healthy_layers_say_nothing_of_it() -> None:
    seen = pellucid.look(made(Pooled), normal(4, 3, 10, 10))
    assert seen.findings == ()
    assert all("not_finite" not in one.profile for one in seen.values())
    assert "finite" not in seen.text()
