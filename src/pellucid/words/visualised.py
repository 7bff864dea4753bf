"""A picture that was made to excite a unit, and how much less others do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from pellucid.words.draw import Drawn
from pellucid.words.explanation import Evidence, Finding, Verdict


@dataclass(frozen=True, eq=False)
class Visualised(Drawn, drawn="visualised"):
    """What a unit, a channel or a concept reacts to most, as far as a climb from a random start finds it.

    `image` (rows, columns, 3) are bytes to look at, `x` is what the model is fed. `activation` is reached by it,
    `start` by the start, `controls` by pictures with the same strength at every frequency and nothing in its place;
    `history` are step and activation on the way. A picture from a climb is one of many that would do: it says what
    suffices, not what the unit is for.
    """

    image: np.ndarray[Any, Any]
    x: Tensor
    target: str
    activation: float
    start: float
    controls: tuple[float, ...]
    history: tuple[tuple[int, float], ...]
    steps: int
    seed: int
    model: str = ""
    findings: tuple[Finding, ...] = ()
    evidence: Evidence = field(default_factory=Evidence)
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def control(self) -> float:
        """The mean activation of the controls."""
        return sum(self.controls) / len(self.controls)

    @property
    def verdict(self) -> Verdict:
        """The findings as reasons."""
        return Verdict(self.findings)

    def __repr__(self) -> str:
        return f"Visualised({self.target}: {self.activation:.4g}, random pictures {self.control:.4g})"
