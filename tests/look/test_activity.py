"""activity(): planted faults are found and nothing else is; healthy twins tell nothing; counts with what they prove."""

from __future__ import annotations

import copy
import math
import string
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pellucid
from pellucid.diagnosis.activity import Looked, awaited, faults
from pellucid.numbers import detection
from pellucid.numbers.ranking import lots
from pellucid.numbers.twins import Projected, Sketch
from pellucid.testing.faults import LiveBytes
from pellucid.testing.pristine import pristine
from pellucid.views.faults import FAULTS, told
from pellucid.words.activity import Channels
from pellucid.words.errors import PellucidError
from pellucid.words.site import Site
from tests.look.bred import HEALTHY, Bare, Convolutions, Squashing, pictures, seeded, trained

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def found(net: nn.Module, seed: int = 0, n: int = 96, layers: Any = ("stages", "activations")) -> pellucid.Activity:
    return pellucid.activity(net, pictures(n, seed + 77777)[0], layers)


def only(a: pellucid.Activity, code: str) -> Any:
    assert [f.code for f in a.findings] == [code], a.findings
    return a.findings[0]


# --- healthy twins

@pytest.mark.parametrize("steps", [0, 60], ids=["drawn", "trained"])
@pytest.mark.parametrize("make", HEALTHY)
def test_healthy_networks_tell_nothing(make: type[nn.Module], steps: int) -> None:
    for seed in range(2):  # 20 seeds each by python -m tests.look.campaign
        a = found(trained(make, seed, steps), seed)
        assert a.findings == ()
        assert a.verdict.status == "pass"


# --- planted faults

@pytest.mark.parametrize("seed", range(2))
def test_killed_channels_are_found_where_they_die(seed: int) -> None:
    net = trained(Convolutions, seed)
    gone = torch.randperm(24, generator=lots(seed))[:7].sort().values.tolist()  # 30 % of the third layer
    with torch.no_grad():
        net.features[7].bias[gone] = -50.0
    fault = only(a := found(net, seed), "channels.dead")
    assert (fault.layer, fault.channels) == ("features.8", tuple(gone))
    layer = a["features.8"]
    assert layer.dead == tuple(gone)
    assert layer.unseen == pytest.approx(1 - 0.05 ** (1 / 96))  # the rule of three, exactly
    assert layer.p < 1e-3


def test_channels_whose_kernels_are_zero_are_told_once_not_again_behind_the_rectifier() -> None:
    net = trained(Convolutions, 1)
    with torch.no_grad():
        net.features[6].weight[:7] = 0
    fault = only(found(net, 1), "channels.dead")
    assert (fault.layer, fault.channels) == ("features.7", tuple(range(7)))


def test_a_copied_channel_is_found_with_the_one_it_copies() -> None:
    net = trained(Convolutions, 2)
    conv, norm = net.features[3], net.features[4]
    with torch.no_grad():
        conv.weight[5] = conv.weight[2] * 0.5  # another scale: it still says the same
        for t in (norm.weight, norm.bias, norm.running_mean):
            t[5] = t[2]
        norm.running_mean[5] *= 0.5
        norm.running_var[5] = norm.running_var[2] * 0.25
    fault = only(found(net, 2), "channels.duplicated")
    assert (fault.layer, fault.channels, fault.facts["groups"]) == ("features.4", (5,), "2 = 5")


@pytest.mark.parametrize("layer", ["second", "third"])
def test_a_saturated_layer_is_found(layer: str) -> None:
    net = trained(Squashing, 3)
    with torch.no_grad():
        for t in net.get_submodule(layer).parameters():
            t *= 60
    fault = only(found(net, 3), "layer.saturated")
    assert fault.layer == {"second": "again", "third": "sigmoid"}[layer]


@pytest.mark.parametrize(("gain", "codes"), [(1.0, []), (1000.0, ["layer.saturated"])])
def test_a_tanh_that_is_no_module_saturates_too(gain: float, codes: list[str]) -> None:
    class Says(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(192, 24)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(gain * self.linear(x.flatten(1)))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = Says(), nn.Linear(24, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(x))

    assert [f.code for f in found(seeded(Net, 0).eval(), 0, layers=["body"]).findings] == codes


@pytest.mark.parametrize("times", [4.0, 0.2])
@pytest.mark.parametrize("at", [3, 6, 9])
def test_a_normalisation_that_is_left_out_is_found_where_it_would_have_mattered(at: int, times: float) -> None:
    net = trained(Convolutions, 0)
    conv, norm = net.features[at], net.features[at + 1]
    with torch.no_grad():  # a normalisation hides the scale of what it is given
        conv.weight *= times / float(norm.running_var.mean().sqrt())
        scale = times / float(norm.running_var.mean().sqrt())
        norm.running_mean *= scale
        norm.running_var *= scale**2
    assert found(net).findings == ()
    net.features[at + 1] = nn.Identity()
    a = found(net)
    assert {f.code for f in a.findings if f.layer == f"features.{at}"} == {"layer.unnormalised"}
    assert a.findings[0].layer == f"features.{at}"


def test_lost_detail_is_found() -> None:
    net = trained(Bare, 0)
    with torch.no_grad():
        conv = net.features[2]
        conv.weight.zero_()
        conv.bias.zero_()
        for c in range(16):
            conv.weight[c, c] = 1 / 9
        conv.padding_mode = "circular"
        conv._reversed_padding_repeated_twice = [1, 1, 1, 1]
    fault = only(found(net), "layer.blurred")
    assert fault.layer == "features.2"


def test_a_rectifier_that_cuts_nothing_is_found() -> None:
    net = trained(Bare, 0)
    with torch.no_grad():
        net.features[2].bias += 50.0
    assert ("layer.linear", "features.3") in [(f.code, f.layer) for f in found(net).findings]


def test_units_whose_sign_the_weights_alone_decide_are_not_called_dead() -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.last = nn.Linear(64, 200), nn.ReLU(), nn.Linear(200, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.act(self.first(x)))

    x = torch.rand(64, generator=lots(1)) + 0.01 * torch.randn(40, 64, generator=lots(2))  # next to no variety
    a = pellucid.activity(seeded(Head, 0).eval(), x)
    assert len(a["act"].dead) > 40
    assert len(a["act"].always) > 40
    assert a.findings == ()


@gpu
def test_a_model_on_a_gpu_is_told_the_same() -> None:
    net, x = trained(Convolutions, 0), pictures(32)[0]
    with torch.no_grad():
        net.features[7].bias[:7] = -50.0
    slow, fast = pellucid.activity(net, x), pellucid.activity(copy.deepcopy(net).cuda(), x.cuda())
    assert [(f.code, f.layer, f.channels) for f in fast.findings] == [(f.code, f.layer, f.channels) for f in
                                                                     slow.findings]
    for name in slow:
        torch.testing.assert_close(fast[name].active, slow[name].active, rtol=0, atol=1e-3)


# --- counts and what they prove

@pytest.mark.parametrize(("k", "n"), [(0, 10), (0, 300), (3, 20), (20, 20), (7, 1000)])
def test_shares_are_those_of_clopper_and_pearson(k: int, n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    tail = 0.05 / (1 if k in (0, n) else 2)
    low, high = detection.share(k, n)
    assert low == pytest.approx(stats.beta.ppf(tail, k, n - k + 1) if k else 0.0, abs=1e-9)
    assert high == pytest.approx(stats.beta.ppf(1 - tail, k + 1, n - k) if k < n else 1.0, abs=1e-9)
    assert detection.share(0, 300)[1] == pytest.approx(3 / 300, rel=0.01)


def test_silent_channels_are_no_fault_where_the_others_seldom_fire() -> None:
    generator, rates = lots(3), torch.distributions.Beta(1.2, 40.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wrong = 0
        for _ in range(100):
            fired = torch.binomial(torch.full((64,), 30.0), rates.sample((64,)), generator=generator)
            wrong += detection.silent(fired, 30)[1] < 0.05
    assert wrong <= 5  # of 100 layers whose silent channels are silent by chance
    fired = torch.full((64,), 30.0)
    fired[:19] = 0
    assert detection.silent(fired, 30)[1] < 1e-6
    assert detection.silent(torch.tensor([1.0, 0.0]), 1)[1] > 0.05


def counted(fired: Tensor, inputs: int) -> Channels:
    """What `activity` says of channels that fired for so many of the inputs."""
    dead = tuple((fired == 0).nonzero().flatten().tolist())
    chance, p = detection.silent(fired, inputs)
    return Channels("layer", "units", (len(fired),), inputs, 1, fired, fired / inputs, dead, rectified=True,
                    unseen=detection.share(0, inputs)[1], chance=chance, p=p)


def test_so_many_silent_channels_as_are_said_fire_when_as_many_inputs_come_again() -> None:
    """Rates with very many rare channels, which no distribution without a peak at zero foretells."""
    generator = lots(7)
    for inputs in (30, 100):
        said = came = 0.0
        for _ in range(40):
            rates = 10 ** (-3 * torch.rand(200, generator=generator))
            first, again = (torch.binomial(torch.full((200,), float(inputs)), rates, generator=generator)
                            for _ in range(2))
            c = counted(first.double(), inputs)
            said += awaited(c)
            came += float((again[list(c.dead)] > 0).sum())
        assert came <= said <= 2.5 * came


@pytest.mark.parametrize(("inputs", "once", "told_of"), [
    (28, 0, False), (29, 0, True), (60, 10, True), (60, 11, False)])
def test_silent_channels_are_told_of_where_inputs_are_enough_to_tell(inputs: int, once: int, told_of: bool) -> None:
    """20 of 80 are silent: below 29 inputs each may fire for a tenth; above, half of them may be yet to come."""
    fired = torch.full((80,), float(inputs), dtype=torch.float64)
    fired[:20] = 0
    fired[20 : 20 + once] = 1
    layer = Looked("layer", Site("layer"), (80,), "units", 0, rectifier=True)
    found = faults({"layer": layer}, {"layer": counted(fired, inputs)})
    assert ("channels.dead" in {f[0] for f in found}) == told_of
    if told_of:
        assert found[0][3] == tuple(range(20))
        assert float(found[0][4]["more"]) >= once


def test_of_three_pictures_nothing_is_said_and_what_is_said_of_many_stays_true(vision: bool) -> None:
    """Samples of `demo:digits`, shifted: in two of its layers a quarter of the channels are silent for all of them."""
    subject, dice = pellucid.load("demo:digits"), np.random.default_rng(0)
    shown = [np.asarray(Image.open(f).convert("RGB")) for f in pellucid.samples("digits")]
    some = [np.roll(shown[dice.integers(len(shown))], dice.integers(-12, 12, 2), (0, 1)).copy() for _ in range(160)]
    few = pellucid.activity(subject, pellucid.samples("digits")[:3])
    assert any(c.dead for c in few.values())
    assert few.findings == ()
    many, fresh = pellucid.activity(subject, some[:40]), pellucid.activity(subject, some[40:])
    dead = [f for f in many.findings if f.code == "channels.dead"]
    assert dead
    for fault in dead:
        rates = fresh[fault.layer].fired[list(fault.channels)] / 120
        assert float((rates == 0).double().mean()) > 0.7
        assert float(rates.max()) <= many[fault.layer].unseen


def test_a_sketch_tells_the_correlations_of_all_values() -> None:
    generator, sketch = lots(5), Sketch()
    x = torch.randn(200, 6, 5, 5, generator=generator) + 3.0
    x[:, 1] = 2 * x[:, 0] - 1
    x[:, 2] = x[:, 0] + 0.03 * x[:, 2]
    x[:, 3] = 7.0
    for row in x:
        sketch.add(Projected(0)(row[None])[0])
    r = sketch.correlations(x.double().mean((0, 2, 3)))
    true = torch.corrcoef(x.double().movedim(1, 0).flatten(1))
    assert float(r[0, 1]) == pytest.approx(1, abs=1e-9)
    assert float(r[0, 2]) == pytest.approx(float(true[0, 2]), abs=2e-4)
    assert abs(float(r[0, 4])) < 0.2
    assert bool(r[3].isnan().all())


def test_counts_by_hand() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(x).flatten(1).sum(1, keepdim=True)

    x = torch.randn(64, 5, 4, 4, generator=lots(0))
    x[:, 0] = -1.0
    x[:, 1] = x[:, 1].abs() + 0.1
    x[:, 2] = -1.0
    x[7, 2, 0, 0] = 5.0  # once in 1024 places
    layer = found_layer = pellucid.activity(Net(), x, "act")["act"]
    assert (layer.dead, layer.always, layer.nearly) == ((0,), (1,), (2,))
    assert found_layer.fired.tolist()[:3] == [0, 64, 1]
    assert float(layer.active[2]) == pytest.approx(1 / 1024)
    frame = pellucid.activity(Net(), x, "act").to_frame()
    assert frame["dead"].tolist() == [1]


# --- the stream

def test_a_loader_streams_by_and_memory_does_not_grow_with_it() -> None:
    net = trained(Convolutions, 0, 0)

    def peak(n: int) -> tuple[int, Any]:
        x, y = pictures(n)
        with LiveBytes() as live:
            a = pellucid.activity(net, DataLoader(TensorDataset(x, y), batch_size=16), ["features.2", "features.8"])
        return live.peak - x.nbytes, a  # a loader's rows are views of the set

    peak(64)
    (few, _), (many, a) = peak(64), peak(256)
    assert a.inputs == 256
    assert many <= few * 1.02 + 10_000


def test_the_model_is_left_as_it_was_and_a_list_gives_what_a_batch_gives() -> None:
    net, x = trained(Convolutions, 0, 0), pictures(40)[0]
    with pristine(net, x):
        whole = pellucid.activity(net, x)
    listed = pellucid.activity(net, list(x[:, None]))
    for name in whole:
        assert whole[name].dead == listed[name].dead
        torch.testing.assert_close(whole[name].active, listed[name].active, rtol=0, atol=1e-6)


def test_an_input_that_fails_is_told_and_the_others_count() -> None:
    net = trained(Convolutions, 0, 0)
    x = list(pictures(5)[0][:, None])
    x[2] = torch.full_like(x[2], math.nan)
    a = pellucid.activity(net, x)
    assert (a.inputs, list(a.failed)) == (4, [2])


@pytest.mark.parametrize(("layers", "code"), [("nowhere", "layer.unknown"), ("activations", "layer.no_activations")])
def test_what_is_not_there_is_said(layers: str, code: str) -> None:
    with pytest.raises(PellucidError) as error:
        pellucid.activity(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.randn(3, 3), layers)
    assert error.value.code == code


def test_no_inputs_are_an_error() -> None:
    with pytest.raises(PellucidError) as error:
        pellucid.activity(trained(Convolutions, 0, 0), [])
    assert error.value.code == "input.empty"


# --- what is shown

def test_findings_are_told_in_both_languages_and_drawn() -> None:
    net = trained(Convolutions, 0)
    with torch.no_grad():
        net.features[7].bias[:7] = -50.0
    a = found(net)
    assert "7 of 24" in a.text()
    assert "7 个" in a.text(lang="zh")
    assert "features.8" in a.svg()
    for code, (seen, do) in FAULTS.items():
        named = {f for side in (*seen, *do) for _, f, _, _ in string.Formatter().parse(side) if f}
        for lang in ("en", "zh"):
            assert all("{" not in s for s in told(code, dict.fromkeys(named, "X"), lang))
        assert len({frozenset(f for _, f, _, _ in string.Formatter().parse(s) if f) for s in seen}) == 1
        assert all(any("一" <= c <= "鿿" for c in pair[1]) for pair in (seen, do))
