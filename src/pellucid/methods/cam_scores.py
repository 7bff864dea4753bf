"""Class activation maps without gradients: channels are weighed by what the score says of each."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.methods.maps import Grid, channels, over, picture, placed, resized
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.features import Features
from pellucid.words.method import AUTO, Need, method
from pellucid.words.points import LeaveOneOut
from pellucid.words.site import Site


@dataclass(frozen=True, eq=False)
class Shown:
    """x as far as channel c of a layer lights it up, the baseline elsewhere: point c, made when it is asked about.

    `maps` (C, places) are the layer's activations; each is interpolated to x's places and scaled to [0, 1] there.
    Equal only to itself.
    """

    maps: Tensor

    @property
    def n(self) -> int:
        return len(self.maps)

    @property
    def key(self) -> Hashable:
        return self

    @property
    def uses(self) -> str:
        return "xb"

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        masks = scaled(resized(self.maps[start:stop].to(x), tuple(x.shape[2:]), lead=1)).unsqueeze(1)
        x, baseline = x.unsqueeze(1), baseline.unsqueeze(1)
        return torch.mul(masks, x - baseline, out=out).add_(baseline)


def scaled(maps: Tensor) -> Tensor:
    """Each map (k, …) between 0 and 1; one that is the same everywhere shows nothing."""
    flat = maps.flatten(1)
    low, high = (v.reshape(-1, *[1] * (maps.dim() - 1)) for v in (flat.amin(1), flat.amax(1)))
    return torch.where(high > low, (maps - low) / (high - low), 0.0)


@method(
    asks="score", paper="arXiv:1910.01279", gives="map", baseline=True, needs=[Need.PLACES, Need.PICTURE],
    formula="Σ_c w_c a_c, w = softmax over c of f(x where a_c is active) − f(b)",
    cost="one row per channel of the layer",
    use="models whose gradients are noise or do not exist",
    avoid="layers with thousands of channels, and scores on a large scale: the softmax then picks a single channel",
)
async def score_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """A layer's channels, each weighed by the score of x as far as that channel shows it.

    Channel c, interpolated (bilinear) to x's rows and columns and scaled to [0, 1], is a mask M_c; what it
    hides takes the baseline's value (the paper multiplies: baseline="zero"). The weights are the softmax
    over channels of f(b + M_c (x − b)) − f(b), the map is Σ_c w_c a_c; the paper's ReLU around it belongs
    to the drawing. A softmax does not see what is the same for all channels, so that f(b) is not asked for.
    Masks are made a block at a time. `layer` and `grid` as in grad_cam.
    """
    async def one(name: str, its: Grid | None) -> tuple[Tensor, dict[str, Any]]:
        seen = placed((await case.reading(case.here, of=name))[0], name, its)
        picture(case, seen.dim() - 1)
        scores = await case.score(Shown(seen))
        weights = torch.softmax(scores.double(), 0).to(seen)
        return torch.einsum("c,c...->...", weights, seen), {}

    return await over(layer, grid, one)


@method(
    asks="score", paper="doi:10.1109/WACV45572.2020.9093360", gives="map", needs=[Need.PLACES],
    formula="Σ_c w_c a_c, w_c = f(x) − f(x without channel c)",
    cost="one row per channel behind the layer, and 1 before it",
    use="as grad_cam, where gradients are saturated or do not exist",
    avoid="channels that stand in for each other: without one the other still speaks",
)
async def ablation_cam(
    case: Case, *, layer: str | tuple[str, ...] = AUTO, grid: tuple[int, ...] | None = None
) -> Estimate:
    """A layer's channels, each weighed by what the score loses when it is set to zero everywhere.

    w_c = f(x) − f(x with channel c of the layer zero), and the map is Σ_c w_c a_c. The paper divides by
    f(x), which scales all channels alike and turns the map over where the score is negative: left out. The
    layers before run once. A channel of tokens is set to zero in all of them, class token included.
    `layer` and `grid` as in grad_cam.
    """
    async def one(name: str, its: Grid | None) -> tuple[Tensor, dict[str, Any]]:
        (seen,) = await case.reading(case.here, of=name)
        shape = tuple(seen.shape)
        axis = channels(shape, name, its)
        place = Features(torch.arange(shape[axis]), (axis,), (shape[axis],), "units", "channels")
        there = case.at(Site.parse(name), seen, torch.zeros_like(seen), place)
        here, without = await together(case.score(case.here), there.score(there.keep(LeaveOneOut(place.n))))
        return torch.einsum("c,c...->...", (here - without).to(seen), placed(seen, name, its)), {}

    return await over(layer, grid, one)
