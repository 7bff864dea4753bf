"""compare(): agreement, consensus and contradictions by closed forms; baselines; what is shared and left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.models.tabular import Column, TableReader
from pellucid.numbers import agreement
from pellucid.numbers.ranking import lots
from pellucid.testing.pristine import pristine
from pellucid.words.errors import OptionError, PellucidError

W = (1.0, 2.0, -3.0, 4.0)
ONES = torch.ones(1, 4, dtype=torch.float64)
LINEAR = ["input_x_gradient", "integrated_gradients", "kernel_shap", "ablation"]


def linear(*weights: float) -> nn.Module:
    net = nn.Linear(len(weights), 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([weights]))
    return net


def curved(n: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n, 16), nn.Tanh(), nn.Linear(16, 1)).double()


def t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# --- agreement of two lists

def test_a_list_agrees_with_itself_and_is_opposed_to_its_negative() -> None:
    values = torch.randn(30, dtype=torch.float64, generator=lots(1))
    assert agreement.rank(values, values) == pytest.approx(1, abs=1e-12)
    assert agreement.rank(values, -values) == pytest.approx(-1, abs=1e-12)
    assert (agreement.sign(values, values), agreement.sign(values, -values)) == (pytest.approx(1), 0)
    assert (agreement.top(values, values, 5), agreement.top(values, -values, 5)) == (1, 1)  # sizes are the same
    assert agreement.rank(values, 7 * values) == pytest.approx(1, abs=1e-12)  # units do not matter
    assert agreement.sign(values, 7 * values) == pytest.approx(1)


def test_signs_are_weighted_by_size() -> None:
    """Shares 1/4, 1/4, 1/2 in both; the second differs."""
    assert agreement.sign(t(1, -1, 2), t(1, 1, 2)) == pytest.approx(0.75)
    assert agreement.sign(t(1, 0.001, 2), t(1, -0.001, 2)) == pytest.approx(1, abs=1e-3)
    assert agreement.sign(t(1, 0), t(1, 1)) == pytest.approx(0.75)  # a value beside an exact zero has no partner


def test_ranks_by_hand_and_what_has_none() -> None:
    assert agreement.rank(t(1, 2, 3, 4), t(1, 2, 4, 3)) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert math.isnan(agreement.rank(t(1, 1, 1), t(1, 2, 3)))
    assert math.isnan(agreement.sign(t(0, 0), t(1, 2)))
    noise = t(1, 1 + 1e-14, 2, 3)
    assert agreement.rank(noise, t(1, 1, 2, 3)) == pytest.approx(1, abs=1e-12)  # rounding is no order


def test_top_k_by_hand_and_ties_share_their_room() -> None:
    assert agreement.top(t(5, -4, 1, 0), t(4, 0, 5, 1), 2) == 0.5
    # two ties for the second place are there by half each
    assert agreement.top(t(3, 1, 1, 0), t(0, 1, 3, 1), 2) == pytest.approx(0.5)
    assert [agreement.few(n) for n in (1, 5, 12, 64, 4096)] == [1, 1, 3, 10, 10]


def test_consensus_and_spread_by_hand() -> None:
    mean, spread = agreement.together([t(1, -1), t(30, 10)])
    assert mean.tolist() == pytest.approx([(0.5 + 0.75) / 2, (-0.5 + 0.25) / 2])
    assert spread.tolist() == pytest.approx([0.25 / math.sqrt(2), 0.75 / math.sqrt(2)])
    assert agreement.prominence([t(1, -5, 3), t(0, 9, 2)]).tolist() == pytest.approx([0, 1, 0.5])


def test_what_is_small_or_within_its_error_has_no_sign() -> None:
    assert agreement.spoken(t(10, -0.5, -2)).tolist() == [1, 0, -1]
    assert agreement.spoken(t(10, -3, -2), t(1, 1, 1.5)).tolist() == [1, -1, 0]


# --- methods

def test_on_a_linear_model_all_methods_say_the_weights() -> None:
    """Each feature's value is its weight: agreement 1, no spread, nothing to contradict."""
    c = pellucid.compare(linear(*W), ONES, LINEAR, target=0)
    for what in ("rank", "sign", "top"):
        assert torch.allclose(c.agreement[what], torch.ones(4, 4, dtype=torch.float64), atol=1e-9), what
    assert c.consensus is not None
    assert c.spread is not None
    assert torch.allclose(c.consensus, t(*W) / 10, atol=1e-9)
    assert float(c.spread.max()) < 1e-9
    assert c.contradictions == ()
    assert c.k == 1
    assert c.between("ablation", "kernel_shap") == pytest.approx({"rank": 1, "sign": 1, "top": 1})


async def turned(case: pellucid.Case) -> Tensor:
    """The values of input times gradient, the first one with the wrong sign."""
    (slope,) = await case.gradient(case.here)
    return case.x * slope * torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64)


async def made_up(case: pellucid.Case) -> Tensor:
    """A map that knows nothing of the model."""
    return torch.randn(case.x.shape, generator=lots(5)).to(case.x)


def test_a_contradiction_is_told_with_its_name_its_sides_and_its_size() -> None:
    c = pellucid.compare(linear(*W), ONES, ["input_x_gradient", turned], target=0)
    (found,) = c.contradictions
    assert (found.at, found.above, found.below) == (0, ("input_x_gradient",), ("turned",))
    assert (found.size, found.share) == (pytest.approx(0.1), 0.5)
    (finding,) = [f for f in c.verdict.findings if f.code == "compare.contradict"]
    assert finding.level == "warn"
    assert found.name in finding.reason
    small = pellucid.compare(linear(0.1, 2, -3, 4), ONES, ["input_x_gradient", turned], target=0)
    assert small.contradictions == ()  # a tenth of a tenth is no statement


def test_methods_that_tell_different_stories_are_said_to() -> None:
    net, x = curved(), torch.randn(1, 8, dtype=torch.float64, generator=lots(2))
    bad = pellucid.compare(net, x, [made_up, "input_x_gradient"], target=0)
    assert bad.typical() < 0.3
    assert "compare.disagree" in {f.code for f in bad.verdict.findings}
    good = pellucid.compare(net, x, ["integrated_gradients", "kernel_shap"], target=0)
    assert good.typical() > 0.8
    assert "compare.disagree" not in {f.code for f in good.verdict.findings}


def test_none_that_knows_anything_fails() -> None:
    weights = torch.randn(12, generator=lots(3)).tolist()
    x = torch.ones(1, 12, dtype=torch.float64)
    found = pellucid.compare(linear(*weights), x, [made_up], target=0)
    assert found.verdict.status == "fail"
    assert "compare.none_faithful" in {f.code for f in found.verdict.findings}
    mixed = pellucid.compare(linear(*weights), x, [made_up, "input_x_gradient"], target=0)
    assert [f.level for f in mixed.verdict.findings if f.code == "compare.unfaithful"] == ["warn"]


def test_what_has_no_signs_is_compared_by_size_and_stays_out_of_the_consensus() -> None:
    c = pellucid.compare(linear(*W), ONES, ["input_x_gradient", "saliency"], target=0)
    assert c["saliency"].means != "effect"
    assert c.between("input_x_gradient", "saliency")["rank"] == pytest.approx(1)
    assert math.isnan(c.between("input_x_gradient", "saliency")["sign"])
    assert c.consensus is not None
    assert torch.allclose(c.consensus, t(*W) / 10)
    alone = pellucid.compare(linear(*W), ONES, ["saliency"], target=0)
    assert alone.consensus is None
    assert alone.prominence is not None
    assert alone.prominence.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_each_is_as_explain_and_evaluate_say_alone() -> None:
    net, x = curved(), torch.randn(1, 8, dtype=torch.float64, generator=lots(2))
    c = pellucid.compare(net, x, ["integrated_gradients", "kernel_shap"], target=0)
    passes = 0
    for name in c:
        alone = pellucid.explain(net, x, name, target=0)
        judged = pellucid.evaluate(alone, metrics=["deletion", "insertion"])
        assert torch.allclose(alone.values, c[name].values, atol=1e-9)
        for metric, m in judged.items():
            assert c.evaluations[name][metric].value == pytest.approx(m.value, abs=1e-9)
            assert c.evaluations[name][metric].controls == pytest.approx(m.controls, abs=1e-9)
        passes += alone.evidence.passes + judged.evidence.passes
    assert c.evidence.passes < passes


def test_cost_is_each_methods_own() -> None:
    c = pellucid.compare(linear(*W), ONES, ["input_x_gradient", "ablation", "kernel_shap"], target=0, metrics=())
    rows = {name: (cost.rows, cost.gradients) for name, cost in c.cost.items()}
    assert rows["input_x_gradient"] == (2, 1)  # the score, and one gradient
    assert rows["ablation"][0] == 1 + 4  # the score, and one feature off at a time
    assert rows["kernel_shap"][0] >= 2**4 - 2
    assert all(cost.seconds > 0 and cost.rounds >= 1 for cost in c.cost.values())
    assert all(not v for v in c.evaluations.values())


def test_a_method_that_does_not_fit_is_told_in_its_place() -> None:
    c = pellucid.compare(linear(*W), ONES, ["input_x_gradient", "grad_cam", "nonsense"], target=0)
    assert list(c) == ["input_x_gradient"]
    assert set(c.errors) == {"grad_cam", "nonsense"}
    assert "compare.left_out" in {f.code for f in c.verdict.findings}
    with pytest.raises(PellucidError):
        pellucid.compare(linear(*W), ONES, ["grad_cam"], target=0)


def test_values_at_a_layer_are_left_out() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    c = pellucid.compare(net, torch.ones(1, 4), ["conductance", "saliency"], target=0, layer="0")
    assert c.errors["conductance"].code == "metric.unfit"


def test_options_go_to_those_that_have_them() -> None:
    c = pellucid.compare(linear(*W), ONES, ["integrated_gradients", "ablation"], target=0, steps=4, controls=0)
    assert c["integrated_gradients"].recipe["steps"] == 4
    c = pellucid.compare(linear(*W), ONES, ["ablation"], target=0, steps=2)
    assert len(c.evaluations["ablation"]["deletion"].curve) == 3


def test_nothing_is_touched() -> None:
    subject, x = pellucid.load("demo:tumours"), pellucid.samples("tumours")[0]
    with pristine(subject.module):
        pellucid.compare(subject, x, ["integrated_gradients", "ablation"])


def test_the_usual_methods_of_a_picture_agree_on_the_watermark() -> None:
    c = pellucid.compare(pellucid.load("demo:digits"), pellucid.samples("digits")[0],
                         ["grad_cam", "integrated_gradients", "occlusion"])
    assert (c.layout.name, c.layout.n, c.k) == ("patches:8", 64, 10)
    assert c.consensus is not None
    best: int = int(c.consensus.argmax())
    assert best in (6, 7, 14, 15)  # the top right corner, where the watermark is
    assert c.verdict.status != "fail"
    assert c.typical("sign") > 0.8


# --- baselines

def closed(baselines: Mapping[str, Tensor] | list[Tensor], x: Tensor = ONES) -> pellucid.Comparison:
    return pellucid.compare(linear(*W), x, "integrated_gradients", baselines=baselines, target=0)


def test_values_scores_and_average_over_baselines_by_hand() -> None:
    """w (x - b) from each baseline, f(b) = w b, and w (x - mean b) on average, which is averaging the method."""
    first, second = t(0, 0, 0, 0), t(2, 1, 0, 0)
    c = closed({"nothing": first, "more": second})
    assert list(c) == ["nothing", "more"]
    for name, b in (("nothing", first), ("more", second)):
        assert torch.allclose(c.laid[name], t(*W) * (1 - b))
        assert c.baselines[name] == pytest.approx(float(t(*W) @ b))
    assert c.average is not None
    assert torch.allclose(c.average, t(*W) * (1 - (first + second) / 2))
    averaged = pellucid.explain(linear(*W), ONES, "integrated_gradients", target=0, baseline=[first, second])
    assert torch.allclose(c.average, averaged.values.flatten())


def test_the_average_is_the_method_averaged_on_a_curved_model_too() -> None:
    net, x = curved(), torch.randn(1, 8, dtype=torch.float64, generator=lots(2))
    bs = [torch.zeros(8, dtype=torch.float64), torch.full((8,), 0.3, dtype=torch.float64)]
    c = pellucid.compare(net, x, "kernel_shap", baselines=bs, target=0, metrics=())
    averaged = pellucid.explain(net, x, "kernel_shap", target=0, baseline=bs)
    assert c.average is not None
    assert torch.allclose(c.average, averaged.values.flatten(), atol=1e-9)


def test_regions_that_flip_sign_between_baselines_are_named() -> None:
    """x lies between the baselines in its first feature alone: w (1 - 0) and w (1 - 2) differ in sign there."""
    c = closed({"below": t(0, 0, 0, 0), "above": t(2, 0, 0, 0)})
    (found,) = c.contradictions
    assert (found.at, found.above, found.below, found.share) == (0, ("below",), ("above",), 0.5)
    assert "baseline.flips" in {f.code for f in c.verdict.findings}
    same = closed({"below": t(0, 0, 0, 0), "lower": t(-1, -1, -1, -1)})
    assert same.contradictions == ()
    assert "baseline.flips" not in {f.code for f in same.verdict.findings}


def test_a_baseline_that_the_model_takes_for_the_input_is_seen() -> None:
    c = closed({"zero": t(0, 0, 0, 0), "minus": t(-1, -1, -1, -1), "nearly": t(0.99, 1, 1, 1)})
    (finding,) = [f for f in c.verdict.findings if f.code == "baseline.known"]
    assert "nearly" in finding.reason
    assert "zero" not in finding.reason


def test_noise_and_another_picture_are_baselines() -> None:
    subject, (x, other) = pellucid.load("demo:digits"), pellucid.samples("digits")[:2]
    example = subject.read(x)
    noise, again = (subject.reader.baseline(example, "noise") for _ in range(2))
    black, white = (subject.reader.baseline(example, c) for c in ("black", "white"))
    assert all(isinstance(v, Tensor) for v in (noise, black, white))
    assert torch.equal(noise, again)  # pyright: ignore[reportArgumentType]
    share = ((noise - black) / (white - black)).double()  # pyright: ignore[reportOperatorIssue]
    assert float(share.min()) >= 0
    assert float(share.max()) <= 1
    assert float(share.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(share.var()) == pytest.approx(1 / 12, rel=0.05)
    picture = np.asarray(example.shown.image)
    c = pellucid.compare(subject, x, "integrated_gradients", metrics=(), steps=8,
                         baselines={"noise": "noise", "itself": picture, "another": subject.read(other).x})
    assert c.baselines["itself"] == pytest.approx(c.score, abs=1e-4)
    assert "itself" in next(f for f in c.verdict.findings if f.code == "baseline.known").reason


def test_a_tables_median_is_that_of_its_background() -> None:
    reader = TableReader((Column("a"), Column("b", "category", ("x", "y"))),
                         background=[{"a": 0, "b": "x"}, {"a": 1, "b": "y"}, {"a": 9, "b": "y"}])
    example = reader.read({"a": 5, "b": "x"})
    assert reader.baseline(example, "median").tolist() == [1, 0, 1]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["reviews", "tumours"])
def test_the_usual_baselines_are_those_that_the_model_has(name: str) -> None:
    subject, x = pellucid.load(f"demo:{name}"), pellucid.samples(name)[0]
    c = pellucid.compare(subject, x, "integrated_gradients", baselines="usual", metrics=(), steps=8)
    wanted = {"reviews": {"mask", "pad", "unk", "zero"}, "tumours": {"mean", "median", "zero"}}[name]
    assert wanted <= set(c)
    assert not c.errors
    for there in c.baselines.values():
        assert math.isfinite(there)
    if name == "tumours":
        assert sum(n.startswith("data:") for n in c) == 2


# --- wrong use

@pytest.mark.parametrize(("wrong", "code"), [
    ({"methods": ["ablation", "ablation"]}, "method.repeated"), ({"methods": []}, "compare.methods"),
    ({"methods": ["saliency", "ablation"], "baselines": ["zero", "mean"]}, "compare.baselines"),
    ({"methods": "integrated_gradients", "baselines": ["zero"]}, "compare.baselines"),
    ({"methods": "saliency", "baselines": ["zero", "mean"]}, "compare.baseline"),
    ({"methods": ["ablation"], "stepz": 3}, "option.unknown"), ({"controls": -1}, "option.value"),
    ({"methods": ["ablation"], "metrics": ["delection"]}, "metric.unknown"),
    ({"methods": "nonsense"}, "method.unknown"),
])
def test_wrong_use_is_said(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as found:
        pellucid.compare(linear(*W), ONES, target=0, **wrong)
    assert found.value.code == code


def test_several_inputs_are_compared_one_by_one() -> None:
    with pytest.raises(PellucidError, match=r"compare\.inputs"):
        pellucid.compare(linear(*W), torch.ones(3, 4, dtype=torch.float64), LINEAR, target=0)
