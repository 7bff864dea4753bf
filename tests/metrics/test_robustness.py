"""Sensitivity and relative stability: against captum on the same neighbours, on linear models by hand, and teeth."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from scored import F64, linear
from torch import Tensor, nn

import pellucid
from pellucid import catalog
from pellucid.numbers.ranking import lots
from pellucid.testing.pristine import pristine
from pellucid.words.features import groups, units
from pellucid.words.points import Ball

EVERY = ("max_sensitivity", "avg_sensitivity", "relative_input_stability", "relative_output_stability")
WEIGHTS = (1.0, -2.0, 3.0, 0.5)
X = torch.tensor([[1.0, 2.0, -1.0, 0.5]], dtype=F64)


def mlp() -> nn.Module:
    made = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    with torch.no_grad():
        for k, p in enumerate(made.parameters()):
            p.copy_(torch.randn(p.shape, generator=lots(9, k), dtype=F64))
    return made.eval()


def near(x: Tensor, seed: int, samples: int = 10, radius: float = 0.02) -> Tensor:
    """The neighbours that a metric of this seed asks about: (samples, *shape)."""
    layout = units(tuple(x.shape))
    return torch.stack([Ball(seed, k, radius).on(x, layout) for k in range(samples)])


def by_seed(e: Any, name: str, seed: int, **options: Any) -> float:
    """A metric's number from one seed: the mean over two replicates, less the other."""
    both = [pellucid.evaluate(e, metrics=name, seed=s, replicates=2, **options)[name].value for s in (seed, seed + 1)]
    three = pellucid.evaluate(e, metrics=name, seed=seed, replicates=3, **options)[name].value
    return 3 * three - 2 * both[1]


# --- the neighbours

def test_neighbours_fill_the_box_evenly_and_leave_fixed_positions() -> None:
    x = torch.tensor([0.0, 1, 2, 5])
    points = near(x, 3, 4000, 0.1)
    away = (points - x) / 0.5  # a tenth of the range
    assert float(away.abs().max()) <= 1 + 1e-6
    assert float(away.abs().max()) > 0.99
    assert away.mean(0).abs().max() < 0.05
    assert (away.var(0) * 3 - 1).abs().max() < 0.07  # uniform on -1 to 1
    fixed = groups((0, -1, 1, 0), ("a", "b"), "tokens", "words")
    moved = Ball(3, 0, 0.1).on(x, fixed)
    assert moved[1] == x[1]
    assert (moved != x).sum() == 3


def test_neighbours_differ_by_index_and_seed_and_repeat() -> None:
    x = torch.arange(20.0)
    assert len({tuple(Ball(s, k, 0.1).on(x, units((20,))).tolist()) for s in range(3) for k in range(3)}) == 9
    assert torch.equal(near(x, 5), near(x, 5))


# --- by hand, and against captum

def test_sensitivity_of_a_linear_model_by_hand() -> None:
    """Input times gradient is w x: its change is w (x' - x), whatever the score."""
    e = pellucid.explain(linear(*WEIGHTS), X, "input_x_gradient", target=0)
    w = torch.tensor(WEIGHTS, dtype=F64)
    for seed in (0, 4):
        shares = ((near(X[0], seed) - X[0]) * w).norm(dim=1) / (w * X[0]).norm()
        assert by_seed(e, "max_sensitivity", seed) == pytest.approx(float(shares.max()), abs=1e-12)
        found = pellucid.evaluate(e, metrics="avg_sensitivity", seed=seed)["avg_sensitivity"]
        assert found.value == pytest.approx(float(shares.mean()), abs=1e-12)
        assert found.error == pytest.approx(float(shares.std()) / 10**0.5, abs=1e-12)
        assert found.freedom == 9
        assert [y for _, y in found.curve] == pytest.approx(shares.sort().values.tolist())


@pytest.mark.parametrize(("name", "options"), [("saliency", {"absolute": False}), ("input_x_gradient", {})])
def test_captum_on_the_same_neighbours(name: str, options: dict[str, Any]) -> None:
    attr = pytest.importorskip("captum.attr")
    metrics = pytest.importorskip("captum.metrics")
    net, x = mlp(), torch.randn(1, 6, generator=lots(1), dtype=F64)
    peer = attr.Saliency(net) if name == "saliency" else attr.InputXGradient(net)
    more = {"abs": False} if name == "saliency" else {}

    def explain(rows: Any) -> Any:
        if isinstance(rows, tuple):  # as captum hands over what it was given
            return tuple(explain(r) for r in rows)
        return peer.attribute(rows.clone().requires_grad_(), target=1, **more).detach()

    right = [float(metrics.sensitivity_max(explain, x, perturb_func=partial(lambda points, *_: points, near(x[0], k)),
                                           n_perturb_samples=10)) for k in range(3)]
    e = pellucid.explain(net, x, name, target=1, **options)
    found = pellucid.evaluate(e, metrics="max_sensitivity", replicates=3)["max_sensitivity"]
    assert found.value == pytest.approx(sum(right) / 3, abs=1e-10)
    assert found.error == pytest.approx(float(torch.tensor(right, dtype=F64).std()) / 3**0.5, abs=1e-10)


def test_relative_stability_by_hand() -> None:
    """For w x both quotients are those of x itself, element by element: input stability is 1."""
    e = pellucid.explain(linear(*WEIGHTS), X, "input_x_gradient", target=0)
    assert by_seed(e, "relative_input_stability", 2) == pytest.approx(1, abs=1e-9)
    points = near(X[0], 2)
    score = ((points - X[0]) @ torch.tensor(WEIGHTS, dtype=F64)).abs()
    right = ((points - X[0]) / X[0]).norm(dim=1) / score
    assert by_seed(e, "relative_output_stability", 2) == pytest.approx(float(right.max()), rel=1e-6)


def test_neighbours_of_another_class_are_left_out() -> None:
    net = nn.Linear(2, 2, bias=False, dtype=F64)
    with torch.no_grad():
        net.weight.copy_(torch.eye(2))
    x = torch.tensor([[1.0, 0.0]], dtype=F64)
    e = pellucid.explain(net, x, "input_x_gradient", target=0)
    every = pellucid.evaluate(e, metrics="relative_output_stability", radius=0.4)["relative_output_stability"]
    assert every.details["neighbours"] == 10
    some = pellucid.evaluate(e, metrics="relative_output_stability", radius=1.0)["relative_output_stability"]
    points = near(x[0], 0, radius=1.0)
    assert some.details["neighbours"] == int((points[:, 0] > points[:, 1]).sum()) < 10
    # a score that is no class's has no other class
    whole = pellucid.explain(net, x, "input_x_gradient", target=lambda output: output[:, 0])
    assert pellucid.evaluate(whole, metrics="relative_output_stability", radius=1.0)[
        "relative_output_stability"].details["neighbours"] == 10


# --- teeth

def test_a_gradient_that_does_not_change_has_no_sensitivity_and_a_wild_map_has() -> None:
    steady = pellucid.explain(linear(*WEIGHTS), X, "saliency", target=0)
    assert pellucid.evaluate(steady, metrics="max_sensitivity")["max_sensitivity"].value == 0

    async def wild(case: pellucid.Case) -> Tensor:
        """Another map at every point."""
        return (1e4 * case.x).sin()

    found = pellucid.evaluate(pellucid.explain(linear(*WEIGHTS), X, wild, target=0), metrics="max_sensitivity")
    assert found["max_sensitivity"].value > 0.5


DRAWS = {"samples": 64, "tolerance": 0}


@pytest.mark.parametrize(("name", "options"), [
    ("smoothgrad", DRAWS), ("gradient_shap", DRAWS), ("smooth(input_x_gradient)", DRAWS), ("integrated_gradients", {}),
    ("kernel_shap", {}),
])
def test_methods_that_add_noise_or_masks_of_their_own_see_the_neighbour(name: str, options: dict[str, Any]) -> None:
    """Their own draws are the same again: what changes is x alone, and it does."""
    x = torch.randn(1, 6, generator=lots(1), dtype=F64)
    e = pellucid.explain(mlp(), x, name, target=1, **options)
    found = pellucid.evaluate(e, metrics="max_sensitivity", replicates=2)
    assert 1e-4 < found["max_sensitivity"].value < 0.5


def test_noise_goes_on_around_the_neighbour() -> None:
    """SmoothGrad of a quadratic model: 2 x' and the mean of the very same noise."""
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x**2).sum(1)

    x = torch.tensor([[1.0, -1, 2, 0.5]], dtype=F64)
    e = pellucid.explain(Square(), x, "smoothgrad", spread=1e-9, samples=2, tolerance=0)
    shares = (near(x[0], 0) - x[0]).norm(dim=1) / x.norm()
    found = pellucid.evaluate(e, metrics="avg_sensitivity")["avg_sensitivity"]
    assert found.value == pytest.approx(float(shares.mean()), rel=1e-6)


# --- what cannot be measured, and how it is measured

@pytest.mark.parametrize(("x", "weights", "code"), [
    (torch.ones(1, 4, dtype=F64), WEIGHTS, "metric.degenerate"), (X, (0.0, 0, 0, 0), "metric.degenerate"),
])
def test_what_has_no_scale_is_told(x: Tensor, weights: tuple[float, ...], code: str) -> None:
    e = pellucid.explain(linear(*weights), x, "input_x_gradient", target=0)
    assert {f.code for f in pellucid.evaluate(e, metrics=list(EVERY)).unfit.values()} == {code}


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"radius": 0.0}, {"radius": float("inf")}])
def test_options_without_meaning_are_told(wrong: dict[str, Any]) -> None:
    e = pellucid.explain(linear(*WEIGHTS), X, "saliency", target=0)
    found = pellucid.evaluate(e, metrics=list(EVERY), **wrong)
    assert {f.code for f in found.unfit.values()} == {"option.value"}


def test_several_metrics_ask_about_the_same_neighbours() -> None:
    e = pellucid.explain(linear(*WEIGHTS), X, "saliency", target=0)
    pellucid.evaluate(e, metrics="avg_sensitivity")
    one = pellucid.evaluate(e, metrics="avg_sensitivity")
    assert one.evidence.rows == 11
    assert pellucid.evaluate(e, metrics=["avg_sensitivity", "max_sensitivity"], replicates=2).evidence.rows == 22


def test_a_picture_in_any_chunk_and_nothing_is_touched() -> None:
    subject, x = pellucid.load("demo:digits"), pellucid.samples("digits")[0]
    e = pellucid.explain(subject, x)
    with pristine(subject.module):
        whole, cut = (pellucid.evaluate(e, metrics=list(EVERY), replicates=2, chunk=c) for c in (None, 3))
    for name in EVERY:
        assert whole[name].value == pytest.approx(cut[name].value, rel=1e-3)
        assert not whole[name].controls
    assert 0 < whole["avg_sensitivity"].value <= whole["max_sensitivity"].value < whole["max_sensitivity"].details[
        "unrelated"]


def test_a_text_is_moved_where_its_words_are_vectors() -> None:
    pytest.importorskip("transformers")
    e = pellucid.explain(pellucid.load("demo:reviews"), pellucid.samples("reviews")[0], "saliency")
    found = pellucid.evaluate(e, metrics=["avg_sensitivity", "relative_input_stability"], replicates=2, samples=4)
    assert not found.unfit
    assert found["avg_sensitivity"].value > 0


def test_cards_say_what_they_take() -> None:
    for name in EVERY:
        card = catalog.find_metric(name).card
        assert (card.kind, card.asks, card.better, card.control) == ("robustness", "again", "low", False)
        assert card.avoid
