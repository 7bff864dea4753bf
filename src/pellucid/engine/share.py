"""Open questions become work: what can share a row shares it, what can share a pass shares that."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pellucid.engine.passes import Outcome
from pellucid.words.ask import Ask, Each, Failed, Sum
from pellucid.words.case import Carrier, Case
from pellucid.words.points import HERE, AsIs, Points
from pellucid.words.site import Site
from pellucid.words.target import Target

SMALL = 4096
"""Elements up to which examples are stacked for one operation; larger ones are written one by one, uncopied."""


@dataclass(eq=False)
class Slot:
    """An open question and, in time, its answer. `target` is the frozen one."""

    ask: Ask
    target: Target
    answer: Any = None
    done: bool = False

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self.answer, self.done = Failed(error), True


@dataclass(eq=False)
class Work:
    """The rows of one case at one set of points, with all that is asked of them."""

    case: Case
    points: Points
    slots: list[Slot] = field(default_factory=list[Slot])
    graded: Target | None = None

    @property
    def carrier(self) -> Carrier:
        asis = isinstance(self.points, AsIs) and self.points.baseline
        return self.case.reference if asis and self.case.reference is not None else self.case.carrier

    @property
    def sites(self) -> tuple[frozenset[Site], frozenset[Site]]:
        """Where gradients and readings are asked."""
        asks = [s.ask for s in self.slots]
        graded = frozenset(a.at for a in asks if a.kind == "gradient" and a.at is not None)
        read = {a.at for a in asks if a.kind == "reading" and a.at is not None}
        folds = {a.fold.beside if isinstance(a.fold, Each) else a.fold.times for a in asks if a.fold is not None}
        return graded, frozenset(read | {s for s in folds if s is not None})

    def can_take(self, slot: Slot) -> bool:
        """A row has one score that gradients are taken of; anything else it can carry together."""
        return slot.ask.kind != "gradient" or self.graded is None or self.graded.key == slot.target.key


def merged(slots: Iterable[Slot], *, strict: bool = False) -> list[Work]:
    """Questions about the same rows become one piece of work; gradients first, the rest joins them.

    In strict mode only questions of one kind at one site do: a forward with autograd may take other
    kernels than one without (an LSTM's), so that a score's last bit would tell who else was asking.
    """
    found: dict[Hashable, list[Work]] = {}
    for slot in sorted(slots, key=lambda s: s.ask.kind != "gradient"):
        case, points = slot.ask.case, slot.ask.points
        parts = {"x": (id(case.origin), case.noise), "b": id(case.baseline), "f": id(case.features)}
        where = case.reference if isinstance(points, AsIs) and points.baseline else case.carrier
        row: Hashable = (id(where), case.change, points.key, case.site, *(parts[use] for use in points.uses))
        works = found.setdefault((row, slot.ask.kind, slot.ask.at) if strict else row, [])
        work = next((w for w in works if w.can_take(slot)), None)
        if work is None:
            work = Work(case, points)
            works.append(work)
        work.slots.append(slot)
        if slot.ask.kind == "gradient":
            work.graded = slot.target
    return [w for works in found.values() for w in works]


@dataclass(frozen=True)
class Fit:
    """How examples stand beside longer ones: filled at which end, and which axes of a site's value (rows first)
    are as long as the example."""

    left: bool
    axes: Mapping[Site, tuple[int, ...]]

    def own(self, site: Site, length: int, shape: Sequence[int]) -> tuple[slice, ...]:
        """Where in a value of this shape, padding included, an example finds its own."""
        axes = self.axes.get(site, ())
        return tuple((slice(size - length, size) if self.left else slice(0, length)) if axis in axes else slice(None)
                     for axis, size in enumerate(shape))

    def rest(self, site: Site, length: int, shape: Sequence[int]) -> tuple[slice, ...]:
        """Where in a value that has one such axis the padding is."""
        axes = self.axes.get(site, ())
        return tuple((slice(0, size - length) if self.left else slice(length, size)) if axis in axes else slice(None)
                     for axis, size in enumerate(shape))


@dataclass(eq=False)
class Bundle:
    """Works that ask the same of the same points for different examples: one tensor operation each."""

    works: list[Work]
    answers: list[Tensor | None] = field(default_factory=list[Tensor | None])
    before: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    fit: Fit | None = None

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.works[0].slots)

    @property
    def first(self) -> Work:
        return self.works[0]

    @property
    def length(self) -> int | None:
        return self.first.carrier.length

    def own(self, site: Site, values: Tensor) -> Tensor:
        """Of values (rows, *shape) at a site what belongs to these examples, and not to the padding beside them."""
        return values if self.fit is None else values[self.fit.own(site, self.length or 0, values.shape)]

    @property
    def overrides(self) -> bool:
        return not isinstance(self.first.points, AsIs)

    def rows(self, a: int, b: int, p: int, q: int, out: Tensor) -> None:
        """Put rows of works a to b at points p to q into out ((b - a) · (q - p), *shape), example by example."""
        cases, points = [w.case for w in self.works[a:b]], self.first.points
        features, out = cases[0].features, out.unflatten(0, (b - a, q - p))
        if len(cases) > 1 and cases[0].origin.numel() <= SMALL:
            x = torch.stack([c.x for c in cases])
            points.rows(x, torch.stack([c.baseline.expand_as(c.origin) for c in cases]), features, p, q, out)
            return
        for case, place in zip(cases, out, strict=True):
            if points == HERE:
                case.put(place[0])
            else:
                points.rows(case.x[None], case.baseline.expand_as(case.origin)[None], features, p, q, place[None])

    def take(self, a: int, b: int, p: int, q: int, outcome: Outcome, start: int, rows_of: dict[int, list[int]]) -> None:
        """Put the answers of a pass in place, point by point, so that no sum depends on the chunk."""
        stop = start + (b - a) * (q - p)
        for column, slot in enumerate(self.first.slots):
            ask = slot.ask
            if ask.kind == "score":
                assert outcome.scores is not None
                which = torch.tensor([rows_of[id(w)][column] for w in self.works[a:b]], device=outcome.scores.device)
                got = outcome.scores[:, start:stop].reshape(len(outcome.scores), b - a, q - p)
                value = got[which, torch.arange(b - a, device=got.device)]
            else:
                assert ask.at is not None
                where = outcome.gradients if ask.kind == "gradient" else outcome.readings
                value = self.own(ask.at, where[ask.at][start:stop]).unflatten(0, (b - a, q - p))
            self._store(column, a, b, p, q, value, outcome, start, stop)

    def _store(self, column: int, a: int, b: int, p: int, q: int, value: Tensor, outcome: Outcome,
               start: int, stop: int) -> None:
        ask, n, whole = self.first.slots[column].ask, self.first.points.n, len(self.works)
        value = value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
        if isinstance(ask.fold, Each):
            beside = ask.fold.beside
            more = () if beside is None else (self.own(beside, outcome.readings[beside][start:stop]).to(value.dtype),)
            value = ask.fold.of(value.flatten(0, 1), *more).unflatten(0, (b - a, q - p))
        if not isinstance(ask.fold, Sum):
            if (a, b, p, q) == (0, whole, 0, n):
                self.answers[column] = value
                return
            if self.answers[column] is None:
                self.answers[column] = value.new_empty(whole, n, *value.shape[2:])
            self.answers[column][a:b, p:q] = value  # pyright: ignore[reportOptionalSubscript]
            return
        folds = [w.slots[column].ask.fold for w in self.works[a:b]]
        weights = torch.stack([f.weights for f in folds if isinstance(f, Sum)]).to(value.device, torch.float64)
        total = self.answers[column]
        if total is None:
            total = torch.zeros(whole, weights.shape[1], *value.shape[2:], dtype=torch.float64, device=value.device)
            self.answers[column] = total
        flat = total[a:b].flatten(2) if total.dim() > 2 else total[a:b].unsqueeze(-1)
        rows = value.reshape(b - a, q - p, -1)
        steps = None
        if ask.fold.times is not None:
            said = self.own(ask.fold.times, outcome.readings[ask.fold.times][start:stop])
            steps = said.reshape(b - a, q - p, -1)
        for j in range(q - p):
            row, at = rows[:, j].to(torch.float64), p + j  # a whole chunk in float64 would be its size twice more
            if steps is not None:
                # A step needs the point before it, which may have come with an earlier chunk.
                last = self.before.setdefault(column, row.new_zeros(2, whole, row.shape[1]))
                step = steps[:, j].to(torch.float64)
                change, point = last[0, a:b] * (step - last[1, a:b]), at
                last[0, a:b], last[1, a:b] = row, step
                if point == 0:
                    continue
                row, at = change, point - 1
            flat.addcmul_(weights[:, :, at, None], row[:, None])

    def finish(self) -> None:
        """Hand every question its answer."""
        for k, work in enumerate(self.works):
            for slot, answer in zip(work.slots, self.answers, strict=True):
                if not slot.done:
                    assert answer is not None
                    value = answer[k]
                    summed = isinstance(slot.ask.fold, Sum)
                    slot.answer, slot.done = value.to(work.case.origin.dtype) if summed else value, True


def bundled(works: Iterable[Work], *, strict: bool = False) -> list[list[Bundle]]:
    """Groups of bundles that can share a pass; but for strict mode, lengths that padding evens out may differ."""
    groups: dict[Hashable, dict[Hashable, list[Work]]] = {}
    for work in works:
        case, asis = work.case, isinstance(work.points, AsIs)
        size = None if asis else tuple(case.origin.shape)
        ragged = work.carrier.padding is not None and not strict
        stands = work.carrier.kind if ragged else work.carrier.signature
        shape = None if asis else (len(size or ()) if ragged else size, case.origin.dtype, case.site)
        scored = any(s.ask.kind == "score" for s in work.slots) or work.graded is not None
        layers = frozenset(s.target.of for s in work.slots if s.ask.kind != "reading")
        shared = (stands, shape, case.change, *work.sites, scored, layers)
        folds = [(f.weights.shape[0], f.times) if isinstance(f, Sum) else f for f in (s.ask.fold for s in work.slots)]
        kinds = tuple((s.ask.kind, s.ask.at, fold) for s, fold in zip(work.slots, folds, strict=True))
        laid = id(case.features) if "f" in work.points.uses else None
        alike = (work.points.key, kinds, laid, size, work.carrier.length)
        groups.setdefault(shared, {}).setdefault(alike, []).append(work)
    return [[Bundle(works) for works in group.values()] for group in groups.values()]


@dataclass(frozen=True)
class Piece:
    """Works a to b of a bundle at points p to q; `solo` shares no pass, for something beside it failed."""

    bundle: Bundle
    a: int
    b: int
    p: int
    q: int
    solo: bool = False

    @property
    def n(self) -> int:
        return (self.b - self.a) * (self.q - self.p)

    @property
    def works(self) -> list[Work]:
        return self.bundle.works[self.a : self.b]

    def cut(self, rows: int) -> list[Piece]:
        """Smaller pieces of at most `rows` rows: fewer examples first, then fewer points."""
        out: list[Piece] = []
        for a in range(self.a, self.b, rows):
            b = min(a + rows, self.b)
            step = max(rows // (b - a), 1)
            out += [replace(self, a=a, b=b, p=p, q=min(p + step, self.q)) for p in range(self.p, self.q, step)]
        return out

    def alone(self) -> list[Piece]:
        """One piece per example."""
        return [replace(self, a=k, b=k + 1) for k in range(self.a, self.b)]
