"""What a method holds: one example at one site, with its target, features and baseline."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from pellucid.words.ask import Ask, Each, Foreign, Sum, weights_of
from pellucid.words.change import Change, both
from pellucid.words.features import Features
from pellucid.words.points import HERE, THERE, AsIs, Ball, Chosen, Given, Keep, Line, Masks, Noise, Points
from pellucid.words.site import INPUT, Site
from pellucid.words.target import Target


@dataclass(frozen=True)
class Padding:
    """How an example may be made longer, so that it can stand beside a longer one.

    `fill` gives each input that has a length its axis (counted with the batch axis) and what stands
    behind the example's own end: a padding id, an attention of 0.
    """

    fill: tuple[tuple[str | int, int, float], ...]


@dataclass(frozen=True, eq=False)
class Carrier:
    """An example's own tensors, one row each (batch axis first), by argument name or position.

    They are never altered: points override the value at a site. What is not a tensor is passed on.
    `padding` is given where examples differ in length and the model has a way to tell what is filled.
    """

    inputs: Mapping[str | int, Any]
    padding: Padding | None = None

    @cached_property
    def signature(self) -> Hashable:
        """What must agree for two examples to stand in one batch."""
        return tuple((str(k), (tuple(v.shape), v.dtype) if isinstance(v, Tensor) else repr(v))
                     for k, v in self.inputs.items())

    @cached_property
    def kind(self) -> Hashable:
        """The signature with every length left out: what must agree but for padding."""
        if self.padding is None:
            return self.signature
        free = {key: axis for key, axis, _ in self.padding.fill}
        return (self.padding, *((str(k), tuple(s for a, s in enumerate(v.shape) if a != free.get(k)), v.dtype)
                                if isinstance(v, Tensor) else (str(k), repr(v)) for k, v in self.inputs.items()))

    @cached_property
    def length(self) -> int | None:
        """How long the example is; None where it cannot be made longer."""
        if self.padding is None:
            return None
        key, axis, _ = self.padding.fill[0]
        return int(self.inputs[key].shape[axis])

    def filled(self, length: int | None, *, left: bool = False) -> Carrier:
        """The same example filled up to a length, behind its end or before its start."""
        if self.padding is None or length is None or length == self.length:
            return self
        inputs = dict(self.inputs)
        for key, axis, value in self.padding.fill:
            own = inputs[key]
            shape = [length - s if a == axis else s for a, s in enumerate(own.shape)]
            more = own.new_full(shape, value)
            inputs[key] = torch.cat([more, own] if left else [own, more], axis)
        return Carrier(inputs, self.padding)


@dataclass(frozen=True, eq=False)
class Case:
    """One example, ready to be asked about.

    `origin` and `baseline` are values at `site`, without a batch axis; `noise` moves the origin
    when x is needed. `reference` is the carrier of the baseline, where that is an example of its own
    (masked text). `change` is what is temporarily different in the model. `alternatives` are the
    baselines that an averaged method goes through.
    """

    carrier: Carrier
    origin: Tensor
    baseline: Tensor
    features: Features
    target: Target
    site: Site = INPUT
    seed: int = 0
    noise: Noise | Ball | None = None
    change: Change | None = None
    reference: Carrier | None = None
    alternatives: tuple[Tensor, ...] = ()

    @property
    def x(self) -> Tensor:
        """The value that is explained, without a batch axis."""
        return self.origin if self.noise is None else self.noise.on(self.origin, self.features)

    def put(self, out: Tensor) -> None:
        """Write x to `out`, without another tensor of its size on the way."""
        if self.noise is None:
            out.copy_(self.origin)
        else:
            self.noise.on(self.origin, self.features, out)

    @property
    def difference(self) -> Tensor:
        """x minus the baseline."""
        return self.x - self.baseline

    @property
    def here(self) -> Points:
        """The point x."""
        return HERE

    @property
    def there(self) -> Points:
        """The baseline."""
        return THERE

    def line(self, t: Tensor) -> Points:
        """Points on the straight line from the baseline (0) to x (1), t (n,)."""
        known = _LINES.get(t)  # rules are cached: many examples walk the very same points
        if known is not None and known[0] == t._version:
            return known[1]
        values: list[float] = t.double().tolist()
        line = Line(tuple(values))
        _LINES[t] = t._version, line
        return line

    def keep(self, masks: Tensor | Masks) -> Points:
        """x where a mask keeps a feature, the baseline elsewhere; masks (n, number of features)."""
        return Keep(Chosen(masks) if isinstance(masks, Tensor) else masks)

    def given(self, rows: Tensor) -> Points:
        """Points written out, (n, *shape of x): where the next one depends on the answers so far."""
        return Given(rows)

    def noised(self, samples: int, spread: float, first: int = 0) -> Iterator[Case]:
        """The same case with Gaussian noise on x, `spread` in units of max(x) - min(x)."""
        around = self.noise if isinstance(self.noise, Ball) else None
        for k in range(first, first + samples):
            yield replace(self, noise=Noise(self.seed, k, spread, around))

    def near(self, samples: int, radius: float) -> Iterator[Case]:
        """The same case at points drawn near x, no value further away than `radius` in units of max(x) - min(x)."""
        for k in range(samples):
            yield replace(self, noise=Ball(self.seed, k, radius))

    def score(self, points: Points, *, weights: Tensor | Sum | None = None) -> Ask:
        """The target's score at the points: (n,), or (k,) folded."""
        return Ask("score", self, points, None, weights_of(weights))

    def gradient(self, points: Points, *, wrt: Site | str | None = None,
                 weights: Tensor | Sum | Each | None = None) -> Ask:
        """The score's gradient with respect to the value at `wrt` (this case's own site by default)."""
        return Ask("gradient", self, points, _site(wrt) or self.site, weights_of(weights))

    def reading(self, points: Points, *, of: Site | str | None = None,
                weights: Tensor | Sum | Each | None = None) -> Ask:
        """What a layer said at the points: (n, *shape)."""
        return Ask("reading", self, points, _site(of) or self.site, weights_of(weights))

    def own(self, *, baseline: bool = False, of: Site | str | None = None) -> Ask:
        """What a layer says of the example (or of its reference) itself, nothing overridden."""
        return Ask("reading", self, AsIs(baseline), _site(of) or self.site, None)

    def foreign(self, ask: Foreign) -> Ask:
        """What another library finds, given this case's score as a module of rows (n, *shape) → (n,)."""
        return Ask("foreign", self, HERE, foreign=ask)

    def at(self, site: Site, x: Tensor, baseline: Tensor, features: Features) -> Case:
        """The same example with its points at another site."""
        return replace(self, site=site, origin=x, baseline=baseline, features=features, noise=None)

    def towards(self, target: Target) -> Case:
        """The same example with another target."""
        return replace(self, target=target)

    def under(self, change: Change) -> Case:
        """The same example in a model that is different meanwhile."""
        return replace(self, change=both(self.change, change))

    def from_baseline(self, baseline: Tensor) -> Case:
        """The same example with another baseline."""
        return replace(self, baseline=baseline)


_LINES = WeakIdKeyDictionary()
"""Points by the tensor that they were made from, with the version that it had."""


def _site(site: Site | str | None) -> Site | None:
    return Site.parse(site) if isinstance(site, str) else site

