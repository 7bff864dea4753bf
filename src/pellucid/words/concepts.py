"""What concepts do to a score, and whether random ones would do as much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pellucid.words.draw import Drawn
from pellucid.words.explanation import Evidence, Finding, Shown


@dataclass(frozen=True, eq=False)
class Tested:
    """One concept at one layer.

    `score` is TCAV's: the share of inputs whose target's score grows along the concept's vector, mean over counter-sets
    (`scores`). `slope` is by how much it grows for a step of length one, mean over inputs and counter-sets (`slopes`).
    `score_p` and `slope_p` say how often random concepts lie as far from what random concepts usually do, `p` how often
    they do so in either; `null` (random concepts, 2) are their scores and slopes. `accuracy` is the share of held-out
    examples that the vectors tell from counter-examples, `accuracy_p` how often random concepts are told apart as
    well. `stability` is the mean cosine between vectors against different counter-sets. `vectors` (counters, *shape)
    have length one. `significant` holds after the false discoveries of the whole table are controlled, and only for
    a concept that the layer tells from chance; `findings` say what else to know.
    """

    concept: str
    layer: str
    examples: int
    score: float
    slope: float
    scores: tuple[float, ...]
    slopes: tuple[float, ...]
    p: float
    score_p: float
    slope_p: float
    accuracy: float
    accuracy_p: float
    stability: float
    null: Tensor
    vectors: Tensor
    significant: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def vector(self) -> Tensor:
        """The concept's direction in the layer, of length one: the mean over counter-sets."""
        mean = self.vectors.mean(0)
        return mean / mean.norm().clamp(min=1e-30)

    @property
    def found(self) -> bool:
        """True where the layer tells the concept from chance."""
        return all(f.code != "concept.none" for f in self.findings)

    @property
    def usual(self) -> tuple[float, float]:
        """Between which scores 95 % of random concepts lie."""
        low, high = self.null[:, 0].double().quantile(self.null.new_tensor([0.025, 0.975]).double()).tolist()
        return low, high


@dataclass(frozen=True, eq=False)
class Concepts(Drawn, Mapping[tuple[str, str], Tested], drawn="concepts"):
    """Concepts by name and layer, for one target.

    `inputs` is how many inputs the shares are taken over, `sets` the number of counter-sets, `permutations` that of
    random concepts, `level` the share of false discoveries that is allowed among significant ones and `control` how
    (bh, by). `over` is what a vector is over: all units of a layer, or its channels. `cav` and `penalty` say how
    vectors were fitted. `shown` are some examples of each concept, kept in memory only.
    """

    tests: Mapping[tuple[str, str], Tested]
    target: str
    inputs: int
    sets: int
    permutations: int
    level: float
    control: str
    over: str
    cav: str
    penalty: float
    seed: int
    model: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    shown: Mapping[str, tuple[Shown, ...]] = field(default_factory=dict[str, tuple[Shown, ...]])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def significant(self) -> list[Tested]:
        """The tests that hold, the surest first."""
        return sorted((t for t in self.values() if t.significant), key=lambda t: (t.p, -abs(t.slope)))

    def __getitem__(self, name: tuple[str, str]) -> Tested:
        return self.tests[name]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.tests)

    def __len__(self) -> int:
        return len(self.tests)

    def __repr__(self) -> str:
        held = ", ".join(f"{t.concept} at {t.layer} (p={t.p:.3g})" for t in self.significant[:4])
        return f"Concepts({self.target}: {len(self)} tests; significant: {held or 'none'})"
