"""The laws a method may declare, each on networks made so that the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.explain import explain
from pellucid.words.change import Several
from pellucid.words.explanation import Explanation
from pellucid.words.method import Method, Need
from pellucid.words.target import Target, read

Options = Mapping[str, Any]

EXACT = 1e-6
"""Relative; the networks here compute in float64."""

DEVIATIONS = 6
"""How many stated standard errors a drawn value may be off; a method that draws nothing has none."""


@dataclass(frozen=True, eq=False)
class Known:
    """A network of which is known what it ignores: elements of x, and units of `layer`.

    Elements `alike` (two places of x) play the same part and have the same value.
    """

    model: nn.Module
    x: Tensor
    layer: str
    ignored: Tensor
    idle: tuple[int, ...]
    alike: tuple[int, int] | None = None

    def asked(self, method: Method, options: Options, target: Any = 0, other: Any = 1, **more: Any) -> Explanation:
        """The explanation, with the options that a method cannot be asked without."""
        needed = {"layer": self.layer, "other": other, "baselines": [0.0, 0.3], "change": Several(())}
        given = {k: v for k, v in needed.items() if k in method.defaults} | dict(options)
        if self.x.dim() == 4 and method.card.most is not None:  # the usual layout may be too fine
            given.setdefault("features", "patches:6")
        return explain(self.model, self.x, method, target=target, **given, **more)

    def change(self, options: Options, method: Method, target: Any = 0, other: Any = 1) -> float:
        """What the values of a complete method must sum to, straight from the model."""
        baselines = options.get("baselines", [0.0, 0.3]) if "baselines" in method.defaults else [0.0]
        points = torch.cat([self.x, *(torch.full_like(self.x, b) for b in baselines)])
        with torch.no_grad():
            output = self.model(points)
        score = _target(target).score(output)
        if "other" in method.defaults:
            score = score - _target(options.get("other", other)).score(output)
        return float(score[0] - score[1:].mean())


def _target(written: Any) -> Target:
    return read(written)


def vector() -> Known:
    """Six columns, of which 2 and 5 are ignored and 0 and 3 are alike; units 1 and 6 of the first layer are idle."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first, second = nn.Linear(6, 8), nn.Linear(8, 6)
        model = nn.Sequential(first, nn.GELU(), second, nn.Tanh(), nn.Linear(6, 3)).double()
        x = torch.randn(1, 6, dtype=torch.float64)
    with torch.no_grad():
        first.weight[:, [2, 5]] = 0.0
        first.weight[:, 3] = first.weight[:, 0]
        second.weight[:, [1, 6]] = 0.0
        x[:, 3] = x[:, 0]
    ignored = torch.zeros(6, dtype=torch.bool)
    ignored[[2, 5]] = True
    return Known(model, x, "0", ignored, (1, 6), (0, 3))


class _HalfBlind(nn.Module):
    """A small convolutional network that never looks at the right half of the picture, nor at channel 3."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        left = torch.arange(x.shape[-1]) < x.shape[-1] // 2
        seen = torch.where(left, x, torch.zeros((), dtype=x.dtype))
        return self.head(nn.functional.gelu(self.second(nn.functional.gelu(self.first(seen)))).mean((2, 3)))


def picture() -> Known:
    """A picture of 16 by 16 pixels, of which the right half is ignored; channel 3 of the first layer is idle."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = _HalfBlind().double()
        x = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        model.second.weight[:, 3] = 0.0
    ignored = torch.zeros(3, 16, 16, dtype=torch.bool)
    ignored[..., 8:] = True
    return Known(model, x, "first", ignored, (3,))


class _Looking(nn.Module):
    """Tokens without places that look at each other, and add what they see to themselves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.heads(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        return x + self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _First(nn.Module):
    """Classes of the first token, after two layers of attention."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.blocks, self.head = nn.Sequential(_Looking(width), _Looking(width)), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x)[:, 0])


def tokens() -> Known:
    """Six tokens of an encoder, of which the first is read and 1 and 4 are alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = _First().double()
        x = torch.randn(1, 6, 4, dtype=torch.float64)
    x[:, 4] = x[:, 1]
    return Known(model, x, "blocks.1", torch.zeros(6, dtype=torch.bool), (), (1, 4))


def networks(method: Method) -> list[Known]:
    """Those that have what the method needs."""
    return [k for k in (vector(), picture()) if k.x.dim() == 4 or Need.PICTURE not in method.card.needs]


def complete(method: Method, options: Options) -> None:
    """The values sum to f(x) - f(b), computed from the model itself; to the tolerance that was asked for.

    Where a method begins at a place of its own, the score there is taken as it says.
    """
    for known in networks(method):
        e = known.asked(method, options)
        change, total = known.change(options, method), float(e.values.double().sum())
        if not method.card.baseline and e.baseline_score is not None:
            change = e.score - e.baseline_score
        adaptive = e.recipe.get("tolerance") if e.recipe.get("steps", 0) is None else None
        allowed = max(EXACT, 2 * (adaptive or 0.0)) * max(abs(change), float(e.values.norm()))
        assert abs(total - change) <= allowed, (
            f"[COMPLETE] {method.name}: the values sum to {total:.6g}, the score changes by {change:.6g} "
            f"from the baseline to x; allowed is a difference of {allowed:.1e}")
        assert e.residual is not None, f"[COMPLETE] {method.name}: a complete method without a residual"
        assert abs(e.residual - (total - change)) <= EXACT * max(abs(change), 1.0), (
            f"[COMPLETE] {method.name}: the stated residual is {e.residual:.3g}, the true one {total - change:.3g}")


def dummy(method: Method, options: Options) -> None:
    """What the model ignores gets zero: columns, pixels or patches; units where the method is inside a layer."""
    for known in networks(method):
        e = known.asked(method, options)
        if tuple(e.features.index.shape) == known.ignored.shape[-e.features.index.dim():] and _over_input(method):
            over = known.ignored[0] if known.ignored.dim() == 3 and e.features.index.dim() == 2 else known.ignored
            seen = torch.zeros(e.features.n, dtype=torch.bool)
            seen[e.features.index[~over & (e.features.index >= 0)]] = True
            idle = (~seen).reshape(e.values.shape)
        else:
            idle = torch.zeros(e.values.shape, dtype=torch.bool)
            idle[list(known.idle)] = True
        assert idle.any(), f"[DUMMY] {method.name}: no feature of the test network is ignored in {e.features.name}"
        worst, scale = float((e.values.abs() - _drawn(method, e))[idle].max()), float(e.values.abs().max())
        assert worst <= EXACT * scale, (
            f"[DUMMY] {method.name}: a feature that the model ignores got {worst:.3g}, where the largest value "
            f"is {scale:.3g} ({e.features.name})")


def _over_input(method: Method) -> bool:
    return "inside(" not in method.name


def _drawn(method: Method, e: Explanation) -> Tensor:
    """What random draws may leave on each value."""
    return torch.zeros_like(e.values) if e.error is None or "samples" not in method.defaults else DEVIATIONS * e.error


def symmetric(method: Method, options: Options) -> None:
    """Two columns with equal weights and equal values get equal values; two equal tokens where attention is read."""
    known = tokens() if Need.ATTENTION in method.card.needs else vector()
    assert known.alike is not None
    e = known.asked(method, options)
    a, b = (float(e.values[k]) for k in known.alike)
    assert abs(a - b) <= EXACT * float(e.values.abs().max()) + float(_drawn(method, e)[list(known.alike)].sum()), (
        f"[SYMMETRIC] {method.name}: two columns that play the same part got {a:.6g} and {b:.6g}")


def linear(method: Method, options: Options) -> None:
    """The values for a sum of two scores are the sum of the values, to the errors that are stated."""
    one, two = (lambda o: o[:, 0]), (lambda o: 2 * o[:, 1])
    less, least = (lambda o: 0.5 * o[:, 2]), (lambda o: o[:, 1])
    for known in networks(method):
        first = known.asked(method, options, one, less)
        second = known.asked(method, options, two, least)
        both = known.asked(method, options, lambda o: one(o) + two(o), lambda o: less(o) + least(o))
        apart = (both.values - first.values - second.values).abs()
        stated = torch.zeros_like(apart)
        for e in (first, second, both):
            stated += 0 if e.error is None else e.error
        scale = float(both.values.abs().max())
        over = float((apart - stated).max())
        assert over <= EXACT * scale, (
            f"[LINEAR] {method.name}: the values for a sum of scores differ from the sum of the values by "
            f"{float(apart.max()):.3g}, where the largest value is {scale:.3g}")
