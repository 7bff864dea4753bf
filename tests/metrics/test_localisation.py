"""Localisation against a mask: by hand on a picture of four by four, in every way a mask can be written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scored import F64, linear, measured
from torch import Tensor

import pellucid
from pellucid.metrics.localisation import inside
from pellucid.words.errors import OptionError
from pellucid.words.features import Features, groups, patches, pixels, units

EVERY = ("pointing_game", "relevance_mass", "relevance_rank", "mask_auc")
X = torch.arange(48, dtype=F64).reshape(3, 4, 4)
BOX = (1, 0, 3, 2)
"""Columns 1 and 2 of rows 0 and 1."""
MAP = [[0.0, 5, 1, 0], [0, 2, -1, 0], [3, 0, 0, 0], [0, 0, 0, -4]]


def none(rows: Tensor) -> Tensor:
    raise AssertionError("these metrics do not ask the model")


def on(name: str, values: Any, mask: Any, features: Features | None = None, **options: Any) -> float:
    return measured(name, none, torch.tensor(values, dtype=F64), x=X, features=features or pixels(4, 4), mask=mask,
                    **options).value


# --- by hand

@pytest.mark.parametrize(("name", "right"), [
    ("pointing_game", 1.0), ("relevance_mass", 8 / 11),
    ("relevance_rank", 3 / 4),  # 5, 3, 2, 1 are the highest: all but 3 inside
    # 5 beats 12 outside, 2 and 1 all but one of them, -1 only the last
    ("mask_auc", (12 + 11 + 11 + 1) / 48),
])
def test_a_picture_by_hand(name: str, right: float) -> None:
    assert on(name, MAP, BOX) == pytest.approx(right, abs=1e-12)


def test_ties_are_shared() -> None:
    flat = [[1.0] * 4] * 4
    assert on("pointing_game", flat, BOX) == pytest.approx(4 / 16)
    assert on("relevance_rank", flat, BOX) == pytest.approx(4 / 16)
    assert on("mask_auc", flat, BOX) == pytest.approx(1 / 2)
    some = [[0.0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert on("pointing_game", some, BOX) == pytest.approx(1 / 3)
    # one of three ones inside; for the fourth place 13 zeros tie, 3 of them inside
    assert on("relevance_rank", some, BOX) == pytest.approx((1 + 3 / 13) / 4)


def test_a_wrong_map_does_badly() -> None:
    away = [[-1.0, -1, -1, -1], [-1, -1, -1, -1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert [on(name, away, (0, 0, 4, 2)) for name in EVERY] == [0, 0, 0, 0]
    assert [on(name, away, (0, 2, 4, 4)) for name in EVERY] == [1, 1, 1, 1]


def test_the_pointing_game_allows_for_pixels_beside() -> None:
    beside = torch.zeros(4, 4)
    beside[3, 3] = 1
    assert on("pointing_game", beside.tolist(), (0, 0, 2, 2)) == 0
    far = 2 * 2**0.5  # from (1, 1) to (3, 3)
    assert on("pointing_game", beside.tolist(), (0, 0, 2, 2), tolerance=far - 0.01) == 0
    assert on("pointing_game", beside.tolist(), (0, 0, 2, 2), tolerance=far + 0.01) == 1


# --- how a mask can be written

MASK = torch.zeros(4, 4, dtype=torch.bool)
MASK[:2, 1:3] = True


@pytest.mark.parametrize("mask", [
    BOX, list(BOX), torch.tensor(BOX), MASK, MASK.numpy(), MASK.tolist(), MASK.int().numpy(), MASK.flatten(),
], ids=["box", "list", "tensor box", "tensor", "array", "lists", "zeros and ones", "by feature"])
def test_one_mask_in_many_ways(mask: Any) -> None:
    assert torch.equal(inside(mask, pixels(4, 4)), MASK.flatten().double())


def test_patches_lie_inside_by_their_part() -> None:
    assert inside(BOX, patches(4, 4, 2)).tolist() == [0.5, 0.5, 0, 0]
    assert on("relevance_mass", [4.0, 2, 1, 1], BOX, patches(4, 4, 2)) == pytest.approx(3 / 8)
    assert on("pointing_game", [1.0, 2, 0, 0], BOX, patches(4, 4, 2)) == 1


def test_positions_that_are_never_switched_off_do_not_count() -> None:
    cut = Features(torch.tensor([-1, 0, 0, 1]), (0,), (2,))
    assert inside([True, True, False, False], cut).tolist() == [0.5, 0]


def test_names_of_tokens_and_columns() -> None:
    words = groups((-1, 0, 1, 2, 1), ("not", "good", "at"), "tokens", "words")
    assert inside("good", words).tolist() == [0, 1, 0]
    assert inside(["not", "good"], words).tolist() == [1, 1, 0]
    assert inside([True, False, False], words).tolist() == [1, 0, 0]


@pytest.mark.parametrize(("mask", "features", "said"), [
    (None, pixels(4, 4), "no mask"), (torch.ones(3, 3, dtype=torch.bool), pixels(4, 4), r"shape \(3, 3\)"),
    ((0, 0, 5, 2), pixels(4, 4), "box"), ((2, 0, 2, 2), pixels(4, 4), "box"), ((0.5, 0, 2, 2), pixels(4, 4), "box"),
    ([[0.3] * 4] * 4, pixels(4, 4), "other numbers"), (torch.zeros(4, 4, dtype=torch.bool), pixels(4, 4), "none"),
    ((0, 0, 4, 4), pixels(4, 4), "all"), ("goood", groups((0, 1), ("good", "at"), "tokens", "words"), "good"),
    ("good", units((4,)), "names"), (object(), pixels(4, 4), "object"), ({"a": 1}, pixels(4, 4), "dict"),
])
def test_what_does_not_fit_is_said(mask: Any, features: Features, said: str) -> None:
    with pytest.raises(OptionError, match=said) as found:
        inside(mask, features)
    assert found.value.code == "metric.mask"


def test_a_mask_finer_than_the_layout_is_said() -> None:
    with pytest.raises(OptionError, match="finer"):
        on("pointing_game", [1.0, 0, 0, 0], (0, 0, 1, 1), patches(4, 4, 2))


def test_no_positive_value_has_no_mass_but_an_order() -> None:
    with pytest.raises(OptionError, match=r"metric\.degenerate"):
        on("relevance_mass", [[-1.0] * 4] * 4, BOX)
    down = (-torch.arange(16.0)).reshape(4, 4)
    assert on("mask_auc", down.tolist(), (0, 0, 4, 1)) == 1


# --- with a model

def test_the_watermark_lies_where_its_card_says_and_controls_do_not_know() -> None:
    subject, picture = pellucid.load("demo:digits"), pellucid.samples("digits")[0]
    box = subject.card["samples"][0]["watermark_box"]
    found = pellucid.evaluate(pellucid.explain(subject, picture), metrics=list(EVERY), mask=box, controls=200)
    assert found["pointing_game"].value == 1
    assert found["relevance_mass"].value > 0.5
    assert found["relevance_mass"].details["area"] == pytest.approx(12 * 12 / 64 / 64)
    assert found["mask_auc"].value > 0.95
    for name in EVERY:
        assert len(found[name].controls) == 200
        assert found[name].kind == "localisation"
        if name != "pointing_game":
            assert (found[name].p or 1) <= 0.05
    # what is 1 or 0 is 1 by chance as often as the mask is large: of one example it proves little
    assert found["pointing_game"].control == pytest.approx(12 * 12 / 64 / 64, abs=0.04)
    assert found["mask_auc"].control == pytest.approx(0.5, abs=0.1)


def test_a_table_by_the_names_of_its_columns() -> None:
    e = pellucid.explain(pellucid.load("demo:recommender"), pellucid.samples("recommender")[0], "kernel_shap")
    found = pellucid.evaluate(e, metrics="relevance_mass", mask=["minutes_viewed", "saves"])["relevance_mass"]
    values = dict(zip(e.names, e.values.clamp(min=0).tolist(), strict=True))
    right = (values["minutes_viewed"] + values["saves"]) / sum(values.values())
    assert found.value == pytest.approx(right, abs=1e-6)


def test_without_a_mask_it_is_unfit_and_never_asked_with_all() -> None:
    e = pellucid.explain(linear(1, 2, 3), torch.ones(1, 3, dtype=F64), "saliency", target=0)
    assert pellucid.evaluate(e, metrics="mask_auc").unfit["mask_auc"].code == "metric.mask"
    assert not set(EVERY) & set(pellucid.evaluate(e, metrics="all", samples=4, controls=1, replicates=2))
    right = np.array([False, True, True])
    assert pellucid.evaluate(e, metrics="mask_auc", mask=right)["mask_auc"].value == 1
