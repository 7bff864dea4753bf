"""Several explanations of one example side by side: where they agree, where they contradict, what each is worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pellucid.words.draw import Drawn
from pellucid.words.errors import PellucidError
from pellucid.words.evaluation import Evaluation
from pellucid.words.explanation import Evidence, Explanation, Verdict
from pellucid.words.features import Features


@dataclass(frozen=True)
class Cost:
    """What an explanation cost within the run that all shared.

    `rows` it asked for, of them `gradients` with a gradient; `rounds` is how often it waited for answers: alone it
    takes at least so many passes. `seconds` are its own arithmetic and its share of the model's time by rows, one
    with a gradient counted as three.
    """

    rows: int = 0
    gradients: int = 0
    rounds: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Contradiction:
    """A feature (number `at`) that some say raises the score and others that it lowers it.

    `size` is the smaller of the largest values on either side, each scaled so that an explanation's sizes sum to 1;
    `share` is how many of those that say anything of it are in the minority, up to a half.
    """

    at: int
    name: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    size: float

    @property
    def share(self) -> float:
        return min(len(self.above), len(self.below)) / (len(self.above) + len(self.below))


@dataclass(frozen=True, eq=False)
class Comparison(Drawn, Mapping[str, Explanation], drawn="comparison"):
    """Explanations of one example by several methods, or by one method from several baselines, by name.

    `laid` are their values over the features of `layout`, (n,) each, in float64. `agreement` holds a matrix for every
    two of them, in the order of the names: `rank` (Spearman's correlation, -1 to 1; by size where one has no signs),
    `sign` (share of the same sign, weighted by size; not a number where one has no signs) and `top` (share of the
    `k` largest that are the same). `consensus` is the mean of those that are effects, each scaled to sizes that sum
    to 1, with its `spread` between them (None where none is); `prominence` is each feature's mean rank by size over
    all, 0 to 1. `contradictions` come by size. `errors` holds what could not be explained or compared, by name.

    With `baselines`, the names are these: `baselines` holds the score at each, and `average` the mean of the
    values, which is what averaging the method over them gives.
    """

    explanations: Mapping[str, Explanation]
    layout: Features
    laid: Mapping[str, Tensor]
    agreement: Mapping[str, Tensor]
    k: int
    consensus: Tensor | None = None
    spread: Tensor | None = None
    prominence: Tensor | None = None
    contradictions: tuple[Contradiction, ...] = ()
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict[str, Evaluation])
    cost: Mapping[str, Cost] = field(default_factory=dict[str, Cost])
    errors: Mapping[str, PellucidError] = field(default_factory=dict[str, PellucidError])
    verdict: Verdict = field(default_factory=Verdict)
    evidence: Evidence = field(default_factory=Evidence)
    baselines: Mapping[str, float] = field(default_factory=dict[str, float])
    average: Tensor | None = None
    model: str = ""

    def __getitem__(self, name: str) -> Explanation:
        return self.explanations[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.explanations)

    def __len__(self) -> int:
        return len(self.explanations)

    @property
    def first(self) -> Explanation:
        """Any of them, for what they share: target, score, input."""
        return next(iter(self.explanations.values()))

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the explanations come from, which is the same for all."""
        return {k: v for k, v in self.first.provenance.items() if k != "seed"}

    @property
    def target(self) -> str:
        return self.first.target

    @property
    def score(self) -> float:
        return self.first.score

    @property
    def names(self) -> tuple[str, ...]:
        """A name per feature of the layout."""
        return named(self.layout)

    def between(self, one: str, other: str) -> dict[str, float]:
        """How far two of them agree, by each measure."""
        order = list(self.explanations)
        return {what: float(m[order.index(one), order.index(other)]) for what, m in self.agreement.items()}

    def typical(self, what: str = "rank") -> float:
        """The median of a measure over all pairs; not a number where there is none."""
        matrix = self.agreement[what]
        found = sorted(float(matrix[i, j]) for i in range(len(matrix)) for j in range(i)
                       if not math.isnan(float(matrix[i, j])))
        half = len(found) // 2
        return math.nan if not found else found[half] if len(found) % 2 else (found[half - 1] + found[half]) / 2

    def to_frame(self, table: str | None = None) -> Any:
        """A pandas DataFrame, a row per explanation, with faithfulness and cost; or one of its tables by name."""
        if table is not None:
            return super().to_frame(table)
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for name in self.explanations:
            row: dict[str, Any] = {"name": name, "verdict": self[name].verdict.status}
            for metric, m in self.evaluations.get(name, {}).items():
                row |= {metric: m.value, f"{metric} control": m.control, f"{metric} p": m.p}
            cost = self.cost.get(name, Cost())
            row |= {"rows": cost.rows, "rounds": cost.rounds, "seconds": cost.seconds}
            rows.append(row if name not in self.baselines else {**row, "baseline score": self.baselines[name]})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        told = ", ".join(self.explanations)
        return (f"Comparison({self.verdict.status}: {told} for {self.target!r}; ranks agree to {self.typical():.2f}, "
                f"{len(self.contradictions)} contradictions)")


def named(layout: Features) -> tuple[str, ...]:
    """A name per feature: its own, or its row and column."""
    if layout.names:
        return layout.names
    if len(layout.shape) == 2:
        return tuple(f"row {r + 1}, column {c + 1}" for r in range(layout.shape[0]) for c in range(layout.shape[1]))
    return tuple(f"region {i + 1}" for i in range(layout.n))
