"""Deletion, insertion, pixel flipping and AOPC against numbers worked out by hand, and the papers' own sums."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scored import F64, linear, measured
from torch import Tensor, nn

import pellucid
from pellucid.numbers.ranking import lots
from pellucid.words.errors import OptionError
from pellucid.words.features import patches

ONES = torch.ones(1, 4, dtype=F64)


def net(side: int = 4, channels: int = 1) -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    with torch.no_grad():
        for k, p in enumerate(made.parameters()):
            p.copy_(torch.randn(p.shape, generator=lots(9, k), dtype=F64))
    return made.eval()


def probability(output: Tensor) -> Tensor:
    return output.softmax(1)[:, 1]


def picture(side: int = 4, channels: int = 1) -> Tensor:
    return torch.randn(1, channels, side, side, generator=lots(3), dtype=F64)


def told(values: Tensor, model: nn.Module, x: Tensor, **options: Any) -> pellucid.Explanation:
    """An explanation that says these values."""
    async def given(case: pellucid.Case) -> Tensor:
        return values.to(case.x)

    return pellucid.explain(model, x, given, **options)


# --- by hand

def test_pixel_flipping_and_aopc_of_a_linear_model_by_hand() -> None:
    """Scores 10, 6, 3, 1, 0 while 4, 3, 2, 1 go: an area of 15/4, and drops of 0, 4, 7, 9, 10."""
    e = pellucid.explain(linear(1, 2, 3, 4), ONES, "input_x_gradient", target=0)
    found = pellucid.evaluate(e, metrics=["pixel_flipping", "aopc"])
    assert found["pixel_flipping"].value == pytest.approx(15 / 4, abs=1e-12)
    assert found["pixel_flipping"].curve == ((0, 10), (0.25, 6), (0.5, 3), (0.75, 1), (1, 0))
    assert found["aopc"].value == pytest.approx(30 / 5, abs=1e-12)
    assert found["aopc"].curve == ((0, 0), (0.25, 4), (0.5, 7), (0.75, 9), (1, 10))


@pytest.mark.parametrize(("name", "options", "right"), [
    ("pixel_flipping", {"most": 0.5}, (10 / 2 + 6 + 3 / 2) / 2),
    ("pixel_flipping", {"step": 3}, ((10 + 1) / 2 * 0.75 + (1 + 0) / 2 * 0.25)),  # the last step is what is left
    ("pixel_flipping", {"step": 4}, 5.0),
    ("aopc", {"most": 0.5}, (0 + 4 + 7) / 3), ("aopc", {"steps": 2}, (0 + 7 + 10) / 3),
    ("deletion", {"steps": 2}, 10 / 4 + 3 / 2 + 0), ("insertion", {"steps": 1}, 5.0),
])
def test_steps_and_how_far_they_go_by_hand(name: str, options: dict[str, Any], right: float) -> None:
    e = pellucid.explain(linear(1, 2, 3, 4), ONES, "input_x_gradient", target=0)
    assert pellucid.evaluate(e, metrics=name, controls=0, **options)[name].value == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize(("name", "right"), [("deletion", 25 / 4), ("insertion", 15 / 4), ("pixel_flipping", 25 / 4),
                                             ("aopc", (0 + 1 + 3 + 6 + 10) / 5)])
def test_the_wrong_way_round_is_seen(name: str, right: float) -> None:
    found = measured(name, lambda rows: rows @ torch.tensor([1.0, 2, 3, 4], dtype=F64), [-1, -2, -3, -4])
    assert found.value == pytest.approx(right, abs=1e-12)


# --- the papers' own sums, over a net that is not linear

@pytest.mark.parametrize("steps", [16, 8, 4])
def test_deletion_and_insertion_are_rises_sums_on_a_picture_of_four_by_four(steps: int) -> None:
    """AUC = (Σ s - s_0 / 2 - s_N / 2) / N over probabilities, N steps of as many pixels each."""
    model, x, values = net(), picture(), torch.randperm(16, generator=lots(1)).double()
    order, blank = values.argsort(descending=True), torch.full_like(x, 0.3)
    away, back = [probability(model(x))], [probability(model(blank))]
    gone, there = x.clone().flatten(), blank.clone().flatten()
    for k in range(steps):
        some = order[k * 16 // steps : (k + 1) * 16 // steps]
        gone[some], there[some] = blank.flatten()[some], x.flatten()[some]
        away.append(probability(model(gone.reshape(x.shape))))
        back.append(probability(model(there.reshape(x.shape))))
    e = told(values.reshape(1, 4, 4), model, x, target=probability)
    found = pellucid.evaluate(e, metrics=["deletion", "insertion", "aopc"], steps=steps, baseline=0.3, controls=0)
    for name, scores in (("deletion", away), ("insertion", back)):
        s = torch.cat(scores).detach()
        assert found[name].value == pytest.approx(float((s.sum() - s[0] / 2 - s[-1] / 2) / steps), abs=1e-12)
    s = torch.cat(away).detach()
    assert found["aopc"].value == pytest.approx(float((s[0] - s).mean()), abs=1e-12)


def test_patches_go_as_a_whole_with_all_their_channels() -> None:
    """Six by six in patches of two: nine parts, the one with the largest sum first."""
    model, x = net(6, 3), picture(6, 3)
    values = torch.randn(3, 6, 6, generator=lots(4), dtype=F64)
    sums = patches(6, 6, 2).gather(values)
    order, rows = sums.argsort(descending=True), [x]
    for k in range(9):
        down, across = 2 * int(order[k] // 3), 2 * int(order[k] % 3)
        rows.append(rows[-1].clone())
        rows[-1][..., down : down + 2, across : across + 2] = 0
    s = model(torch.cat(rows))[:, 2].detach()
    e = told(values, model, x, target=2, features="patches:2")
    found = pellucid.evaluate(e, metrics=["pixel_flipping", "aopc"], controls=0, baseline=0.0)
    assert found["aopc"].value == pytest.approx(float((s[0] - s).mean()), abs=1e-12)
    assert found["pixel_flipping"].value == pytest.approx(float((s.sum() - s[0] / 2 - s[-1] / 2) / 9), abs=1e-12)


# --- what cannot be known is not made up

@pytest.mark.parametrize("name", ["deletion", "insertion", "pixel_flipping", "aopc"])
def test_a_constant_map_is_no_better_than_itself_elsewhere_and_its_order_is_drawn(name: str) -> None:
    e = told(torch.ones(4), linear(1, 2, 3, 4), ONES, target=0)
    found = pellucid.evaluate(e, metrics=name, replicates=20)
    assert found[name].p == 1
    assert found[name].error is not None
    assert found[name].error > 0
    low, high = found[name].interval or (0.0, 0.0)
    assert low < 5 < high  # the mean over all orders
    assert found.verdict.status == "fail"


@pytest.mark.parametrize(("steps", "drawn"), [(2, False), (4, True)])
def test_equal_values_are_drawn_only_where_a_step_ends_between_them(steps: int, drawn: bool) -> None:
    """Values 2, 2, 1, 1 in steps of two: whichever comes first, the step takes both."""
    e = told(torch.tensor([2.0, 1, 2, 1]), linear(1, 2, 3, 4), ONES, target=0)
    found = pellucid.evaluate(e, metrics="deletion", steps=steps, controls=0, replicates=9)
    assert (found["deletion"].error != 0) == drawn
    assert (found.evidence.rows > steps + 1) == drawn


def test_metrics_that_walk_the_same_way_ask_once() -> None:
    e = pellucid.explain(linear(1, 2, 3, 4), ONES, "input_x_gradient", target=0)
    rows = {name: pellucid.evaluate(e, metrics=name).evidence.rows for name in ("deletion", "aopc", "pixel_flipping")}
    assert len(set(rows.values())) == 1
    together = pellucid.evaluate(e, metrics=list(rows))
    assert together.evidence.rows == rows["deletion"]


def test_a_picture_with_few_more_features_than_steps_is_walked_to_its_end() -> None:
    """Seven features in three steps: 2, 5, 7 (as equal as whole numbers can be), and the share is the true one."""
    values = [7.0, 6, 5, 4, 3, 2, 1]
    found = measured("deletion", lambda rows: rows.sum(1), values, steps=3)
    assert [round(7 * x) for x, _ in found.curve] == [0, 2, 5, 7]
    assert found.value == pytest.approx(3.5, abs=1e-12)  # a straight line, whatever the steps


@pytest.mark.parametrize(("name", "wrong"), [
    ("deletion", {"steps": 0}), ("aopc", {"most": 0.0}), ("aopc", {"most": 1.5}), ("aopc", {"steps": -1}),
    ("pixel_flipping", {"step": 0}), ("pixel_flipping", {"step": 5}), ("pixel_flipping", {"most": 2.0}),
])
def test_steps_that_cannot_be_are_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"option\.value") as found:
        measured(name, lambda rows: rows.sum(1), [1, 2, 3, 4], **wrong)
    assert "leave" in found.value.do
