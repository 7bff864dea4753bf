"""Guided integrated gradients: a slow version of the published algorithm, closed forms, stated errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from honest import Count
from oracle_nets import Quadratic, cnn, mlp, normal
from torch import Tensor, nn

import pellucid

F64 = torch.float64


def road(net: nn.Module, x: Tensor, b: Tensor, target: int, steps: int, fraction: float, max_dist: float) -> np.ndarray:
    """The points that the authors' algorithm goes through, in numpy, element by element: (steps + 1, n)."""

    def slope(at: np.ndarray) -> np.ndarray:
        v = torch.from_numpy(at).reshape(x.shape).requires_grad_()
        (g,) = torch.autograd.grad(net(v[None])[0, target], v)
        return np.abs(g.numpy().ravel())

    end, start = x.numpy().ravel(), b.numpy().ravel()
    total, at = np.abs(end - start).sum(), start.copy()
    points = [at.copy()]
    for step in range(1, steps + 1):
        steep, t = slope(at), step / steps
        low, high = (start + (end - start) * a for a in (max(t - max_dist, 0), min(t + max_dist, 1)))
        goal = total * (1 - t)
        for i in range(len(at)):  # who fell behind catches up
            if abs(at[i] - start[i]) < abs(low[i] - start[i]):
                at[i] = low[i]
        while np.abs(end - at).sum() > goal + 1e-12 * total:
            weight = [math.inf if np.isclose(at[i], high[i], rtol=0, atol=1e-15) else steep[i] for i in range(len(at))]
            edge = sorted(weight)[math.floor(fraction * (len(at) - 1))]
            chosen = [i for i in range(len(at)) if weight[i] <= edge and weight[i] < math.inf]
            if not chosen:
                break
            room = sum(abs(high[i] - at[i]) for i in chosen)
            share = min((np.abs(end - at).sum() - goal) / room, 1.0)
            for i in chosen:
                at[i] += share * (high[i] - at[i])
        points.append(at.copy())
    return np.stack(points)


def along(net: nn.Module, points: np.ndarray, shape: torch.Size, target: int, rule: str) -> Tensor:
    """The gradient integrated along straight pieces: at their beginnings (as published), or by Simpson's rule."""
    p = torch.from_numpy(points).reshape(-1, *shape)

    def slope(v: Tensor) -> Tensor:
        v = v.clone().requires_grad_()
        return torch.autograd.grad(net(v)[:, target].sum(), v)[0]

    way = p.diff(dim=0)
    if rule == "beginnings":
        return (slope(p[:-1]) * way).sum(0)
    return ((slope(p[:-1]) + 4 * slope((p[:-1] + p[1:]) / 2) + slope(p[1:])) / 6 * way).sum(0)


NETS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "gelu": (mlp((9, 16, 12, 4), nn.GELU, 1, F64), (9,)), "relu": (mlp((9, 16, 12, 4), nn.ReLU, 1, F64), (9,)),
    "cnn": (cnn(1, F64), (3, 5, 6)),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("how", [{}, {"fraction": 0.5, "max_dist": 1.0}, {"fraction": 0.05, "max_dist": 0.1},
                                 {"max_dist": 0.0}])
def test_it_walks_the_published_way_and_integrates_along_it(net: str, how: dict[str, float]) -> None:
    model, shape = NETS[net]
    x, b = 2 * normal(*shape, seed=2, dtype=F64), normal(*shape, seed=3, dtype=F64)
    steps = 12 if net == "cnn" else 30
    points = road(model, x, b, 2, steps, how.get("fraction", 0.25), how.get("max_dist", 0.02))
    true = along(model, points, x.shape, 2, "simpson")
    e = pellucid.explain(model, x[None], "guided_ig", target=2, baseline=b, steps=steps, **how)
    values = e.values if e.elements is None else e.elements
    assert float((values - true).norm()) <= 1e-9 * float(true.norm())
    if net == "gelu":  # as published, only nearer to the integral
        published = along(model, points, x.shape, 2, "beginnings")
        change = float((model(x[None]) - model(b[None]))[0, 2])
        assert abs(e.residual) <= 0.02 * abs(float(published.sum()) - change)


def test_without_room_beside_the_straight_line_it_is_integrated_gradients() -> None:
    model, shape = NETS["gelu"]
    x, b = normal(*shape, seed=4, dtype=F64), normal(*shape, seed=5, dtype=F64)
    straight = pellucid.explain(model, x[None], "integrated_gradients", target=0, baseline=b, steps=64)
    for how in ({"max_dist": 0.0}, {"anchors": 99, "max_dist": 1.0, "steps": 100}):
        e = pellucid.explain(model, x[None], "guided_ig", target=0, baseline=b, **how)
        torch.testing.assert_close(e.values, straight.values, rtol=1e-6, atol=1e-7)
    free = pellucid.explain(model, x[None], "guided_ig", target=0, baseline=b, max_dist=1.0)
    assert float((free.values - straight.values).norm()) > 0.02 * float(straight.values.norm())


def test_the_way_passes_through_its_anchors() -> None:
    """Three parts, each a way of its own between points of the straight line."""
    model, shape = NETS["gelu"]
    x, b = 2 * normal(*shape, seed=6, dtype=F64), normal(*shape, seed=7, dtype=F64)
    whole = pellucid.explain(model, x[None], "guided_ig", target=1, baseline=b, anchors=2, max_dist=1.0, steps=29)
    parts = []
    for k in range(3):
        ends = [b + (x - b) * t / 3 for t in (k, k + 1)]
        parts.append(pellucid.explain(model, ends[1][None], "guided_ig", target=1, baseline=ends[0], max_dist=1.0,
                                      steps=10).values)
    torch.testing.assert_close(whole.values, sum(parts), rtol=1e-9, atol=1e-9)
    assert whole.evidence.rows == 2 * 30 + 1 + 2  # 29 are rounded up to 3 times 10


def test_on_linear_and_quadratic_scores_it_has_its_closed_form() -> None:
    linear = nn.Linear(6, 2).double()
    x, b = normal(6, seed=8, dtype=F64), normal(6, seed=9, dtype=F64)
    e = pellucid.explain(linear, x[None], "guided_ig", target=1, baseline=b, steps=7)
    torch.testing.assert_close(e.values, linear.weight[1].detach() * (x - b), rtol=1e-12, atol=1e-12)
    assert abs(e.residual) <= 1e-12
    # A gradient that is linear is integrated exactly, whatever way it is.
    net = Quadratic(6)
    for max_dist in (0.02, 1.0):
        e = pellucid.explain(net, x[None], "guided_ig", baseline=b, steps=9, max_dist=max_dist)
        assert abs(e.residual) <= 1e-11
    only = nn.Linear(6, 1).double()
    same = pellucid.explain(only, x[None], "guided_ig", baseline=x)
    assert not same.values.any()


def test_stated_errors_cover_true_ones_along_the_way() -> None:
    """The truth: the same way, its gradient integrated with sixty points a piece. Published sums are further off."""
    count, further = Count("guided_ig"), []
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t, w = torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
    for seed in range(12):
        model = mlp((8, 24, 16, 2), nn.ReLU if seed % 2 else nn.GELU, seed, F64)
        x, b = 2 * normal(8, seed=seed, dtype=F64), normal(8, seed=seed + 500, dtype=F64)
        p = torch.from_numpy(road(model, x, b, 0, 25, 0.25, 0.1))
        rows = (p[:-1, None] + t[:, None] * p.diff(dim=0)[:, None]).flatten(0, 1).requires_grad_()
        (slope,) = torch.autograd.grad(model(rows)[:, 0].sum(), rows)
        true = (torch.einsum("knf,n->kf", slope.reshape(25, 60, 8), w) * p.diff(dim=0)).sum(0)
        e = pellucid.explain(model, x[None], "guided_ig", target=0, baseline=b, steps=25, max_dist=0.1)
        count.add(e.values, e.error, true, math.inf)
        published = along(model, p.numpy(), x.shape, 0, "beginnings")
        further.append(float((published - true).norm() / (e.values - true).norm()))
    count.check(covered=0.98)
    assert sorted(further)[2] > 1


def test_examples_walk_in_step_and_share_their_passes() -> None:
    model, shape = NETS["gelu"]
    xs = normal(4, *shape, seed=10, dtype=F64)
    together = pellucid.explain(model, xs, "guided_ig", target=0, steps=10)
    alone = pellucid.explain(model, xs[:1], "guided_ig", target=0, steps=10)
    torch.testing.assert_close(together[0].values, alone.values, rtol=1e-9, atol=1e-12)
    assert together[0].evidence.passes <= alone.evidence.passes + 2


@pytest.mark.parametrize("options", [{"steps": 0}, {"fraction": 0.0}, {"fraction": 1.5}, {"max_dist": -0.1},
                                     {"max_dist": 2.0}, {"anchors": -1}, {"fraction": float("nan")}])
def test_numbers_without_meaning_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(NETS["gelu"][0], normal(1, 9, dtype=F64), "guided_ig", target=0, **options)
    assert error.value.code == "option.value"
