"""LIME against a slow weighted ridge in numpy and scikit-learn, with errors that cover what they should."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from oracle_nets import mlp, normal
from played import F64, Coverage, mixed, play, unanimous
from sklearn.linear_model import Ridge
from torch import Tensor, nn

import pellucid
from pellucid.numbers import games
from pellucid.words.features import units
from pellucid.words.masks import Subsets

Rows = np.ndarray[Any, Any]


def drawn(n: int, samples: int, seed: int) -> Rows:
    """The subsets that were drawn."""
    return Subsets(n, samples, seed).block(units((n,)), 0, samples).double().numpy()


def weights(z: Rows, width: float = 0.25) -> Rows:
    """exp(-d² / 2 width²) for the cosine distance to all ones, written as the cosine of two vectors."""
    size = np.linalg.norm(z, axis=1) * math.sqrt(z.shape[1])
    return np.exp(-((1 - z.sum(1) / size) ** 2) / (2 * width**2))


def slow(z: Rows, y: Rows, w: Rows, ridge: float = 1.0) -> tuple[Rows, float, float]:
    """Coefficients, intercept and weighted R² from the normal equations with a free intercept."""
    full = np.c_[np.ones(len(z)), z]
    penalty = ridge * np.eye(full.shape[1])
    penalty[0, 0] = 0
    found = np.linalg.solve(full.T @ (w[:, None] * full) + penalty, full.T @ (w * y))
    left, spread = y - full @ found, y - np.average(y, weights=w)
    return found[1:], found[0], 1 - (w * left**2).sum() / (w * spread**2).sum()


@pytest.mark.parametrize(("width", "ridge"), [(0.25, 1.0), (0.75, 0.0), (0.1, 10.0)])
def test_coefficients_and_fit_equal_a_slow_weighted_ridge(width: float, ridge: float) -> None:
    n, samples = 9, 600
    net, x, b = mlp((n, 24, 3), dtype=F64), normal(n, seed=5, dtype=F64), normal(n, seed=6, dtype=F64)
    e = pellucid.explain(net, x[None], "lime", target=0, baseline=b, samples=samples, seed=4, width=width, ridge=ridge)
    z = drawn(n, samples, 4)
    y = net(torch.where(torch.as_tensor(z) > 0, x, b)).detach()[:, 0].numpy()
    c, a, r2 = slow(z, y, weights(z, width), ridge)
    torch.testing.assert_close(e.values, torch.as_tensor(c), rtol=1e-10, atol=1e-10)
    assert e.details["r2"] == pytest.approx(r2, abs=1e-10)
    assert e.details["intercept"] == pytest.approx(a, abs=1e-10)
    assert e.details["local"] == pytest.approx(a + c.sum(), abs=1e-10)
    theirs = Ridge(alpha=ridge).fit(z, y, sample_weight=weights(z, width))
    torch.testing.assert_close(e.values, torch.as_tensor(theirs.coef_), rtol=1e-8, atol=1e-8)
    assert e.details["r2"] == pytest.approx(theirs.score(z, y, sample_weight=weights(z, width)), abs=1e-8)
    assert e.evidence.rows <= 2**n + 2, "no subset is asked twice"


def test_subsets_are_as_the_paper_draws_them() -> None:
    z = drawn(6, 30_000, 0)
    assert z[0].tolist() == [1.0] * 6
    sizes = np.bincount(z[1:].sum(1).astype(int), minlength=7)
    assert sizes[0] == 0
    assert (np.abs(sizes[1:] / 5000 - 1) < 0.1).all(), "how many are kept is uniform"
    of_two = z[z.sum(1) == 2]
    hits = [int(((of_two[:, i] == 1) & (of_two[:, j] == 1)).sum()) for i, j in itertools.combinations(range(6), 2)]
    assert max(hits) / min(hits) < 1.4, "and then each subset as often as another"


def test_a_linear_score_is_found_and_fits() -> None:
    net, x = nn.Sequential(nn.Linear(8, 1)).double(), normal(8, seed=3, dtype=F64)
    e = pellucid.explain(net, x[None], "lime", ridge=0.0)
    torch.testing.assert_close(e.values, (net[0].weight[0] * x).detach(), rtol=1e-9, atol=1e-9)
    assert e.details["r2"] == pytest.approx(1.0, abs=1e-9)
    assert e.details["local"] == pytest.approx(e.score, abs=1e-9)
    assert e.verdict.status == "pass"
    assert float(e.error.max()) < 1e-9


class Parity(nn.Module):
    """1 where an even number is in, -1 otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cos(math.pi * x.sum(1))


def test_where_nothing_linear_fits_the_verdict_says_so() -> None:
    e = pellucid.explain(Parity(), torch.ones(1, 8, dtype=F64), "lime")
    assert e.details["r2"] < 0.1
    (finding,) = [f for f in e.verdict.findings if f.code == "fit.poor"]
    assert f"explains {e.details['r2']:.0%} of how the score varies" in finding.reason


def test_few_samples_have_no_error_and_say_so() -> None:
    e = pellucid.explain(mlp((12, 8, 2), dtype=F64), normal(1, 12, seed=1, dtype=F64), "lime", target=0, samples=8)
    assert e.error is None
    assert "samples.few" in {f.code for f in e.verdict.findings}


# -- a few features only

@pytest.mark.parametrize(("select", "choice"), [(1, "auto"), (3, "auto"), (3, "forward"), (3, "highest"), (8, "auto")])
def test_selected_features_equal_a_slow_choice(select: int, choice: str) -> None:
    n, samples = 10, 500
    net, x = mlp((n, 24, 3), dtype=F64), normal(n, seed=7, dtype=F64)
    e = pellucid.explain(net, x[None], "lime", target=1, samples=samples, select=select, choice=choice, seed=2)
    z = drawn(n, samples, 2)
    y, w = net(torch.as_tensor(z) * x).detach()[:, 1].numpy(), weights(z)
    if choice == "forward" or (choice == "auto" and select <= 6):
        chosen: list[int] = []
        while len(chosen) < select:
            fits = {i: slow(z[:, [*chosen, i]], y, w)[2] for i in range(n) if i not in chosen}
            chosen.append(max(fits, key=lambda i: fits[i]))
    else:
        chosen = list(np.argsort(-np.abs(slow(z, y, w, 0.01)[0]))[:select])
    c, _, r2 = slow(z[:, sorted(chosen)], y, w)
    true = torch.zeros(n, dtype=F64)
    true[sorted(chosen)] = torch.as_tensor(c)
    torch.testing.assert_close(e.values, true, rtol=1e-9, atol=1e-9)
    assert e.details["r2"] == pytest.approx(r2, abs=1e-9)


# -- errors

def limit(game: Any, n: int, samples: int) -> Tensor:
    """What the coefficients are of with every subset weighed by how often it is drawn."""
    z = games.bits(torch.arange(1, 2**n), n).double()
    sizes = z.sum(1).numpy()
    often = np.array([1 / (n * math.comb(n, int(k))) for k in sizes]) * (samples - 1)
    often[-1] += 1  # x itself is the first
    w = weights(z.numpy()) * often
    return torch.as_tensor(slow(z.numpy(), game(z).numpy(), w)[0])


@pytest.mark.parametrize("samples", [200, 1000])
def test_errors_of_the_coefficients_cover_at_the_stated_rate(samples: int) -> None:
    n = 8
    game = unanimous(n, *mixed(n, 3, terms=20, most=4))
    runs = [play("lime", game, n, seed=s, samples=samples).found for s in range(250)]
    Coverage.of(runs, limit(game, n, samples)).check()


@pytest.mark.parametrize("options", [
    {"samples": 0}, {"width": 0.0}, {"width": math.nan}, {"ridge": -1.0}, {"select": 0}, {"select": 7},
    {"choice": "lasso"}, {"samples": 10.5}, {"select": "all"},
])
def test_values_without_meaning_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(mlp((6, 8, 2)), normal(1, 6), "lime", target=0, **options)
    assert error.value.code == "option.value"
