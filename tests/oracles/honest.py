"""Whether stated errors bound true ones as often as they say, counted; with the margin that counting itself has."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Count:
    """How often a method that stopped by itself was right, in norm and feature by feature."""

    name: str
    runs: int = 0
    within: int = 0
    covered: list[float] = field(default_factory=list)

    def add(self, values: Tensor, error: Tensor, true: Tensor, tolerance: float) -> None:
        """One run that claims to be within the tolerance; the error is one standard error per feature."""
        self.runs += 1
        off = (values - true).double()
        self.within += int(float(off.norm()) <= tolerance * float(values.norm()))
        self.covered.append(float((off.abs() <= 2 * error.double() + 1e-12).double().mean()))

    def check(self, least: float = 0.95, covered: float = 0.91) -> None:
        """Raise unless the share within the tolerance could be `least`, and the mean coverage is `covered`."""
        margin = 3 * math.sqrt(least * (1 - least) / self.runs)
        assert self.within >= (least - margin) * self.runs, (
            f"{self.name}: {self.within} of {self.runs} within the tolerance that was claimed")
        mean = sum(self.covered) / self.runs
        assert mean >= covered - 0.3 / math.sqrt(self.runs), (
            f"{self.name}: two standard errors cover {mean:.1%} of the features")
