"""Conductance: a closed form, a slow re-implementation with forward derivatives, captum where it is right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum import attr
from oracle_nets import Residual, ViT, cnn, mlp, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.testing.faults import LiveBytes

F64 = torch.float64
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[str, ...]]] = {
    "mlp": (mlp, (6,), ("0", "2")),
    "cnn": (cnn, (3, 12, 12), ("0", "4", "7")),
    "residual": (Residual, (3, 8, 8), ("stem", "block1")),
    "vit": (ViT, (3, 12, 12), ("patch", "blocks.0", "blocks.0.mlp")),
}
every_layer = pytest.mark.parametrize(("net", "layer"), [(n, layer) for n in NETS for layer in NETS[n][2]])
pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks and attributes:UserWarning",
                                        "ignore:Input Tensor . did not already require gradients:UserWarning")


def at(name: str, dtype: torch.dtype = F64) -> tuple[nn.Module, Tensor, Tensor]:
    make, shape, _ = NETS[name]
    return settled(make(), 1, dtype), normal(2, *shape, seed=1, dtype=dtype), normal(*shape, seed=2, dtype=dtype)


@every_layer
def test_at_equal_steps_it_is_captums_sum_over_a_road_with_both_ends(net: str, layer: str) -> None:
    """captum keeps its points in float32; its default points do not reach the ends and are no oracle."""
    model, x, base = at(net)
    theirs = attr.LayerConductance(model, model.get_submodule(layer)).attribute(
        x, base[None], target=2, n_steps=30, method="riemann_trapezoid")
    for e, value in zip(pellucid.explain(model, x, "conductance", layer=layer, target=2, baseline=base, steps=30),
                        theirs.detach(), strict=True):
        assert float((e.values - value).abs().max()) <= 1e-7 * float(value.abs().max())
        assert e.error is None  # a fixed number of steps says nothing of its error


def derivative(model: nn.Module, layer: str, x: Tensor, base: Tensor, target: int, pieces: int = 60) -> Tensor:
    """∫ ∂f/∂y · dy/dt dt from the definition, dy/dt by central differences, 6 Gauss-Legendre nodes on each piece."""
    kept: list[Tensor] = []

    def road(t: Tensor) -> Tensor:
        return base + t.reshape(-1, *[1] * base.dim()) * (x - base)

    handle = model.get_submodule(layer).register_forward_hook(lambda m, a, out: kept.append(out))
    nodes, weights = np.polynomial.legendre.leggauss(6)
    t = torch.from_numpy(((nodes + 1) / 2 + np.arange(pieces)[:, None]).ravel() / pieces)
    w = torch.from_numpy(np.tile(weights / 2, pieces) / pieces)
    model(road(t + 1e-5))
    model(road(t - 1e-5))
    score = model(road(t).requires_grad_())[:, target]
    handle.remove()
    after, before, here = kept
    (slope,) = torch.autograd.grad(score.sum(), here)
    return torch.einsum("n,n...->...", w, slope * (after - before) / 2e-5)


@pytest.mark.parametrize(("net", "layer"), [("vit", "patch"), ("vit", "blocks.0"), ("vit", "blocks.0.mlp"),
                                            ("gelu", "0"), ("gelu", "2")])
def test_to_a_tolerance_it_is_the_integral_of_the_definition(net: str, layer: str) -> None:
    model, x, base = at(net) if net in NETS else (mlp((6, 16, 12, 4), nn.GELU, 1, F64), normal(
        2, 6, seed=1, dtype=F64), normal(6, seed=2, dtype=F64))
    true = derivative(model, layer, x[0], base, 1)
    for tolerance in (0.01, 1e-5):
        e = pellucid.explain(model, x[:1], "conductance", layer=layer, target=1, baseline=base, tolerance=tolerance,
                             limit=2**12 + 1)
        assert (e.values - true).norm() <= tolerance * true.norm()
        assert ((e.values - true).abs() <= 2 * e.error + 1e-12).double().mean() >= 0.95
        assert "converged.not" not in {f.code for f in e.verdict.findings}


@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Tanh])
@pytest.mark.parametrize("layer", ["0", "1"])
def test_one_hidden_layer_has_a_closed_form(act: type[nn.Module], layer: str) -> None:
    """What unit j sends on changes by v_j (a(z_j(x)) - a(z_j(b))), whichever way it goes."""
    off: list[float] = []
    covered: list[bool] = []
    for seed in range(12):
        net, x, b = mlp((6, 20, 1), act, seed, F64), normal(6, seed=seed + 10, dtype=F64), normal(
            6, seed=seed + 1010, dtype=F64)
        true = net[2].weight[0] * (net[:2](x) - net[:2](b))
        e = pellucid.explain(net, x[None], "conductance", layer=layer, baseline=b)
        assert e.verdict.status == "pass", e.verdict
        off.append(float((e.values - true).norm() / e.values.norm()) / 0.01)
        covered.append(bool((e.values - true).norm() <= 2 * e.error.norm() + 1e-12))
    assert sum(o <= 1 for o in off) >= 11, off
    assert sum(covered) >= 11


def test_its_values_sum_to_the_values_of_integrated_gradients() -> None:
    net, x, base = at("vit")
    one = pellucid.explain(net, x[:1], "conductance", layer="patch", target=0, baseline=base, tolerance=1e-5,
                           limit=4097)
    other = pellucid.explain(net, x[:1], "integrated_gradients", target=0, baseline=base, steps=200)
    assert float(one.values.sum()) == pytest.approx(float(other.values.sum()), rel=1e-5)
    assert float(one.values.sum()) == pytest.approx(one.score - one.baseline_score, rel=1e-5)


def test_a_layer_that_can_be_passed_by_is_told_from_an_integral_that_has_not_settled() -> None:
    net, x, base = at("vit")
    e = pellucid.explain(net, x[:1], "conductance", layer="blocks.0.mlp", target=1, baseline=base)
    (finding,) = e.verdict.findings
    assert (finding.code, finding.level) == ("sum.apart", "warn")
    assert "went round this layer" in finding.reason
    assert "choose a layer" in finding.do
    rough = pellucid.explain(net, x[:1], "conductance", layer="blocks.0", target=1, baseline=base, tolerance=1e-9,
                             limit=17)
    assert "converged.not" in {f.code for f in rough.verdict.findings}


def test_a_finer_tolerance_asks_for_points_and_not_for_memory() -> None:
    net, x, base = at("cnn", torch.float32)

    def peak(limit: int) -> tuple[int, int]:
        with LiveBytes() as live:
            e = pellucid.explain(net, x[:1], "conductance", layer="0", target=1, baseline=base, tolerance=1e-12,
                                 limit=limit, chunk=4)
        return live.peak, e.evidence.rows

    (small, few), (large, many) = peak(33), peak(513)
    assert many > 8 * few
    assert large <= 1.1 * small + 2**16


@pytest.mark.parametrize(("options", "found"), [({"steps": 0}, "steps=0"), ({"tolerance": 0.0}, "tolerance=0.0"),
                                                ({"limit": 8}, "limit=8")])
def test_numbers_without_meaning_are_refused(options: dict[str, float], found: str) -> None:
    net, x, _ = at("mlp")
    with pytest.raises(pellucid.PellucidError, match=found) as error:
        pellucid.explain(net, x[:1], "conductance", layer="0", target=0, **options)
    assert error.value.code == "option.value"
