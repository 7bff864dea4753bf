"""Blurred pictures and the way through them: scipy's filter, a slow integral from the paper, closed forms."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from honest import Count
from oracle_nets import cnn, normal, settled
from scipy import ndimage
from torch import Tensor, nn

import pellucid
from pellucid.words.blur import Blurred, blurred, flat
from pellucid.words.features import pixels, segments

F64 = torch.float64


def filtered(x: Tensor, sigma: float) -> Tensor:
    """scipy's Gaussian filter over rows and columns, its reach as long as float64 has digits."""
    made = ndimage.gaussian_filter(x.double().numpy(), (0, sigma, sigma), mode="reflect", truncate=9.5)
    return torch.from_numpy(made)


def gelu_net(seed: int = 0) -> nn.Sequential:
    return settled(nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.GELU(), nn.Conv2d(5, 4, 3, stride=2), nn.GELU(),
                                 nn.Flatten(), nn.Linear(80, 3)), seed, F64)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0, 15.0, 40.0])
def test_the_blur_is_scipys_also_where_it_is_wider_than_the_picture(sigma: float) -> None:
    x = normal(3, 7, 12, dtype=F64)
    torch.testing.assert_close(blurred(x, sigma, pixels(7, 12)), filtered(x, sigma), rtol=0, atol=1e-13)


def test_without_a_width_the_picture_begins_without_anything_to_see() -> None:
    x = normal(3, 9, 31, dtype=F64)
    start = blurred(x, flat(x), pixels(9, 31))
    assert float((start - x.mean((1, 2), keepdim=True)).abs().max()) <= 1e-3 * float(x.abs().max())
    for sigma in (0.0, 1e-300, 1e9):
        assert torch.isfinite(blurred(x, sigma, pixels(9, 31))).all()


def test_rows_are_the_same_wherever_they_are_cut_and_what_is_never_switched_off_stays_sharp() -> None:
    index = torch.arange(6)[:, None].expand(6, 5) - 1
    x, layout = normal(2, 3, 6, 5), segments(index)
    points = Blurred((8.0, 3.0, 1.0, 0.0))
    whole = points.rows(x, x, layout, 0, 4)
    assert torch.equal(torch.cat([points.rows(x, x, layout, a, b) for a, b in ((0, 1), (1, 4))], 1), whole)
    assert torch.equal(whole[:, :, :, 0], x[:, None, :, 0].expand(2, 4, 3, 5))
    assert torch.equal(whole[:, 3], x)


@functools.cache
def filters(length: int, widest: float, points: int) -> Tensor:
    """scipy's filter along one side as matrices, at many widths, evenly in their logarithm; at last none."""
    sigmas = np.geomspace(widest, 0.05, points)
    made = [ndimage.gaussian_filter1d(np.eye(length), s, 0, mode="reflect", truncate=9.5) for s in sigmas]
    return torch.from_numpy(np.stack([*made, np.eye(length)]))


def slow(net: nn.Module, x: Tensor, target: int, widest: float, points: int = 900) -> Tensor:
    """∫ ∂f/∂L · dL over blurs of scipy's."""
    down, across = (filters(length, widest, points) for length in x.shape[1:])
    road = torch.einsum("nij,cjk,nlk->ncil", down, x, across).requires_grad_()
    (slope,) = torch.autograd.grad(net(road)[:, target].sum(), road)
    return ((slope[1:] + slope[:-1]) / 2 * road.detach().diff(dim=0)).sum(0)


@pytest.mark.parametrize("sigma", [None, 2.5])
def test_it_is_the_integral_of_the_paper_and_complete_against_the_blurred_picture(sigma: float | None) -> None:
    net, x = gelu_net(), normal(2, 9, 11, seed=3, dtype=F64)
    widest = flat(x) if sigma is None else sigma
    true = slow(net, x, 1, widest)
    e = pellucid.explain(net, x[None], "blur_ig", target=1, sigma=sigma, tolerance=1e-4, limit=2049)
    assert float((e.elements - true).norm()) <= 1e-4 * float(true.norm())
    before = float(net(filtered(x, widest)[None])[0, 1])
    assert e.baseline_score == pytest.approx(before, abs=1e-10)
    assert e.residual == pytest.approx(float(e.values.sum()) - (e.score - before), abs=1e-10)
    assert abs(e.residual) <= 1e-4 * abs(e.score - before)
    assert e.details["sigma"] == pytest.approx(widest)
    assert e.verdict.status == "pass", e.verdict
    fixed = pellucid.explain(net, x[None], "blur_ig", target=1, sigma=sigma, steps=400)
    assert float((fixed.elements - true).norm()) <= 1e-4 * float(true.norm())
    assert fixed.error is None


@pytest.mark.parametrize("options", [{}, {"steps": 1}, {"sigma": 3.0}])
def test_on_a_linear_score_it_is_weight_times_what_the_blur_took_away(options: dict[str, Any]) -> None:
    net = settled(nn.Sequential(nn.Flatten(), nn.Linear(60, 2)), dtype=F64)
    x = normal(2, 5, 6, seed=4, dtype=F64)
    e = pellucid.explain(net, x[None], "blur_ig", target=1, **options)
    true = net[1].weight[1].reshape(2, 5, 6) * (x - filtered(x, options.get("sigma") or flat(x)))
    torch.testing.assert_close(e.elements, true, rtol=1e-12, atol=1e-12)


def test_what_stops_at_a_percent_is_within_a_percent() -> None:
    count = Count("blur_ig")
    for seed in range(14):
        net, x = (cnn(seed, F64), normal(3, 9, 11, seed=seed, dtype=F64)) if seed % 4 == 3 else (
            gelu_net(seed), 2 * normal(2, 9, 11, seed=seed, dtype=F64))
        e = pellucid.explain(net, x[None], "blur_ig", target=1, limit=1025)
        if "converged.not" not in {f.code for f in e.verdict.findings}:
            count.add(e.values, e.error, slow(net, x, 1, flat(x)).sum(0), 0.01)
    assert count.runs >= 12
    count.check()


def test_what_is_never_switched_off_is_sharp_all_the_way() -> None:
    net, x = gelu_net(), normal(2, 9, 11, seed=5, dtype=F64)
    index = torch.arange(11)[None].expand(9, 11) // 4 - 1
    e = pellucid.explain(net, x[None], "blur_ig", target=0, features=index)
    start = torch.where(index < 0, x, filtered(x, flat(x)))
    assert e.baseline_score == pytest.approx(float(net(start[None])[0, 0]), abs=1e-10)
    assert abs(e.residual) <= 0.02 * abs(e.score - e.baseline_score)
    assert not e.elements[:, :, :4].any()


def test_its_own_start_is_its_baseline_in_compositions_and_beside_other_baselines() -> None:
    net, x = gelu_net(), normal(1, 2, 9, 11, seed=6, dtype=F64)
    plain = pellucid.explain(net, x, "blur_ig", target=0)
    for how in ({"baseline": "mean"}, {"baseline": ["zero", 0.5]}):
        e = pellucid.explain(net, x, "blur_ig", target=0, **how)
        assert e.baseline_score == pytest.approx(plain.baseline_score, abs=1e-12)
        torch.testing.assert_close(e.values, plain.values)
    versus = pellucid.explain(net, x, "contrast(blur_ig)", target=0, other=1)
    other = pellucid.explain(net, x, "blur_ig", target=1)
    apart = versus.values - (plain.values - other.values)
    assert float(apart.norm()) <= 0.02 * float(versus.values.norm())
    smooth = pellucid.explain(net, x, "smooth(blur_ig)", target=0, samples=4, spread=0.0)
    torch.testing.assert_close(smooth.values, plain.values)
    inner = pellucid.explain(net, x, "inside(blur_ig)", target=0, layer="0", steps=8)
    assert inner.baseline_score is None  # at a layer the way begins with a blurred value of the layer


@pytest.mark.parametrize("options", [{"sigma": 0.0}, {"sigma": -1.0}, {"sigma": float("nan")}, {"sigma": float("inf")},
                                     {"steps": 0}, {"tolerance": 0.0}])
def test_numbers_without_meaning_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(gelu_net(), normal(1, 2, 9, 11, dtype=F64), "blur_ig", target=0, **options)
    assert error.value.code == "option.value"


def test_what_has_no_rows_and_columns_is_refused() -> None:
    with pytest.raises(pellucid.PellucidError, match="picture") as error:
        pellucid.explain(nn.Linear(4, 2), normal(1, 4), "blur_ig", target=0)
    assert error.value.code == "method.unfit"
