"""Which values differ from zero, and which come first, as far as their errors tell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import pellucid
from pellucid.numbers import significance
from pellucid.words.explanation import Explanation
from pellucid.words.features import columns

F64 = torch.float64


def told(values: list[float], error: list[float] | float | None) -> Explanation:
    """An explanation with these values and errors."""
    v = torch.tensor(values, dtype=F64)
    e = None if error is None else torch.full_like(v, error) if isinstance(error, float) else torch.tensor(
        error, dtype=F64)
    return Explanation(v, columns(tuple(f"c{i}" for i in range(len(v)))), "made", "target", 1.0, error=e)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def test_an_interval_is_so_many_standard_errors_wide() -> None:
    e = told([1.0, -2.0], [0.5, 0.0])
    low, high = e.interval()
    torch.testing.assert_close(high - e.values, torch.tensor([0.5 * 1.959964, 0.0], dtype=F64), rtol=1e-6, atol=0)
    torch.testing.assert_close(e.values - low, high - e.values)
    narrow = e.interval(0.5)
    assert float(narrow[1][0] - 1) == pytest.approx(0.5 * 0.674490, rel=1e-5)


def test_p_values_are_those_of_a_normal_number() -> None:
    found = told([0.0, 1.959964, -2.575829, 5.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0.0]).p_values()
    torch.testing.assert_close(found, torch.tensor([1.0, 0.05, 0.01, 0.0, 1.0], dtype=F64), rtol=1e-5, atol=1e-9)


def test_discoveries_are_those_of_benjamini_and_hochberg() -> None:
    """The example of their paper, section 3.2: at 0.05 the four smallest of fifteen; and what lies below the last."""
    p = torch.tensor([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
                      0.6528, 0.7590, 1.0000], dtype=F64)
    assert significance.discoveries(p, 0.05).tolist() == [True] * 4 + [False] * 11
    turned = p.flip(0).reshape(3, 5)
    assert significance.discoveries(turned, 0.05).flatten().tolist() == [False] * 11 + [True] * 4
    # A p-value above its own bound holds where a later one is below its.
    assert significance.discoveries(torch.tensor([0.04, 0.045, 0.05]), 0.05).all()
    assert not significance.discoveries(torch.tensor([0.06, 0.2]), 0.05).any()


def test_exact_values_differ_from_zero_unless_they_are() -> None:
    assert told([0.0, 1e-9, -3.0], 0.0).significant().tolist() == [False, True, True]
    assert [s for _, s in told([3.0, 2.0, 1.0], 0.0).stability(2)] == [1.0, 1.0]


def test_what_is_unknown_is_refused_with_a_code() -> None:
    e = told([1.0, 2.0], None)
    for ask in (e.interval, e.p_values, e.significant, e.stability):
        with pytest.raises(pellucid.PellucidError) as error:
            ask()
        assert error.value.code == "error.unknown"
    assert e.top(1) == [("c1", 2.0)]


@pytest.mark.parametrize(("ask", "options"), [("interval", {"level": 1.0}), ("significant", {"level": 0.0}),
                                              ("stability", {"k": 0}), ("interval", {"level": math.nan})])
def test_levels_without_meaning_are_refused(ask: str, options: dict[str, float]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        getattr(told([1.0, 2.0], 0.1), ask)(**options)
    assert error.value.code == "option.value"


@pytest.mark.parametrize("kind", ["independent", "one sum", "in groups"])
def test_of_what_is_found_so_many_are_false_however_the_values_hang_together(kind: str) -> None:
    """A sum shared by all values pulls any two apart, a group's noise together."""
    n, runs, wrong, found = 40, 600, 0.0, 0.0
    for seed in range(runs):
        noise = normal(n, seed=seed)
        if kind == "one sum":
            noise = (noise - noise.mean()) / math.sqrt(1 - 1 / n)
        elif kind == "in groups":
            noise = (noise + 2 * normal(4, seed=seed + 10_000).repeat_interleave(10)) / math.sqrt(5)
        true = torch.zeros(n, dtype=F64)
        true[:10] = 4.0
        held = significance.discoveries(significance.p_values(true + noise, torch.ones(n, dtype=F64)), 0.1)
        wrong += float(held[10:].sum()) / max(float(held.sum()), 1.0)
        found += float(held[:10].double().mean())
    assert wrong / runs <= 0.1
    assert found / runs >= 0.8, "and most of what is there is found"


def test_taking_every_interval_by_itself_is_found_out() -> None:
    wrong = 0.0
    for seed in range(200):
        held = significance.p_values(normal(40, seed=seed), torch.ones(40, dtype=F64)) <= 0.1
        wrong += float(bool(held.any()))
    assert wrong / 200 > 0.9, "among 40 zeros one by one"


def test_stability_is_how_often_the_first_come_first_again() -> None:
    """Two features, one drawn: |a + error · N| > |b| in closed form; and among equals a coin decides."""
    e = told([2.0, 1.5, 0.1], [0.5, 0.0, 0.0])
    (name, share), = e.stability(1)
    wanted = 0.5 * math.erfc((1.5 - 2.0) / 0.5 / math.sqrt(2)) + 0.5 * math.erfc((1.5 + 2.0) / 0.5 / math.sqrt(2))
    assert name == "c0"
    assert share == pytest.approx(wanted, abs=0.03)
    (_, coin), = told([1.0, 1.0], 0.1).stability(1)
    assert coin == pytest.approx(0.5, abs=0.05)


def test_stability_is_that_of_names_in_the_order_of_top_and_repeats() -> None:
    e = told([0.3, -2.0, 1.0, 0.29, 0.0], 0.2)
    assert [n for n, _ in e.stability(3)] == [n for n, _ in e.top(3)]
    assert e.stability(3, seed=4) == e.stability(3, seed=4)
    before = torch.get_rng_state()
    e.stability(3)
    assert torch.equal(before, torch.get_rng_state())
    shares = dict(e.stability(3))
    assert shares["c1"] > 0.99
    assert 0.4 < shares["c0"] < 0.65, "c0 and c3 change places as they like"


def test_the_closed_form_tells_settled_from_unsettled_as_drawings_do() -> None:
    for size, settled in ((0.01, True), (1.0, False)):
        values = torch.linspace(1, 2, 50, dtype=F64)
        share = significance.settled(values, torch.full_like(values, size), 5)
        drawn = significance.stays(values, torch.full_like(values, size), 5)[1].mean()
        assert (share > 2 / 3) == settled == (float(drawn) > 2 / 3)
    assert significance.settled(torch.ones(3), torch.zeros(3), 3) == 1.0
    assert significance.settled(torch.tensor([3.0, 1.0]), torch.zeros(2), 1) == 1.0


def test_signs_do_not_matter_for_what_comes_first() -> None:
    values, error = normal(20, seed=3), torch.full((20,), 0.3, dtype=F64)
    assert significance.settled(values, error, 3) == pytest.approx(significance.settled(-values, error, 3))


def test_an_explanation_says_it_of_its_own_values() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    for k, p in enumerate(net.parameters()):
        p.data = normal(*p.shape, seed=k)
    net[0].weight.data[:, 6:] = 0  # half of the features are ignored
    e = pellucid.explain(net, normal(1, 12, seed=9), "smooth(input_x_gradient)", target=0, samples=64, tolerance=0.0)
    held = e.significant()
    assert held[:6].sum() >= 3
    assert not held[6:].any()
    low, high = e.interval(0.99)
    assert bool(((low <= e.values) & (e.values <= high)).all())
