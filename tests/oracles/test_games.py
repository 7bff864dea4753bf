"""Exact and sampled Shapley values against definitions, closed forms and shap."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from honest import Count
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_nets import cnn, mlp, normal
from played import F64, Coverage, mixed, play, shap, unanimous
from torch import Tensor, nn

import pellucid
from pellucid.numbers import games
from pellucid.numbers.orders import Orders
from pellucid.words.features import units
from pellucid.words.masks import Coins, Grids, Nested, OneMore, Prefixes, Subsets
from pellucid.words.points import Masks


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(a.to(F64).flatten(), b.to(F64).flatten(), rtol=tolerance, atol=tolerance)


def by_orders(value: Any, n: int) -> Tensor:
    """The definition: the mean marginal contribution over all n! orders."""
    phi = torch.zeros(n, dtype=F64)
    for order in itertools.permutations(range(n)):
        masks = torch.zeros(n + 1, n, dtype=torch.bool)
        for k, i in enumerate(order):
            masks[k + 1 :, i] = True
        v = value(masks)
        phi[list(order)] += v[1:] - v[:-1]
    return phi / math.factorial(n)


def shares(n: int, terms: list[tuple[float, tuple[int, ...]]]) -> Tensor:
    """Shapley values in closed form: each term is shared equally among its players."""
    phi = torch.zeros(n, dtype=F64)
    for c, who in terms:
        phi[list(who)] += c / len(who)
    return phi


# -- exact

@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_exact_values_equal_the_mean_over_all_orders(n: int) -> None:
    net, x, b = mlp((n, 12, 3), nn.GELU, dtype=F64), normal(n, seed=1, dtype=F64), normal(n, seed=2, dtype=F64)
    e = pellucid.explain(net, x[None], "shapley", target=1, baseline=b)
    close(e.values, by_orders(lambda masks: net(torch.where(masks, x, b)).detach()[:, 1], n))
    assert e.error is not None
    assert not e.error.any()
    assert e.verdict.status == "pass"


def test_exact_values_of_fourteen_players_equal_the_closed_form_and_ask_each_coalition_once() -> None:
    terms = mixed(14, 3, terms=20, most=14)
    played = play("shapley", unanimous(14, *terms), 14)
    close(played.found.value, shares(14, terms))
    rows = torch.cat(played.asked)
    assert len(rows) == 2**14 == len((rows.long() << torch.arange(14)).sum(1).unique())
    assert max(map(len, played.asked)) <= 1024


def test_a_large_constant_costs_no_digits() -> None:
    terms = [*mixed(8, 4), (1e6, (0,))]
    found = play("shapley", lambda rows: unanimous(8, *terms)(rows) + 1e6, 8).found.value
    close(found[1:], shares(8, terms)[1:], 1e-8)


def test_exact_values_over_patches_equal_brute_force_over_the_same_patches() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=9, dtype=F64)

    def value(masks: Tensor) -> Tensor:
        on = masks.reshape(-1, 1, 3, 3).repeat_interleave(4, 2).repeat_interleave(4, 3)
        return net(torch.where(on, x, 0.25)).detach()[:, 2]

    e = pellucid.explain(net, x, "shapley", target=2, features="patches:4", baseline=0.25)
    close(e.values, games.shapley(value, 9))


@pytest.mark.parametrize("method", ["shapley", "shapley_sampling", "owen", "kernel_shap"])
def test_all_coalitions_equal_shaps_kernel_explainer(method: str) -> None:
    peer = shap()
    n = 8
    net, x, b = mlp((n, 24, 3), dtype=F64), normal(n, seed=5, dtype=F64), normal(n, seed=6, dtype=F64)

    def model(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return net(torch.as_tensor(rows, dtype=F64)).detach()[:, 0].numpy()

    e = pellucid.explain(net, x[None], method, target=0, baseline=b)
    # Its default l1_reg="num_features(10)" would drop features; with False it equals brute force.
    kernel = peer.KernelExplainer(model, b[None].numpy()).shap_values(
        x[None].numpy(), nsamples=2**n, l1_reg=False, silent=True)
    close(e.values, torch.as_tensor(kernel), 1e-8)


# -- sampled orders

def test_what_two_players_do_together_is_shared_exactly_in_every_pair_of_orders() -> None:
    terms = mixed(12, 5, terms=24, most=2)
    played = play("shapley_sampling", unanimous(12, *terms), 12, samples=60, tolerance=0.0)
    close(played.found.value, shares(12, terms), 1e-12)
    assert played.found.sampling is not None
    assert float(played.found.sampling.max()) <= 1e-12


@pytest.mark.parametrize(("pairs", "seeds"), [(6, 300), (50, 150)])
def test_sampled_values_cover_the_truth_at_the_stated_rate(pairs: int, seeds: int) -> None:
    """Of six replicates the error is larger than the spread says, so that it covers as much."""
    terms = mixed(12, 6, terms=30, most=6)
    true = shares(12, terms)
    runs = [play("shapley_sampling", unanimous(12, *terms), 12, seed=s, samples=22 * pairs, tolerance=0.0).found
            for s in range(seeds)]
    for run in runs[:20]:
        assert float(run.value.sum()) == pytest.approx(float(true.sum()), abs=1e-10)
    Coverage.of(runs, true).check(size=0.4 if pairs < 16 else 0.12)


def test_more_orders_come_closer_at_the_rate_of_chance() -> None:
    terms = mixed(16, 7, terms=30, most=8)
    true = shares(16, terms)

    def off(samples: int) -> float:
        runs = [play("shapley_sampling", unanimous(16, *terms), 16, seed=s, samples=samples, tolerance=0.0).found.value
                for s in range(12)]
        return float(((torch.stack(runs) - true) ** 2).mean().sqrt())

    assert off(8000) <= 0.6 * off(1600)  # 0.45 is expected


def test_what_stops_at_the_tolerance_is_within_it_and_asks_less() -> None:
    count = Count("shapley_sampling")
    rows: list[int] = []
    for game in range(6):
        terms = mixed(20, 10 + game, terms=40, most=4)
        for seed in range(4):
            played = play("shapley_sampling", unanimous(20, *terms), 20, seed=seed, samples=60_000, tolerance=0.05)
            assert "interval.wide" not in played.found.notes
            assert played.found.sampling is not None
            count.add(played.found.value, played.found.sampling, shares(20, terms), 0.05)
            rows.append(played.rows)
    count.check()
    assert max(rows) < 60_000
    assert len(set(rows)) > 3, "how much is asked depends on the game"


def test_ends_are_asked_once_and_no_coalition_twice_in_a_round() -> None:
    played = play("shapley_sampling", unanimous(9, *mixed(9, 2)), 9, samples=400, tolerance=0.0)
    assert [len(rows) for rows in played.asked[:2]] == [1, 1]
    assert played.rows < 400, "what comes twice is not counted twice"
    for rows in played.asked[2:]:
        assert len(rows.unique(dim=0)) == len(rows)
        assert ((rows.sum(1) > 0) & (rows.sum(1) < 9)).all()


def test_samples_are_a_limit_on_rows() -> None:
    for method in ("shapley_sampling", "owen", "kernel_shap", "shapley_interactions"):
        for samples in (333, 1001):
            e = play(method, unanimous(12, *mixed(12, 3)), 12, samples=samples, tolerance=0.0)
            assert e.rows <= samples + 2, method


def test_more_features_than_fit_into_a_number_are_sampled_just_as_well() -> None:
    terms = [*mixed(80, 8, terms=80, most=2), (2.0, (3, 40, 79))]
    found = play("shapley_sampling", unanimous(80, *terms), 80, samples=158 * 60, tolerance=0.0).found
    assert found.sampling is not None
    off = (found.value - shares(80, terms)).abs()
    assert float((off[[3, 40, 79]] / found.sampling[[3, 40, 79]]).max()) <= 4
    rest = torch.ones(80, dtype=torch.bool)
    rest[[3, 40, 79]] = False
    assert float(off[rest].max()) <= 1e-12


def test_one_pair_of_orders_has_no_error_and_says_so() -> None:
    net, x = mlp((12, 16, 2), dtype=F64), normal(12, seed=3, dtype=F64)
    e = pellucid.explain(net, x[None], "shapley_sampling", target=0, samples=10)
    assert e.error is None
    assert {"samples.few", "interval.wide"} <= {f.code for f in e.verdict.findings}
    assert float(e.values.sum()) == pytest.approx(e.score - e.baseline_score, abs=1e-10)


# -- masks are the same wherever they are cut

TREE = ((0, 1, (2, 3)), (4, (5, 6), 7), 8)
MASKS: list[tuple[int, Masks]] = [
    (9, Nested(TREE, 3, 90)), (9, Prefixes(Orders(9, 2), 5, 7)), (9, Prefixes(Orders(9, 2, TREE), 4, 6)),
    (9, OneMore(Orders(9, 2), 3, 4)), (9, Subsets(9, 150, 1)), (9, Coins(9, 150, 0.3, 1)),
    (70, Grids((7, 10), 150, 4, 0.5, 1)),
]


@given(st.sampled_from(range(len(MASKS))), st.lists(st.integers(1, 149), max_size=4))
@settings(max_examples=60, deadline=None)
def test_masks_are_the_same_wherever_they_are_cut(which: int, cuts: list[int]) -> None:
    n, masks = MASKS[which]
    places = sorted({0, masks.n, *(c for c in cuts if c < masks.n)})
    pieces = [masks.block(units((n,)), a, b) for a, b in pairwise(places)]
    assert torch.equal(torch.cat(pieces), masks.block(units((n,)), 0, masks.n))
    assert all(p.shape[1] == n for p in pieces)
