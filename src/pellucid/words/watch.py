"""What was seen of a network while it was trained: one record per look, and what the records tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid.languages import events
from pellucid.languages.events import EVENTS
from pellucid.words import draw
from pellucid.words.draw import Drawn
from pellucid.words.explanation import Finding, Verdict


@dataclass(frozen=True)
class Watched:
    """A layer at one look, over the probe inputs; None where a number would not be finite.

    `dead` is the share of channels that were the same everywhere, `zero` and `saturated` are shares of values,
    `counted` is how many values a channel had, `broken` the share of values that are not finite. `histogram` counts
    values in the bins of pellucid.numbers.histogram.
    """

    mean: float | None
    spread: float | None
    least: float | None
    most: float | None
    dead: float | None
    zero: float
    saturated: float
    counted: int
    broken: float = 0.0
    histogram: tuple[int, ...] = ()


@dataclass(frozen=True)
class Flow:
    """The parameters of a layer: how large they are, their gradient, and what a step changed.

    `gradient` is the norm of what stood in `.grad`, `weight` that of the parameters, `update` the norm of what the
    step changed over that of the parameters; None where it was not there to see, or not finite (`broken`).
    """

    parameters: int
    weight: float | None
    gradient: float | None = None
    update: float | None = None
    broken: bool = False


@dataclass(frozen=True)
class Explained:
    """How the probe inputs were explained at one look.

    `maps` are the values of each input, averaged down to at most 16 × 16 or 256 numbers, `shapes` how they lie.
    `first` and `previous` are Spearman's rank correlations with the first look and the one before, mean over inputs.
    `suspect` is the share of the positive part that lies where it should not, `area` the share of the features there.
    """

    method: str
    targets: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    maps: tuple[tuple[float, ...], ...]
    first: float | None = None
    previous: float | None = None
    suspect: tuple[float | None, ...] = ()
    area: tuple[float | None, ...] = ()

    @property
    def suspected(self) -> float | None:
        """The mean share over the inputs that have a suspect part."""
        return _mean(self.suspect)

    @property
    def expected(self) -> float | None:
        """What that share would be of an explanation that is spread evenly."""
        return _mean(self.area)


@dataclass(frozen=True)
class Record:
    """One look at a network in training, after `step` steps (0: before the first).

    `figures` are what the loop said of itself (`loss` and whatever else). `attention` is by layer the entropy of every
    head as a share of the most there can be. `seconds` is what the look cost, `trained` how long the training took
    since the look before. `notes` say what could not be seen, and why.
    """

    step: int
    figures: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    layers: Mapping[str, Watched] = field(default_factory=dict[str, Watched])
    flow: Mapping[str, Flow] = field(default_factory=dict[str, Flow])
    attention: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict[str, tuple[float | None, ...]])
    explained: Explained | None = None
    seconds: float = 0.0
    trained: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def loss(self) -> float | None:
        return self.figures.get("loss")

    def scalars(self) -> dict[str, float]:
        """Every number of the record by a name with slashes, as dashboards take them."""
        told: dict[str, float | None] = dict(self.figures)
        for name, layer in self.layers.items():
            told |= {f"{name}/{k}": getattr(layer, k) for k in ("mean", "spread", "dead", "zero", "saturated")}
        for name, flow in self.flow.items():
            told |= {f"{name}/{k}": getattr(flow, k) for k in ("weight", "gradient", "update")}
        for name, heads in self.attention.items():
            told[f"{name}/attention entropy"] = _mean(heads)
        if self.explained is not None:
            told |= {"explanation/agreement with first": self.explained.first,
                     "explanation/agreement with previous": self.explained.previous,
                     "explanation/suspect share": self.explained.suspected}
        return {k: float(v) for k, v in told.items() if v is not None}


@dataclass(frozen=True)
class Event(Finding):
    """Something that happened in a training: when, and at which layer. `facts` are what its sentence is made of."""

    step: int = 0
    layer: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def told(self, lang: str | None = None) -> tuple[str, str]:
        """What was seen and what to do, in a language, from the facts."""
        try:
            return events.told(self.code, self.facts, lang) if self.code in EVENTS else super().told(lang)
        except KeyError:  # a finding of others under this code, with facts of its own
            return super().told(lang)


@dataclass(frozen=True)
class Cost:
    """What watching cost: `looks` made, their `seconds`, the `training` seconds between them, and `setup` before.

    `seconds` is all that calls of the watcher took, also of the steps that were not looked at.
    """

    looks: int = 0
    seconds: float = 0.0
    setup: float = 0.0
    training: float = 0.0

    @property
    def share(self) -> float:
        """Seconds of looking by seconds of training, setting up left out: it is paid once."""
        return self.seconds / self.training if self.training else 0.0


@dataclass(frozen=True)
class Run:
    """What is watched: the model's name, the method, the probe inputs by number and digest, and everything by name.

    `layers` speak for the probe inputs, `parts` hold parameters, `attention` attends; each in the model's order.
    """

    model: str = ""
    layers: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    method: str = ""
    probes: int = 0
    probe: str = ""


@dataclass(frozen=True, eq=False)
class Training(Drawn, drawn="training"):
    """A training as it was watched: every record in order, and what happened in it."""

    run: Run = field(default_factory=Run)
    records: Sequence[Record] = ()
    events: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Any) -> Training:
        """Read the archive that `watch` wrote; a run that is still going on may be read as well."""
        return draw.call("training_open", path)

    @property
    def verdict(self) -> Verdict:
        """The events as reasons."""
        return Verdict(self.events)

    def series(self, name: str) -> list[tuple[int, float]]:
        """Step and value of one of the records' numbers, as `Record.scalars` names them."""
        return [(r.step, told[name]) for r in self.records if name in (told := r.scalars())]

    def to_frame(self, table: str | None = None) -> Any:
        """A pandas DataFrame, a row per look; or one of its tables by name."""
        if table is not None:
            return super().to_frame(table)
        import pandas as pd

        return pd.DataFrame([{"step": r.step, "seconds": r.seconds, **r.scalars()} for r in self.records])

    def __repr__(self) -> str:
        steps = f"steps {self.records[0].step} to {self.records[-1].step}" if self.records else "no steps"
        return f"Training({self.run.model}: {len(self.records)} looks, {steps}; {len(self.events)} events)"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
