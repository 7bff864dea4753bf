"""What a network saw, layer by layer: maps, figures of every layer, attention."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pellucid.numbers.heads import Reach
from pellucid.words.activity import Fault
from pellucid.words.draw import Drawn
from pellucid.words.explanation import Evidence, Explanation, Finding, Shown, Verdict


@dataclass(frozen=True, eq=False)
class Seen:
    """One layer over the inputs that were looked at.

    `kind` is places (channels over rows and columns), tokens (channels over tokens) or units; `shape` is of one
    row as the model says it, `axis` where its channels are. `values` are those of the first inputs, bit for bit as the
    layer said them; `grid` how tokens lie over a picture, `before` how many stand before them. `channels` (channels, 7)
    are FIGURES over all inputs (pellucid.numbers.activity), `order` the channels with the strongest first, by
    `ranked_by`. `profile` are the layer's own figures: mean, spread, least, most; `sparsity` (share of zeros), `dead`
    (share of channels that never change), `saturated` (share of values at an end of a bounded range), `rank` (how
    many directions channels take over places), `rank over inputs`, `fine` (share of variance in fine detail).
    `not_finite` is there where some value is NaN or infinite: the share of channels, input by input, that hold any;
    the other figures are then of the rest. `scale` are the least and the largest finite value over all inputs, which
    drawings share.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    axis: int
    inputs: int
    values: tuple[Tensor, ...] = ()
    grid: tuple[int, ...] | None = None
    before: int = 0
    channels: Tensor | None = None
    order: tuple[int, ...] = ()
    ranked_by: str = "activation"
    profile: Mapping[str, float] = field(default_factory=dict[str, float])
    scale: tuple[float, float] = (0.0, 0.0)

    def maps(self, example: int = 0, top: int | None = None) -> Tensor:
        """The strongest channels of an input as maps (top, rows, columns), or (top, tokens) without rows."""
        v = self.values[example].movedim(self.axis, 0) if self.axis >= 0 else self.values[example].flatten()[:, None]
        chosen = v[list(self.order[:top])]
        return chosen[:, self.before :].unflatten(1, self.grid) if self.grid and chosen.dim() == 2 else chosen


@dataclass(frozen=True, eq=False)
class Look(Drawn, Mapping[str, Seen], drawn="look"):
    """Layers by name, in the order in which they ran, and attention.

    `attention` maps an attention's layer to (heads, queries, keys) for the first input, or (windows, heads, queries,
    keys); `attentions` is the same for each input that is kept. Attention alone is no attribution: `agreed` says by
    layer how far the ranks of where the first input's tokens looked agree with what of it spoke for the score
    (gradient times attention), 1 for the same order, 0 for none. `beside` are explanations of the first input by the
    methods that follow attention: what of the last layer spoke for the score (`gradient_attention`), what did through
    all layers (`attention_relevance`), and rollout, which like attention does not know the score; `without` says of
    those that this model cannot have why. `agreement` is how far the layers' outputs with
    attention written down were from those of the model's own operation, relative. `failed` says of inputs that could
    not be looked at why. `findings` tells of the first layer with values that are not finite (`layer.not_finite`).
    """

    seen: Mapping[str, Seen] = field(default_factory=dict[str, Seen])
    attentions: Sequence[Mapping[str, Tensor]] = ()
    agreed: Mapping[str, float] = field(default_factory=dict[str, float])
    beside: Mapping[str, Explanation] = field(default_factory=dict[str, Explanation])
    without: Mapping[str, Finding] = field(default_factory=dict[str, Finding])
    agreement: float | None = None
    inputs: int = 0
    model: str = ""
    shown: Sequence[Shown] = ()
    grid: tuple[int, ...] | None = None
    before: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    failed: Mapping[int, Finding] = field(default_factory=dict[int, Finding])
    findings: tuple[Fault, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def verdict(self) -> Verdict | None:
        """The findings as reasons; None where there are none: a look shows, and does not judge."""
        return Verdict(self.findings) if self.findings else None

    @property
    def attention(self) -> Mapping[str, Tensor]:
        """Of the first input, by layer."""
        return self.attentions[0] if self.attentions else {}

    def over_picture(self, attention: Tensor) -> Tensor | None:
        """Where the class token looked, over the picture: (heads, rows, columns); None where there is no such token."""
        if self.grid is None or not self.before or attention.dim() != 3:
            return None
        patches = attention[:, 0, self.before :]
        return patches.unflatten(1, self.grid) if patches.shape[1] == math.prod(self.grid) else None

    def entropy(self, name: str) -> Tensor:
        """Bits by which each head's queries spread over keys, in the mean over queries: (heads,)."""
        p = self.attention[name].double()
        return _heads(-torch.xlogy(p, p).sum(-1).mean(-1) / math.log(2))

    def distance(self, name: str) -> Tensor:
        """How far each head looks, in the mean: in tokens, or in patches where tokens lie over a picture; (heads,)."""
        grid = self.grid if self.grid is not None and len(self.grid) == 2 else None
        return _heads(Reach(grid, self.before)(self.attention[name]).double())

    def __getitem__(self, name: str) -> Seen:
        return self.seen[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.seen)

    def __len__(self) -> int:
        return len(self.seen)

    def __repr__(self) -> str:
        some = ", ".join(list(self.seen)[:4]) or ", ".join(list(self.attention)[:4])
        return f"Look({self.inputs} inputs; {some})"


def _heads(by_window: Tensor) -> Tensor:
    """The mean over windows, where there are several."""
    return by_window if by_window.dim() == 1 else by_window.mean(0)
