"""What an error is made of: rules, samples and the format of numbers, each measured."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.engine import agreement
from pellucid.store.file import open_
from pellucid.words.explanation import Explanation

F64 = torch.float64


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, dropout=0.0, activation="gelu")
        self.blocks, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def table() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 48), nn.GELU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 4))


def picture() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, 4))


KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "table": (table, (12,)), "convolutions": (picture, (3, 12, 12)), "transformer": (Transformer, (3, 12, 12))}
METHODS: dict[str, dict[str, Any]] = {
    "saliency": {"absolute": False}, "input_x_gradient": {}, "integrated_gradients": {}, "ablation": {},
    "kernel_shap": {"samples": 256}, "occlusion": {}}


def drawn(make: Callable[[], nn.Module], shape: tuple[int, ...], seed: int) -> tuple[nn.Module, Tensor]:
    """A net and an input by seed, without touching anybody's random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().eval(), torch.randn(1, *shape)


def covered(half: Explanation, true: Explanation, errors: float = 2.0) -> float:
    off = (half.values.double() - true.values.double()).abs()
    assert half.error is not None
    return float((off <= errors * half.error.double() + 1e-12).double().mean())


def pair(kind: str, method: str, dtype: torch.dtype, seed: int) -> tuple[Explanation, Explanation]:
    """The model in half precision, and the same numbers in float64."""
    net, x = drawn(*KINDS[kind], seed)
    half = net.to(dtype)
    options = dict(METHODS[method])
    if x.dim() == 4 and method in ("ablation", "kernel_shap"):
        options["features"] = "patches:4"
    exact = {"tolerance": 1e-6, "limit": 2049} if method == "integrated_gradients" else {}
    found = pellucid.explain(half, x.to(dtype), method, target=1, **options)
    wide = copy.deepcopy(half).double()
    return found, pellucid.explain(wide, x.to(dtype).double(), method, target=1, **{**options, **exact})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_two_errors_cover_what_half_precision_does_to_a_value(kind: str, method: str, dtype: torch.dtype) -> None:
    """At least 95 % of features, against float64; and a part of the same errors would not.

    Of Shapley values, which average over many differences of scores, the error that is told is that of a single one.
    """
    seeds = 2 if method == "integrated_gradients" else 10
    pairs = [pair(kind, method, dtype, seed) for seed in range(seeds)]
    assert sum(covered(a, b) for a, b in pairs) / seeds >= 0.95
    assert sum(covered(a, b, 2 / (50 if method == "kernel_shap" else 12)) for a, b in pairs) / seeds < 0.95
    for half, true in pairs:
        assert "format" in half.errors
        assert str(dtype).removeprefix("torch.") in half.evidence.format
        assert "complete.not" not in {f.code for f in half.verdict.findings}
        assert true.evidence.format == ""
        assert "format" not in true.errors


def test_a_model_that_does_not_run_in_single_precision_has_an_unknown_error() -> None:
    class Insists(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            if x.dtype != torch.bfloat16:
                raise RuntimeError("bfloat16 only")
            return self.inner(x)

    net, x = drawn(Insists, (6,), 0)
    e = pellucid.explain(net.bfloat16(), x.bfloat16(), "input_x_gradient", target=0)
    assert e.error is None
    assert e.errors == {}
    assert "could not be compared" in e.evidence.format


def test_the_users_model_keeps_its_numbers() -> None:
    net, x = drawn(table, (12,), 0)
    net = net.half()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    kept = list(map(id, net.parameters()))
    pellucid.explain(net, x.half(), "integrated_gradients", target=0)
    assert list(map(id, net.parameters())) == kept
    assert all(torch.equal(v, before[k]) and v.dtype == torch.float16 for k, v in net.state_dict().items())


def batched() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
                         nn.Flatten(), nn.Linear(216, 5))


@pytest.mark.parametrize(("method", "options"), [
    ("saliency", {"absolute": False}), ("integrated_gradients", {}), ("grad_cam", {"layer": "0"}),
    ("kernel_shap", {"features": "patches:4", "samples": 128})])
def test_two_errors_cover_what_a_twin_in_bfloat16_does(method: str, options: dict[str, Any],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "half_on", lambda device: "cpu")
    exact = {"tolerance": 1e-6, "limit": 2049} if method == "integrated_gradients" else {}
    layer = {"layer": "2"} if method == "grad_cam" else {}
    shares = list[float]()
    for seed in range(8):
        net, x = drawn(batched, (3, 12, 12), seed)
        fast = pellucid.explain(net, x, method, target=1, precision="fast", **{**options, **layer})
        if "bfloat16" not in (fast.evidence.twin or ""):
            continue  # it was measured and refused, and float32 answered
        assert "format" in fast.errors
        assert "bfloat16" in fast.evidence.format
        shares.append(covered(fast, pellucid.explain(copy.deepcopy(net).double(), x.double(), method, target=1,
                                                     precision="exact", **{**options, **layer, **exact})))
        own = pellucid.explain(net, x, method, target=1, precision="exact", **{**options, **layer})
        assert "format" not in own.errors
    assert len(shares) >= 4
    assert sum(shares) / len(shares) >= 0.95


def test_parts_add_in_squares_and_say_where_an_error_comes_from() -> None:
    net, x = drawn(table, (12,), 1)
    path = pellucid.explain(net, x, "integrated_gradients", target=0)
    assert set(path.errors) == {"numerical"}
    noise = pellucid.explain(net, x, "smoothgrad", target=0, samples=16, tolerance=0.0)
    assert set(noise.errors) == {"sampling"}
    both = pellucid.explain(net, x, "smooth(integrated_gradients)", target=0, samples=8, tolerance=0.02)
    assert set(both.errors) == {"numerical", "sampling"}
    for e in (path, noise, both):
        assert e.error is not None
        torch.testing.assert_close(e.error, torch.stack(list(e.errors.values())).norm(dim=0))
    exact = pellucid.explain(net, x, "ablation", target=0)
    assert exact.errors == {}
    assert exact.error is not None
    assert not exact.error.any()


def test_a_file_keeps_the_parts_and_one_without_them_opens(tmp_path: Path) -> None:
    net, x = drawn(table, (12,), 1)
    e = pellucid.explain(net.bfloat16(), x.bfloat16(), "integrated_gradients", target=0)
    e.save(tmp_path / "e.pellucid")
    back = open_(tmp_path / "e.pellucid")
    assert list(back.errors) == list(e.errors) == ["numerical", "format"]
    assert all(torch.equal(back.errors[k], e.errors[k]) for k in e.errors)
    assert back.evidence.format == e.evidence.format
    bare = pellucid.explain(drawn(table, (12,), 1)[0], x, "ablation", target=0)
    bare.save(tmp_path / "bare.pellucid")
    assert open_(tmp_path / "bare.pellucid").errors == {}
