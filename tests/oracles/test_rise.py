"""RISE against the slow formula with the same masks, and its errors against closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from oracle_nets import cnn, mlp, normal
from played import F64, Coverage, play
from torch import Tensor, nn

import pellucid
from pellucid.words.features import Features, pixels, units
from pellucid.words.masks import Coins, Grids, interpolation


def slow(masks: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's map Σ f M / (p n), but for p, which is the mean that M has; and the mean score."""
    total, mass = torch.zeros(masks.shape[1], dtype=F64), torch.zeros(masks.shape[1], dtype=F64)
    for mask, score in zip(masks.double(), scores.double(), strict=True):
        total += score * mask
        mass += mask
    return total / mass, scores.double().mean()


@pytest.mark.parametrize(("layout", "shape"), [("pixels", (12, 10)), ("patches:4", (3, 3))])
def test_soft_masks_give_the_papers_map(layout: str, shape: tuple[int, int]) -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 10, seed=9, dtype=F64)
    masks = Grids(shape, 300, 4, 0.4, 3).block(pixels(*shape), 0, 300)
    size = int(layout.partition(":")[2] or 1)
    over = masks.reshape(-1, 1, *shape).double().repeat_interleave(size, 2).repeat_interleave(size, 3)[..., :12, :10]
    scores = net(over * x + (1 - over) * 0.2).detach()[:, 2]
    mean, middle = slow(masks, scores)
    how: dict[str, Any] = {"target": 2, "features": layout, "baseline": 0.2, "masks": 300, "cells": 4, "kept": 0.4,
                           "seed": 3}
    e = pellucid.explain(net, x, "rise", **how)
    torch.testing.assert_close(e.values.flatten(), mean - middle, rtol=1e-9, atol=1e-9)
    plain = pellucid.explain(net, x, "rise", centred=False, **how)
    torch.testing.assert_close(plain.values.flatten(), mean, rtol=1e-9, atol=1e-9)


def test_masks_are_grids_enlarged_and_cut_out_as_in_the_paper() -> None:
    """Bilinear interpolation of a grid to one cell more than the shape, at any shift of less than a cell."""
    for side, cells in ((12, 4), (13, 4), (5, 8), (224, 8)):
        cell = math.ceil(side / cells)
        grid = torch.rand(1, 1, cells, cells, generator=torch.Generator().manual_seed(0))
        large = F.interpolate(grid, size=((cells + 1) * cell,) * 2, mode="bilinear", align_corners=False)[0, 0]
        table = interpolation(side, cells)
        assert len(table) == cell
        for shift in (0, cell - 1):
            found = table[shift] @ grid[0, 0] @ table[cell - 1 - shift].T
            rest = cell - 1 - shift
            torch.testing.assert_close(found, large[shift : shift + side, rest : rest + side], rtol=1e-5, atol=1e-5)
    masks = Grids((16, 12), 4000, 4, 0.3, 5).block(pixels(16, 12), 0, 4000)
    assert float(masks.min()) >= 0
    assert float(masks.max()) <= 1 + 1e-6
    assert float((masks.mean(0) - 0.3).abs().max()) < 0.03, "every place is kept equally often"
    assert len(masks.unique(dim=0)) > 3800, "each has its own grid and shift"


def test_a_constant_score_has_no_map() -> None:
    constant = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).double()
    with torch.no_grad():
        constant[1].weight.zero_()
        constant[1].bias.fill_(3.0)
    e = pellucid.explain(constant, normal(1, 1, 8, 8, dtype=F64), "rise", target=0, masks=50)
    assert not e.values.abs().max() > 1e-12
    assert "values.all_zero" in {f.code for f in e.verdict.findings} or float(e.values.abs().max()) < 1e-12
    raw = pellucid.explain(constant, normal(1, 1, 8, 8, dtype=F64), "rise", target=0, masks=50, centred=False)
    torch.testing.assert_close(raw.values, torch.full((8, 8), 3.0, dtype=F64))


def test_elsewhere_every_feature_is_kept_or_not_by_itself() -> None:
    net, x = mlp((9, 16, 2), dtype=F64), normal(9, seed=3, dtype=F64)
    masks = Coins(9, 400, 0.5, 0).block(units((9,)), 0, 400)
    mean, middle = slow(masks, net(masks * x).detach()[:, 1])
    e = pellucid.explain(net, x[None], "rise", target=1, masks=400)
    torch.testing.assert_close(e.values, mean - middle, rtol=1e-10, atol=1e-10)
    index = torch.randint(0, 6, (8, 8), generator=torch.Generator().manual_seed(1))  # superpixels have no rows
    net, x = cnn(dtype=F64), normal(1, 3, 8, 8, seed=9, dtype=F64)
    masks = Coins(6, 200, 0.5, 0).block(units((6,)), 0, 200)
    mean, middle = slow(masks, net(torch.where(masks[:, index][:, None], x, 0.0)).detach()[:, 1])
    e = pellucid.explain(net, x, "rise", target=1, masks=200, features=index)
    torch.testing.assert_close(e.values, mean - middle, rtol=1e-10, atol=1e-10)


# -- errors

@pytest.mark.parametrize("centred", [True, False])
def test_errors_cover_at_the_stated_rate_where_features_are_kept_by_themselves(centred: bool) -> None:
    """A linear score and a product: E[f | i kept] in closed form."""
    n, p = 8, 0.4
    w = normal(n, seed=2, dtype=F64)

    def game(rows: Tensor) -> Tensor:
        return 5 + rows @ w + 3 * rows[:, 0] * rows[:, 1]

    mean = 5 + p * float(w.sum()) + 3 * p * p
    true = mean + (1 - p) * w
    true[:2] += 3 * p * (1 - p)
    runs = [play("rise", game, n, seed=s, masks=400, kept=p, centred=centred).found for s in range(250)]
    Coverage.of(runs, true - mean if centred else true).check()


def test_errors_cover_at_the_stated_rate_where_masks_are_soft() -> None:
    """For a linear score E[f M] / E[M] follows from how much two places share of a cell."""
    side, cells, p = 6, 3, 0.5
    layout = Features(torch.arange(side * side).reshape(side, side), (0, 1), (side, side), "image", "pixels")
    w = normal(side * side, seed=4, dtype=F64)
    table = interpolation(side, cells).double()
    alike = torch.einsum("sic,sjc->ij", table, table) / len(table)  # shared by the same cells, along one axis
    alike = torch.kron(alike, alike)  # rows and columns shift by themselves
    true = (p * (1 - p) * alike / p) @ w
    runs = [play("rise", lambda rows: 2 + rows.flatten(1) @ w, side * side, seed=s, masks=400, kept=p, cells=cells,
                 features=layout, x=torch.ones(side, side, dtype=F64)).found for s in range(200)]
    Coverage.of(runs, true).check(0.92)


def test_so_few_masks_that_nothing_is_known_of_some_feature_say_so() -> None:
    e = pellucid.explain(mlp((12, 8, 2), dtype=F64), normal(1, 12, seed=1, dtype=F64), "rise", target=0, masks=3)
    assert e.error is None
    assert "masks.few" in {f.code for f in e.verdict.findings}
    assert torch.isfinite(e.values).all()


@pytest.mark.parametrize("options", [
    {"masks": 0}, {"cells": 0}, {"kept": 0.0}, {"kept": 1.0}, {"kept": math.nan}, {"masks": 2.5}, {"centred": 1},
])
def test_values_without_meaning_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(mlp((6, 8, 2)), normal(1, 6), "rise", target=0, **options)
    assert error.value.code == "option.value"
