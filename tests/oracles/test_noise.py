"""Noisy copies: closed forms on quadratic scores, how often stated errors hold, captum with the same noise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from captum import attr
from honest import Count
from oracle_nets import Quadratic, cnn, mlp, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.methods.compose import smooth
from pellucid.numbers.estimate import Estimate
from pellucid.words.case import Case
from pellucid.words.method import Card, of
from pellucid.words.points import draw

F64 = torch.float64
NAMES = {"mean": "smoothgrad", "variance": "vargrad", "square": "squaregrad"}
every = pytest.mark.parametrize("statistic", NAMES)


class Blocks(nn.Module):
    """A score of many blocks of three numbers that do not see each other: each is one more trial.

    ½ Σ bᵀ A b, whose gradient is normal where b is; or Σ (v · b)³ / 3, whose gradient (v · b)² v is skewed.
    """

    def __init__(self, kind: str, count: int = 240) -> None:
        super().__init__()
        half = normal(count, 3, 3, dtype=F64)
        self.a, self.v = (half + half.transpose(1, 2)) / 2, normal(count, 3, seed=1, dtype=F64)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "normal":
            return torch.einsum("nbi,bij,nbj->n", x, self.a, x) / 2
        return (torch.einsum("bi,nbi->nb", self.v, x) ** 3).sum(1) / 3

    def truth(self, x: Tensor, sigma: float, statistic: str) -> Tensor:
        """The statistic of the gradient at x + sigma · e, element by element."""
        if self.kind == "normal":
            mean = torch.einsum("bij,bj->bi", self.a, x)
            varies = sigma**2 * (self.a**2).sum(2)
        else:  # of (m + s e)² the mean is m² + s², the variance 4 m² s² + 2 s⁴
            m, s = (self.v * x).sum(1, keepdim=True), sigma * self.v.norm(dim=1, keepdim=True)
            mean, varies = (m**2 + s**2) * self.v, (4 * m**2 * s**2 + 2 * s**4) * self.v**2
        return {"mean": mean, "variance": varies, "square": mean**2 + varies}[statistic]


@every
@pytest.mark.parametrize("kind", ["normal", "skewed"])
@pytest.mark.parametrize("layout", ["units", "blocks"])
def test_two_standard_errors_hold_as_often_as_they_say(layout: str, kind: str, statistic: str) -> None:
    """Element by element, and over blocks, whose elements share their noise.

    Of the square of a normal number a jackknife of the variance covers 87 % at 200 copies too: estimates that
    are too low come with errors that are too low.
    """
    net, x, samples = Blocks(kind), normal(240, 3, seed=2, dtype=F64), 200
    sigma = float(0.1 * (x.max() - x.min()))
    features: Any = torch.arange(240)[:, None].expand(240, 3) if layout == "blocks" else "units"
    true = net.truth(x, sigma, statistic)
    e = pellucid.explain(net, x[None], NAMES[statistic], samples=samples, spread=0.1, tolerance=0, features=features)
    true = true.sum(1) if layout == "blocks" else true
    covered = float(((e.values - true).abs() <= 2 * e.error).double().mean())
    least = 0.85 if (kind, statistic) == ("skewed", "variance") else 0.91
    assert least <= covered <= 0.985, f"{covered:.1%} of the truths within two standard errors"
    of_each = ((e.values - true) / e.error) ** 2  # no single one may outweigh the others
    size = float(of_each.clamp(max=16).mean().sqrt())
    assert 0.85 <= size <= (1.35 if least < 0.9 else 1.15), "the stated size of the error"


@pytest.mark.parametrize("statistic", ["variance", "square"])
def test_what_stops_is_within_its_tolerance(statistic: str) -> None:
    count = Count(statistic)
    for seed in range(10):
        net, x = Quadratic(5, seed), normal(5, seed=seed, dtype=F64)
        a, slope = net.a.detach(), net.a.detach() @ x + net.c.detach()
        varies = (0.2 * (x.max() - x.min())) ** 2 * (a**2).sum(1)
        e = pellucid.explain(net, x[None], NAMES[statistic], spread=0.2, samples=20_000, tolerance=0.2, seed=seed)
        assert e.verdict.status == "pass", e.verdict
        count.add(e.values, e.error, varies + (slope**2 if statistic == "square" else 0), 0.2)
    count.check()


@every
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_with_the_same_noise_it_is_captums(statistic: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """captum's variance is divided by n, ours by n - 1; it draws with torch.normal, which is given our noise here."""
    net, x = (mlp(dtype=F64), normal(6, dtype=F64)) if kind == "mlp" else (cnn(dtype=F64), normal(3, 8, 8, dtype=F64))
    n, spread, seed = 12, 0.2, 7
    sigma = float(spread * (x.max() - x.min()))
    noise = torch.stack([draw(x.shape, seed, k) for k in range(n)]).to(F64) * sigma
    monkeypatch.setattr(torch, "normal", lambda *a, **k: noise)
    kinds = {"mean": "smoothgrad", "variance": "vargrad", "square": "smoothgrad_sq"}
    theirs = attr.NoiseTunnel(attr.Saliency(net)).attribute(
        x[None].clone(), nt_type=kinds[statistic], nt_samples=n, stdevs=sigma, target=1, abs=False)[0].detach()
    monkeypatch.undo()
    options: dict[str, Any] = {"samples": n, "spread": spread, "seed": seed, "tolerance": 0, "target": 1}
    named = pellucid.explain(net, x[None], NAMES[statistic], **options)
    composed = pellucid.explain(net, x[None], "smooth(saliency)", statistic=statistic, absolute=False, **options)
    factor = n / (n - 1) if statistic == "variance" else 1
    for e in (named, composed):
        values = e.values if e.elements is None else e.elements
        torch.testing.assert_close(values, theirs * factor, rtol=1e-6, atol=1e-9)  # its noise is in float32
    assert torch.equal(named.values, composed.values)


def test_a_small_variance_beside_a_large_gradient_keeps_its_digits() -> None:
    """In float32 the mean of squares minus the square of the mean has none left; Welford's update does."""
    steep = nn.Sequential(nn.Linear(4, 1), nn.Tanh())

    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.soft = settled(steep)

        def forward(self, x: Tensor) -> Tensor:
            return 1e4 * x.sum(1, keepdim=True) + self.soft(x)

    x, options = normal(1, 4, seed=3), {"samples": 64, "spread": 0.1, "tolerance": 0}
    rough = pellucid.explain(Steep(), x, "vargrad", **options)
    fine = pellucid.explain(Steep().double(), x.double(), "vargrad", **options)
    assert float((rough.values - fine.values).abs().max()) <= 0.05 * float(fine.values.max()) + 1e-6


@every
def test_numerical_errors_of_the_method_within_are_carried_on(statistic: str) -> None:
    """Answers that are off by a tenth of themselves: so is their mean, and by a fifth variances and squares."""
    def off(share: float) -> Any:
        async def slopes(case: Case) -> Estimate:
            (slope,) = await case.gradient(case.here)
            return Estimate(slope, share * slope, torch.zeros_like(slope))

        return smooth(of(slopes, Card("gradient", "")))

    x, options = normal(1, 5, dtype=F64), {"statistic": statistic, "samples": 20, "tolerance": 0}
    exact, rough = (pellucid.explain(Quadratic(5), x, off(share), **options) for share in (0.0, 0.1))
    error = (0.1 if statistic == "mean" else 0.2) * exact.values
    torch.testing.assert_close(rough.error**2, exact.error**2 + error**2 + (error**2).mean(), rtol=1e-9, atol=1e-12)


@every
def test_what_a_method_draws_itself_is_not_passed_off_as_the_variance_of_its_answers(statistic: str) -> None:
    async def drawn(case: Case) -> Estimate:
        (slope,) = await case.gradient(case.here)
        return Estimate(slope, torch.zeros_like(slope), torch.full_like(slope, 0.5))

    made = smooth(of(drawn, Card("gradient", "")))
    e = pellucid.explain(Quadratic(5), normal(1, 5, dtype=F64), made, statistic=statistic, samples=20, tolerance=0)
    assert (e.error is None) == (statistic != "mean")


@pytest.mark.parametrize("name", [*NAMES.values(), "smooth(integrated_gradients)", "gradient_shap"])
def test_noise_works_in_models_of_half_precision(name: str) -> None:
    net, x = mlp((6, 16, 12, 4), nn.Tanh), normal(1, 6)
    tolerance = 0.5 if "integrated" in name else 0
    options: dict[str, Any] = {"samples": 32, "tolerance": tolerance, "target": 1, "spread": 0.1}
    full = pellucid.explain(net, x, name, **options)
    for dtype in (torch.bfloat16, torch.float16):
        half = pellucid.explain(mlp((6, 16, 12, 4), nn.Tanh, dtype=dtype), x.to(dtype), name, **options)
        assert half.values.dtype == torch.float32
        assert float((half.values - full.values).norm()) <= 0.15 * float(full.values.norm())


# -- saliency of the largest channel, and gradients over a background with noise

def test_the_papers_saliency_takes_the_largest_channel_of_each_place() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 12, 12, seed=5, dtype=F64)
    slope = pellucid.explain(net, x, "saliency", target=1, absolute=False).elements
    largest = slope.abs().amax(0)
    e = pellucid.explain(net, x, "saliency", target=1, channels="max")
    torch.testing.assert_close(e.values, largest, rtol=1e-12, atol=1e-15)
    signed = pellucid.explain(net, x, "saliency", target=1, channels="max", absolute=False)
    torch.testing.assert_close(signed.values.abs(), largest, rtol=1e-12, atol=1e-15)
    patches = pellucid.explain(net, x, "saliency", target=1, channels="max", features="patches:5")
    down = torch.arange(12) // 5
    index = (down[:, None] * 3 + down[None]).flatten()
    sums = torch.zeros(9, dtype=F64).index_add_(0, index, largest.flatten())
    torch.testing.assert_close(patches.values.flatten(), sums, rtol=1e-12, atol=1e-15)
    even = pellucid.explain(net, x, "smooth(saliency)", target=1, channels="max", samples=4, spread=0.0)
    torch.testing.assert_close(even.values, largest, rtol=1e-12, atol=1e-15)
    flat = pellucid.explain(mlp(dtype=F64), normal(1, 6, dtype=F64), "saliency", target=1, channels="max")
    torch.testing.assert_close(
        flat.values, pellucid.explain(mlp(dtype=F64), normal(1, 6, dtype=F64), "saliency", target=1).values)


def test_expected_gradients_with_noise_have_their_closed_form_on_a_quadratic_score() -> None:
    """Noise e on x adds ½ (A e) · e to (x + e - b) · ∂f, whose mean is half the variance times A's diagonal."""
    net, count = Quadratic(6), Count("gradient_shap")
    a, c = net.a.detach(), net.c.detach()
    bases = [0.5 * normal(6, seed=100 + k, dtype=F64) for k in range(3)]
    for seed in range(10):
        x = 1.5 * normal(6, seed=200 + seed, dtype=F64)
        varies = (0.2 * (x.max() - x.min())) ** 2
        true = torch.stack([(x - b) * (a @ (x + b) / 2 + c) for b in bases]).mean(0) + varies * torch.diag(a) / 2
        e = pellucid.explain(net, x[None], "gradient_shap", baseline=bases, spread=0.2, tolerance=0, seed=seed,
                             samples=360)
        count.add(e.values, e.error, true, 3 * float(e.error.norm() / e.values.norm()))
    count.check()


def test_gradient_shap_is_found_by_its_name_and_is_expected_gradients() -> None:
    net, x = mlp(dtype=F64), normal(1, 6, dtype=F64)
    bases = [normal(6, seed=k, dtype=F64) for k in range(2)]
    both = pellucid.explain(net, x, ["gradient_shap", "expected_gradients"], target=1, baseline=bases)
    assert torch.equal(both["gradient_shap"].values, both["expected_gradients"].values)
    e = both["gradient_shap"]
    assert (e.method, e.recipe["spread"]) == ("gradient_shap", 0.0)


@pytest.mark.parametrize(("method", "options"), [
    ("vargrad", {"samples": 1}), ("smoothgrad", {"samples": 0}), ("squaregrad", {"spread": -1.0}),
    ("vargrad", {"tolerance": math.nan}), ("smooth(saliency)", {"statistic": "median"}),
    ("smooth(saliency)", {"statistic": "variance", "samples": 1}), ("saliency", {"channels": "mean"}),
    ("expected_gradients", {"spread": -0.1}), ("gradient_shap", {"spread": math.nan}),
])
def test_numbers_without_meaning_are_refused(method: str, options: dict[str, Any]) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(mlp(), normal(1, 6), method, target=0, **options)
    assert error.value.code == "option.value"
