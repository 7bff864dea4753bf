"""A direction of a layer as what is explained: how far its value goes along a vector."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from torch import Tensor

from pellucid.words.errors import TargetError
from pellucid.words.site import Site


@dataclass(frozen=True, eq=False)
class Direction:
    """⟨value, vector⟩ for a vector shaped like the layer's value, or one over its channels (on `axis` of a row).

    Over channels it is the mean over places. Equal only to itself.
    """

    layer: Site
    vector: Tensor
    axis: int = 0
    name: str = "a direction"

    @property
    def of(self) -> Site | None:
        return self.layer

    @property
    def key(self) -> Hashable:
        return self

    def score(self, value: Tensor) -> Tensor:
        vector = self.vector.to(value)
        if tuple(vector.shape) == tuple(value.shape[1:]):
            return (value * vector).flatten(1).sum(1)
        channels = value.flatten(1) if self.axis < 0 else value.movedim(self.axis + 1, 1).flatten(2).mean(2)
        if vector.dim() != 1 or channels.shape[1] != len(vector):
            raise TargetError("target.out_of_range", f"a vector of shape {tuple(vector.shape)} for {self.layer}",
                              f"{tuple(value.shape[1:])} or ({channels.shape[1]},)", "give a vector that fits")
        return channels @ vector

    def describe(self, labels: Sequence[str]) -> str:
        return f"{self.name} of {self.layer}"
