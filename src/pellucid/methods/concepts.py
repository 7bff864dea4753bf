"""Conversations about concepts: where an input lies in a layer, and which way its score changes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pellucid.numbers.activity import channels_first
from pellucid.words.ask import Ask, together
from pellucid.words.case import Case
from pellucid.words.points import AsIs
from pellucid.words.site import Site


@dataclass(frozen=True)
class Place:
    """A layer as concepts see it: every unit, or channels (on `axis` of a row) with their places taken together."""

    site: Site
    axis: int
    channels: bool = False

    def value(self, seen: Tensor) -> Tensor:
        """A row's activation (1, *shape) as a vector; of channels the mean over places."""
        return channels_first(seen, self.axis).mean(2)[0] if self.channels else seen[0].flatten().clone()

    def slope(self, gradient: Tensor) -> Tensor:
        """The gradient that belongs to it: moving a channel moves it at all its places."""
        return channels_first(gradient, self.axis).sum(2)[0] if self.channels else gradient[0].flatten().clone()


async def activations(case: Case, places: Sequence[Place]) -> list[Tensor]:
    """The input's activation at each layer, as a vector."""
    seen = await together(*(case.own(of=p.site) for p in places))
    return [p.value(s) for p, s in zip(places, seen, strict=True)]


async def slopes(case: Case, places: Sequence[Place]) -> list[Tensor]:
    """The gradient of the score with respect to each layer at the input, as a vector."""
    found = await together(*(Ask("gradient", case, AsIs(), p.site) for p in places))
    return [p.slope(g) for p, g in zip(places, found, strict=True)]
