"""Sampled Shapley values: closer than captum's at equal cost, and honest where they stop by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from captum import attr
from honest import Count
from oracle_nets import mlp, normal
from torch import Tensor, nn

import pellucid
from pellucid.numbers import coalitions, games, paired
from pellucid.numbers.sequential import excess, upcoming

F64 = torch.float64
Game = Callable[[Tensor], Tensor]
KINDS: dict[str, tuple[tuple[int, ...], type[nn.Module], float]] = {
    "tanh": ((24, 24), nn.Tanh, 1.0), "relu": ((32, 32), nn.ReLU, 2.0), "gelu": ((64, 64, 64), nn.GELU, 4.0),
}


def network(kind: str, n: int, seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    hidden, act, scale = KINDS[kind]
    x, b = scale * normal(n, seed=11 + seed, dtype=F64), normal(n, seed=1011 + seed, dtype=F64)
    return mlp((n, *hidden, 2), act, seed, F64), x, b


def game(net: nn.Module, x: Tensor, b: Tensor) -> Game:
    return lambda masks: net(torch.where(masks, x, b)).detach()[:, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_at_equal_evaluations_the_error_is_a_fraction_of_captums(kind: str) -> None:
    """416 evaluations of 12 columns, as in the comparison of peers: there shap's error is 0.46 of captum's."""
    net, x, b = network(kind, 12, 0)
    true = games.shapley(game(net, x, b), 12)
    ours: list[float] = []
    theirs: list[float] = []
    for seed in range(6):
        e = pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b, samples=414, tolerance=0, seed=seed)
        assert e.evidence.rows <= 416
        ours.append(float((e.values - true).norm() ** 2))
        torch.manual_seed(seed)
        found = attr.KernelShap(lambda v: net(v)[:, 0]).attribute(x[None], b[None], n_samples=416,
                                                                  perturbations_per_eval=128)[0]
        theirs.append(float((found - true).norm() ** 2))
    ratio = math.sqrt(sum(ours) / sum(theirs))
    assert ratio <= 0.8 * 0.46, f"{ratio:.2f} of captum's error"


@pytest.mark.parametrize("kind", KINDS)
def test_what_stops_at_the_tolerance_is_within_it(kind: str) -> None:
    count = Count(kind)
    for seed in range(4):
        net, x, b = network(kind, 13, seed)
        true = games.shapley(game(net, x, b), 13)
        for draw in range(4):
            e = pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b, samples=8188, tolerance=0.03,
                                 seed=draw)
            assert e.verdict.status == "pass", e.verdict
            assert e.evidence.rows < 8188
            count.add(e.values, e.error, true, 0.03)
    count.check()


def stopped(value: Game, n: int, seed: int, tolerance: float, least: int, step: int | None,
            rule: Callable[[Tensor, Tensor | None], float]) -> tuple[Tensor, Tensor]:
    """The loop of the method with another least number, other looks (after every `step` pairs), another rule."""
    pairs, y, size = coalitions.Pairs(n, seed, ()), torch.zeros(0, dtype=F64), least
    ends = value(torch.stack([torch.zeros(n), torch.ones(n)]).bool())
    while True:
        pairs, new = pairs.grown(size)
        masks = new.block(0, len(new))
        y = torch.cat([y, value(masks) - value(~masks)])
        phi, error = paired.shapley(pairs, y, float(ends[1] - ends[0]), coalitions.shares(n, size))
        far = rule(phi, error)
        if far <= 1 or size >= 2000:
            assert error is not None
            return phi, error
        size = upcoming(size, far, 2000) if step is None else size + step


def test_a_rule_on_the_residual_and_naive_looks_are_found_out() -> None:
    """The sum is held by construction, so that its residual approves of anything; and lucky moments come."""
    residual, peeking = Count("residual"), Count("peeking")
    for seed in range(2):
        net, x, b = network("tanh", 13, seed)
        value = game(net, x, b)
        true = games.shapley(value, 13)
        full = float(value(torch.ones(1, 13).bool()) - value(torch.zeros(1, 13).bool()))
        for draw in range(8):
            phi, error = stopped(value, 13, draw, 0.03, 32, None,
                                 lambda p, e, full=full: abs(float(p.sum()) - full) / 0.03)
            residual.add(phi, error, true, 0.03)
            # The standard error itself against the tolerance, after every two pairs from the first possible one.
            phi, error = stopped(value, 13, draw, 0.15, 18, 2, lambda p, e: excess(p, e, 0.15) / 2)
            peeking.add(phi, error, true, 0.15)
    with pytest.raises(AssertionError, match=r"residual: \d+ of 16 within"):
        residual.check()
    with pytest.raises(AssertionError, match="peeking: "):
        peeking.check()


def test_where_the_samples_end_before_the_tolerance_the_verdict_gives_the_figure() -> None:
    net, x, b = network("gelu", 16, 0)
    e = pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b, samples=300)
    (finding,) = [f for f in e.verdict.findings if f.code == "interval.wide"]
    wide = 2 * float(e.error.norm() / e.values.norm())
    assert f"{wide:.2%} of the values, 1.00% was asked for" in finding.reason
    assert finding.do == f"raise samples= about {math.ceil((wide / 0.01) ** 2)}-fold, or read the error bars"
    few = pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b, samples=20)
    assert few.error is None
    assert {"interval.wide", "samples.few"} <= {f.code for f in few.verdict.findings}


def test_what_has_converged_asks_no_more_whoever_is_beside_it() -> None:
    net, x, b = network("tanh", 14, 0)
    easy = b + 0.05 * (x - b)
    alone = [pellucid.explain(net, v[None], "kernel_shap", target=0, baseline=b, samples=16_000) for v in (easy, x)]
    both = pellucid.explain(net, torch.stack([easy, x]), "kernel_shap", target=0, baseline=b, samples=16_000)
    rows = [e.evidence.rows for e in alone]
    assert rows[0] < rows[1] / 2
    assert [e.evidence.rows for e in both] == rows


@pytest.mark.parametrize(("n", "k"), [(4, 2), (7, 3), (12, 5), (12, 6)])
def test_every_pair_comes_once_and_in_random_order(n: int, k: int) -> None:
    every = coalitions.pairs_of(n, k)
    drawn = coalitions.drawn(n, k, 3, 0, every)
    both = torch.cat([drawn, ~drawn]) if 2 * k == n else drawn
    assert len(both.unique(dim=0)) == len(both) == math.comb(n, k)
    assert (drawn.sum(1) == k).all()
    assert every < 4 or not torch.equal(drawn, coalitions.drawn(n, k, 4, 0, every))


def test_each_coalition_is_drawn_as_often_as_any_other() -> None:
    rank = 1 << torch.arange(7)
    hits = torch.zeros(128)
    for seed in range(3000):
        hits[(coalitions.drawn(7, 3, seed, 0, 5) * rank).sum(1)] += 1
    seen = hits[hits > 0]
    assert len(seen) == 35
    spread = float(((seen - seen.mean()) ** 2 / seen.mean()).sum()) / 34 / (1 - 5 / 35)
    assert 0.4 <= spread <= 1.9, "chi squared over its degrees of freedom"


@pytest.mark.parametrize("n", [2, 3, 6, 13, 60])
def test_wanted_numbers_are_kept_on_the_whole_and_on_average(n: int) -> None:
    whole = sum(coalitions.pairs_of(n, k) for k in range(1, n // 2 + 1))
    for pairs in {1, min(20, whole), min(500, whole), min(whole, 10_000)}:
        shares = coalitions.shares(n, pairs)
        assert sum(shares) == pytest.approx(pairs)
        assert all(s <= coalitions.pairs_of(n, k) * (1 + 1e-9) for k, s in enumerate(shares, 1))
        found = [coalitions.counts(shares, j / 64, [0] * len(shares)) for j in range(64)]
        assert {sum(f) for f in found} == {pairs}
        mean = torch.tensor(found, dtype=F64).mean(0)
        assert (mean - torch.tensor(shares, dtype=F64)).abs().max() <= 1 / 64 + 1e-9
