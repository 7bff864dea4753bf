"""What the channels of a model do over data: which are dead, double, saturated; which layers are out of proportion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pellucid.languages import faults
from pellucid.languages.faults import FAULTS
from pellucid.words.draw import Drawn
from pellucid.words.explanation import Evidence, Finding, Verdict


@dataclass(frozen=True)
class Fault(Finding):
    """Something wrong with a layer, or with some channels of it. `facts` are what its sentence is made of."""

    layer: str = ""
    channels: tuple[int, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def told(self, lang: str | None = None) -> tuple[str, str]:
        """What was seen, cause and cure, in a language, from the facts."""
        try:
            return faults.told(self.code, self.facts, lang) if self.code in FAULTS else super().told(lang)
        except KeyError:  # a finding of others under this code, with facts of its own
            return super().told(lang)


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of a layer over `inputs` inputs with up to `places` values each.

    `kind` is places (rows and columns), tokens or units. `dead` never change; `nearly` are active in less than 0.1 %
    of places, `always` in all of them (both only where values are rectified: `rectified`). `duplicated` are groups
    that say the same up to scale and offset, `saturated` channels lie at an end of a bounded range nearly always.
    `not_finite` channels were NaN or infinite somewhere, and are in none of the others; `broken` counts the inputs for
    which any was.
    `fired` (channels,) counts the inputs that a channel changed for, `active` is its share of places above zero;
    `unseen` says how often at most a channel that never fired does, at 95 % (the rule of three); `chance` is how
    likely a channel like the others is not to fire for any of the inputs, `p` how likely so many are; `alike` how
    likely so many duplicates are in a layer that takes as few directions as this one.
    `scale` is the mean spread of channels, `offset` the median size of their means in such spreads, `fine` the share
    of variance in fine detail. `compared` is False where there are too many channels to look for doubles.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    inputs: int
    places: int
    fired: Tensor
    active: Tensor
    dead: tuple[int, ...] = ()
    nearly: tuple[int, ...] = ()
    always: tuple[int, ...] = ()
    duplicated: tuple[tuple[int, ...], ...] = ()
    saturated: tuple[int, ...] = ()
    rectified: bool = False
    unseen: float = 1.0
    chance: float = 1.0
    p: float = 1.0
    alike: float = 1.0
    scale: float = 0.0
    scale_error: float = 0.0
    offset: float = 0.0
    fine: float | None = None
    bounded: bool = False
    compared: bool = True
    not_finite: tuple[int, ...] = ()
    broken: int = 0

    @property
    def count(self) -> int:
        """How many channels there are."""
        return len(self.fired)


@dataclass(frozen=True, eq=False)
class Activity(Drawn, Mapping[str, Channels], drawn="activity"):
    """Layers by name, in the order in which they ran, and what is wrong with them: `findings`.

    `failed` says of inputs that could not be used why.
    """

    layers: Mapping[str, Channels] = field(default_factory=dict[str, Channels])
    findings: tuple[Fault, ...] = ()
    inputs: int = 0
    model: str = ""
    evidence: Evidence = field(default_factory=Evidence)
    failed: Mapping[int, Finding] = field(default_factory=dict[int, Finding])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def verdict(self) -> Verdict:
        """The findings as reasons."""
        return Verdict(self.findings)

    def __getitem__(self, name: str) -> Channels:
        return self.layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return f"Activity({self.model}: {len(self.layers)} layers, {self.inputs} inputs; {len(self.findings)} findings)"
