"""Rows are made once, where the model finds them: no copies on the way, and no value changes for it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from oracle_nets import normal, settled
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pellucid
from pellucid.words.features import Features, patches, pixels, segments, units
from pellucid.words.points import HERE, THERE, Chosen, Keep, LeaveOneOut, Line, Noise, Points, Windows

SHAPE = (3, 20, 22)
MAP = torch.arange(440).reshape(20, 22) // 7 % 9 - 1


def written_out(points: Points, x: Tensor, baseline: Tensor, features: Features) -> Tensor:
    """The rows by their definition, every tensor of its own."""
    x, baseline = torch.stack(list(x)), torch.stack(list(baseline))
    if isinstance(points, Line):
        if points.t in ((0.0,), (1.0,)):
            return (x if points.t == (1.0,) else baseline).unsqueeze(1)
        t = torch.tensor(points.t, dtype=torch.float64).to(x).reshape(-1, *[1] * (x.dim() - 1))
        return torch.lerp(baseline.unsqueeze(1), x.unsqueeze(1), t)
    assert isinstance(points, Keep)
    masks = points.masks.block(features, 0, points.n)
    slots = torch.where(features.index < 0, features.n, features.index)
    on = torch.cat([masks, torch.ones(len(masks), 1, dtype=masks.dtype)], 1)[:, slots]
    on = on.reshape(len(masks), *[1] * (x.dim() - 1 - features.index.dim()), *features.index.shape)
    x, baseline = x.unsqueeze(1), baseline.unsqueeze(1)
    return torch.where(on, x, baseline) if on.dtype == torch.bool else baseline + on.to(x) * (x - baseline)


@pytest.mark.parametrize("layout", [pixels(20, 22), patches(20, 22, 6), segments(MAP), units(SHAPE)],
                         ids=lambda f: f.name)
@pytest.mark.parametrize("make", [
    lambda n: HERE, lambda n: THERE, lambda n: Line((0.3,)), lambda n: Line((0.0, 0.125, 0.3, 0.77, 1.0)),
    lambda n: Keep(Chosen(normal(6, n) > 0)), lambda n: Keep(Chosen(normal(6, n).sigmoid())),
    lambda n: Keep(LeaveOneOut(min(n, 12)) if n <= 12 else Chosen(normal(3, n) > 1)),
    lambda n: Keep(Windows((n,), (5,), (max(n // 7, 1),)))],
    ids=["x", "baseline", "one on the line", "line", "masks", "shares", "leave one out", "windows"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rows_written_in_place_are_the_rows_of_the_definition_bit_for_bit(
    make: Callable[[int], Points], layout: Features, dtype: torch.dtype
) -> None:
    points = make(layout.n)
    x, baseline = normal(2, *SHAPE, dtype=dtype), normal(2, *SHAPE, seed=1, dtype=dtype)
    true = written_out(points, x, baseline, layout)
    assert torch.equal(points.rows(x, baseline, layout, 0, points.n), true)
    for cuts in ([0, points.n], sorted({0, 1, points.n // 2, points.n})):
        out = torch.full_like(true, float("nan"))
        for a, b in pairwise(cuts):
            points.rows(x, baseline, layout, a, b, out[:, a:b])
        assert torch.equal(out, true)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("layout", [pixels(20, 22), segments(MAP)], ids=lambda f: f.name)
def test_noise_written_in_place_is_the_same_noise(layout: Features, dtype: torch.dtype) -> None:
    x, noise = normal(*SHAPE, dtype=dtype), Noise(3, 5, 0.2)
    drawn = (noise.on(torch.zeros_like(x).index_put_((torch.tensor(0),) * 3, torch.tensor(5.0).to(x)), layout))
    generator = torch.Generator().manual_seed((3 * 0x9E3779B1 + 5 * 0x85EBCA6B + 1) % (1 << 63))
    plain = torch.randn(SHAPE, generator=generator).to(dtype)
    true = x + 0.2 * (x.max() - x.min()) * plain * layout.movable(3).to(dtype)
    assert torch.equal(noise.on(x, layout), true)
    for out in (torch.empty(SHAPE, dtype=dtype), torch.empty(20, 22, 3, dtype=dtype).permute(2, 0, 1)):
        noise.on(x, layout, out)
        assert torch.equal(out, true)
    assert not torch.equal(drawn, true)


class Bytes(TorchDispatchMode):
    """Counts the bytes of new storage, but for the answers' float64 sums and what a backward makes."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        had = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for t in tree_leaves(out):
            if isinstance(t, Tensor) and t.untyped_storage().data_ptr() not in had:
                self.total += t.untyped_storage().nbytes()
        return out


class Glance(nn.Module):
    """Looks at a few pixels, so that whatever takes memory is not the model."""

    def __init__(self, writes: bool = False) -> None:
        super().__init__()
        self.head, self.writes = nn.Linear(8, 3), writes

    def forward(self, x: Tensor) -> Tensor:
        if self.writes:
            x.mul_(1.5).add_(x.flip(1))
        return self.head(x[:, :2, 7::14, 9].flatten(1)[:, :8])


@pytest.mark.parametrize("writes", [False, True], ids=["reads", "writes into its input"])
@pytest.mark.parametrize(("method", "options"), [
    ("occlusion", {}), ("ablation", {"features": "patches:14"}), ("kernel_shap", {"features": "patches:28"})])
def test_a_row_takes_its_own_bytes_and_a_copy_only_where_the_model_writes(
    method: str, options: dict[str, Any], writes: bool
) -> None:
    x = normal(1, 3, 112, 112)
    subject = pellucid.wrap(settled(Glance(writes)))
    pellucid.explain(subject, x, method, target=1, chunk=16, **options)
    with Bytes() as count:
        e = pellucid.explain(subject, x, method, target=1, chunk=16, **options)
    per_row = count.total / (x.numel() * 4 * e.evidence.forwards)
    shared = 20 / e.evidence.forwards  # a buffer of 16 rows, x and baseline, once for all
    masks = 0.4  # bytes of a mask per pixel beside the 12 of its channels
    writing = 1 + 2 if writes else 0  # the copy, and the model's own flip
    assert per_row <= shared + masks + writing


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients", "smooth(saliency)", "inside(ablation)",
                                    "inside(integrated_gradients)", "kernel_shap"])
@pytest.mark.parametrize("chunk", [1, 3, None])
def test_a_model_that_writes_into_its_input_disturbs_no_later_pass(method: str, chunk: int | None) -> None:
    class Careful(Glance):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * 1.0)

    def nets(cls: type[Glance]) -> nn.Module:
        return settled(nn.Sequential(nn.Conv2d(3, 3, 1), cls(writes=True)))

    x = normal(2, 3, 56, 56)
    options: dict[str, Any] = {"layer": "0"} if "inside" in method else {"features": "patches:14"}
    if method == "inside(integrated_gradients)":
        options["steps"] = 6
    if method == "kernel_shap":
        options["samples"] = 64
    writing, careful = nets(Glance), nets(Careful)
    if "inside" not in method:
        writing, careful = writing[1], careful[1]
    before = x.clone()
    found = pellucid.explain(writing, x, method, target=1, chunk=chunk, **options)
    for e, true in zip(found, pellucid.explain(careful, x, method, target=1, chunk=chunk, **options), strict=True):
        torch.testing.assert_close(e.values, true.values, rtol=1e-5, atol=1e-6)
        assert e.score == pytest.approx(true.score, rel=1e-5)
        assert not e.evidence.rows_interact
    assert torch.equal(x, before)


def test_a_model_that_starts_to_write_only_later_is_found() -> None:
    class Moody(Glance):
        def forward(self, x: Tensor) -> Tensor:
            if float(x.detach().sum()) > 0:  # rows of the first explanation never come here
                x = x.mul_(1.5)
            return super().forward(x)

    class Calm(Glance):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * 1.5 if float(x.detach().sum()) > 0 else x)

    low, high = -normal(1, 3, 56, 56).abs(), normal(1, 3, 56, 56).abs()
    moody, calm = pellucid.wrap(settled(Moody())), pellucid.wrap(settled(Calm()))
    for x in (low, high, low):
        for method in ("integrated_gradients", "occlusion", "saliency"):
            for chunk in (None, 2):
                e, true = (pellucid.explain(s, x, method, target=0, chunk=chunk) for s in (moody, calm))
                torch.testing.assert_close(e.values, true.values, rtol=1e-5, atol=1e-6)


def test_what_a_layer_said_of_a_row_outlives_the_row() -> None:
    """A layer that hands on its input says a view of the rows, which the next pass overwrites."""
    from pellucid.catalog import find
    from pellucid.words.method import method

    @method(asks="reading", laws=[])
    async def middle(case: Any) -> Tensor:
        (here,) = await case.reading(case.here)
        said = await case.reading(case.line(torch.linspace(0, 1, 9)), of="0")
        own = await case.reading(case.line(torch.linspace(0, 1, 9)))
        assert torch.equal(said, own)
        assert torch.equal(said, torch.stack([case.x * t for t in torch.linspace(0, 1, 9)]))
        return here

    assert find("saliency") is not None
    x = normal(1, 5)
    net = settled(nn.Sequential(nn.Identity(), nn.Linear(5, 2)))
    subject = pellucid.wrap(net)
    for chunk in (2, 4, None):
        pellucid.explain(subject, x, "saliency", target=0)  # from here on it is known that it writes nothing
        e = pellucid.explain(subject, x, middle, target=0, chunk=chunk)
        assert torch.equal(e.values, x[0])
