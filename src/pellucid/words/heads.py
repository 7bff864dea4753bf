"""Heads of attention over data: what each is worth, which say the same, and which could go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.numbers.detection import share
from pellucid.numbers.intervals import quantile
from pellucid.words import draw
from pellucid.words.draw import Drawn
from pellucid.words.errors import OptionError
from pellucid.words.explanation import Evidence, Finding, Verdict


@dataclass(frozen=True, eq=False)
class Averages:
    """Means over inputs with their standard errors: both (n,), the error NaN for a single input.

    `counted` says that an input adds -1, 0 or 1: where all add the same, others may still not. Of a `share` each adds
    0 or 1.
    """

    values: Tensor
    error: Tensor
    inputs: int
    counted: bool = False
    share: bool = False

    @classmethod
    def of(cls, rows: Tensor, counted: bool = False, share: bool = False) -> Averages:
        """Of rows (inputs, n)."""
        rows = rows.double()
        spread = rows.std(0) if len(rows) > 1 else torch.full_like(rows[0], torch.nan)
        return cls(rows.mean(0), spread / math.sqrt(len(rows)), len(rows), counted, share)

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """Between which two numbers each true mean lies, a share `level` of them, by Student's distribution.

        Of what is counted no closer than what so many inputs can tell where none was seen (the rule of three); of a
        share the exact interval of Clopper and Pearson.
        """
        if not 0 < level < 1:
            raise OptionError("option.value", f"level={level}", "a share between 0 and 1", "leave it out, or take 0.95")
        if self.share:
            k = (self.values * self.inputs).round().int().tolist()
            ends = torch.tensor([share(n, self.inputs, level) for n in k], dtype=torch.float64).reshape(-1, 2)
            return ends[:, 0], ends[:, 1]
        wide = quantile(level, max(self.inputs - 1, 1)) * self.error
        if self.counted:
            wide = wide.nan_to_num(1.0).clamp(min=share(0, self.inputs, level)[1])
            return (self.values - wide).clamp(min=-1), (self.values + wide).clamp(max=1)
        return self.values - wide, self.values + wide


@dataclass(frozen=True)
class Estimated:
    """A number with an interval that holds 95 % of the time; NaN ends where it is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, rows: Tensor, level: float = 0.95) -> Estimated:
        """The mean of one number per input."""
        found = Averages.of(rows[:, None])
        low, high = found.interval(level)
        return cls(float(found.values[0]), float(low[0]), float(high[0]))

    @classmethod
    def share(cls, rows: Tensor, level: float = 0.95) -> Estimated:
        """The share of inputs (each 0 or 1), with the exact interval of Clopper and Pearson."""
        k = int(rows.sum())
        return cls(k / len(rows), *share(k, len(rows), level))

    @classmethod
    def difference(cls, rows: Tensor, level: float = 0.95) -> Estimated:
        """The mean of one number of -1, 0 or 1 per input; where inputs agree the interval is that of none seen."""
        found = Averages.of(rows[:, None], counted=True)
        low, high = found.interval(level)
        return cls(float(found.values[0]), float(low[0]), float(high[0]))


@dataclass(frozen=True, eq=False)
class Heads(Drawn, drawn="heads"):
    """What was found about the heads of a model over `inputs` inputs; all tensors are over `names`, in order.

    `names` are pairs of an attention's layer and a head's number from 0. `importance` holds by name: `gradient`
    (|sum of A · ∂f/∂A|, of the loss where there are labels, otherwise of the score), `score` (by how much the score
    falls without the head), and for classes `margin` (by how much the distance to the strongest other class falls)
    and `changed` (share of inputs whose class changes); with labels `loss` (by how much it rises) and `accuracy` (by
    how much it falls). `entropy` is 1 where a head looks at all keys alike, 0 where at one; `distance` is how far it
    looks, in tokens or in patches of a picture. `similarity` is the correlation of what two heads look at beyond
    looking at all alike, `divergence` the Jensen-Shannon distance, both (n, n), means over `compared` inputs.
    `accuracy` and `loss` are the model's own. `subject` is the model that was asked: it is held in memory only.
    """

    names: Sequence[tuple[str, int]]
    inputs: int
    importance: Mapping[str, Averages] = field(default_factory=dict[str, Averages])
    entropy: Averages | None = None
    distance: Averages | None = None
    similarity: Tensor | None = None
    divergence: Tensor | None = None
    compared: int = 0
    ablation: str = "zero"
    accuracy: Estimated | None = None
    loss: Estimated | None = None
    findings: tuple[Finding, ...] = ()
    model: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    failed: Mapping[int, Finding] = field(default_factory=dict[int, Finding])
    subject: Any = None
    margins: Tensor | None = None
    sites: Sequence[Any] = ()
    example: Any = None
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def verdict(self) -> Verdict:
        """The findings as reasons."""
        return Verdict(self.findings)

    @property
    def labelled(self) -> bool:
        return "accuracy" in self.importance

    def order(self, by: str | None = None) -> list[int]:
        """Places in `names`, the least important first: by `by`, if left out by margin, or else by size of score."""
        by = by or ("margin" if "margin" in self.importance else "score" if "score" in self.importance else "gradient")
        if by not in self.importance:
            raise OptionError("option.value", f"by={by!r}", ", ".join(self.importance), "leave it out")
        values = self.importance[by].values
        return (values.abs() if by == "score" else values).argsort(stable=True).tolist()

    def plan(self, *, share: float | None = None, loss: float | None = None, by: str | None = None) -> Plan:
        """Which heads could go, and what that is foretold to cost.

        `share` of all heads, or as many as are foretold to lose no more than `loss` of accuracy (without labels: to
        change the class of no more than that share of inputs). The least important by `by` go first; every
        attention keeps one. Raises `option.value`, `heads.no_classes`, and `heads.no_model` for one without model.
        """
        return draw.call("heads_plan", self, share=share, loss=loss, by=by)

    def __repr__(self) -> str:
        return f"Heads({self.model}: {len(self.names)} heads, {self.inputs} inputs; {len(self.findings)} findings)"


@dataclass(frozen=True, eq=False)
class Plan:
    """Heads that could go, `off`, by layer and number, and what is foretold of the model without them.

    `loss` is the accuracy that is lost, without labels the share of inputs whose class changes: foretold as if what
    heads do to the margin between classes adds up, which it does not wholly; `measure` says what is true. None where
    there are no classes. `parameters` are those that are saved, and their `share` of all that the model's matrices
    hold; where a layer can only be masked nothing is saved (`masked` names these). Heads that go say zero, whatever
    they said when their importance was measured.
    """

    off: tuple[tuple[str, int], ...]
    of: int
    loss: Estimated | None
    parameters: int
    share: float
    labelled: bool
    by: str = ""
    masked: tuple[str, ...] = ()
    heads: Heads | None = None

    def measure(self, data: Any, labels: Any = None, **options: Any) -> Measurement:
        """What it costs in truth: a pruned copy beside the model over data, in the options of `heads`."""
        return draw.call("heads_measure", self, data, labels, **options)

    def apply(self) -> Pruned:
        """A copy of the model without these heads; the model itself is not touched."""
        return draw.call("heads_apply", self)

    def __repr__(self) -> str:
        what = "of accuracy lost" if self.labelled else "of inputs in another class"
        lost = "" if self.loss is None else f", {self.loss.value:.2%} {what}"
        return f"Plan(without {len(self.off)} of {self.of} heads: {self.parameters} parameters less{lost}: foretold)"


@dataclass(frozen=True, eq=False)
class Measurement:
    """A plan as it was measured over `inputs` inputs.

    `before` and `after` are accuracies (None without labels), `loss` what is lost of it, input by input; `changed` is
    the share of inputs whose class is another. `parameters` before and after; `time` of the copy by that of the model
    for `rows` rows at once, the median of runs in turns, and its interval from the quartiles of the runs.
    """

    inputs: int
    before: Estimated | None
    after: Estimated | None
    loss: Estimated | None
    changed: Estimated | None
    parameters: tuple[int, int]
    time: Estimated
    rows: int
    masked: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pruned:
    """A copy of the model without some heads.

    `smaller` names the layers whose weights were cut, `masked` those of a build that is not known: there the heads
    run and say zero. `apart` is how far the copy's output was from the model's own with these heads silenced,
    relative, on one input. `reasons` say by layer why it is masked.
    """

    module: nn.Module
    off: tuple[tuple[str, int], ...]
    smaller: tuple[str, ...]
    masked: tuple[str, ...]
    apart: float
    parameters: tuple[int, int]
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    sites: Sequence[Any] = ()

    def save(self, path: Any) -> None:
        """Weights and which heads are gone, as one safetensors file; `pellucid.prune(model, path)` reads it."""
        draw.call("heads_save", self, path)
