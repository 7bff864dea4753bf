"""How good an explanation is by several metrics: each number with its interval, beside what knows nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pellucid.numbers.intervals import quantile
from pellucid.words.draw import Drawn
from pellucid.words.explanation import Evidence, Finding, Verdict


@dataclass(frozen=True)
class Measurement:
    """One metric of one explanation.

    `error` is one standard error of `value`, with `freedom` degrees of freedom (infinite where it is no estimate);
    None where unknown. `controls` are the same metric's values for attributions that know nothing: this one's
    own values at other places. `curve` and `curves` (of the controls) are points (x, y), `axes` what they are.
    """

    name: str
    value: float
    error: float | None = 0.0
    better: str = ""
    kind: str = ""
    controls: tuple[float, ...] = ()
    freedom: float = math.inf
    level: float = 0.95
    curve: tuple[tuple[float, float], ...] = ()
    curves: tuple[tuple[tuple[float, float], ...], ...] = ()
    axes: tuple[str, str] = ("", "")
    summary: str = ""
    paper: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the metric's true value lies, at `level`; None where the error is unknown."""
        if self.error is None:
            return None
        wide = quantile(self.level, self.freedom) * self.error
        return self.value - wide, self.value + wide

    @property
    def control(self) -> float | None:
        """The mean over the controls."""
        return sum(self.controls) / len(self.controls) if self.controls else None

    @property
    def beaten(self) -> int:
        """How many controls do worse."""
        return sum(c < self.value if self.better == "high" else c > self.value for c in self.controls)

    @property
    def p(self) -> float | None:
        """How often an attribution that knows nothing would do at least as well: (1 + as good) / (1 + controls)."""
        if not self.controls or not self.better:
            return None
        return (1 + len(self.controls) - self.beaten) / (1 + len(self.controls))


@dataclass(frozen=True, eq=False)
class Evaluation(Drawn, Mapping[str, Measurement], drawn="evaluation"):
    """Metrics of an explanation, by name.

    `verdict` is the explanation's own, with what the metrics add to it. `unfit` says of each metric that could
    not be taken why: its code and reason.
    """

    measurements: Mapping[str, Measurement]
    method: str = ""
    target: str = ""
    model: str = ""
    verdict: Verdict = field(default_factory=Verdict)
    evidence: Evidence = field(default_factory=Evidence)
    unfit: Mapping[str, Finding] = field(default_factory=dict[str, Finding])
    ordinal: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __getitem__(self, name: str) -> Measurement:
        return self.measurements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.measurements)

    def __len__(self) -> int:
        return len(self.measurements)

    def __repr__(self) -> str:
        told = ", ".join(f"{m.name} {m.value:.3g}" + ("" if m.control is None else f" (control {m.control:.3g})")
                         for m in self.values())
        return f"Evaluation({self.method}: {told}; {self.verdict.status})"
