"""Means that stop by themselves: stated errors bound true ones, and what has converged leaves the batch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from honest import Count
from oracle_nets import Quadratic, ViT, cnn, mlp, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.numbers.sequential import excess, upcoming
from pellucid.numbers.statistics import Welford

F64 = torch.float64


def background(n: int, count: int, seed: int = 100) -> list[Tensor]:
    return [0.5 * normal(n, seed=seed + k, dtype=F64) for k in range(count)]


@pytest.mark.parametrize("count", [1, 5, 50])
@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_expected_gradients_of_a_quadratic_score_are_its_closed_form(count: int, tolerance: float) -> None:
    """At a fixed number of draws, and where the draws stop at the tolerance."""
    net, seen = Quadratic(6), Count(f"{count} baselines", 0)
    a, c = net.a.detach(), net.c.detach()
    bases = background(6, count)
    for seed in range(24):
        x = 1.5 * normal(6, seed=200 + seed, dtype=F64)
        true = torch.stack([(x - b) * (a @ (x + b) / 2 + c) for b in bases]).mean(0)
        more = {"samples": 640} if tolerance == 0 else {"samples": 40_000}
        e = pellucid.explain(net, x[None], "expected_gradients", baseline=bases, tolerance=tolerance, seed=seed, **more)
        assert e.verdict.status == "pass", e.verdict
        seen.add(e.values, e.error, true, tolerance or 3 * float(e.error.norm() / e.values.norm()))
    seen.check()


@pytest.mark.parametrize("act", [nn.ReLU, nn.Tanh])
def test_expected_gradients_of_a_network_are_the_mean_of_integrated_gradients(act: type[nn.Module]) -> None:
    count, bases = Count(act.__name__), background(8, 4)
    for seed in range(10):
        net, x = mlp((8, 24, 16, 2), act, seed, F64), 2 * normal(8, seed=seed, dtype=F64)
        true = pellucid.explain(net, x[None], "integrated_gradients", target=0, baseline=bases, steps=400).values
        e = pellucid.explain(net, x[None], "expected_gradients", target=0, baseline=bases, tolerance=0.03,
                             samples=60_000, seed=seed)
        assert e.verdict.status == "pass", e.verdict
        count.add(e.values, e.error, true, 0.03)
    count.check()


def test_smoothed_gradients_that_stop_are_within_their_tolerance() -> None:
    count = Count("smooth")
    for seed in range(24):
        net, x = Quadratic(5, seed), normal(5, seed=seed, dtype=F64)
        true = net.a.detach() @ x + net.c.detach()
        e = pellucid.explain(net, x[None], "smooth(saliency)", absolute=False, spread=0.1, samples=20_000,
                             tolerance=0.03, seed=seed)
        assert e.verdict.status == "pass", e.verdict
        count.add(e.values, e.error, true, 0.03)
    count.check()


def test_looking_all_the_time_from_the_second_draw_on_is_found_out() -> None:
    count = Count("peeking")
    for seed in range(200):
        net, x = Quadratic(5, seed % 8), normal(5, seed=seed % 8, dtype=F64)
        slope, a = net.a.detach() @ x + net.c.detach(), net.a.detach()
        mean = Welford()
        for n in range(4000):
            mean.add(slope + a @ (0.1 * (x.max() - x.min()) * normal(5, seed=10_000 * seed + n, dtype=F64)))
            if n and excess(mean.estimate().value, mean.estimate().sampling, 0.2) <= 1:
                break
        found = mean.estimate()
        count.add(found.value, found.sampling, slope, 0.2)
    with pytest.raises(AssertionError, match="peeking: "):
        count.check()


def integrals(rule: str, act: type[nn.Module]) -> Count:
    """Integrated gradients of networks with one hidden layer, whose truth is known, under two rules to stop."""
    count = Count(f"{rule} {act.__name__}")
    for seed in range(40):
        net, x, b = mlp((6, 20, 1), act, seed, F64), 3 * normal(6, seed=seed + 10, dtype=F64), normal(
            6, seed=seed + 1010, dtype=F64)
        w, v, ends = net[0].weight, net[2].weight[0], torch.stack([net[0](b), net[0](x)])
        change = net[1](ends[1]) - net[1](ends[0])
        true = (x - b) * ((v * change / (ends[1] - ends[0])) @ w)
        if rule == "nested":
            e = pellucid.explain(net, x[None], "integrated_gradients", baseline=b)
            count.add(e.values, e.error, true, 0.01)
            continue
        for n in (3, 5, 9, 17, 33, 65, 129, 257, 513):  # the first rule whose sum is right
            t = torch.linspace(0, 1, n, dtype=F64)[:, None]
            road = (b + t * (x - b)).requires_grad_()
            (slope,) = torch.autograd.grad(net(road).sum(), road)
            values = (x - b) * torch.trapezoid(slope, dx=1 / (n - 1), dim=0)
            residual = float(values.sum()) - float(net(x[None]) - net(b[None]))
            if abs(residual) <= 0.01 * abs(float(net(x[None]) - net(b[None]))):
                break
        count.add(values, torch.full_like(values, abs(residual)), true, 0.01)
    return count


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU])
def test_nested_rules_are_honest_and_a_rule_on_the_residual_alone_is_found_out(act: type[nn.Module]) -> None:
    integrals("nested", act).check()
    with pytest.raises(AssertionError, match=r"residual \w+: \d+ of 40 within"):
        integrals("residual", act).check()


@pytest.mark.parametrize(("method", "options"), [
    ("smooth(saliency)", {"absolute": False, "spread": 0.02, "samples": 4000, "tolerance": 0.02}),
    ("expected_gradients", {"samples": 40_000, "tolerance": 0.005}),
    ("integrated_gradients", {}), ("conductance", {"layer": "0"}),
])
def test_what_has_converged_leaves_the_batch(method: str, options: dict[str, Any]) -> None:
    net, far = mlp((6, 24, 24, 2), nn.Tanh, 0, F64), 4 * normal(6, seed=1, dtype=F64)
    easy = 0.01 * far
    alone = [pellucid.explain(net, x[None], method, target=0, **options) for x in (easy, far)]
    both = pellucid.explain(net, torch.stack([easy, far]), method, target=0, **options)
    rows = [e.evidence.rows for e in alone]
    assert rows[0] < rows[1]
    assert [e.evidence.rows for e in both] == rows
    for e, other in zip(both, alone, strict=True):
        torch.testing.assert_close(e.values, other.values, rtol=1e-8, atol=1e-10)


NETS: dict[str, tuple[nn.Module, tuple[int, ...], str]] = {
    "smooth net": (mlp((6, 16, 12, 4), nn.GELU, 2, F64), (6,), "2"),
    "ReLU net": (cnn(2, F64), (3, 12, 12), "4"),
    "transformer": (settled(ViT(), 2, F64), (3, 12, 12), "blocks.0"),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("method", "few", "many", "code"), [
    ("integrated_gradients", {"limit": 9}, {"limit": 8193}, "converged.not"),
    ("conductance", {"limit": 9}, {"limit": 8193}, "converged.not"),
    ("expected_gradients", {"samples": 128}, {"samples": 4096}, "interval.wide"),
    ("smooth(saliency)", {"samples": 16}, {"samples": 1024}, "interval.wide"),
    ("kernel_shap", {"samples": 40}, {"samples": 2048}, "interval.wide"),
])
def test_a_default_gives_its_percent_or_says_that_it_did_not(net: str, method: str, few: dict[str, int],
                                                             many: dict[str, int], code: str) -> None:
    """Beside a run with many times the points: who says nothing is within a percent or two of it."""
    model, shape, layer = NETS[net]
    x = 3 * normal(1, *shape, seed=3, dtype=F64)
    more: dict[str, Any] = {"layer": layer} if method == "conductance" else {}
    if method == "kernel_shap":
        more["features"] = "units" if len(shape) == 1 else "patches:4"
    best = pellucid.explain(model, x, method, target=1, tolerance=1e-9 if "limit" in many else 0, **many, **more)
    for options in ({}, few):
        e = pellucid.explain(model, x, method, target=1, **options, **more)
        off = float((e.values - best.values).norm() / e.values.norm())
        said = [f for f in e.verdict.findings if f.code == code]
        if not said:
            own = 0.0 if best.error is None else 2 * float(best.error.norm() / best.values.norm())
            assert off <= 0.01 + own
        else:
            assert "1.00% was asked for" in said[0].reason
            assert "raise " in said[0].do
            # With too few samples even the error is unknown, and the reason says so.
            assert ("do not tell" in said[0].reason) == (e.error is None)
            assert e.error is None or off <= 2.5 * float(e.error.norm() / e.values.norm())


def test_the_next_look_is_where_the_error_is_expected_to_suffice() -> None:
    assert upcoming(100, 1.5, 10_000) == math.ceil(100 * 1.1 * 2.25)
    assert upcoming(100, 1.01, 10_000) == 150
    assert upcoming(100, math.inf, 10_000) == 400
    assert upcoming(100, 3.0, 250) == 250
    assert excess(torch.zeros(3), torch.zeros(3), 0.01) == 0
    assert excess(torch.ones(3), None, 0.01) == math.inf


@pytest.mark.parametrize(("method", "options"), [
    ("expected_gradients", {"samples": 0}), ("expected_gradients", {"tolerance": -0.1}),
    ("smooth(saliency)", {"tolerance": -1.0}), ("kernel_shap", {"tolerance": -0.5}),
    *((method, {"tolerance": math.nan}) for method in ("expected_gradients", "smooth(saliency)", "kernel_shap")),
])
def test_a_tolerance_without_meaning_is_refused(method: str, options: dict[str, float]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(Quadratic(6), normal(1, 6, dtype=F64), method, **options)
    assert error.value.code == "option.value"


@pytest.mark.parametrize("method", ["expected_gradients", "smooth(saliency)", "kernel_shap"])
def test_a_tolerance_that_no_number_of_samples_can_meet_is_said(method: str) -> None:
    net = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    e = pellucid.explain(net, normal(1, 12, dtype=F64), method, target=0, tolerance=1e-200, samples=300)
    assert "interval.wide" in [f.code for f in e.verdict.findings]
