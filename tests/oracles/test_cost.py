"""What an explanation says of its own cost is what it cost."""

from __future__ import annotations

import sys
import time
import types

import pytest
import torch
from torch import nn

import pellucid
from pellucid.engine.cost import Energy


class Slow(nn.Module):
    """A model that takes at least `pause` seconds a pass."""

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause, self.layer = pause, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.pause)
        return self.layer(x).tanh()


@pellucid.method(asks="score")
async def pondering(case, *, pause: float = 0.02):
    """A method that takes its time between two questions."""
    here = await case.score(case.here)
    time.sleep(pause)
    return (await case.score(case.keep(torch.eye(case.features.n, dtype=torch.bool)))) - here


def own(e) -> float:
    return sum(seconds for part, seconds in e.evidence.time.items() if part != "reading")


def test_the_parts_add_up_to_the_seconds():
    e = pellucid.explain(Slow(0.0), torch.randn(1, 4), "integrated_gradients")
    assert own(e) == pytest.approx(e.evidence.seconds, rel=1e-9)
    assert e.evidence.time["waiting"] == pytest.approx(0, abs=1e-9)
    assert e.evidence.time["reading"] > 0


def test_a_slow_model_and_a_slow_method_are_told_apart():
    slow_model = pellucid.explain(Slow(0.01), torch.randn(1, 4), "saliency").evidence
    assert slow_model.time["model"] >= 0.01 * slow_model.passes
    slow_method = pellucid.explain(Slow(0.0), torch.randn(1, 4), pondering, pause=0.05).evidence
    assert slow_method.time["method"] >= 0.05 > slow_method.time["model"]


def test_who_shares_a_run_waits_for_the_others():
    quick, slow = pellucid.explain(Slow(0.0), torch.randn(1, 4), ["saliency", "pondering"]).values()
    assert quick.evidence.time["waiting"] >= slow.evidence.time["method"] - quick.evidence.time["method"] > 0.01
    assert own(quick) == pytest.approx(own(slow), rel=1e-9)


def package(folder, name: str, energy: int, most: int = 1_000_000_000):
    place = folder / name
    place.mkdir()
    (place / "energy_uj").write_text(f"{energy}\n")
    (place / "max_energy_range_uj").write_text(f"{most}\n")
    return place


def test_energy_of_two_processors_one_of_which_starts_again(tmp_path):
    one, two = package(tmp_path, "intel-rapl:0", 5_000_000), package(tmp_path, "intel-rapl:1", 900_000_000)
    package(tmp_path, "intel-rapl:0:0", 0)  # a part of package 0: counted there
    energy = Energy(torch.device("cpu"), tmp_path)
    (one / "energy_uj").write_text("7500000")
    (two / "energy_uj").write_text("1000000")
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("999999")
    assert energy.joules() == pytest.approx(2.5 + 101.0)
    assert energy.sources == ("rapl",)


def test_energy_that_nobody_counts_is_unknown_and_not_zero(tmp_path):
    assert Energy(torch.device("cpu"), tmp_path).joules() is None
    place = package(tmp_path, "intel-rapl:0", 1)
    (place / "energy_uj").write_text("locked")
    assert Energy(torch.device("cpu"), tmp_path).joules() is None


def test_energy_of_a_card(tmp_path, monkeypatch):
    counted = iter((1_000, 43_500))
    fake = types.SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetTotalEnergyConsumption=lambda card: {"GPU-aa": next(counted)}[card])
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid="aa"))
    energy = Energy(torch.device("cuda:0"), tmp_path)
    assert energy.joules() == pytest.approx(42.5)
    assert energy.sources == ("nvml",)


def test_the_cost_is_kept_in_the_file(tmp_path):
    e = pellucid.explain(Slow(0.0), torch.randn(1, 4), "saliency")
    e.save(tmp_path / "why.pellucid")
    assert pellucid.open(tmp_path / "why.pellucid").evidence == e.evidence


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_card_is_waited_for_and_what_is_moved_to_it_is_counted():
    net = nn.Sequential(nn.Linear(4, 4096), nn.Tanh(), nn.Linear(4096, 3)).eval().cuda()
    e = pellucid.explain(net, torch.randn(1, 4), "integrated_gradients", profile=True)
    assert e.evidence.time["transfers"] > 0
    assert own(e) == pytest.approx(e.evidence.seconds, rel=1e-9)
