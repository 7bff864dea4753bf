"""Shapley-Taylor interactions against the definition by orders, closed forms, and what they promise."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from oracle_nets import mlp, normal
from played import F64, Coverage, mixed, play, unanimous
from torch import Tensor, nn

import pellucid
from pellucid.numbers import games
from pellucid.words.features import groups


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(a.to(F64).flatten(), b.to(F64).flatten(), rtol=tolerance, atol=tolerance)


def closed(n: int, terms: list[tuple[float, tuple[int, ...]]]) -> Tensor:
    """Features, then pairs: a term of two goes to the pair, one of more is shared equally among its pairs."""
    alone, pairs = torch.zeros(n, dtype=F64), torch.zeros(n, n, dtype=F64)
    for c, who in terms:
        if len(who) == 1:
            alone[who[0]] += c
        for i, j in itertools.combinations(who, 2):
            pairs[i, j] += c / math.comb(len(who), 2)
    return torch.cat([alone, pairs[torch.ones(n, n).triu(1) > 0]])


def by_orders(value: Any, n: int) -> Tensor:
    """The paper's definition: second differences at whoever came before both, averaged over all n! orders."""
    v = value(games.bits(torch.arange(2**n), n)).tolist()
    pairs = dict.fromkeys(itertools.combinations(range(n), 2), 0.0)
    for order in itertools.permutations(range(n)):
        for i, j in pairs:
            first = min(order.index(i), order.index(j))
            s = sum(1 << k for k in order[:first])
            pairs[i, j] += v[s | 1 << i | 1 << j] - v[s | 1 << i] - v[s | 1 << j] + v[s]
    alone = [v[1 << i] - v[0] for i in range(n)]
    return torch.tensor(alone + [p / math.factorial(n) for p in pairs.values()], dtype=F64)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_exact_values_equal_the_definition_and_sum_to_the_scores_change(n: int) -> None:
    net, x, b = mlp((n, 12, 3), nn.GELU, dtype=F64), normal(n, seed=1, dtype=F64), normal(n, seed=2, dtype=F64)
    e = pellucid.explain(net, x[None], "shapley_interactions", target=1, baseline=b)
    close(e.values, by_orders(lambda masks: net(torch.where(masks, x, b)).detach()[:, 1], n))
    assert e.residual == pytest.approx(0.0, abs=1e-10)
    assert e.names[:n] == tuple(f"x{i}" for i in range(n))
    if n == 6:
        assert e.names[n : n + 3] == ("x0 × x1", "x0 × x2", "x0 × x3")
        assert dict(e.top(30))["x4 × x5"] == float(e.values[-1])


def test_exact_values_of_twelve_players_equal_the_closed_form() -> None:
    terms = mixed(12, 3, terms=24, most=8)
    played = play("shapley_interactions", unanimous(12, *terms), 12)
    close(played.found.value, closed(12, terms))
    assert played.rows == 2**12


def test_who_is_ignored_has_no_part_in_any_pair_and_equals_are_treated_equally() -> None:
    terms = [(1.0, (0, 1)), (2.0, (0, 2)), (0.7, (1, 2)), (0.7, (2, 3)), (2.0, (0, 3)), (1.0, (0, 1, 2, 3))]
    for samples in (8192, 100):  # exact, then sampled: player 4 is ignored, 2 and 3 are not quite alike in order
        found = play("shapley_interactions", unanimous(7, *terms), 7, samples=samples, tolerance=0.0).found.value
        pairs = torch.zeros(7, 7, dtype=F64)
        pairs[torch.ones(7, 7).triu(1) > 0] = found[7:]
        assert float(pairs[:4, 4:].abs().max()) <= 1e-12
        assert float(found[4:7].abs().max()) <= 1e-12
    exact = play("shapley_interactions", unanimous(5, (1.0, (0, 2)), (1.0, (1, 2)), (3.0, (0, 1, 2, 3))), 5).found.value
    table = torch.zeros(5, 5, dtype=F64)
    table[torch.ones(5, 5).triu(1) > 0] = exact[5:]
    close(table[0, 2], table[1, 2])
    close(table[0, 3], table[1, 3])


def test_where_there_are_pairs_only_they_are_found_exactly_by_sampling_too() -> None:
    """Then the Shapley interaction index agrees: a pair's second difference is the same everywhere."""
    terms = mixed(20, 6, terms=60, most=2)
    found = play("shapley_interactions", unanimous(20, *terms), 20, samples=2000, tolerance=0.0).found
    close(found.value, closed(20, terms), 1e-12)


def test_sampled_values_cover_the_truth_at_the_stated_rate() -> None:
    terms = mixed(12, 4, terms=60, most=5)
    true = closed(12, terms)
    runs = [play("shapley_interactions", unanimous(12, *terms), 12, seed=s, samples=4000, tolerance=0.0).found
            for s in range(120)]
    assert all(abs(float(r.value.sum() - true.sum())) < 1e-10 for r in runs[:20])
    # Features alone are known, and so is a pair that shares no term of three.
    certain = torch.stack([r.sampling for r in runs if r.sampling is not None]).max(0).values < 1e-12
    assert float((runs[0].value - true)[certain].abs().max()) < 1e-10
    for run in runs:
        assert run.sampling is not None
        object.__setattr__(run, "value", run.value[~certain])
        object.__setattr__(run, "sampling", run.sampling[~certain])
    Coverage.of(runs, true[~certain]).check()


def test_a_negation_shows_as_a_pair() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
        net[0].bias.copy_(torch.tensor([-1.0, 0.0]))
        net[2].weight.copy_(torch.tensor([[-2.0, 1.0]]))
        net[2].bias.zero_()
    e = pellucid.explain(net, torch.ones(1, 3, dtype=F64), "shapley_interactions", features=groups(
        range(3), ["not", "good", "film"], "tokens", "words"))
    assert e.top(2) == [("not × good", pytest.approx(-2.0)), ("film", pytest.approx(1.0))]
    assert "not × good" in e.text()
    assert "not × good" in e.svg()


def test_a_saved_file_does_not_hold_the_words_of_pairs(tmp_path: Any) -> None:
    net, x = mlp((4, 8, 2), dtype=F64), normal(4, seed=1, dtype=F64)
    words = groups(range(4), ["secret", "word", "of", "mine"], "tokens", "words")
    e = pellucid.explain(net, x[None], "shapley_interactions", target=0, features=words)
    e.save(tmp_path / "e.pellucid")
    assert b"secret" not in (tmp_path / "e.pellucid").read_bytes()
    again = pellucid.open(tmp_path / "e.pellucid")
    assert again.names[:5] == ("token 1", "token 2", "token 3", "token 4", "token 1 × token 2")
    assert torch.equal(again.values, e.values)


def test_hundreds_of_features_are_refused() -> None:
    net, x = mlp((65, 8, 2), dtype=F64), normal(65, seed=1, dtype=F64)
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(net, x[None], "shapley_interactions")
    assert error.value.code == "features.too_many"
