"""What a pass is told, and what it brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pellucid.words.change import Change
from pellucid.words.site import Site
from pellucid.words.target import Target


@dataclass(frozen=True, eq=False)
class Order:
    """One pass: the model's inputs with n rows each, and what is wanted of it.

    `rows` (n, *shape) replaces the value at `site` (None: nothing is replaced). With `widen` the inputs
    hold one row, the layers before the site run on it alone, and the value at the site becomes n rows.
    `targets` are scored for all rows; `graded` is the one score per row that gradients are taken of, as
    an index into `targets`. `last` says that nothing after the last site matters. `copy` gives the model
    a copy of the rows, for it may write into them. `half` is the kind of device on which operations run in
    bfloat16. `pads` are the places in `rows` where examples were filled up: there the model's own values at
    the site are put in. `recompute` keeps less for the way back: blocks run twice instead.
    """

    inputs: Mapping[str | int, Any]
    n: int
    site: Site
    rows: Tensor | None
    targets: Sequence[Target] = ()
    graded: Tensor | None = None
    gradients: tuple[Site, ...] = ()
    readings: tuple[Site, ...] = ()
    widen: bool = False
    last: bool = False
    change: Change | None = None
    copy: bool = True
    half: str = ""
    pads: Sequence[tuple[slice, ...]] = ()
    recompute: bool = False


@dataclass(eq=False)
class Outcome:
    """What a pass brought: scores (targets, n), gradients and readings (n, *shape) by site.

    `wrote` says that the model wrote into the rows it was given; None where it got none. `probable` says of
    each target whether its scores are probabilities: what a softmax or a sigmoid said last, or rows of sum 1.
    """

    scores: Tensor | None = None
    settled: list[list[Target] | None] = field(default_factory=list[list[Target] | None])
    gradients: dict[Site, Tensor] = field(default_factory=dict[Site, Tensor])
    readings: dict[Site, Tensor] = field(default_factory=dict[Site, Tensor])
    calls: set[str] = field(default_factory=set[str])
    wrote: bool | None = None
    probable: list[bool] = field(default_factory=list[bool])
