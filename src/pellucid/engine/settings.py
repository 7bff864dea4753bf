"""How a run may use the machine, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

from pellucid.engine.cost import Clock
from pellucid.words.case import Carrier, Case
from pellucid.words.errors import OptionError, nearest
from pellucid.words.target import Target

PRECISIONS = ("exact", "auto", "fast")


@dataclass(frozen=True)
class Settings:
    """How a run may use the machine.

    `budget` bytes for activations (half of the free memory by default), `chunk` rows a pass at most,
    `strict` gives every row a pass of its own, so that results are equal bit for bit whatever else is
    asked, `progress` is told how many rows were answered and how many were asked for so far, `profile`
    waits for a GPU after each pass, so that its time is told exactly.
    `precision` says who may answer: the model's own layers (`exact`), also a copy of it that computes the
    same faster (`auto`), or one that rounds to bfloat16 where that was found to be harmless (`fast`).
    """

    budget: int | None = None
    chunk: int | None = None
    strict: bool = False
    progress: Callable[[int, int], None] | None = None
    profile: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise OptionError("option.value", f"precision={self.precision!r}", ", ".join(PRECISIONS),
                              nearest(str(self.precision), PRECISIONS))
        if self.chunk is not None and not (isinstance(self.chunk, int) and self.chunk >= 1):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("option.value", f"chunk={self.chunk!r}", "1 or more rows", "leave chunk out or ask for 1")

    @property
    def exact(self) -> bool:
        """True where only the model's own layers may answer."""
        return self.strict or self.precision == "exact"


@dataclass(eq=False)
class Tally:
    """What a run did.

    `asked` counts rows by example, `modelled` its share of the model's seconds, `methods` the seconds
    inside each conversation in their order, `frozen` holds the predictions that were settled.
    `twin` names the copy that answered, with its measured `agreement`; `untuned` holds the reasons why
    the model's own layers did. `probable` holds the keys of targets whose score is a probability.
    """

    passes: int = 0
    forwards: int = 0
    rows: int = 0
    asked_rows: int = 0
    chunk: int = 0
    retries: int = 0
    seconds: float = 0.0
    isolation: str = "shadow"
    interact: bool = False
    widened: bool = False
    recomputed: bool = False
    padded: bool = False
    peak: int | None = None
    predicted: int | None = None
    foretold: str = ""
    clock: Clock = field(default_factory=Clock)
    methods: list[float] = field(default_factory=list[float])
    joules: float | None = None
    modelled: WeakKeyDictionary[Carrier, float] = field(default_factory=WeakKeyDictionary[Carrier, float])
    twin: str | None = None
    agreement: dict[str, float] = field(default_factory=dict[str, float])
    untuned: dict[str, None] = field(default_factory=dict[str, None])
    probable: set[Hashable] = field(default_factory=set[Hashable])
    asked: WeakKeyDictionary[Carrier, int] = field(default_factory=WeakKeyDictionary[Carrier, int])
    frozen: WeakKeyDictionary[Carrier, dict[Hashable, Target]] = field(
        default_factory=WeakKeyDictionary[Carrier, dict[Hashable, Target]])

    @cached_property
    def python(self) -> float:
        """Seconds that were neither the model's nor a method's; read when the run is over."""
        return max(self.seconds - sum(self.clock.seconds.values()) - sum(self.methods), 0.0)

    def spent(self, carrier: Carrier, method: float, sharing: int) -> dict[str, float]:
        """Where the seconds of one conversation went; what nobody can be charged with is shared out evenly."""
        clock = self.clock.seconds
        found = {"model": self.modelled.get(carrier, 0.0), "checks": clock["checks"] / sharing, "method": method,
                 "transfers": clock["transfers"] / sharing, "python": self.python / sharing}
        return {**found, "waiting": max(self.seconds - sum(found.values()), 0.0)}

    def target_of(self, case: Case) -> Target:
        """The case's target, settled where it was the predicted class."""
        return self.frozen.get(case.carrier, {}).get(case.target.key, case.target)
