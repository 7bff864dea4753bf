"""evaluate(): a number beside what knows nothing, with an interval; what is no better is said to be none."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.numbers.intervals import quantile
from pellucid.numbers.ranking import elsewhere, lots, ranks
from pellucid.testing.pristine import pristine
from pellucid.words.errors import OptionError, PellucidError
from pellucid.words.evaluation import Measurement
from pellucid.words.metric import KNOWN, Attribution, Measured, metric


def linear(*weights: float) -> nn.Module:
    net = nn.Linear(len(weights), 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([weights]))
    return net


ONES = torch.ones(1, 4, dtype=torch.float64)


# --- the numbers

def test_deletion_and_insertion_of_a_linear_model_by_hand() -> None:
    """Scores 10, 6, 3, 1, 0 while 4, 3, 2, 1 are taken away: the areas are 15/4 and 25/4."""
    found = pellucid.evaluate(pellucid.explain(linear(1, 2, 3, 4), ONES, "input_x_gradient", target=0))
    assert found["deletion"].value == pytest.approx(15 / 4, abs=1e-12)
    assert found["insertion"].value == pytest.approx(25 / 4, abs=1e-12)
    assert found["deletion"].curve == ((0, 10), (0.25, 6), (0.5, 3), (0.75, 1), (1, 0))
    assert found["deletion"].interval == (found["deletion"].value,) * 2


def test_controls_are_the_same_values_elsewhere_and_p_counts_them() -> None:
    weights = torch.randn(12, generator=lots(3)).abs().tolist()
    x = torch.ones(1, 12, dtype=torch.float64)
    found = pellucid.evaluate(pellucid.explain(linear(*weights), x, "input_x_gradient", target=0), controls=39)
    best = found["deletion"]
    assert len(best.controls) == len(best.curves) == 39
    assert best.value < min(best.controls)
    assert best.p == pytest.approx(1 / 40)
    assert best.control == pytest.approx(sum(weights) / 2, rel=0.1)  # taken away in any order


def test_of_few_features_every_other_order_is_a_control_once_and_the_best_is_not_called_chance() -> None:
    e = pellucid.explain(linear(1, 2, 4), torch.ones(1, 3, dtype=torch.float64), "input_x_gradient", target=0)
    found = pellucid.evaluate(e)
    assert len(set(found["deletion"].controls)) == len(found["deletion"].controls) == 5
    assert found["deletion"].p == pytest.approx(1 / 6)
    assert found.verdict.status == "pass"
    wrong = pellucid.explain(linear(1, 2, 4), torch.ones(1, 3, dtype=torch.float64), backwards, target=0)
    assert pellucid.evaluate(wrong).verdict.status == "fail"
    same = pellucid.explain(linear(2, 2, 2), torch.ones(1, 3, dtype=torch.float64), "input_x_gradient", target=0)
    assert pellucid.evaluate(same)["deletion"].p == 1  # equal values are no better than themselves


async def backwards(case: pellucid.Case) -> Tensor:
    """The smallest first."""
    (slope,) = await case.gradient(case.here)
    return -slope


def test_a_map_is_moved_as_one_piece_and_a_list_is_shuffled() -> None:
    image = torch.zeros(6, 6)
    image[1:3, 1:3] = 1
    for k in range(20):
        moved = elsewhere(image.flatten(), (6, 6), 0, k).reshape(6, 6)
        beside = (moved * moved.roll(1, 0)).sum() + (moved * moved.roll(1, 1)).sum()
        assert float(moved.sum()) == 4
        assert float(beside) == 4  # each pixel still has its two neighbours, round the edges
        assert not torch.equal(moved, image)
    values = torch.arange(10.0)
    assert sorted(elsewhere(values, (10,), 0, 1).tolist()) == values.tolist()


def test_ranks_break_ties_by_lot_and_repeat_with_a_seed() -> None:
    values = torch.tensor([0.0, 2, 0, 0, 1])
    found = [tuple(ranks(values, seed).tolist()) for seed in range(40)]
    assert all(r[1] == 0 and r[4] == 1 for r in found)
    assert len({(r[0], r[2], r[3]) for r in found}) == 6
    assert tuple(ranks(values, 7).tolist()) == found[7]


@pytest.mark.parametrize(("freedom", "two_sided"),
                         [(1, 12.7062), (4, 2.7764), (9, 2.2622), (30, 2.0423), (1e9, 1.9600)])
def test_student_quantiles_are_those_of_the_tables(freedom: float, two_sided: float) -> None:
    assert quantile(0.95, freedom) == pytest.approx(two_sided, abs=1e-4)


# --- intervals

def test_a_metric_that_draws_has_an_interval_from_its_replicates() -> None:
    """Ties at every place: the order is drawn, and the interval holds the mean over all orders."""
    async def flat(case: pellucid.Case) -> Tensor:
        return torch.ones_like(case.x)

    e = pellucid.explain(linear(1, 2, 3, 4), ONES, flat, target=0)
    found = pellucid.evaluate(e, metrics="deletion", replicates=20)["deletion"]
    assert found.interval is not None
    low, high = found.interval
    assert low < 5 < high  # half of 10
    assert 0 < high - low < 2
    assert found.freedom == 19


def test_the_error_of_values_widens_the_interval() -> None:
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1)).double()
    x = torch.randn(1, 6, dtype=torch.float64, generator=lots(1))
    rough = pellucid.explain(net, x, "shapley_sampling", target=0, samples=40, tolerance=0.0)
    found = pellucid.evaluate(rough, metrics=["deletion", "sparseness"], replicates=20)
    for measured in found.values():
        assert measured.error is not None
        assert measured.error > 0
    exact = pellucid.evaluate(pellucid.explain(net, x, "shapley", target=0), metrics="sparseness")["sparseness"]
    low, high = found["sparseness"].interval or (0.0, 0.0)
    assert low <= exact.value <= high


# --- what is bad is said to be bad

async def made_up(case: pellucid.Case) -> Tensor:
    """A map that knows nothing of the model."""
    return torch.randn(case.x.shape, generator=lots(5))


@pytest.mark.parametrize(("name", "options", "sample", "status"), [
    ("grad_cam", {}, 0, "pass"), ("integrated_gradients", {}, 0, "pass"), ("grad_cam", {}, 2, "pass"),
    (made_up, {}, 0, "fail"), ("integrated_gradients", {"steps": 3}, 0, "warn"),
    # the watermark is so plain that in the first picture even this layer finds it
    ("grad_cam", {"layer": "layer1"}, 2, "fail"),
], ids=["grad_cam", "integrated_gradients", "another", "random map", "three steps", "wrong layer"])
def test_the_watermark_passes_and_bad_explanations_do_not(name: Any, options: dict[str, Any], sample: int, status: str
                                                          ) -> None:
    e = pellucid.explain(pellucid.load("demo:digits"), pellucid.samples("digits")[sample], name, **options)
    found = pellucid.evaluate(e)
    assert found.verdict.status == status, str(found.verdict)
    assert ("faithful.not" in {f.code for f in found.verdict.findings}) == (status == "fail")


# --- where the model and the input come from

def test_from_a_file_with_model_and_input_as_from_memory(tmp_path: Path) -> None:
    net, x = linear(1, 2, 3, 4), torch.tensor([[1.0, -1, 2, 0.5]], dtype=torch.float64)
    e = pellucid.explain(net, x, "integrated_gradients", target=0)
    e.save(tmp_path / "why.pellucid")
    opened = pellucid.open(tmp_path / "why.pellucid")
    with pytest.raises(OptionError, match=r"evaluate\.input"):
        pellucid.evaluate(opened)
    there, here = pellucid.evaluate(opened, net, x), pellucid.evaluate(e)
    assert {n: m.value for n, m in there.items()} == {n: m.value for n, m in here.items()}


def test_an_explanation_does_not_hold_the_model_that_it_is_about() -> None:
    net = linear(1, 2, 3, 4)
    e = pellucid.explain(net, ONES, "saliency", target=0)
    assert e.provenance["weights"]
    gone = pellucid.evaluate(e)
    del net
    gc.collect()
    with pytest.raises(OptionError, match="model is gone"):
        pellucid.evaluate(e)
    assert pellucid.evaluate(e, linear(1, 2, 3, 4))["deletion"].value == gone["deletion"].value


def test_lists_and_dictionaries_come_back_as_they_were_and_errors_stay_in_their_place() -> None:
    subject = pellucid.load("demo:recommender")
    rows = [*pellucid.samples("recommender")[:2], {"nonsense": 1}]
    es = pellucid.explain(subject, rows, ["saliency", "kernel_shap"])
    found = pellucid.evaluate(es, metrics="deletion")
    assert list(found) == ["saliency", "kernel_shap"]
    for name, answers in found.items():
        assert isinstance(answers[2], PellucidError)
        for k in range(2):
            alone = pellucid.evaluate(es[name][k], metrics="deletion")
            assert answers[k]["deletion"].value == pytest.approx(alone["deletion"].value, abs=1e-6)


# --- metrics share passes, touch nothing, and may be one's own

def test_any_chunk_gives_the_same_and_nothing_is_touched() -> None:
    subject, x = pellucid.load("demo:digits"), pellucid.samples("digits")[0]
    e = pellucid.explain(subject, x)
    with pristine(subject.module):
        whole, cut = pellucid.evaluate(e), pellucid.evaluate(e, chunk=7)
    for name, measured in whole.items():
        assert cut[name].value == pytest.approx(measured.value, rel=1e-4)
        assert cut[name].controls == pytest.approx(measured.controls, rel=1e-3, abs=1e-3)
    assert whole.evidence.passes < cut.evidence.passes


def test_several_metrics_and_their_controls_share_a_pass() -> None:
    e = pellucid.explain(linear(*range(1, 13)), torch.ones(1, 12, dtype=torch.float64), "saliency", target=0)
    pellucid.evaluate(e, controls=0)  # a first chunk is small, since nobody knows yet what a row takes
    both = pellucid.evaluate(e, metrics=["deletion", "insertion"])
    assert (both.evidence.passes, both.evidence.rows) == (1, 2 * 13 * 21)


def test_a_metric_of_ones_own_in_a_few_lines() -> None:
    @metric(kind="faithfulness", asks="score", better="high")
    async def first_alone(case: pellucid.Case, shown: Attribution, *, k: int = 1) -> Measured:
        """The score with nothing but the first k features."""
        from pellucid.words.masks import Ranked

        (score,) = await case.score(case.keep(Ranked(ranks(shown.values, case.seed), (k,))))
        return Measured(float(score))

    del KNOWN["first_alone"]  # other tests go through all that are known
    e = pellucid.explain(linear(1, 2, 3, 4), ONES, "saliency", target=0)
    found = pellucid.evaluate(e, metrics=[first_alone, "sparseness"], k=2)
    assert found["first_alone"].value == 7
    assert found["first_alone"].options == {"k": 2}


def test_a_layers_values_are_told_not_to_fit_and_what_only_reads_them_is_measured() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    e = pellucid.explain(net, torch.ones(1, 4), "conductance", target=0, layer="0")
    found = pellucid.evaluate(e)
    assert set(found) == {"sparseness"}
    assert found.unfit["deletion"].code == "metric.unfit"
    assert "over the input" in found.unfit["deletion"].reason


@pytest.mark.parametrize(("wrong", "code"), [
    ({"metrics": "delection"}, "metric.unknown"), ({"metrics": ["deletion", "deletion"]}, "metric.repeated"),
    ({"steeps": 3}, "option.unknown"), ({"steps": 0}, None), ({"controls": -1}, "option.value"),
    ({"replicates": 1}, "option.value"), ({"level": 1.0}, "option.value"), ({"steps": "many"}, "option.value"),
])
def test_wrong_use_is_said(wrong: dict[str, Any], code: str | None) -> None:
    e = pellucid.explain(linear(1, 2, 3, 4), ONES, "saliency", target=0)
    if code is None:  # a metric's own refusal costs that metric
        assert pellucid.evaluate(e, **wrong).unfit["deletion"].code == "option.value"
        return
    with pytest.raises(OptionError) as found:
        pellucid.evaluate(e, **wrong)
    assert found.value.code == code


def test_what_is_no_explanation_is_refused() -> None:
    with pytest.raises(OptionError, match=r"evaluate\.explanation"):
        pellucid.evaluate(torch.ones(3))


def test_p_and_interval_of_a_measurement_by_hand() -> None:
    m = Measurement("deletion", 1.0, 0.5, "low", controls=(2.0, 0.5, 1.0, 3.0), freedom=4)
    assert m.beaten == 2
    assert m.p == 3 / 5
    assert m.interval == pytest.approx((1 - 1.3882, 1 + 1.3882), abs=1e-4)
    assert Measurement("sparseness", 1.0, None).interval is None
