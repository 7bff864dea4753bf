"""A metric: a coroutine over a case and an attribution of it, with the card that says how to read its number."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pellucid.words.case import Case
from pellucid.words.declared import Declared, parts
from pellucid.words.errors import OptionError

ASKS = ("nothing", "score", "again")
"""What a metric needs: the values alone, scores of the model, or the method asked once more."""

BETTER = ("high", "low", "")
"""Which end of its scale speaks for an explanation; nothing where neither does."""

KINDS = ("faithfulness", "robustness", "localisation", "complexity", "sanity")


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a metric judges: a value for each feature of the case, on the CPU in float64, with its sign.

    `again` asks the same method, with the same options, about another case, and lays its values over the same
    features; None where only values are known (an explanation from a file without its model). `means` is as on
    `Explanation`: only of an `effect` does the sign say anything about the score. `unit` says that effects are in units
    of the score; a map over places says how strong, on a scale of its own.
    """

    values: Tensor
    again: Callable[[Case], Awaitable[Tensor]] | None = None
    means: str = "effect"
    unit: bool = True


@dataclass(frozen=True, eq=False)
class Measured:
    """A metric's number for one attribution.

    `error` is one standard error of it: 0 where it is exact, None where a single run cannot tell (then it is run
    with several seeds); `freedom` are its degrees of freedom, where it was told from a few draws. `curve` are the
    points (x, y) that it was taken from, `axes` what these are. `notes` are codes for the verdict, `details` further
    figures by name.
    """

    value: float
    error: float | None = 0.0
    curve: tuple[tuple[float, float], ...] = ()
    axes: tuple[str, str] = ("", "")
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    freedom: float = math.inf


@dataclass(frozen=True)
class MetricCard:
    """What a metric declares of itself.

    `kind` is the question it answers, `asks` what it needs, `better` which end is good. `control` says that
    the same number for attributions that know nothing of the model is a fair comparison. `place` says that the
    values must lie over features that can be switched off in the input. `needs` names the options that have no
    default (a mask). `paper`, `formula`, `cost`, `use` and `avoid` are for readers.
    """

    kind: str
    asks: str
    better: str
    paper: str = ""
    formula: str = ""
    cost: str = ""
    use: str = ""
    avoid: str = ""
    control: bool = True
    place: bool = True
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Metric(Declared):
    """A named metric: calling it with a case and an attribution starts the conversation."""

    card: MetricCard

    def __call__(self, case: Case, shown: Attribution, **options: Any) -> Coroutine[Any, Any, Measured]:
        return self.run(case, shown, **self.settle(options))


KNOWN: dict[str, Metric] = {}
"""Every metric that was declared in this process, by name."""


def metric(
    *,
    kind: str,
    asks: str,
    better: str,
    paper: str = "",
    formula: str = "",
    cost: str = "",
    use: str = "",
    avoid: str = "",
    control: bool = True,
    place: bool = True,
    needs: Sequence[str] = (),
) -> Callable[[Callable[..., Coroutine[Any, Any, Measured]]], Metric]:
    """Declare a coroutine over a case and an attribution as a metric; its keyword-only arguments are its options.

    What is declared is told on `MetricCard`.
    """
    for said, known in ((kind, KINDS), (asks, ASKS), (better, BETTER)):
        if said not in known:
            raise OptionError("metric.card", repr(said), " or ".join(map(repr, known)), "choose one of these")

    def declare(fn: Callable[..., Coroutine[Any, Any, Measured]]) -> Metric:
        card = MetricCard(kind, asks, better, paper, formula, cost, use, avoid, control, place, tuple(needs))
        made = Metric(card=card, **parts(fn))
        KNOWN[made.name] = made
        return made

    return declare
