"""Peer cases 1 to 19: layers, gates, threads, targets. The same cases where peers go wrong, right or refused here.

The peers (captum 0.9.0, grad-cam 1.5.7, shap 0.51.0) are not run: what they do was measured, and each test says it
in its first line. Ours is compared with a hand formula, or with a twin of the network that lacks the trait.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import normal, settled
from peer_nets import DOUBLE, PICTURE, Functional, guided_by_hand, refused, slope
from torch import Tensor, nn

import pellucid


def test_peer_case_01() -> None:
    """grad-cam: a layer followed by an in-place ReLU gives another map, up to 0.57 on a scale of 1."""
    def net(inplace: bool) -> nn.Module:
        layers = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace), nn.Conv2d(6, 6, 3), nn.ReLU(inplace))
        return settled(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)), 1, DOUBLE)

    for layer in ("1", "3"):
        one, two = (pellucid.explain(net(i), PICTURE, "grad_cam", layer=layer, target=1) for i in (True, False))
        assert torch.equal(one.values, two.values)
    model = net(False)
    seen = model[1](model[0](PICTURE)).requires_grad_()
    (g,) = torch.autograd.grad(model[2:](seen)[0, 1], seen)
    by_hand = (g.mean((2, 3), keepdim=True) * seen).sum(1)[0]
    assert torch.allclose(pellucid.explain(net(True), PICTURE, "grad_cam", layer="1", target=1).values, by_hand)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
@pytest.mark.parametrize("how", ["function", "method", "in place"])
def test_peer_case_02(how: str, method: str) -> None:
    """captum: guided backpropagation of functional ReLUs is the plain gradient."""
    found = pellucid.explain(Functional(how), PICTURE, method, target=1).elements
    twin = pellucid.explain(Functional("modules"), PICTURE, method, target=1).elements
    assert torch.allclose(found, twin)
    assert not torch.allclose(found, slope(Functional("modules"), PICTURE, 1), atol=1e-4)
    if method == "guided_backprop":
        assert torch.allclose(found, guided_by_hand(Functional(), PICTURE, 1))


@pytest.mark.parametrize("how", ["trace", "script", "export"])
def test_peer_case_03(how: str) -> None:
    """captum: the same on traced, scripted and exported models; and DeepLift there is gradient times input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that scripting will go
        net = Functional("modules")
        made = {"trace": lambda: torch.jit.trace(net, PICTURE, check_trace=False),
                "script": lambda: torch.jit.script(net),
                "export": lambda: torch.export.export(net, (PICTURE,)).module()}[how]()
        found = pellucid.explain(made, PICTURE, "guided_backprop", target=1).elements
        assert torch.allclose(found, guided_by_hand(net, PICTURE, 1))
        judged("captum:DeepLift", made, PICTURE)


def judged(method: str, net: nn.Module, x: Tensor, **options: Any) -> None:
    """An explanation that does not pass, or an error with a code."""
    error, e = "", None
    try:
        e = pellucid.explain(net, x, method, target=1, **options)
    except pellucid.PellucidError as refusal:
        error = refusal.code
    if e is None:
        assert error in ("method.unfit", "foreign.failed")
        return
    assert e.verdict.status != "pass", f"{method} passed with a residual of {e.residual}"
    assert any(f.code in ("complete.not", "method.unfit") for f in e.verdict.findings)


def test_peer_case_04() -> None:
    """captum: DeepLift of functional ReLUs is gradient times input, its sum off by 0.227."""
    judged("captum:DeepLift", Functional("function"), PICTURE)


def test_peer_case_05() -> None:
    """captum: DeepLift through GELU, LayerNorm and SiLU is gradient times input, its sum off by 0.837 of 0.034."""
    net = settled(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, 3)), 2, DOUBLE)
    judged("captum:DeepLift", net, normal(1, 6, seed=3, dtype=DOUBLE))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)
        settled(self, 3, DOUBLE)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def test_peer_case_06() -> None:
    """captum: DeepLift of an LSTM is gradient times input."""
    judged("captum:DeepLift", Recurrent(), normal(1, 5, 4, dtype=DOUBLE))


def test_peer_case_07() -> None:
    """captum: DeepLift with MaxPool1d beside ReLU and a baseline other than zero misses its sum by 0.149 of 0.238."""
    for order in ((nn.MaxPool1d(2), nn.ReLU()), (nn.ReLU(), nn.MaxPool1d(2))):
        net = settled(nn.Sequential(nn.Conv1d(1, 4, 3), *order, nn.Flatten(), nn.Linear(4 * 5, 3)), 4, DOUBLE)
        x, base = normal(1, 1, 12, seed=5, dtype=DOUBLE), normal(1, 1, 12, seed=6, dtype=DOUBLE)
        e = pellucid.explain(net, x, "captum:DeepLift", target=1, baseline=base[0])
        with torch.no_grad():
            change = float((net(x) - net(base))[0, 1])
        assert e.residual == pytest.approx(float(e.values.sum()) - change, abs=1e-9)
        assert (e.verdict.status == "pass") == (abs(e.residual) <= 1e-3 * max(abs(change), float(e.values.norm())))


def test_peer_case_08() -> None:
    """captum: Saliency of an input with NaN is finite and looks plausible."""
    x = torch.tensor([[0.1, float("nan"), 0.2, 0.3]])
    refused("input.not_finite", lambda: pellucid.explain(settled(nn.Linear(4, 3)), x, "saliency", target=1))


@pytest.mark.parametrize("method", ["integrated_gradients", "ablation", "kernel_shap"])
def test_peer_case_09(method: str) -> None:
    """captum: one row of NaN gives NaN without an error, and KernelShap stops for all rows."""
    x = normal(3, 4)
    x[1, 2] = float("nan")
    one, bad, three = pellucid.explain(settled(nn.Linear(4, 3)), x, method, target=1)
    assert bad.code == "input.not_finite"
    alone = pellucid.explain(settled(nn.Linear(4, 3)), x[2:], method, target=1)
    assert torch.isfinite(one.values).all()
    assert torch.allclose(three.values, alone.values, atol=1e-6)


def test_peer_case_10() -> None:
    """grad-cam: one picture of NaN gives a map of NaN without an error."""
    x = torch.cat([PICTURE, torch.full_like(PICTURE, float("nan"))])
    good, bad = pellucid.explain(Functional(), x, "grad_cam", layer="one", target=1)
    assert bad.code == "input.not_finite"
    assert torch.isfinite(good.values).all()


def threads(jobs: list[Callable[[], Tensor]], rounds: int) -> None:
    """Every job over and over in a thread of its own, at the same time: always what it gave alone."""
    truth = [job() for job in jobs]
    wrong: list[str] = []

    def work(k: int) -> None:
        for _ in range(rounds):
            if not torch.allclose(jobs[k](), truth[k], rtol=1e-9, atol=1e-12):
                wrong.append(f"job {k}")

    started = [threading.Thread(target=work, args=(k,)) for k in range(len(jobs))]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert not wrong, wrong


def test_peer_case_11() -> None:
    """captum: Saliency beside GuidedBackprop in another thread is wrong in 586 of 600 calls."""
    net = Functional("modules")
    threads([lambda m=m: pellucid.explain(net, PICTURE, m, target=1).elements
             for m in ("saliency", "guided_backprop", "deconvnet", "saliency")], 8)


def test_peer_case_12() -> None:
    """grad-cam: in threads 57 of 60 maps are wrong."""
    net = Functional("modules")
    threads([lambda k=k: pellucid.explain(net, PICTURE, "grad_cam", layer="two", target=k).values for k in range(3)], 8)


def test_peer_case_13() -> None:
    """captum: layer methods, and DeepLift, in two threads end in errors."""
    net = Functional("modules")
    threads([
        lambda: pellucid.explain(net, PICTURE, "inside(integrated_gradients)", layer="one", steps=4, target=1).values,
        lambda: pellucid.explain(net, PICTURE, "inside(input_x_gradient)", layer="two", target=1).values,
        lambda: pellucid.explain(net, PICTURE, "captum:DeepLift", target=1).values,
        lambda: pellucid.explain(net, PICTURE, "captum:DeepLift", target=2).values], 5)


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Linear(3, 3)
        settled(self, 5, DOUBLE)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(self.relu(self.conv(x)))).mean((2, 3)))


def test_peer_case_14() -> None:
    """A module called twice: captum takes the last call, grad-cam the first, both in silence."""
    net = Reused()
    error = refused("layer.reused", lambda: pellucid.explain(net, PICTURE, "grad_cam", layer="conv", target=1))
    assert "conv#1" in error.do
    first = net.conv(PICTURE).requires_grad_()
    second = net.conv(net.relu(first))
    g = torch.autograd.grad(net.head(net.relu(second).mean((2, 3)))[0, 1], [first, second])
    for k, (seen, grad) in enumerate(zip((first, second), g, strict=True)):
        found = pellucid.explain(net, PICTURE, "grad_cam", layer=f"conv#{k + 1}", target=1).values
        assert torch.allclose(found, (grad.mean((2, 3), keepdim=True) * seen).sum(1)[0].detach())


def test_peer_case_15() -> None:
    """grad-cam: fewer targets than pictures gives maps of zeros for the rest."""
    x = PICTURE.repeat(3, 1, 1, 1)
    refused("target.count", lambda: pellucid.explain(Functional(), x, "grad_cam", layer="two", target=[0, 1]))


def test_peer_case_16() -> None:
    """grad-cam: class 99 of 3 inside `with` is swallowed, and the result does not exist."""
    refused("target.out_of_range", lambda: pellucid.explain(Functional(), PICTURE, "grad_cam", layer="two", target=99))


def test_peer_case_17() -> None:
    """captum and grad-cam: class -1 is the last class."""
    refused("target.out_of_range", lambda: pellucid.explain(Functional(), PICTURE, "saliency", target=-1))


@pytest.mark.parametrize(("target", "code"), [(10**12, "target.out_of_range"), ([0, 1, 2], "target.unreadable"),
                                              ("dog", "target.unknown"), (1.5, "target.unreadable")])
def test_peer_case_18(target: Any, code: str) -> None:
    """captum: targets that do not exist end in whatever torch says of an index."""
    refused(code, lambda: pellucid.explain(Functional(), PICTURE, "saliency", target=target))


class Named(nn.Module):
    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names, self.parts = names, nn.ModuleList(nn.Linear(4, 3) for _ in names)
        settled(self)

    def forward(self, x: Tensor) -> Any:
        found = [part(x) for part in self.parts]
        return dict(zip(self.names, found, strict=True)) if self.names[0] else tuple(found)


def test_peer_case_19() -> None:
    """captum: an output that is a dictionary or a tuple has no `shape`."""
    x, net = normal(1, 4), Named("logits", "other")
    assert torch.allclose(pellucid.explain(net, x, "saliency", target=1, absolute=False).values,
                          net.parts[0].weight[1])
    for net in (Named("cats", "dogs"), Named("", "")):
        error = refused("output.ambiguous", lambda net=net: pellucid.explain(net, x, "saliency", target=1))
        assert all(name in error.found for name in (net.names if net.names[0] else ("0", "1")))
    chosen = pellucid.explain(Named("cats", "dogs"), x, "saliency", target=lambda o: o["dogs"][:, 1], absolute=False)
    assert torch.allclose(chosen.values, Named("cats", "dogs").parts[1].weight[1])
