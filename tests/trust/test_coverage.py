"""A 95 % interval covers the truth 93 to 97 times in a hundred: every method that samples, at a fixed number of draws.

One table for all of them, on functions whose truth is known in closed form. What stops by itself is in
tests/oracles/test_stopping.py, and what single methods do at their edges beside each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from closed import F64, asked, game, normal, quadratic
from torch import Tensor

from pellucid import judge
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.intervals import quantile
from pellucid.words.features import units

N = 12
GAME, TERMS = game(N, 3, 18)
ONES = torch.ones(N, dtype=F64)
NET, A, C = quadratic(6, 5)
X = 1.5 * normal(6, seed=200)
BASES = [0.5 * normal(6, seed=100 + k) for k in range(5)]
SPREAD = 0.1
VARIANCE = float(SPREAD * (X.max() - X.min())) ** 2


@dataclass(frozen=True)
class Row:
    """A method at a fixed number of draws: its answer by seed, the truth, and how many seeds there are."""

    run: Callable[[int], Estimate]
    true: Tensor
    seeds: int


def shapley() -> Tensor:
    found = torch.zeros(N, dtype=F64)
    for weight, who in TERMS:
        found[list(who)] += weight / len(who)
    return found


def kept() -> Tensor:
    """What the mean score over masks gains where a feature is kept, each kept with 1/2."""
    found = torch.zeros(N, dtype=F64)
    for weight, who in TERMS:
        found[list(who)] += weight * 0.5 ** len(who)
    return found


def owen(seed: int, samples: int) -> Estimate:
    """Four groups of three, and fewer rows than there are coalitions that count."""
    parts = [list(range(k, k + 3)) for k in range(0, N, 3)]
    return asked("owen", GAME, ONES, seed=seed, samples=samples, tolerance=0.0, groups=parts)


def exchanged(seed: int, count: int) -> Estimate:
    """Rows of a background that is drawn anew: normal, of mean 0 and variance 1."""
    rows = normal(count, 6, seed=4000 + seed)
    return asked("permutation", NET, X, background=list(rows))


def walked(bases: list[Tensor]) -> Tensor:
    return torch.stack([(X - b) * (A @ (X + b) / 2 + C) for b in bases]).mean(0)


ROWS: dict[str, Row] = {
    "kernel_shap": Row(lambda s: asked("kernel_shap", GAME, ONES, seed=s, samples=128, tolerance=0.0), shapley(), 40),
    "shapley_sampling": Row(lambda s: asked("shapley_sampling", GAME, ONES, seed=s, samples=22 * 16, tolerance=0.0),
                            shapley(), 200),
    "shapley_sampling, few": Row(lambda s: asked("shapley_sampling", GAME, ONES, seed=s, samples=22 * 6,
                                                 tolerance=0.0), shapley(), 200),
    "owen": Row(lambda s: owen(s, 22 * 8), owen(0, 10**6).value, 200),
    "rise": Row(lambda s: asked("rise", GAME, ONES, seed=s, masks=300), kept(), 150),
    "rise, few": Row(lambda s: asked("rise", GAME, ONES, seed=s, masks=80), kept(), 300),
    "smoothgrad": Row(lambda s: asked("smoothgrad", NET, X, seed=s, samples=32, spread=SPREAD, tolerance=0.0),
                      A @ X + C, 250),
    "smoothgrad, few": Row(lambda s: asked("smoothgrad", NET, X, seed=s, samples=6, spread=SPREAD, tolerance=0.0),
                           A @ X + C, 500),
    "smooth": Row(lambda s: asked("smooth(input_x_gradient)", NET, X, seed=s, samples=32, spread=SPREAD,
                                  tolerance=0.0), X * (A @ X + C) + VARIANCE * A.diagonal(), 200),
    "squaregrad": Row(lambda s: asked("squaregrad", NET, X, seed=s, samples=64, spread=SPREAD, tolerance=0.0),
                      (A @ X + C) ** 2 + VARIANCE * (A**2).sum(1), 100),
    "expected_gradients": Row(lambda s: asked("expected_gradients", NET, X, seed=s, samples=160, tolerance=0.0,
                                              background=BASES), walked(BASES), 150),
    "gradient_shap": Row(lambda s: asked("gradient_shap", NET, X, seed=s, samples=160, tolerance=0.0, spread=SPREAD,
                                         baseline=BASES[0]),
                         walked(BASES[:1]) + VARIANCE * A.diagonal() / 2, 40),
    "permutation": Row(lambda s: exchanged(s, 30), X * (A @ X + C) - A.diagonal() * (X**2 + 1) / 2, 250),
}
"""Each as often as keeps the error of the share itself near 0.7 percent."""


def covered(row: Row, level: float = 0.95, shrunk: float = 1.0) -> float:
    """The share of true values inside the interval, over all features and seeds; errors as an explanation has them."""
    inside = list[Tensor]()
    for seed in range(row.seeds):
        found = row.run(seed)
        place = units(tuple(found.value.shape))
        parts = judge.errors_of(found, place, found.value, judge.Rounding(), "score")
        error = judge.combined(parts, found.value)
        assert error is not None
        hit = (found.value - row.true).abs() <= quantile(level) * shrunk * error + 1e-12
        inside.append(hit[error > 1e-12])  # a player whom nobody meets is known exactly
    return float(torch.cat(inside).double().mean())


@pytest.mark.parametrize("name", ROWS)
def test_a_95_percent_interval_covers_93_to_97_percent(name: str) -> None:
    share = covered(ROWS[name])
    assert 0.93 <= share <= 0.97, f"{name}: {share:.1%} covered"


@pytest.mark.parametrize(("name", "level"), [("smoothgrad", 0.5), ("rise", 0.8), ("shapley_sampling", 0.9)])
def test_other_levels_cover_what_they_say(name: str, level: float) -> None:
    assert abs(covered(ROWS[name], level) - level) <= 0.025


@pytest.mark.parametrize("shrunk", [0.8, 1.25])
def test_an_error_that_is_a_fifth_too_small_or_a_quarter_too_large_is_found_out(shrunk: float) -> None:
    assert not 0.93 <= covered(ROWS["smoothgrad"], shrunk=shrunk) <= 0.97


def test_the_spread_of_single_orders_taken_as_if_each_were_drawn_by_itself_is_found_out() -> None:
    """An order and its reverse go together: who counts them as two draws tells an error that is off."""
    def apart(seed: int) -> Estimate:
        found = asked("shapley_sampling", GAME, ONES, seed=seed, samples=22 * 16, tolerance=0.0)
        assert found.sampling is not None
        return replace(found, sampling=found.sampling / 2**0.5)  # as if the pairs were twice as many

    assert covered(Row(apart, shapley(), 100)) < 0.93
