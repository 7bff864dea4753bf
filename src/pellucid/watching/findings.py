"""What happened in a training, from its records: when a layer died, gradients vanished, the explanation moved.

Each rule has a threshold that healthy trainings keep clear of, and most want two looks in a row: a report that cries
wolf is not read. Only an event's first step is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch

from pellucid.numbers.ranks import spearman
from pellucid.views.events import told
from pellucid.views.writing import number
from pellucid.words.watch import Event, Explained, Record

DIED, WHOLLY, JUDGED, LEAST = 0.5, 0.99, 32, 4
"""A layer has died where so many more of its channels are dead than at first. Less than the whole layer is only judged
where a channel was seen in at least JUDGED values: a sparse one may well be silent for a few inputs. Below LEAST values
nothing is judged."""

EXPLODED = 0.5
"""A step that changes the weights by half their size leaves little of what was learnt; usual is a thousandth."""

DIVERGED = 2.0
"""Times the loss at first."""

VANISHED, LEARNT = 1e-5, 1e-3
"""Gradient per parameter, by that of the strongest layer; and the strongest layer's by what it was at first: below it
there is nothing left to learn, and small gradients say nothing."""

SATURATED = 0.9
COLLAPSED, SPREAD = 0.05, 0.3
"""Attention's entropy has collapsed below the one where it was above the other at first."""

SHARE, TIMES = 0.25, 3.0
"""An explanation rests on a part with more than this share, and more than so many times the part's room."""

SETTLED, MOVED = 0.8, 0.3
"""Rank correlations above which an explanation stays as it is, and below which it is another one."""

CALM, SPAN = 4, 0.2
"""An explanation has settled when it stayed as it is over so many looks, and over this share of the steps till then."""


def events(records: Sequence[Record]) -> tuple[Event, ...]:
    """Everything that happened, in order."""
    found = [e for rule in RULES for e in rule(records)]
    gone = {e.layer: e.step for e in found if e.code == "layer.died"}
    # A dead layer gets no gradient and gives none: that is one event, not three.
    first = min(gone.values(), default=None)
    kept = [e for e in found if not (e.code in ("gradients.stopped", "gradients.vanished") and first is not None
                                     and e.step >= first)]
    return tuple(sorted(kept, key=lambda e: e.step))


def _event(code: str, level: str, step: int, layer: str = "", **facts: Any) -> Event:
    facts = {"step": step, "layer": layer, **facts}
    reason, do = told(code, facts)
    return Event(code, level, reason, do, step, layer, facts)


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 0.005 or value == 0 else f"{number(100 * value, 2)} %"


def _not_finite(records: Sequence[Record]) -> Iterator[Event]:
    for r in records:
        where = [k for k, v in r.figures.items() if v is None]
        where += [k for k, v in r.layers.items() if v.broken] + [f"the gradient of {k}" for k, v in r.flow.items()
                                                                 if v.broken]
        if where:
            more = f" and {len(where) - 3} more" if len(where) > 3 else ""
            layer = next((k for k, v in r.layers.items() if v.broken), "")
            yield _event("training.not_finite", "fail", r.step, layer, where=", ".join(where[:3]) + more)
            return


def _diverged(records: Sequence[Record]) -> Iterator[Event]:
    known = [(r.step, r.loss) for r in records if r.loss is not None]
    first = known[0][1] if known else 0.0
    high = _first_of_two([(step, loss > DIVERGED * first > 0) for step, loss in known[1:]])
    if high is not None:
        loss = dict(known)[high]
        yield _event("training.diverged", "fail", high, loss=number(loss), first=number(first),
                     times=number(loss / first, 2))


def _exploded(records: Sequence[Record]) -> Iterator[Event]:
    for r in records[1:]:
        flows = [f for f in r.flow.values() if f.update is not None and f.weight]
        whole = sum((f.weight or 0.0) ** 2 for f in flows) ** 0.5
        changed = sum(((f.update or 0.0) * (f.weight or 0.0)) ** 2 for f in flows) ** 0.5
        if whole and changed / whole >= EXPLODED:
            layer = max(r.flow, key=lambda k: r.flow[k].update or 0.0)
            yield _event("gradients.exploded", "fail", r.step, layer, update=_share(changed / whole))
            return


def _vanished(records: Sequence[Record]) -> Iterator[Event]:
    """Gradients per parameter, so that large layers and small ones compare; as long as there is anything to learn."""
    at_first = next((m for r in records if (m := max(_rms(r).values(), default=0.0)) > 0), 0.0)
    for layer in _names(records, lambda r: r.flow):
        faint: list[tuple[int, bool]] = []
        none: list[tuple[int, bool]] = []
        ratio: dict[int, float] = {}
        for r in records:
            rms = _rms(r)
            most = max(rms.values(), default=0.0)
            if layer in rms and most > LEARNT * at_first:
                ratio[r.step] = rms[layer] / most
                faint.append((r.step, 0 < ratio[r.step] < VANISHED))
                none.append((r.step, ratio[r.step] == 0))
        step = _first_of_two(faint)
        if step is not None:
            yield _event("gradients.vanished", "warn", step, layer, times=number(ratio[step], 2))
        stopped = _first_of_two(none)
        if stopped is not None and any(v > 0 for s, v in ratio.items() if s < stopped):
            yield _event("gradients.stopped", "warn", stopped, layer)


def _rms(record: Record) -> dict[str, float]:
    return {k: f.gradient / f.parameters**0.5 for k, f in record.flow.items() if f.gradient is not None}


def _still(records: Sequence[Record]) -> Iterator[Event]:
    for layer in _names(records, lambda r: r.flow):
        seen = [(r.step, f.update == 0 and bool(f.gradient)) for r in records
                if (f := r.flow.get(layer)) is not None and f.update is not None
                and any(o.update for o in r.flow.values())]
        # Once they moved they are held: what has been learnt may be too small a step for a float.
        if len(seen) > 1 and all(still for _, still in seen):
            yield _event("weights.still", "warn", seen[0][0], layer)


def _died(records: Sequence[Record]) -> Iterator[Event]:
    """Layers that died; those behind one that died wholly at the same look are part of the same event."""
    found: list[tuple[int, str, float, float]] = []
    order = _names(records, lambda r: r.layers)
    for layer in order:
        seen = [(r.step, w) for r in records if (w := r.layers.get(layer)) is not None and w.dead is not None
                and w.counted >= LEAST]
        if not seen:
            continue
        before = seen[0][1].dead or 0.0

        def dead(w: Any, before: float = before) -> bool:
            return w.dead >= WHOLLY > before if w.counted < JUDGED else w.dead >= min(before + DIED, WHOLLY) > before

        # One look is enough: channels that are the same for every input and place are no matter of chance.
        lasting = _lasting([(step, dead(w)) for step, w in seen])
        if lasting is not None:
            found.append((lasting, layer, dict(seen)[lasting].dead or 0.0, before))
    while found:
        step, layer, dead_now, before = found.pop(0)
        # What is behind a dead layer is dead with it; what only passes its channels on has as many dead ones.
        behind = [f for f in found if f[0] == step and (dead_now >= WHOLLY or abs(f[2] - dead_now) < 0.01)]
        found = [f for f in found if f not in behind]
        after = f", and so of {len(behind)} layer{'s' * (len(behind) > 1)} behind it" if behind else ""
        after_zh = f"，其后的 {len(behind)} 层亦然" if behind else ""
        yield _event("layer.died", "fail" if dead_now >= WHOLLY else "warn", step, layer, dead=_share(dead_now),
                     before=_share(before), after=after, after_zh=after_zh)


def _saturated(records: Sequence[Record]) -> Iterator[Event]:
    for layer in _names(records, lambda r: r.layers):
        seen = [(r.step, w.saturated) for r in records if (w := r.layers.get(layer)) is not None]
        before = seen[0][1]
        step = _first_of_two([(s, v >= SATURATED > before + 0.2) for s, v in seen])
        if step is not None:
            yield _event("layer.saturated", "warn", step, layer, share=_share(dict(seen)[step]), before=_share(before))


def _collapsed(records: Sequence[Record]) -> Iterator[Event]:
    for layer in _names(records, lambda r: r.attention):
        seen = [(r.step, [h for h in r.attention[layer] if h is not None]) for r in records if layer in r.attention]
        seen = [(s, heads) for s, heads in seen if heads]
        if not seen or min(seen[0][1]) < SPREAD:
            continue
        step = _first_of_two([(s, max(heads) < COLLAPSED) for s, heads in seen])
        if step is not None:
            yield _event("attention.collapsed", "warn", step, layer, entropy=_share(max(dict(seen)[step])),
                         before=_share(min(seen[0][1])))


def _shortcut(records: Sequence[Record]) -> Iterator[Event]:
    """When the explanation came to rest on the suspect part: for most inputs, and at nearly all looks since."""
    seen = [(r.step, r.explained) for r in records if r.explained is not None and r.explained.suspected is not None]
    # What an untrained network is explained by is no one's finding: it is what the others are compared with.
    step = _mostly([(s, _rests(e)) for s, e in seen[1:]])
    if step is None:
        return
    known = dict(seen)
    first = seen[0][1].suspected
    earlier, earlier_zh = "", ""
    if first is not None:
        earlier = f"; at step {seen[0][0]} it was {_share(first)}"
        earlier_zh = f"；第 {seen[0][0]} 步时为 {_share(first)}"
    yield _event("explanation.shortcut", "warn", step, share=_share(known[step].suspected or 0.0),
                 area=_share(known[step].expected or 0.0), earlier=earlier, earlier_zh=earlier_zh)


def _rests(e: Explained) -> bool:
    over = [s > min(max(SHARE, TIMES * a), (1 + a) / 2) for s, a in zip(e.suspect, e.area, strict=True)
            if s is not None and a is not None]
    return 2 * sum(over) > len(over)


def _moved(records: Sequence[Record]) -> Iterator[Event]:
    """An explanation that had settled, and is another one at the last two looks."""
    seen = [(r.step, r.explained) for r in records if r.explained is not None]
    calm = 0
    for k in range(1, len(seen)):
        previous = seen[k][1].previous
        calm = calm + 1 if previous is not None and previous >= SETTLED else 0
        if calm < CALM or seen[k][0] - seen[k - calm][0] < SPAN * (seen[k][0] - seen[0][0]):
            continue
        stayed = agreement(seen[k][1], seen[k - calm][1])
        if stayed is None or stayed < SETTLED:  # it may creep on and on
            continue
        far = [(s, 1.0 if (a := agreement(e, seen[k][1])) is None else a) for s, e in seen[k + 1 :]]
        step = _lasting([(s, a < MOVED) for s, a in far])
        if step is not None and sum(s >= step for s, _ in far) >= 2:
            yield _event("explanation.moved", "warn", step, settled=seen[k][0], agreement=number(dict(far)[step], 2))
            return


def agreement(a: Explained, b: Explained) -> float | None:
    """Spearman's rank correlation of two looks' maps, mean over the inputs where there is one."""
    told_ = [spearman(torch.tensor(m), torch.tensor(o)) for m, o in zip(a.maps, b.maps, strict=False)
             if len(m) == len(o) > 1]
    known = [t for t in told_ if t is not None]
    return sum(known) / len(known) if known else None


def _unseen(records: Sequence[Record]) -> Iterator[Event]:
    trained = [r for r in records if r.step > records[0].step and r.flow]
    if len(trained) > 1 and all(f.gradient is None and not f.broken for r in trained for f in r.flow.values()):
        yield _event("watch.no_gradients", "warn", trained[0].step)
    for r in records:
        if r.notes:
            yield _event("watch.failed", "warn", r.step, what=r.notes[0])
            return


RULES: tuple[Callable[[Sequence[Record]], Iterator[Event]], ...] = (
    _not_finite, _diverged, _exploded, _vanished, _still, _died, _saturated, _collapsed, _shortcut, _moved, _unseen)


def _names(records: Sequence[Record], part: Callable[[Record], Any]) -> list[str]:
    return list(dict.fromkeys(name for r in records for name in part(r)))


def _first_of_two(seen: list[tuple[int, bool]]) -> int | None:
    """The first step at which it was so, and at the next look still."""
    return next((a[0] for a, b in pairwise(seen) if a[1] and b[1]), None)


def _mostly(seen: list[tuple[int, bool]]) -> int | None:
    """The first step from which on it was so at four looks of five, the first two and the last among them."""
    for k, (step, so) in enumerate(seen):
        rest = [one for _, one in seen[k:]]
        if so and all(rest[:2]) and rest[-1] and 5 * sum(rest) >= 4 * len(rest):
            return step
    return None


def _lasting(seen: list[tuple[int, bool]]) -> int | None:
    """The step from which on it was so at every look; None where it is not at the last."""
    start = None
    for step, so in seen:
        start = (step if start is None else start) if so else None
    return start
