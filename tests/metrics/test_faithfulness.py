"""Infidelity, correlations and average drop: by hand, on linear models, against captum, and where they must not lie."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scored import F64, linear, measured
from torch import Tensor, nn

import pellucid
from pellucid import catalog
from pellucid.numbers.correlation import pearson, spearman
from pellucid.numbers.ranking import lots
from pellucid.testing.pristine import pristine
from pellucid.words.errors import OptionError
from pellucid.words.features import groups, units
from pellucid.words.subsets import Shaken, Sized

SIGNED = ("faithfulness_correlation", "mu_fidelity", "sensitivity_n", "infidelity", "normalised_infidelity")
EVERY = (*SIGNED, "deletion", "insertion", "pixel_flipping", "aopc", "average_drop", "average_increase")


def game(rows: Tensor) -> Tensor:
    """x1 x2 + 2 x3: without 1, 2, 3 it loses 1, 1, 2; without 12, 13, 23 it loses 1, 3, 3."""
    return rows[:, 0] * rows[:, 1] + 2 * rows[:, 2]


def crooked(rows: Tensor) -> Tensor:
    """A game of ten in which nothing is linear."""
    w = torch.randn(10, 4, generator=lots(2), dtype=F64)
    return (rows @ w).tanh().sum(1) + rows[:, 0] * rows[:, 3]


def mlp() -> nn.Module:
    made = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for k, p in enumerate(made.parameters()):
            p.copy_(torch.randn(p.shape, generator=lots(5, k), dtype=F64))
    return made.eval()


def conv() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3)).eval()


# --- by hand

@pytest.mark.parametrize(("name", "values", "size", "right"), [
    # values 1, 0, 2 say 1, 3, 2 where the game loses 1, 3, 3
    ("faithfulness_correlation", (1, 0, 2), 2, 2 / math.sqrt(2 * 8 / 3)),
    ("mu_fidelity", (1, 0, 2), 2, math.sqrt(3) / 2),
    ("infidelity", (1, 0, 2), 2, 1 / 3), ("normalised_infidelity", (1, 0, 2), 2, (19 - 16**2 / 14) / 3),
    # one at a time: 1, 0, 2 where the game loses 1, 1, 2
    ("faithfulness_correlation", (1, 0, 2), 1, math.sqrt(3) / 2), ("infidelity", (1, 0, 2), 1, 1 / 3),
    # what each feature loses by itself is right one at a time, and too much by the pair
    ("infidelity", (1, 1, 2), 1, 0.0), ("infidelity", (1, 1, 2), 2, 1 / 3),
    ("normalised_infidelity", (1, 0, 2), 1, (6 - 5**2 / 5) / 3),
])
def test_three_features_by_hand(name: str, values: tuple[float, ...], size: int, right: float) -> None:
    found = measured(name, game, values, size=size)
    assert found.value == pytest.approx(right, abs=1e-12)
    assert found.error == 0  # every subset was asked about


def test_the_details_of_a_scale_by_hand() -> None:
    found = measured("normalised_infidelity", game, (1, 0, 2), size=2)
    assert found.details["beta"] == pytest.approx(16 / 14)
    assert found.details["explained"] == pytest.approx(16**2 / 14 / 19)


def test_sensitivity_n_is_the_mean_of_the_correlations_of_every_size() -> None:
    """Against numpy's correlation over all subsets of 1, 2, 3, 5 and 8 of ten features."""
    values = torch.randn(10, generator=lots(6), dtype=F64)
    found = measured("sensitivity_n", crooked, values, samples=300, sizes=5)
    assert found.details["sizes"] == [1, 2, 3, 5, 8]
    right: list[float] = []
    for n in found.details["sizes"]:
        gone = [list(s) for s in itertools.combinations(range(10), n)]
        rows = torch.ones(len(gone), 10, dtype=F64)
        for row, s in zip(rows, gone, strict=True):
            row[s] = 0
        drops = crooked(torch.ones(1, 10, dtype=F64)) - crooked(rows)
        right.append(float(np.corrcoef([float(values[s].sum()) for s in gone], drops.numpy())[0, 1]))
    assert [y for _, y in found.curve] == pytest.approx(right, abs=1e-9)
    assert [x for x, _ in found.curve] == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.8])
    assert found.value == pytest.approx(sum(right) / 5, abs=1e-9)
    assert found.error == 0


@pytest.mark.parametrize(("weights", "drop", "increase"), [
    # of values 2, -1, 1 the map shows 1, 0, 1/2
    ((1, 2, 3), 3.5 / 6, 0.0), ((3, -2, 1), 0.0, 1.0), ((-1, -2, -3), 0.0, 1.0), ((1, -3, 1), 0.0, 1.0),
])
def test_average_drop_and_increase_by_hand(weights: tuple[float, ...], drop: float, increase: float) -> None:
    w = torch.tensor(weights, dtype=F64)
    assert measured("average_drop", lambda r: r @ w, (2, -1, 1)).value == pytest.approx(drop, abs=1e-12)
    assert measured("average_increase", lambda r: r @ w, (2, -1, 1)).value == increase


def test_the_map_is_scaled_from_its_lowest_to_its_highest_value() -> None:
    """Values 3, 2, 1 show 1, 1/2, 0 of x, and of the baseline what is left."""
    found = measured("average_drop", lambda r: r.sum(1), (3, 2, 1), baseline=torch.full((3,), -1.0, dtype=F64))
    assert found.value == pytest.approx((3 - (1 + 0 - 1)) / 3, abs=1e-12)


# --- linear models are told exactly

def test_a_linear_model_is_told_without_error_from_any_baseline() -> None:
    weights = torch.randn(40, generator=lots(1)).tolist()
    x = torch.randn(1, 40, generator=lots(2), dtype=F64)
    e = pellucid.explain(linear(*weights), x, "integrated_gradients", target=0, baseline=0.7)
    found = pellucid.evaluate(e, metrics=list(SIGNED), replicates=2)
    for name in ("faithfulness_correlation", "mu_fidelity", "sensitivity_n"):
        assert found[name].value == pytest.approx(1, abs=1e-9)
        assert found[name].p == pytest.approx(1 / 21)
    for name in ("infidelity", "normalised_infidelity"):
        assert found[name].value == pytest.approx(0, abs=1e-18)
        assert found[name].p == pytest.approx(1 / 21)
        low, high = found[name].interval or (1.0, 1.0)
        assert max(abs(low), abs(high)) < 1e-18


def test_noise_is_for_gradients_with_their_sign_and_a_scale_does_not_matter_once_normalised() -> None:
    """Ten times the gradient: far off as it is, exact with its scale; the effect x · gradient is neither."""
    weights = [1.0, -2, 3, -4, 5]
    x = torch.tensor([[1.0, 2, 0.5, -1, 3]], dtype=F64)

    async def tenfold(case: pellucid.Case) -> Tensor:
        (slope,) = await case.gradient(case.here)
        return 10 * slope

    for name, exact, scaled in (("saliency", True, True), (tenfold, False, True), ("input_x_gradient", False, False)):
        options = {"absolute": False} if name == "saliency" else {}
        e = pellucid.explain(linear(*weights), x, name, target=0, **options)
        found = pellucid.evaluate(e, metrics=["infidelity", "normalised_infidelity"], perturbation="noise", controls=0)
        assert (found["infidelity"].value < 1e-20) == exact
        assert (found["normalised_infidelity"].value < 1e-20) == scaled


# --- captum, with the same perturbations

@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("kind", ["noise", "subsets"])
def test_infidelity_is_captums_with_the_same_perturbations(kind: str, normalised: bool) -> None:
    captum = pytest.importorskip("captum.metrics")
    net, x, base = mlp(), torch.randn(1, 5, generator=lots(3), dtype=F64), 0.4
    name = "saliency" if kind == "noise" else "integrated_gradients"
    options: dict[str, Any] = {"absolute": False} if kind == "noise" else {"tolerance": 1e-9, "baseline": base}
    e = pellucid.explain(net, x, name, target=1, **options)
    shaken, subsets = Shaken(5, 50, 0.3, 0), Sized(5, 2, 50, 0)
    on = subsets.block(units((5,)), 0, subsets.n)

    def perturbed(rows: Tensor) -> tuple[Tensor, Tensor]:
        if kind == "noise":
            moved = shaken.by(x[0], 0, 50)
            return moved, rows - moved
        return (~on).double(), torch.where(on, rows, torch.full_like(rows, base))

    peer = captum.infidelity(net, perturbed, x, e.elements if e.elements is not None and e.elements.dim() > 1
                             else e.values[None], target=1, n_perturb_samples=50 if kind == "noise" else subsets.n,
                             normalize=normalised)
    metric = "normalised_infidelity" if normalised else "infidelity"
    found = pellucid.evaluate(e, metrics=metric, perturbation=kind, spread=0.3, samples=50, size=2, controls=0)
    assert found[metric].value == pytest.approx(float(peer), rel=1e-10, abs=1e-12)
    assert found[metric].value > 1e-4


def test_noise_moves_all_elements_of_a_feature_by_one_number_and_nothing_else() -> None:
    """Then the sum of a feature's gradients says what it does, whatever the layout."""
    place = groups([0, 0, 1, -1, 2], ["a", "b", "c"], "columns", "columns")
    x = torch.randn(1, 5, generator=lots(4), dtype=F64)
    shaken = Shaken(3, 100, 0.2, 7)
    moved = x[0] - shaken.rows(x, x, place, 0, 100)[0]
    torch.testing.assert_close(moved[:, 0], moved[:, 1])
    assert not bool(moved[:, 3].any())
    by = shaken.by(x[0], 0, 100)
    torch.testing.assert_close(moved[:, [0, 2, 4]], by)
    assert float(by.std()) == pytest.approx(0.2 * float(x.max() - x.min()), rel=0.15)
    torch.testing.assert_close(shaken.by(x[0], 30, 90), by[30:90])
    w = torch.tensor([1.0, 2, 3, 4, 5], dtype=F64)
    found = measured("infidelity", lambda r: r @ w, [3, 3, 5], x=x[0], features=place, perturbation="noise")
    assert found.value == pytest.approx(0, abs=1e-20)


# --- subsets

def test_subsets_have_their_size_are_each_as_likely_and_come_in_any_cut() -> None:
    drawn, place = Sized(12, 4, 400, 1), units((12,))
    masks = drawn.block(place, 0, 400)
    assert bool(((~masks).sum(1) == 4).all())
    assert float(((~masks).double().mean(0) - 1 / 3).abs().max()) < 4 * math.sqrt(2 / 9 / 400)
    assert torch.equal(torch.cat([drawn.block(place, a, b) for a, b in ((0, 1), (1, 130), (130, 400))]), masks)
    every = Sized(6, 2, 15, 1)
    assert len({tuple(m) for m in every.block(units((6,)), 0, every.n).tolist()}) == 15
    assert every.key == Sized(6, 2, 15, 2).key, "all subsets are the same whatever the seed"
    assert drawn.key != Sized(12, 4, 400, 2).key
    values = torch.randn(12, generator=lots(0), dtype=F64)
    torch.testing.assert_close(drawn.totals(values, place), (~masks).double() @ values)


@pytest.mark.parametrize("name", SIGNED)
def test_intervals_of_drawn_subsets_hold_what_all_subsets_say(name: str) -> None:
    """150 of 210 subsets by lot, 400 seeds: 19 in 20 intervals hold the truth, and errors have their true size."""
    values = torch.randn(10, generator=lots(6), dtype=F64)
    how: dict[str, Any] = {} if name == "sensitivity_n" else {"size": 4}
    true = measured(name, crooked, values, samples=300, **how).value
    runs = [measured(name, crooked, values, samples=150, seed=seed, **how) for seed in range(400)]
    off = torch.tensor([m.value - true for m in runs])
    said = torch.tensor([m.error or 0.0 for m in runs])
    assert 0.93 <= float((off.abs() <= 1.96 * said).float().mean()) <= 0.975
    assert float(said.norm() / off.norm()) == pytest.approx(1, abs=0.1)


def test_correlations_and_their_errors_are_numpys_and_the_leave_one_out_loops() -> None:
    a, b = (torch.randn(30, generator=lots(k), dtype=F64) for k in (1, 2))
    b = b + a
    r, error = pearson(a, b)
    assert r == pytest.approx(np.corrcoef(a.numpy(), b.numpy())[0, 1], abs=1e-12)
    rest = [np.corrcoef(np.delete(a.numpy(), k), np.delete(b.numpy(), k))[0, 1] for k in range(30)]
    assert error == pytest.approx(math.sqrt(29 / 30 * np.sum((rest - np.mean(rest)) ** 2)), rel=1e-9)
    other = torch.cat([a[:25].round(), a[25:]])  # some ties
    rest = [spearman(torch.cat([other[:k], other[k + 1 :]]), torch.cat([b[:k], b[k + 1 :]]))[0] for k in range(30)]
    assert spearman(other, b)[1] == pytest.approx(math.sqrt(29 / 30 * np.sum((rest - np.mean(rest)) ** 2)), rel=1e-9)
    assert spearman(a.exp(), b)[0] == pytest.approx(spearman(a, b**3)[0], abs=1e-12), "only the order counts"
    assert spearman(torch.tensor([1.0, 2, 2, 3]), torch.tensor([1.0, 2, 3, 4]))[0] == pytest.approx(
        np.corrcoef([0, 1.5, 1.5, 3], [0, 1, 2, 3])[0, 1], abs=1e-12)


# --- no number is made up

@pytest.mark.parametrize("name", ["faithfulness_correlation", "mu_fidelity", "sensitivity_n", "average_drop",
                                  "average_increase"])
@pytest.mark.parametrize("values", [(1.0,) * 7, (0.0,) * 7, (0.1,) * 7])
def test_a_constant_map_has_no_number(name: str, values: tuple[float, ...]) -> None:
    """0.1 is no binary fraction: its sums differ in their last digits, and must not be correlated."""
    with pytest.raises(OptionError, match=r"metric\.degenerate"):
        measured(name, lambda r: r @ torch.arange(1.0, 8, dtype=F64), values)


@pytest.mark.parametrize("name", ["faithfulness_correlation", "mu_fidelity", "sensitivity_n"])
def test_a_score_that_does_not_move_has_no_correlation(name: str) -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)  # a score near zero, of large terms that cancel, has more rounding than it tells
        model = nn.Sequential(nn.Linear(6, 50), nn.Tanh(), nn.Linear(50, 1))
        model[0].weight.zero_()  # pyright: ignore[reportCallIssue]
    e = pellucid.explain(model, torch.randn(1, 6, generator=lots(1)), made_up, target=0)
    found = pellucid.evaluate(e, metrics=[name, "infidelity"], chunk=5)
    assert found.unfit[name].code == "metric.degenerate"
    assert "baseline" in found.unfit[name].do
    assert set(found) == {"infidelity"}


def test_a_map_of_zeros_is_told_where_it_has_no_scale() -> None:
    with pytest.raises(OptionError, match=r"metric\.degenerate"):
        measured("normalised_infidelity", game, (0, 0, 0), size=1)
    assert measured("infidelity", game, (0, 0, 0), size=1).value == pytest.approx((1 + 1 + 4) / 3)


def test_a_control_without_a_number_does_not_cost_the_metric() -> None:
    """One value of 300 is not zero: subsets of a few features hardly ever hold it, here or elsewhere."""
    async def lone(case: pellucid.Case) -> Tensor:
        one = torch.zeros_like(case.x)
        one[150] = 1
        return one

    e = pellucid.explain(linear(*range(300)), torch.ones(1, 300, dtype=F64), lone, target=0)
    seen = [pellucid.evaluate(e, metrics="mu_fidelity", samples=60, size=6, seed=s) for s in range(8)]
    told = [s["mu_fidelity"] for s in seen if "mu_fidelity" in s]
    assert 0 < len(told) < 8, "some seeds have a number, others say that there is none"
    assert all(len(m.controls) < 20 for m in told)
    assert all(math.isfinite(c) for m in told for c in m.controls)


async def made_up(case: pellucid.Case) -> Tensor:
    """A map that knows nothing of the model."""
    return torch.randn(case.x.shape, generator=lots(5), dtype=F64).to(case.x)


@pytest.mark.parametrize("method", ["saliency", "vargrad"])
def test_values_without_a_sign_are_not_summed(method: str) -> None:
    e = pellucid.explain(mlp(), torch.randn(1, 5, generator=lots(3), dtype=F64), method, target=1)
    found = pellucid.evaluate(e, metrics=list(EVERY))
    assert {found.unfit[name].code for name in SIGNED} == {"metric.unfit"}
    assert "deletion" in found.unfit["infidelity"].do
    assert {"deletion", "insertion", "aopc", "average_drop"} <= set(found)


@pytest.mark.parametrize("name", SIGNED)
def test_a_single_feature_has_no_subsets(name: str) -> None:
    with pytest.raises(OptionError, match=r"metric\.unfit") as found:
        measured(name, lambda r: r.sum(1), [1.0])
    assert "features=" in found.value.do


@pytest.mark.parametrize(("name", "wrong"), [
    ("mu_fidelity", {"size": 7}), ("mu_fidelity", {"size": 0}), ("mu_fidelity", {"size": 1.0}),
    ("mu_fidelity", {"size": -0.5}), ("infidelity", {"samples": 1}), ("infidelity", {"perturbation": "blur"}),
    ("infidelity", {"perturbation": "noise", "spread": 0.0}), ("sensitivity_n", {"sizes": 0}),
    ("sensitivity_n", {"most": 1.0}), ("sensitivity_n", {"samples": 2}),
])
def test_wrong_options_are_said(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"option\.value") as found:
        measured(name, lambda r: r.sum(1), range(7), **wrong)
    assert "leave" in found.value.do


# --- passes

def test_metrics_over_the_same_subsets_ask_once_whatever_the_controls() -> None:
    net = mlp_of(30)
    e = pellucid.explain(net, torch.randn(1, 30, generator=lots(3), dtype=F64), "input_x_gradient", target=1)
    found = pellucid.evaluate(e, metrics=[s for s in SIGNED if s != "sensitivity_n"])
    assert found.evidence.rows == 201
    alone = pellucid.evaluate(e, metrics="mu_fidelity", controls=0)
    assert alone.evidence.rows == 201
    assert alone["mu_fidelity"].value == found["mu_fidelity"].value


def mlp_of(n: int) -> nn.Module:
    made = nn.Sequential(nn.Linear(n, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for k, p in enumerate(made.parameters()):
            p.copy_(torch.randn(p.shape, generator=lots(8, k), dtype=F64))
    return made.eval()


def test_alone_as_together_in_any_chunk_and_nothing_is_touched() -> None:
    net, x = conv(), torch.randn(2, 3, 8, 8, generator=lots(7))
    es = pellucid.explain(net, x, "input_x_gradient", target=1)
    names, how = [*EVERY, "road"], {"controls": 3, "replicates": 2, "samples": 20}
    state = torch.random.get_rng_state()
    with pristine(net):
        whole = pellucid.evaluate(es, metrics=names, **how)
        cut = pellucid.evaluate(es, metrics=names, chunk=7, **how)
    assert torch.equal(state, torch.random.get_rng_state())
    for name in names:
        mine = {k: v for k, v in how.items() if k != "samples" or "samples" in catalog.find_metric(name).defaults}
        alone = pellucid.evaluate(es[1], metrics=name, **mine)[name]
        for other in (cut[1][name], alone):
            assert other.value == pytest.approx(whole[1][name].value, rel=1e-4, abs=1e-5), name
            assert other.controls == pytest.approx(whole[1][name].controls, rel=1e-3, abs=1e-4), name
    strict = pellucid.evaluate(es, metrics=names, strict=True, **how)
    assert {n: m.value for n, m in strict[1].items()} == {
        n: m.value for n, m in pellucid.evaluate(es[1], metrics=names, strict=True, **how).items()}
