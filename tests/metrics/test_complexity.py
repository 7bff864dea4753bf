"""Entropy, effective complexity and sparseness by hand."""

from __future__ import annotations

import math

import pytest
import torch
from scored import F64, linear, measured
from torch import Tensor

import pellucid


def none(rows: Tensor) -> Tensor:
    raise AssertionError("these metrics do not ask the model")


@pytest.mark.parametrize(("values", "right"), [
    ((1, 1, 1, 1), math.log(4)), ((0, -3, 0, 0), 0.0), ((2, -1, 1, 0), 1.5 * math.log(2)), ((0, 0, 0, 0), 0.0),
])
def test_entropy_by_hand(values: tuple[float, ...], right: float) -> None:
    found = measured("entropy", none, values)
    assert found.value == pytest.approx(right, abs=1e-12)
    assert found.notes == (() if any(values) else ("values.all_zero",))
    if any(values):
        assert found.details == {"features": pytest.approx(math.exp(right)), "most": pytest.approx(math.log(4))}


@pytest.mark.parametrize(("values", "share", "right"), [
    ((1, 1, 1, 1), 0.9, 4), ((1, 1, 1, 1), 0.5, 2), ((1, 1, 1, 1), 0.51, 3), ((9, -0.5, 0.5, 0), 0.9, 1),
    ((-6, 3, 1, 0), 0.9, 2), ((-6, 3, 1, 0), 1.0, 3), ((0, 0, 0), 0.9, 0), ((0.1,) * 10, 0.7, 7),
])
def test_effective_complexity_counts_from_the_largest(values: tuple[float, ...], share: float, right: int) -> None:
    assert measured("effective_complexity", none, values, share=share).value == right


def test_effective_complexity_draws_what_is_held() -> None:
    assert measured("effective_complexity", none, (-6, 3, 1, 0)).curve == (
        (0, 0), (0.25, pytest.approx(0.6)), (0.5, pytest.approx(0.9)), (0.75, pytest.approx(1)), (1, pytest.approx(1)))


def test_sparseness_by_hand() -> None:
    assert measured("sparseness", none, (0, 0, 0, 5)).value == pytest.approx(0.75)
    assert measured("sparseness", none, (1, -1, 1, 1)).value == pytest.approx(0)
    assert measured("sparseness", none, (1, 3)).value == pytest.approx(0.25)


def test_values_at_a_layer_are_measured_without_places() -> None:
    x = torch.ones(1, 4, dtype=F64)
    e = pellucid.explain(linear(1, 2, 3, 4), x, "input_x_gradient", target=0)
    found = pellucid.evaluate(e, metrics=["entropy", "effective_complexity"], share=0.7)
    share = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64)
    assert found["entropy"].value == pytest.approx(float(-(share * share.log()).sum()))
    assert found["effective_complexity"].value == 2
    assert not found["entropy"].controls


def test_a_share_without_meaning_is_refused() -> None:
    e = pellucid.explain(linear(1, 2), torch.ones(1, 2, dtype=F64), "saliency", target=0)
    assert pellucid.evaluate(e, metrics="effective_complexity", share=0.0).unfit[
        "effective_complexity"].code == "option.value"
