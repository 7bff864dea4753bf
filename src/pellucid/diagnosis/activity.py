"""What channels do over data, as it streams by, and what of it is a fault."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from pellucid.diagnosis import finite
from pellucid.numbers.activity import FIGURES, Figures, Spectrum
from pellucid.numbers.detection import share, silent
from pellucid.numbers.significance import discoveries
from pellucid.numbers.twins import MOST, Projected, Sketch, chance, groups
from pellucid.words.activity import Channels
from pellucid.words.ask import Ask, Each, together
from pellucid.words.case import Case
from pellucid.words.points import AsIs
from pellucid.words.site import Site

LEVEL = 0.05
"""How many of the layers that are said to have dead channels may have come to it by chance."""

DEAD, LINEAR, STUCK = 0.2, 0.9, 0.5
"""Shares of a layer's channels from which it is a fault that they never change, that a rectifier never cuts them, that
they stick at the ends of the range: some are common in healthy models (up to a tenth of the units of small rectified
networks after training; most channels of a rectifier behind a residual sum are never cut), and are only counted."""

SEEN, CHANCE = 0.1, 0.5
"""Nothing is said of silent channels before each is known to change for no larger share of inputs than the first (95 %,
from 29 inputs on), nor where more than the second share of them would fire if as many inputs came again."""

FROZEN = 1 / 3
"""Where so many channels are always on for each that is dead, inputs do not differ enough to tell: behind a pooling of
an untrained model, say, the weights alone decide which units fire, and no inputs like these make others do so."""

NEARLY, RARE = 1e-3, 0.25
"""Active in less of its places a channel is nearly dead; a fault where so many are."""

ENDED = 0.95
"""Share of a channel's values at the ends of a bounded range from which it is saturated."""

FACTOR, SPREADS = 2.0, 3.5
"""A layer's scale departs where it is so many times what normalisations give to layers of its kind, and further from
their middle than so many of their spreads (by the median deviation). Below that a normalisation would change little."""

SPIKE = 30.0
"""So many times the scale of the layer before and of the one after, or so little: none of these was normalised."""

BLURRED, DETAIL = 8.0, 0.02
"""Fine detail is lost where its share falls so many times from one layer to the next of the same size, from at least
this share."""


@dataclass(frozen=True)
class Looked:
    """A layer that is looked at: how its value lies, and where its range ends.

    `certain` says that the range ends there whatever was seen; otherwise it is taken to where all values lie within.
    `expected` are the spreads that normalisations give behind layers of its kind, where it has none. `rectifier` says
    that it cuts at zero. `told` is False for what is only compared with; `last` says that its value is the model's
    output.
    """

    name: str
    site: Site
    shape: tuple[int, ...]
    kind: str
    axis: int
    ends: tuple[float, float] = (-1.0, 1.0)
    certain: bool = False
    told: bool = True
    expected: tuple[float, ...] = ()
    rectifier: bool = False
    last: bool = False

    @property
    def places(self) -> int:
        return math.prod(self.shape) // max(self.channels, 1)

    @property
    def channels(self) -> int:
        return self.shape[self.axis] if self.axis >= 0 else math.prod(self.shape)

    @property
    def compared(self) -> bool:
        return self.told and 1 < self.channels <= MOST

    @property
    def folds(self) -> list[Each]:
        """What is asked of every input."""
        asked: list[Each] = [Each(Figures(self.axis, self.ends))]
        if self.compared:
            asked.append(Each(Projected(self.axis)))
        if self.kind == "places" and min(self.shape[1:]) >= 4:
            asked.append(Each(Spectrum(self.axis)))
        return asked


async def said(case: Case, layers: Sequence[Looked]) -> list[Tensor]:
    """The conversation about one input."""
    answers = await together(*(Ask("reading", case, AsIs(), layer.site, each)
                               for layer in layers for each in layer.folds))
    return [a[0] for a in answers]


class Running:
    """Figures of one layer over a set: nothing of an input is kept."""

    def __init__(self, layer: Looked) -> None:
        self.layer, self.n, self.sketch = layer, 0, Sketch()
        self.first = self.most = self.least = self.fired = torch.zeros(0)
        self.sums = self.moments = self.odd = torch.zeros(0)
        self.broken = 0
        self.fine = [0.0, 0.0]
        self.logs: list[float] = [0.0, 0.0]

    def add(self, answers: Sequence[Tensor]) -> None:
        """One more input's answers, in the order of `Looked.folds`."""
        given = iter(answers)
        f = next(given).detach().cpu().double()
        odd = ~(torch.isfinite(f[:, 2]) & torch.isfinite(f[:, 3]))  # NaN comes through the largest and the smallest
        f = torch.where(odd[:, None], 0.0, f)
        mean, variance, most, least = f[:, 0], f[:, 1], f[:, 2], f[:, 3]
        if not self.n:
            self.first, self.most, self.least = mean.clone(), most.clone(), least.clone()
            self.odd = torch.zeros_like(mean)
            self.fired, self.sums = torch.zeros_like(mean), torch.zeros_like(f)
            self.moments = torch.zeros(4, len(mean), dtype=torch.float64)
        self.n += 1
        self.odd += odd
        self.broken += bool(odd.any())
        self.sums += f
        self.most, self.least = torch.maximum(self.most, most), torch.minimum(self.least, least)
        # What rests at zero fires above it; for others that a channel changes at all is what can be told.
        self.fired += (most > 0) | (least < 0)
        square = variance + mean.square()
        self.moments += torch.stack([square, square.square(), mean.square(), mean * square])
        spread = float((variance if self.layer.places > 1 else mean.square())[~odd].mean())  # NaN where all are odd
        if spread > 0:
            self.logs[0] += 0.5 * math.log(spread)
            self.logs[1] += (0.5 * math.log(spread)) ** 2
        if self.layer.compared:
            self.sketch.add(next(given))
        fine = next(given, None)
        if fine is not None and math.isfinite(float(fine)):
            self.fine[0] += float(fine)
            self.fine[1] += 1

    def record(self) -> Channels:
        """The layer's channels as they were seen."""
        n, layer, odd = self.n, self.layer, self.odd > 0
        mean, square = self.sums[:, 0] / n, self.moments[0] / n
        spread = (square - mean.square()).clamp(min=0).sqrt()
        size = float(torch.maximum(self.most.abs(), self.least.abs()).max())
        still = (self.most - self.least) <= 1e-6 * size
        zero, active = self.sums[:, FIGURES.index("zero")] / n, self.sums[:, FIGURES.index("active")] / n
        rectified = layer.rectifier or (float(self.least.min()) == 0 and bool((zero[~odd] > 0).any()))
        fired = self.fired if rectified else torch.where(still, 0.0, float(n))
        quiet = still & ~odd if n * layer.places > 1 else torch.zeros_like(still)
        unlit, p = silent(torch.where(quiet, 0.0, fired.clamp(min=1))[~odd], n) if bool(quiet.any()) else (0.0, 1.0)
        ends = torch.where(odd, 0.0, self.sums[:, FIGURES.index("end")] / n)
        live = ~quiet & ~odd & (spread > 0)
        found, alike = list[tuple[int, ...]](), 1.0
        if layer.compared and n > 1:
            r = self.sketch.correlations(mean)
            r[~live], r[:, ~live] = torch.nan, torch.nan
            found = groups(r.nan_to_num(), self._independent(mean))
            alike = chance(r.nan_to_num(), live) if found else 1.0
        within = float(self.least.min()) >= layer.ends[0] and float(self.most.max()) <= layer.ends[1]
        bounded = layer.certain or (within and float(self.least.min()) < layer.ends[0] / 2)
        offset = (mean.abs() / spread)[live]
        logs = self.logs[1] / n - (self.logs[0] / n) ** 2
        return Channels(
            layer.name, layer.kind, layer.shape, n, layer.places, fired, active, _where(quiet),
            _where(~quiet & ~odd & (active < NEARLY)) if rectified else (),
            _where(~quiet & ~odd & (zero == 0)) if rectified else (), tuple(found),
            _where(ends >= ENDED) if bounded else (), rectified,
            share(0, n)[1], unlit, p, alike, float(spread[live].square().mean().sqrt()) if bool(live.any()) else 0.0,
            math.sqrt(max(logs, 0.0) / max(n - 1, 1)), float(offset.median()) if len(offset) else 0.0,
            self.fine[0] / self.fine[1] if self.fine[1] else None, bounded, layer.compared, _where(odd), self.broken)

    def _independent(self, mean: Tensor) -> Tensor:
        """How many inputs a channel's variance really rests on: (sum of e)² / sum of e², e its part of each input."""
        square, fourth, low, mixed = self.moments
        first = self.sums[:, 0]
        total = square - 2 * mean * first + self.n * mean.square()
        each = (fourth + 4 * mean.square() * low + self.n * mean**4 - 4 * mean * mixed
                + 2 * mean.square() * square - 4 * mean**3 * first)
        return total.square() / each.clamp(min=1e-300)


def _where(which: Tensor) -> tuple[int, ...]:
    return tuple(which.nonzero().flatten().tolist())


Fact = tuple[str, str, str, tuple[int, ...], dict[str, Any]]
"""Code, level, layer, channels, and what the sentence is made of."""


def faults(layers: Mapping[str, Looked], found: Mapping[str, Channels]) -> list[Fact]:
    """What is wrong, layer by layer; by rules that healthy models keep clear of."""
    told = [c for n, c in found.items() if layers[n].told]
    broken = finite.fault((n, torch.isin(torch.arange(c.count), torch.tensor(c.not_finite, dtype=torch.long)),
                           c.broken, c.inputs) for n, c in found.items())
    out: list[Fact] = [] if broken is None else [broken]
    p = torch.tensor([c.p for c in told], dtype=torch.float64)
    sure = discoveries(p, LEVEL).tolist() if len(p) else []
    twins = discoveries(torch.tensor([c.alike for c in told], dtype=torch.float64), LEVEL).tolist() if len(p) else []
    for c, real, copied in zip(told, sure, twins, strict=True):
        last = layers[c.name].last
        more = awaited(c)
        told_of = c.unseen <= SEEN and more <= CHANCE * len(c.dead) and len(c.always) < FROZEN * len(c.dead)
        if real and told_of and len(c.dead) >= max(DEAD * c.count, 1) and not last:
            out.append(_fact("channels.dead", c, c.dead, unseen=f"{c.unseen:.1%}",
                             expected=f"{c.chance * c.count:.1g}", more=f"{more:.0f}"))
        if len(c.nearly) >= RARE * c.count and c.inputs * c.places >= 3 / NEARLY and not last:
            out.append(_fact("channels.nearly_dead", c, c.nearly))
        if layers[c.name].rectifier and len(c.always) > LINEAR * c.count and c.inputs * c.places >= 20:
            out.append(_fact("layer.linear", c, c.always))
        stuck = c.bounded and not last and len(c.saturated) > STUCK * c.count and c.inputs * c.places >= 20
        # channels that know two values only are often alike: where they are stuck that is the fault, and told once
        again = tuple(k for g in c.duplicated for k in g[1:] if not (stuck and {g[0], k} <= set(c.saturated)))
        if again and copied:
            out.append(_fact("channels.duplicated", c, again, groups="; ".join(
                " = ".join(map(str, g)) for g in c.duplicated[:4]) + ("; …" if len(c.duplicated) > 4 else "")))
        if stuck:
            out.append(_fact("layer.saturated", c, c.saturated))
    out = _first(out, told)
    return out + _unnormalised(layers, found, told, {f[2] for f in out if f[0] == "layer.saturated"}) + _blurred(told)


def awaited(c: Channels) -> float:
    """About how many silent channels would fire if as many inputs came again: those that fired for one input only.

    A channel that fires for a share q of n inputs is silent first and fires then with (1 − q)^n (1 − (1 − q)^n), which
    is less than the n q (1 − q)^(n − 1) with which it fires once (Good and Toulmin, doi:10.1093/biomet/43.1-2.45, their
    first term): whatever the shares are, no more are to be expected. Never fewer than channels like the others.
    """
    dead = set(c.dead)
    once = sum(v == 1 and k not in dead for k, v in enumerate(c.fired.tolist()))
    return max(float(once), c.chance * c.count)


def _first(out: list[Fact], told: Sequence[Channels]) -> list[Fact]:
    """Channels that come dead or double from the layer before are told of there only."""
    order = [c.name for c in told]
    before = {(code, name): set(channels) for code, _, name, channels, _ in out}

    def repeats(code: str, name: str, channels: tuple[int, ...], of: int) -> bool:
        k = order.index(name)
        last = told[k - 1] if k else None
        return last is not None and last.count == of and set(channels) <= before.get((code, last.name), set())

    return [f for f in out if f[0] not in ("channels.dead", "channels.duplicated")
            or not repeats(f[0], f[2], f[3], f[4]["of"])]


def _fact(code: str, c: Channels, channels: tuple[int, ...], **facts: Any) -> Fact:
    return (code, "warn", c.name, channels, {"layer": c.name, "n": len(channels), "of": c.count, "inputs": c.inputs,
                                             "share": f"{len(channels) / c.count:.0%}", **facts})


def _unnormalised(layers: Mapping[str, Looked], found: Mapping[str, Channels], told: Sequence[Channels],
                  saturated: set[str]) -> list[Fact]:
    """Layers that a normalisation would have kept in proportion, and ones whose proportion neighbours do not share."""
    out: list[Fact] = []
    for name, layer in layers.items():
        c, logs = found[name], [math.log(s) for s in layer.expected if s > 0]
        if len(logs) < 2 or c.scale <= 0:
            continue
        middle = median(logs)
        spread = 1.4826 * median(abs(x - middle) for x in logs)
        apart = abs(math.log(c.scale) - middle) - 2 * c.scale_error
        if apart > max(math.log(FACTOR), SPREADS * spread):
            out.append(("layer.unnormalised", "warn", name, (), {
                "layer": name, "scale": f"{c.scale:.3g}", "peers": f"{math.exp(middle):.3g}", "n": len(logs),
                "times": f"{math.exp(abs(math.log(c.scale) - middle)):.1f}"}))
    known = {f[2] for f in out}
    for k in range(1, len(told) - 1):
        before, c, after = told[k - 1 : k + 2]
        if c.name in known or after.name in saturated or not c.kind == before.kind == after.kind:
            continue
        if min(before.scale, c.scale, after.scale) <= 0:
            continue
        up = min(c.scale / before.scale, c.scale / after.scale)
        down = min(before.scale / c.scale, after.scale / c.scale)
        if max(up, down) >= SPIKE:
            out.append(("layer.out_of_scale", "warn", c.name, (), {
                "layer": c.name, "scale": f"{c.scale:.3g}", "before": f"{before.scale:.3g}",
                "after": f"{after.scale:.3g}"}))
    return out


def _blurred(told: Sequence[Channels]) -> list[Fact]:
    """Layers behind which the fine detail of what came before is gone, at the same size."""
    out: list[Fact] = []
    last: dict[tuple[int, ...], Channels] = {}
    for c in told:
        if c.fine is None:
            continue
        before = last.get(c.shape[1:])
        if before is not None and before.fine is not None and before.fine >= DETAIL and (
                c.fine * BLURRED < before.fine) and c.inputs * c.places >= 256:
            out.append(("layer.blurred", "warn", c.name, (), {
                "layer": c.name, "fine": f"{c.fine:.1%}", "before": f"{before.fine:.1%}", "other": before.name}))
        last[c.shape[1:]] = c
    return out
