"""Values against mathematics: closed forms, and slow re-implementations written from the papers, in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from oracle_nets import Quadratic, ViT, cnn, minilm, mlp, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.models.tabular import Column
from pellucid.numbers import games

F64 = torch.float64
COMPLETE = ["integrated_gradients", "kernel_shap"]


def close(a: Tensor | np.ndarray[Any, Any], b: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(torch.as_tensor(a).to(F64), b.detach().to(F64), rtol=tolerance, atol=tolerance)


def point(n: int, seed: int) -> tuple[Tensor, Tensor]:
    return normal(n, seed=seed, dtype=F64), normal(n, seed=seed + 1000, dtype=F64)


# -- linear: every method has one right answer

@pytest.mark.parametrize(("method", "options"), [
    ("integrated_gradients", {"steps": 1}), ("integrated_gradients", {"steps": 7}), ("integrated_gradients", {}),
    ("kernel_shap", {}), ("kernel_shap", {"samples": 64}), ("occlusion", {}), ("ablation", {}),
])
def test_on_a_linear_score_every_removal_method_gives_weight_times_change(method: str, options: dict[str, Any]) -> None:
    net = settled(nn.Sequential(nn.Linear(7, 3)), dtype=F64)
    x, b = point(7, 1)
    e = pellucid.explain(net, x[None], method, target=2, baseline=b, **options)
    close(e.values, net[0].weight[2] * (x - b))


@pytest.mark.parametrize("composition", ["smooth", "averaged", "contrast"])
def test_on_a_linear_score_compositions_give_weight_times_mean_change(composition: str) -> None:
    net = settled(nn.Sequential(nn.Linear(5, 3)), dtype=F64)
    x, b = point(5, 2)
    others = [b, 2 * b, b - 1]
    how: dict[str, Any] = {"smooth": {"baseline": b, "spread": 0.0}, "averaged": {"baseline": others},
                           "contrast": {"baseline": b, "other": 1}}[composition]
    name = "integrated_gradients" if composition == "averaged" else f"{composition}(integrated_gradients)"
    e = pellucid.explain(net, x[None], name, target=0, **how)
    weight = net[0].weight[0] - (net[0].weight[1] if composition == "contrast" else 0)
    base = torch.stack(others).mean(0) if composition == "averaged" else b
    close(e.values, weight * (x - base))


def test_gradient_methods_on_a_linear_score_give_the_weights() -> None:
    net = settled(nn.Sequential(nn.Linear(7, 3)), dtype=F64)
    x, _ = point(7, 3)
    both = pellucid.explain(net, x[None], ["saliency", "input_x_gradient"], target=1)
    close(both["saliency"].values, net[0].weight[1].abs())
    close(both["input_x_gradient"].values, net[0].weight[1] * x)
    close(pellucid.explain(net, x[None], "saliency", target=1, absolute=False).values, net[0].weight[1])


# -- quadratic: the interactions are known

def test_on_a_quadratic_score_each_method_gives_its_own_closed_form() -> None:
    net = Quadratic(6)
    x, b = point(6, 4)
    d, a, c = x - b, net.a.detach(), net.c.detach()
    slope = a @ x + c
    got = pellucid.explain(net, x[None], ["saliency", "input_x_gradient", "integrated_gradients", "kernel_shap",
                                          "ablation", "occlusion"], baseline=b)
    shared = d * (a @ (x + b) / 2 + c)  # IG and Shapley both split a pair's interaction in halves
    close(got["saliency"].values, slope.abs())
    close(got["input_x_gradient"].values, x * slope)
    close(got["integrated_gradients"].values, shared, 1e-11)
    close(got["kernel_shap"].values, shared, 1e-9)
    close(got["ablation"].values, d * slope - torch.diag(a) * d**2 / 2)
    close(got["occlusion"].values, d * slope - torch.diag(a) * d**2 / 2)


def test_smoothing_a_quadratic_score_leaves_its_mean_slope_within_the_stated_error() -> None:
    net, (x, _) = Quadratic(5), point(5, 5)
    e = pellucid.explain(net, x[None], "smooth(saliency)", absolute=False, samples=64, spread=0.2)
    slope = net.a.detach() @ x + net.c.detach()
    spread = 0.2 * (x.max() - x.min()) * net.a.detach().norm(dim=1)
    assert ((e.values - slope).abs() <= 4 * e.error).all()
    # The stated error is the standard error of 64 draws from the known spread.
    torch.testing.assert_close(e.error, spread / 8, rtol=0.35, atol=0)


# -- integrated gradients with one hidden layer: the integral has a closed form

def one_hidden(act: type[nn.Module], seed: int) -> tuple[nn.Sequential, Tensor, Tensor, Tensor, Tensor, Tensor]:
    net = mlp((6, 20, 1), act, seed, F64)
    x, b = point(6, seed + 10)
    w, v = net[0].weight.detach(), net[2].weight.detach()[0]
    start, stop = net[0](b).detach(), net[0](x).detach()
    return net, x, b, w, v, torch.stack([start, stop])


@pytest.mark.parametrize("seed", range(3))
def test_integrated_gradients_of_a_gelu_net_equal_the_integral(seed: int) -> None:
    net, x, b, w, v, ends = one_hidden(nn.GELU, seed)
    g = nn.functional.gelu(ends)
    true = (x - b) * (v * (g[1] - g[0]) / (ends[1] - ends[0]) @ w)
    close(pellucid.explain(net, x[None], "integrated_gradients", baseline=b, steps=64).values, true, 1e-11)
    e = pellucid.explain(net, x[None], "integrated_gradients", baseline=b, tolerance=1e-6)
    assert (e.values - true).norm() <= 1e-6 * true.norm()


def test_integrated_gradients_of_relu_nets_keep_their_tolerance_and_state_their_error() -> None:
    """The gradient jumps at every kink, and two rules can agree by luck: nearly all nets must hold."""
    off: list[float] = []
    banded: list[bool] = []
    inside: list[Tensor] = []
    for seed, tolerance in itertools.product(range(25), (0.05, 0.01)):
        net, x, b, w, v, ends = one_hidden(nn.ReLU, seed)
        kink = (-ends[0] / (ends[1] - ends[0])).clamp(0, 1)
        on = torch.where(ends[1] > ends[0], 1 - kink, kink)  # the share of the road on which a unit is on
        on = torch.where((ends > 0).all(0), 1.0, torch.where((ends < 0).all(0), 0.0, on))
        true = (x - b) * ((v * on) @ w)
        e = pellucid.explain(net, x[None], "integrated_gradients", baseline=b, tolerance=tolerance)
        assert e.verdict.status == "pass", e.verdict
        off.append(float((e.values - true).norm() / e.values.norm()) / tolerance)
        inside.append((e.values - true).abs() <= 2 * e.error)
        banded.append(bool((e.values - true).norm() <= 2 * e.error.norm()))
    assert sum(r <= 1 for r in off) >= 0.94 * len(off), f"{sum(r > 1 for r in off)} of {len(off)} beyond tolerance"
    assert max(off) <= 2
    assert sum(banded) >= 0.96 * len(banded), f"{len(banded) - sum(banded)} of {len(banded)} beyond the band"
    assert float(torch.stack(inside).double().mean()) >= 0.96


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU])
def test_integrated_gradients_at_the_same_points_equal_a_loop_written_from_the_paper(act: type[nn.Module]) -> None:
    net, (x, b) = mlp((6, 16, 12, 4), act, dtype=F64), point(6, 6)
    nodes, weights = np.polynomial.legendre.leggauss(50)
    total = torch.zeros(6, dtype=F64)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        at = (b + node * (x - b)).requires_grad_()
        (slope,) = torch.autograd.grad(net(at[None])[0, 3], at)
        total += weight * slope
    e = pellucid.explain(net, x[None], "integrated_gradients", target=3, baseline=b, steps=50)
    close(e.values, (x - b) * total, 1e-11)
    f = [float(net(p[None])[0, 3].detach()) for p in (x, b)]
    assert e.score == pytest.approx(f[0], abs=1e-12)
    assert e.baseline_score == pytest.approx(f[1], abs=1e-12)
    assert e.residual == pytest.approx(float(((x - b) * total).sum()) - (f[0] - f[1]), abs=1e-11)


# -- Shapley values

def by_orders(value: Callable[[Tensor], Tensor], n: int) -> Tensor:
    """The definition: the mean marginal contribution over all n! orders."""
    phi = torch.zeros(n, dtype=F64)
    for order in itertools.permutations(range(n)):
        masks = torch.zeros(n + 1, n, dtype=torch.bool)
        for k, i in enumerate(order):
            masks[k + 1 :, i] = True
        v = value(masks)
        phi[list(order)] += v[1:] - v[:-1]
    return phi / math.factorial(n)


def game_of(net: nn.Module, x: Tensor, b: Tensor, target: int) -> Callable[[Tensor], Tensor]:
    return lambda masks: net(torch.where(masks, x, b)).detach()[:, target]


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU])
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_kernel_shap_with_all_coalitions_equals_the_mean_over_all_orders(n: int, act: type[nn.Module]) -> None:
    net, (x, b) = mlp((n, 12, 3), act, dtype=F64), point(n, 7)
    true = by_orders(game_of(net, x, b, 1), n)
    e = pellucid.explain(net, x[None], "kernel_shap", target=1, baseline=b)
    close(e.values, true, 1e-8)
    close(games.shapley(game_of(net, x, b, 1), n), true, 1e-10)
    assert e.error is not None
    assert not e.error.any()


def test_kernel_shap_with_all_coalitions_equals_brute_force_for_ten_features() -> None:
    net, (x, b) = mlp((10, 24, 3), dtype=F64), point(10, 8)
    e = pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b)
    close(e.values, games.shapley(game_of(net, x, b, 0), 10), 1e-8)


def test_kernel_shap_over_patches_equals_brute_force_over_the_same_patches() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=9, dtype=F64)
    e = pellucid.explain(net, x, "kernel_shap", target=2, features="patches:4", baseline="mean")
    base = x.mean((2, 3), keepdim=True)

    def value(masks: Tensor) -> Tensor:
        on = masks.reshape(-1, 1, 3, 3).repeat_interleave(4, 2).repeat_interleave(4, 3)
        return net(torch.where(on, x, base)).detach()[:, 2]

    close(e.values.flatten(), games.shapley(value, 9), 1e-8)


@pytest.mark.parametrize("samples", [256, 1024])
def test_sampled_kernel_shap_covers_the_truth_at_its_stated_rate(samples: int) -> None:
    """At a fixed number of samples two standard errors cover 95.4 % of normal errors."""
    n, trials = 12, 60
    net, (x, b) = mlp((n, 24, 24, 2), nn.Tanh, dtype=F64), point(n, 11)
    true = games.shapley(game_of(net, x, b, 0), n)
    hits: list[Tensor] = []
    errors: list[Tensor] = []
    for seed in range(trials):
        e = pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b, samples=samples, seed=seed,
                             tolerance=0)
        hits.append((e.values - true).abs() <= 2 * e.error)
        errors.append(torch.stack([(e.values - true) ** 2, e.error**2]))
        assert float(e.values.sum()) == pytest.approx(e.score - e.baseline_score, abs=1e-9)
    covered = float(torch.stack(hits).double().mean())
    real, said = torch.stack(errors).mean(0).sum(1).sqrt().tolist()
    assert 0.91 <= covered <= 0.98, f"{covered:.1%} covered at two standard errors"
    assert said / real == pytest.approx(1, abs=0.15), "the stated size of the error"


def test_more_samples_bring_kernel_shap_closer_at_the_rate_of_chance() -> None:
    n = 12
    net, (x, b) = mlp((n, 24, 24, 2), nn.Tanh, dtype=F64), point(n, 11)
    true = games.shapley(game_of(net, x, b, 0), n)

    def off(samples: int) -> float:
        runs = [pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b, samples=samples, seed=s,
                                 tolerance=0).values for s in range(12)]
        return float(((torch.stack(runs) - true) ** 2).mean().sqrt())

    assert off(1600) <= 0.7 * off(400)  # 0.5 is expected
    close(pellucid.explain(net, x[None], "kernel_shap", target=0, baseline=b, samples=4094).values, true, 1e-8)


# -- the error that integrated gradients state

@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Tanh, nn.SiLU, nn.ELU])
def test_integrated_gradients_state_their_error_honestly(act: type[nn.Module]) -> None:
    """Ten nets per activation: within the tolerance, and inside the band of two stated errors per feature."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    pieces = 2000
    t = torch.from_numpy(((nodes + 1) / 2 + np.arange(pieces)[:, None]).ravel() / pieces)
    w = torch.from_numpy(np.tile(weights / 2, pieces) / pieces)
    inside: list[Tensor] = []
    off: list[float] = []
    for seed in range(10):
        net, (x, b) = mlp((8, 32, 32, 16, 1), act, seed, F64), point(8, 20 + seed)
        road = (b + t[:, None] * (2 * x - b)).requires_grad_()  # twice as far as x: more kinks on the way
        (slopes,) = torch.autograd.grad(net(road).sum(), road)
        true = (2 * x - b) * (w @ slopes)
        e = pellucid.explain(net, 2 * x[None], "integrated_gradients", baseline=b, tolerance=0.01)
        assert e.verdict.status == "pass", e.verdict
        off.append(float((e.values - true).norm() / e.values.norm()) / 0.01)
        inside.append((e.values - true).abs() <= 2 * e.error)
    kinks = act is nn.ReLU
    assert sum(r <= 1 for r in off) >= (9 if kinks else 10), off
    assert float(torch.stack(inside).double().mean()) >= (0.95 if kinks else 1.0)


def test_an_integral_that_does_not_settle_says_so_and_how_far_it_may_be_off() -> None:
    net, (x, b) = mlp((8, 64, 64, 1), nn.ReLU, 3, F64), point(8, 40)
    e = pellucid.explain(net, 5 * x[None], "integrated_gradients", baseline=b, tolerance=1e-7, limit=33)
    assert "converged.not" in {f.code for f in e.verdict.findings}
    assert e.verdict.status == "warn"
    true = pellucid.explain(net, 5 * x[None], "integrated_gradients", baseline=b, tolerance=1e-7, limit=40_000)
    assert (e.values - true.values).norm() <= 2 * e.error.norm()


# -- Grad-CAM and occlusion, by hand

@pytest.mark.parametrize("layer", ["0", "1", "2", "4", "5", "6"])
def test_grad_cam_equals_the_formula_taken_with_plain_hooks(layer: str) -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=12, dtype=F64)
    for module in net.modules():  # the reference runs on a copy without in-place operations
        if isinstance(module, nn.ReLU):
            module.inplace = False
    kept: dict[str, Tensor] = {}
    handle = net.get_submodule(layer).register_forward_hook(lambda m, a, out: kept.update(value=out))
    score = net(x.requires_grad_())[0, 4]
    handle.remove()
    (slope,) = torch.autograd.grad(score, kept["value"])
    true = (slope.mean((2, 3), keepdim=True) * kept["value"]).sum(1)[0]
    e = pellucid.explain(cnn(dtype=F64), x, "grad_cam", target=4, layer=layer)
    close(e.values, true)


def test_grad_cam_over_a_transformers_tokens_lays_the_patches_in_their_places() -> None:
    net, x = settled(ViT(side=12), dtype=F64), normal(1, 3, 12, 8, seed=13, dtype=F64)
    net.place = nn.Parameter(normal(1, 7, 8, seed=14, dtype=F64), requires_grad=False)
    e = pellucid.explain(net, x, "grad_cam", target=1, layer="blocks.1.norm1")
    kept: dict[str, Tensor] = {}
    handle = net.blocks[1].norm1.register_forward_hook(lambda m, a, out: kept.update(value=out))
    score = net(x.requires_grad_())[0, 1]
    handle.remove()
    (slope,) = torch.autograd.grad(score, kept["value"])
    slope, seen = slope[0, 1:].reshape(3, 2, 8), kept["value"][0, 1:].reshape(3, 2, 8)
    close(e.values, (slope.mean((0, 1)) * seen).sum(-1))


@pytest.mark.parametrize(("layout", "window", "stride"), [
    ("pixels", 3, 3), ("pixels", (3, 5), (2, 3)), ("pixels", (1, 12), (1, 1)), ("patches:4", 2, 1), ("patches:5", 1, 1),
])
def test_occlusion_equals_a_loop_over_windows(layout: str, window: Any, stride: Any) -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 13, 12, seed=15, dtype=F64)
    size = int(layout.partition(":")[2] or 1)
    (wh, ww), (sh, sw) = (v if isinstance(v, tuple) else (v, v) for v in (window, stride))
    rows, columns = math.ceil(13 / size), math.ceil(12 / size)
    loss, seen = torch.zeros(rows, columns, dtype=F64), torch.zeros(rows, columns, dtype=F64)
    full = float(net(x)[0, 3])
    for top in range(0, math.ceil(max(rows - wh, 0) / sh) * sh + 1, sh):
        for left in range(0, math.ceil(max(columns - ww, 0) / sw) * sw + 1, sw):
            hidden = x.clone()
            hidden[..., top * size : (top + wh) * size, left * size : (left + ww) * size] = 0.25
            loss[top : top + wh, left : left + ww] += full - float(net(hidden)[0, 3])
            seen[top : top + wh, left : left + ww] += 1
    assert (seen > 0).all(), "every feature lies under a window"
    e = pellucid.explain(net, x, "occlusion", target=3, features=layout, baseline=0.25, window=window, stride=stride)
    close(e.values, loss / seen)


def test_ablation_of_a_users_segments_hides_exactly_the_segment() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=16, dtype=F64)
    segments = torch.randint(0, 5, (12, 12), generator=torch.Generator().manual_seed(0)) * 10
    e = pellucid.explain(net, x, "ablation", target=0, features=segments)
    true = [float(net(x)[0, 0] - net(torch.where(segments == s, 0.0, x))[0, 0]) for s in range(0, 50, 10)]
    close(e.values, torch.tensor(true, dtype=F64))


# -- a group's value is one number: nothing is counted twice

def complete(e: Any, tolerance: float = 1e-9) -> None:
    assert float(e.values.double().sum()) == pytest.approx(e.score - e.baseline_score, abs=tolerance)


@pytest.mark.parametrize("method", COMPLETE)
@pytest.mark.parametrize("layout", ["pixels", "patches:4", "patches:5", "channels", "segments",
                                    "some segments"])
def test_values_of_a_pictures_groups_sum_to_the_scores_change(layout: str, method: str) -> None:
    net = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(400, 2)), dtype=F64)
    x = normal(1, 3, 12, 12, seed=17, dtype=F64)
    index = torch.arange(12)[:, None] // 5 * 3 + torch.arange(12)[None] // 4
    features: Any = {"segments": index, "some segments": index - 2}.get(layout, layout)  # -1 is never switched off
    options = {"steps": 40} if method == "integrated_gradients" else {"samples": 256}
    e = pellucid.explain(net, x, method, target=0, features=features, baseline="mean", **options)
    complete(e)
    base = x.mean((2, 3), keepdim=True).expand_as(x)
    off = torch.where(index < 2, x, base) if layout == "some segments" else base
    assert float(e.values.sum()) == pytest.approx(float((net(x) - net(off))[0, 0]), abs=1e-9)


@pytest.mark.parametrize("method", COMPLETE)
@pytest.mark.parametrize("layout", ["columns", "units", "map"])
def test_values_of_one_hot_columns_sum_to_the_scores_change(layout: str, method: str) -> None:
    columns = [Column("age", mean=40, std=10), Column("colour", "category", ("red", "green", "blue")),
               Column("size", "category", ("S", "L")), Column("income", mean=3, std=2)]
    subject = pellucid.wrap(mlp((7, 16, 2), nn.Tanh), columns=columns)
    row = {"age": 61, "colour": "green", "size": "L", "income": 7.5}
    features: Any = torch.tensor([0, 0, 1, 1]) if layout == "map" else layout
    options = {"steps": 60} if method == "integrated_gradients" else {}
    e = pellucid.explain(subject, row, method, target=0, features=features, baseline="zero", **options)
    assert e.features.n == {"columns": 4, "units": 7, "map": 2}[layout]
    complete(e, 1e-5)


@pytest.mark.parametrize("layout", ["tokens", "words"])
@pytest.mark.parametrize("baseline", ["mask", "zero"])
def test_values_of_words_sum_to_the_scores_change(layout: str, baseline: str, vision: bool) -> None:
    model, tokenizer = minilm()
    subject = pellucid.wrap(model, tokenizer=tokenizer)
    text = "unbelievably bad service"
    for method, options in (("integrated_gradients", {"steps": 60}), ("kernel_shap", {"samples": 512})):
        e = pellucid.explain(subject, text, method, target=1, features=layout, baseline=baseline, **options)
        assert e.features.n == (3 if layout == "words" else e.features.n)
        complete(e, 2e-3 if method == "integrated_gradients" else 1e-5)


@pytest.mark.parametrize(("method", "options"), [
    ("integrated_gradients", {"steps": 0}), ("integrated_gradients", {"steps": "ten"}), ("kernel_shap", {"samples": 1}),
    ("kernel_shap", {"samples": 99.5}), ("smooth(saliency)", {"samples": 0}), ("smooth(saliency)", {"spread": -1.0}),
    ("occlusion", {"window": 0}), ("occlusion", {"window": 13}), ("occlusion", {"window": 2, "stride": 3}),
    ("occlusion", {"window": (2, 2, 2)}), ("saliency", {"chunk": 0}), ("saliency", {"chunk": -1}),
])
def test_a_number_without_meaning_is_refused(method: str, options: dict[str, Any]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(cnn(), normal(1, 3, 12, 12), method, target=0, features="pixels", **options)
    assert error.value.code == "option.value"
