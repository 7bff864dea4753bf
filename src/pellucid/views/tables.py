"""The numbers of every kind of record as tables: whole, under names that machines keep and heads that readers read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor

from pellucid.numbers.activity import FIGURES
from pellucid.views import story
from pellucid.views.words import method_name, metric_name, say
from pellucid.words.activity import Activity, Fault
from pellucid.words.comparison import Comparison, Cost
from pellucid.words.concepts import Concepts
from pellucid.words.craft import Craft
from pellucid.words.draw import Drawn
from pellucid.words.evaluation import Evaluation
from pellucid.words.explanation import Explanation, Finding
from pellucid.words.heads import Heads
from pellucid.words.look import Look
from pellucid.words.multiples import Multiples
from pellucid.words.table import Cell, Column, Table
from pellucid.words.visualised import Visualised
from pellucid.words.watch import Training

Rows = Iterable[Sequence[Cell]]


def tables(item: Drawn, *, lang: str | None = None) -> tuple[Table, ...]:
    """The tables of a record, the most important first; `lang` is that of titles and heads."""
    return tuple(KINDS[item.drawn](item, lang))


def _table(lang: str | None, name: str, title: str, columns: Sequence[str], rows: Rows) -> Table:
    """A table; a column is written `name` or `name|unit`, its head is the catalogue's `table NAME`."""
    parts = [c.partition("|") for c in columns]
    return Table(name, title, tuple(Column(n, say(lang, f"table {n}"), unit) for n, _, unit in parts),
                 tuple(map(tuple, rows)))


def _numbers(values: Tensor | None) -> list[float]:
    return [] if values is None else values.detach().cpu().double().flatten().tolist()


def _findings(lang: str | None, findings: Iterable[Finding], name: str = "findings") -> Iterable[Table]:
    """What a verdict is made of, where anything was found."""
    some = list(findings)
    if some:
        yield _table(lang, name, say(lang, "table findings"), ("code", "level", "reason", "do"),
                     ((f.code, f.level, *f.told(lang)) for f in some))


def _explanation(e: Explanation, lang: str | None) -> Iterable[Table]:
    """Every value in the order of the input: where it lies, what stood in its cell, its error and 95 % interval."""
    unit = "score" if story.means(e) == "effect" else ""
    columns: list[str] = ["name", f"value|{unit}"]
    rows: list[list[Cell]] = [[n, v] for n, v in zip(e.names, _numbers(e.values), strict=True)]
    shape, cells = e.features.shape, e.shown.cells if e.shown else ()
    if len(cells) == len(rows):
        columns.append("cell")
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
    if not e.features.names and len(shape) == 2:
        columns += ["row", "column"]
        for k, row in enumerate(rows):
            row += divmod(k, shape[1])
    if e.error is not None:
        columns += [f"{c}|{unit}" for c in ("error", "low", "high")]
        for row, value, error in zip(rows, _numbers(e.values), _numbers(e.error), strict=True):
            row += [error, value - story.INTERVAL * error, value + story.INTERVAL * error]
    for name, part in e.errors.items():
        columns.append(f"error_{name}|{unit}")
        for row, error in zip(rows, _numbers(part), strict=True):
            row.append(error)
    yield _table(lang, "values", say(lang, "why", target=e.target), columns, rows)
    if e.scores:
        yield _table(lang, "scores", say(lang, "table scores"), ("class", "score|score"), e.scores.items())
    yield from _findings(lang, e.verdict.findings)


def _evaluation(e: Evaluation, lang: str | None) -> Iterable[Table]:
    """A row per metric; the values of its controls and the points of its curves in tables of their own."""
    rows = [(m.name, metric_name(m.name, lang), m.kind or None, m.value, m.error, *(m.interval or (None, None)),
             m.level, m.control, m.beaten if m.controls else None, len(m.controls), m.p, m.better or None)
            for m in e.values()]
    yield _table(lang, "metrics", say(lang, "how good", target=e.target), (
        "metric", "title", "kind", "value", "error", "low", "high", "confidence|share", "control", "beaten|count",
        "controls|count", "p|share", "better"), rows)
    known = [(m.name, k, v) for m in e.values() for k, v in enumerate(m.controls, 1)]
    if known:
        yield _table(lang, "controls", say(lang, "controls"), ("metric", "control", "value"), known)
    points = [(m.name, None if k < 0 else k + 1, x, y) for m in e.values()
              for k, curve in enumerate((m.curve, *m.curves), -1) for x, y in curve]
    if points:
        yield _table(lang, "curves", say(lang, "table curves"), ("metric", "control", "x", "y"), points)
    if e.unfit:
        yield _table(lang, "unfit", say(lang, "not measured"), ("metric", "code", "reason", "do"), (
            (name, f.code, *f.told(lang)) for name, f in e.unfit.items()))
    yield from _findings(lang, e.verdict.findings)


def _comparison(c: Comparison, lang: str | None) -> Iterable[Table]:
    """Values by feature; agreement of every two; what all say together and where they contradict; worth and cost."""
    names, laid = c.names, {n: _numbers(v) for n, v in c.laid.items()}
    yield _table(lang, "values", say(lang, "side by side"), ("explanation", "feature", "value"),
                 ((n, names[k], v) for n, values in laid.items() for k, v in enumerate(values)))
    order = list(c)
    if len(order) > 1:
        yield _table(lang, "agreement", say(lang, "agreement"), ("explanation", "other", *c.agreement),
                     ((a, b, *(float(m[i, j]) for m in c.agreement.values()))
                      for i, a in enumerate(order) for j, b in enumerate(order) if i < j))
    rows = [(n, c[n].verdict.status, c.baselines.get(n), (cost := c.cost.get(n, Cost())).rows, cost.gradients,
             cost.rounds, cost.seconds) for n in order]
    yield _table(lang, "costs", say(lang, "worth"), (
        "explanation", "verdict", "baseline|score", "rows|count", "gradients|count", "rounds|count", "seconds|s"), rows)
    measured = [(n, m.name, m.value, *(m.interval or (None, None)), m.control, m.p)
                for n in order for m in c.evaluations.get(n, {}).values()]
    if measured:
        yield _table(lang, "metrics", say(lang, "metric"), (
            "explanation", "metric", "value", "low", "high", "control", "p|share"), measured)
    together = {"consensus": c.consensus, "spread": c.spread, "prominence": c.prominence, "average": c.average}
    told = {k: _numbers(v) for k, v in together.items() if v is not None}
    if told:
        yield _table(lang, "consensus", say(lang, "consensus"), ("feature", *told),
                     zip(names, *told.values(), strict=True))
    if c.contradictions:
        yield _table(lang, "contradictions", say(lang, "table contradictions"), (
            "feature", "above", "below", "size|share"), (
                (f.name, ", ".join(f.above), ", ".join(f.below), f.size) for f in c.contradictions))
    yield from _findings(lang, c.verdict.findings)


def _look(look: Look, lang: str | None) -> Iterable[Table]:
    """Layers' profiles, channels' figures, heads of attention, and the input's tokens by what follows attention."""
    if look.seen:
        told = ("mean", "spread", "least", "most", "sparsity|share", "dead|share", "saturated|share", "effective_rank",
                "rank_over_inputs", "fine|share", "not_finite|share")
        known = {"effective_rank": "rank", "rank_over_inputs": "rank over inputs"}
        yield _table(lang, "layers", say(lang, "looked", model=look.model), ("layer", "kind", "shape", *told), (
            (s.name, s.kind, "x".join(map(str, s.shape)),
             *(s.profile.get(known.get(k) or k.partition("|")[0]) for k in told))
            for s in look.values()))
        if any(s.channels is not None for s in look.values()):
            figures = tuple(f"{f}|share" if f in ("active", "zero", "end") else f for f in FIGURES)
            yield _table(lang, "channels", say(lang, "table channels"), ("layer", "channel", *figures), (
                (s.name, k, *row) for s in look.values() if s.channels is not None
                for k, row in enumerate(s.channels.tolist())))
    if look.attention:
        yield _table(lang, "heads", say(lang, "attention"), (
            "layer", "head", "entropy|bits", "distance|tokens" if look.grid is None else "distance|patches",
            "agreement"), (
                (name, k, bits, far, look.agreed.get(name)) for name in look.attention
                for k, (bits, far) in enumerate(zip(_numbers(look.entropy(name)), _numbers(look.distance(name)),
                                                    strict=True))))
    yield from _faults(lang, look.findings)
    for name, e in look.beside.items():
        yield _table(lang, name, method_name(name, lang), ("name", "value"), zip(e.names, _numbers(e.values),
                                                                               strict=True))


def _heads(h: Heads, lang: str | None) -> Iterable[Table]:
    """A row per head: importance with its 95 % intervals, entropy, distance; likeness of every two."""
    columns, found = ["layer", "head"], list[list[float]]()
    for name, averages in h.importance.items():
        low, high = averages.interval()
        unit = "share" if name in ("changed", "accuracy") else "score" if name in ("score", "margin") else ""
        columns += [f"{c}|{unit}" for c in (name, f"{name}_low", f"{name}_high")]
        found += [_numbers(averages.values), _numbers(low), _numbers(high)]
    for name, averages, unit in (("entropy", h.entropy, "share"), ("distance", h.distance, "")):
        if averages is not None:
            columns.append(f"{name}|{unit}")
            found.append(_numbers(averages.values))
    rows = [(layer, head, *(f[k] for f in found)) for k, (layer, head) in enumerate(h.names)]
    yield _table(lang, "heads", say(lang, "heads", model=h.model), columns, rows)
    if h.similarity is not None and len(h.names) > 1:
        named = [f"{layer}[{head}]" for layer, head in h.names]
        apart = h.divergence
        yield _table(lang, "likeness", say(lang, "similarity"), ("head", "other", "similarity", "divergence"), (
            (a, b, float(h.similarity[i, j]), None if apart is None else float(apart[i, j]))
            for i, a in enumerate(named) for j, b in enumerate(named) if i < j))
    yield from _findings(lang, h.findings)


def _faults(lang: str | None, findings: Sequence[Fault]) -> Iterable[Table]:
    """What is wrong inside the model, with the layer and its channels; none where nothing is."""
    if findings:
        yield _table(lang, "findings", say(lang, "table findings"), ("code", "level", "layer", "channels", "reason",
                                                                     "do"), (
            (f.code, f.level, f.layer, " ".join(map(str, f.channels)), *f.told(lang)) for f in findings))


def _activity(a: Activity, lang: str | None) -> Iterable[Table]:
    """Counts by layer, findings, and every channel's share of inputs and places."""
    yield _table(lang, "layers", say(lang, "active", model=a.model), (
        "layer", "kind", "channels|count", "dead|count", "nearly|count", "always|count", "duplicated|count",
        "saturated|count", "not_finite|count", "unseen|share", "p|share", "scale", "offset", "fine|share"), (
            (c.name, c.kind, c.count, len(c.dead), len(c.nearly), len(c.always), sum(len(g) - 1 for g in c.duplicated),
             len(c.saturated), len(c.not_finite), c.unseen, c.p, c.scale, c.offset, c.fine) for c in a.values()))
    yield from _faults(lang, a.findings)
    yield _table(lang, "channels", say(lang, "table channels"), ("layer", "channel", "fired|share", "active|share"), (
        (c.name, k, fired / max(c.inputs, 1), active) for c in a.values()
        for k, (fired, active) in enumerate(zip(_numbers(c.fired), _numbers(c.active), strict=True))))


def _concepts(c: Concepts, lang: str | None) -> Iterable[Table]:
    """A row per concept and layer; every counter-set's and every random concept's score and slope."""
    yield _table(lang, "concepts", say(lang, "concepts", target=c.target), (
        "concept", "layer", "examples|count", "score|share", "slope|score", "p|share", "score_p|share", "slope_p|share",
        "accuracy|share", "accuracy_p|share", "stability", "significant", "usual_low|share", "usual_high|share",
        "findings"), (
            (t.concept, t.layer, t.examples, t.score, t.slope, t.p, t.score_p, t.slope_p, t.accuracy, t.accuracy_p,
             t.stability, t.significant, *t.usual, ", ".join(f.code for f in t.findings)) for t in c.values()))
    yield _table(lang, "sets", say(lang, "table sets"), ("concept", "layer", "set", "score|share", "slope|score"), (
        (t.concept, t.layer, k, score, slope) for t in c.values()
        for k, (score, slope) in enumerate(zip(t.scores, t.slopes, strict=True), 1)))
    yield _table(lang, "random", say(lang, "table random"), ("concept", "layer", "set", "score|share", "slope|score"), (
        (t.concept, t.layer, k, *row) for t in c.values() for k, row in enumerate(t.null.double().tolist(), 1)))


def _craft(c: Craft, lang: str | None) -> Iterable[Table]:
    """A row per part; where each of its crops lies."""
    yield _table(lang, "parts", say(lang, "crafted", layer=c.layer, target=c.target), (
        "part", "importance|share", "error|share", "effect|score", "same", "crops|count"), (
            (p.number, p.importance, p.error, p.effect, p.same, len(p.crops)) for p in c.parts))
    yield _table(lang, "crops", say(lang, "table crops"), (
        "part", "input", "left|pixels", "upper|pixels", "right|pixels", "lower|pixels", "amount"), (
            (p.number, crop.input, *crop.box, crop.amount) for p in c.parts for crop in p.crops))
    yield from _findings(lang, c.findings)


def _visualised(v: Visualised, lang: str | None) -> Iterable[Table]:
    """The climb step by step; what random pictures reach."""
    yield _table(lang, "climb", say(lang, "excites", target=v.target), ("step", "value|score"), v.history)
    yield _table(lang, "controls", say(lang, "controls"), ("control", "value|score"), enumerate(v.controls, 1))
    yield from _findings(lang, v.findings)


def _training(t: Training, lang: str | None) -> Iterable[Table]:
    """Every number of every look in long form; what happened."""
    yield _table(lang, "records", say(lang, "training", model=t.run.model), ("step", "series", "value"), (
        (r.step, name, value) for r in t.records for name, value in r.scalars().items()))
    if t.events:
        yield _table(lang, "events", say(lang, "table findings"), ("code", "level", "step", "layer", "reason", "do"), (
            (e.code, e.level, e.step, e.layer or None, *e.told(lang)) for e in t.events))


def _multiples(many: Multiples, lang: str | None) -> Iterable[Table]:
    """Every value of every cell, by row and column; what cells scored."""
    grid = [(many.rows[r], many.columns[c], e) for r, row in enumerate(many.cells) for c, e in enumerate(row)
            if isinstance(e, Explanation)]
    yield _table(lang, "cells", say(lang, "table cells"), ("row", "column", "method", "target", "score", "verdict"), (
        (r, c, e.method, e.target, e.score, e.verdict.status) for r, c, e in grid))
    yield _table(lang, "values", say(lang, "table values"), ("row", "column", "name", "value"), (
        (r, c, n, v) for r, c, e in grid for n, v in zip(e.names, _numbers(e.values), strict=True)))


KINDS: dict[str, Callable[[Any, str | None], Iterable[Table]]] = {
    "explanation": _explanation, "evaluation": _evaluation, "comparison": _comparison, "look": _look, "heads": _heads,
    "activity": _activity, "concepts": _concepts, "craft": _craft, "visualised": _visualised, "training": _training,
    "multiples": _multiples,
}
"""How each kind of record is told in tables, by its name in VIEWS."""
