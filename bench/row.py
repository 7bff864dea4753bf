"""What a row of the benchmark is: the work in plain words, who does it, and what is promised.

Nothing here imports torch: rows are listed, merged and drawn without it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.setup import Setup

OURS = "pellucid"
TUNED = "pellucid, tuned"
"""The same call with precision="fast": always the tuned twin, in bfloat16 where that was found harmless."""

DEFAULT = "pellucid, default"
"""The same call without precision: the twin for questions so large that it pays."""


@dataclass(frozen=True)
class Spread:
    """The median of pairwise ratios with its quartiles, from so many pairs."""

    median: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True)
class Bound:
    """A promise: `what` of ours is at most `most` times that of `against`.

    Where `unit` is given it is no ratio: the figure itself is bounded. `because` is the known reason
    where the promise is not kept.
    """

    what: str
    against: str
    most: float
    ours: str = OURS
    unit: str = ""
    because: str = ""


@dataclass(eq=False)
class Contest:
    """Who does the same work: functions without arguments that return comparable tensors.

    `reference` gives the float64 values, one tensor for all sides or one per side whose own definition
    differs (a map that is normalised). Sides without values (a plain forward) are left out of it. `pairs`
    says who is compared with whom; by default every side of ours with every other.
    """

    sides: dict[str, Callable[[], Any]]
    reference: Callable[[], Any] | None = None
    pairs: Sequence[tuple[str, str]] = ()


@dataclass(eq=False)
class Findings:
    """What was measured: ratios by what and against whom, figures by name, remarks.

    Keys of `ratios` are "what|ours|against"; `errors` is the relative error of each side.
    """

    ratios: dict[str, Spread] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float | str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, what: str, ours: str, against: str, spread: Spread) -> None:
        self.ratios[f"{what}|{ours}|{against}"] = spread


@dataclass(frozen=True)
class Row:
    """One row: `build` sets the work up, `measures` says what is taken of it, `bounds` what is promised.

    `needs` says what is missing for the row (None: nothing), so that a capability that is not there yet
    is found when it appears. `seconds` is the time its alternation may take.
    """

    name: str
    work: str
    build: Callable[[Setup], Contest | Findings]
    bounds: Sequence[Bound] = ()
    measures: Sequence[str] = ("time", "error")
    needs: Callable[[], str | None] = lambda: None
    seconds: float = 20.0


def waiting(name: str, work: str, bounds: Sequence[Bound], place: str) -> Row:
    """A row for a capability that is not there yet: `package.module` or `package:name`.

    When it appears the row says so, as a failure, until it has been written against the real thing.
    """

    def needs() -> str | None:
        module, _, attribute = place.partition(":")
        there = importlib.util.find_spec(module) is not None
        if there and attribute:
            there = hasattr(importlib.import_module(module), attribute)
        return None if there else f"no {place.replace(':', '.')}"

    def build(setup: Setup) -> Findings:
        raise NotImplementedError(f"{place.replace(':', '.')} has appeared: this row is to be written against it")

    return Row(name, work, build, bounds, needs=needs)
