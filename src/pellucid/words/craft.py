"""Concepts that were found in a layer without anybody naming them: parts, and the crops that show each best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from pellucid.words.draw import Drawn
from pellucid.words.explanation import Evidence, Finding


@dataclass(frozen=True, eq=False)
class Crop:
    """A box (left, top, right, bottom) of an input, how much of a part is in it, and its picture where there is one."""

    input: int
    box: tuple[int, int, int, int]
    amount: float
    picture: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """A direction of a layer's channels, of length one and without negative numbers.

    `importance` is its total Sobol index, mean over inputs with its standard `error` (of the points that were asked
    about, and between inputs); `effect` what the score loses when it is taken out, mean over inputs: unlike the
    importance it has a sign. `same` is how far it was found again
    from other starts (cosine, the least). `crops` show it best, one of each input.
    """

    number: int
    importance: float
    error: float
    effect: float
    same: float
    vector: Tensor
    crops: tuple[Crop, ...] = ()


@dataclass(frozen=True, eq=False)
class Craft(Drawn, Sequence[Part], drawn="craft"):
    """The parts of a layer over some inputs, the most important first.

    `lost` is the share of the crops' activations that parts do not make up (relative, root mean square); `maps`
    (inputs, parts, places) say where in each input they are, over the layer's `grid`.
    """

    parts: tuple[Part, ...]
    layer: str
    target: str
    inputs: int
    crops: int
    crop: int
    lost: float
    seed: int
    maps: Tensor
    grid: tuple[int, ...] = ()
    model: str = ""
    findings: tuple[Finding, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __getitem__(self, number: Any) -> Any:
        return self.parts[number]

    def __len__(self) -> int:
        return len(self.parts)

    def where(self, part: int, input: int = 0) -> Tensor:
        """How much of a part is at each place of an input, over the layer's grid."""
        return self.maps[input, part].reshape(self.grid or (-1,))

    def __repr__(self) -> str:
        return f"Craft({len(self)} parts of {self.layer} for {self.target}; {self.lost:.0%} lost)"
