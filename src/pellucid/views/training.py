"""A training as it was watched: what happened first, then its figures over the steps, and where the network looked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from pellucid.languages.sentences import noted
from pellucid.views.chart import Mark, Series, chart, sparkline
from pellucid.views.findings import signed
from pellucid.views.frame import THEMES, Sheet, line, lines, sentence_end, sheet_style
from pellucid.views.grid import Tile, scale_bar, tiles
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import method_name, say
from pellucid.views.writing import clip, columns, number, pad, visible, wrap
from pellucid.words.errors import OptionError
from pellucid.words.watch import Event, Record, Training

SIGNS = {"pass": "✓", "warn": "!", "fail": "✗"}
SHOWN = 8
"""Looks whose maps are drawn, evenly chosen."""


def draw(training: Training, *, lang: str = "en", width: float = 720, theme: str = "auto", id: str = "") -> Markup:
    """One SVG: what happened, figures over the steps, and the explanations of the first probe inputs.

    `width`, `theme` and `id` are as in `Explanation.svg`.
    """
    if not 320 <= width <= 2000 or theme not in THEMES:
        raise OptionError("option.value", f"width={width}, theme={theme!r}",
                          "320 to 2000 pixels, 'auto', 'light', 'dark' or 'print'", "leave them out")
    name = "".join(repr((r.step, r.seconds)) for r in training.records)
    prefix = id or "w" + hashlib.sha256(f"{training.run}{name}{lang}{width}".encode()).hexdigest()[:10]
    sheet = Sheet(float(width), lang, prefix)
    nodes, y = _head(training, sheet)
    made, y = _charts(training, sheet, y + 6)
    nodes += made
    made, y = _maps(training, sheet, y)
    nodes += made
    height = round(y + sheet.margin - 8)
    spoken = "".join(sentence_end(t, sheet) for t in sentences(training, lang))
    return el(
        "svg", el("title", title(training, lang), id=f"{prefix}-t"), el("desc", spoken, id=f"{prefix}-d"),
        sheet_style(prefix, theme),
        el("rect", x=0.5, y=0.5, width=sheet.width - 1, height=height - 1, rx=12, class_="ground"), *nodes,
        xmlns="http://www.w3.org/2000/svg", id=prefix, role="img", lang=lang,
        aria_labelledby=f"{prefix}-t {prefix}-d", width=sheet.width, height=height,
        viewBox=f"0 0 {sheet.width:g} {height}", data_kind="training",
        data_verdict=training.verdict.status).markup()


def text(training: Training, *, lang: str = "en", width: int = 80) -> str:
    """The same in characters: what happened, then the last look layer by layer."""
    out = [*wrap(title(training, lang), width, columns), *wrap(_steps(training, lang), width, columns), ""]
    for status, said, do in _told(training, lang):
        first, *more = wrap(said, width - 2, columns)
        out += [f"{SIGNS[status]} {first}", *("  " + m for m in more)]
        out += ["  " + t for t in wrap(say(lang, "do", do=do), width - 2, columns)] if do else []
    for name, series in _figures(training, lang):
        values = [v for _, v in series]
        if values:
            ends = f"{number(values[0])} → {number(values[-1])}"
            named = clip(name, width // 3, columns)
            room = width - columns(named) - columns(ends) - 2
            out += [f"{named} {sparkline(values, max(1, min(40, room)))} {ends}"] if room > 3 else wrap(
                f"{named} {ends}", width, columns)
    return "\n".join([*out, *_table(training, lang, width)]) + "\n"


def title(training: Training, lang: str) -> str:
    return say(lang, "training", model=training.run.model)


def sentences(training: Training, lang: str) -> list[str]:
    """Everything that happened, each in a sentence; that nothing did where nothing did."""
    return [said for _, said, _ in _told(training, lang)]


def _told(training: Training, lang: str) -> list[tuple[str, str, str]]:
    if not training.events:
        return [("pass", say(lang, "nothing happened"), "")]
    return [(e.level, *_event(e, lang)) for e in training.events]


def _event(event: Event, lang: str) -> tuple[str, str]:
    said, do = event.told(lang)
    return visible(said, 600), visible(do, 600)


def _steps(training: Training, lang: str) -> str:
    if not training.records:
        return say(lang, "no looks")
    first, last = training.records[0].step, training.records[-1].step
    known = [say(lang, "looks", n=len(training.records), first=first, last=last)]
    if training.run.probes:
        known.append(say(lang, "probes", n=training.run.probes))
    if training.run.method:
        known.append(method_name(training.run.method, lang))
    return say(lang, "joint").join([*known, *(visible(noted(n, lang), 200) for n in training.notes)])


def _head(training: Training, sheet: Sheet) -> tuple[list[Element], float]:
    x, y = sheet.margin, sheet.margin + 22
    nodes, y = lines(title(training, sheet.lang), x, y, 22, sheet.inner, "strong", 1.25, most=2)
    made, y = lines(_steps(training, sheet.lang), x, y - 2, 13, sheet.inner, "soft")
    happened, y = signed(_told(training, sheet.lang), sheet, y + 4)
    return [*nodes, *made, *happened], y


def _charts(training: Training, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """Two charts beside one another where there is room."""
    records = training.records
    if not records:
        return [], y
    steps = (records[0].step, records[-1].step)
    marks = [Mark(e.step, e.level) for e in training.events]
    across = 1 if sheet.narrow else 2
    wide = (sheet.inner - 28 * (across - 1)) / across
    panels = [(n, [s for s in some if s.points], log, top) for n, some, log, top in _panels(training, sheet.lang)]
    nodes: list[Element] = []
    row: list[float] = []
    for k, (name, some, log, top) in enumerate(p for p in panels if p[1]):
        if k % across == 0:
            y, row = max([y, *row]) + 16, []
        made, below = chart(name, some, sheet.margin + (k % across) * (wide + 28), y, wide, log=log, top=top,
                            steps=steps, marks=marks)
        nodes += made
        row.append(below)
    return nodes, max([y, *row]) + 8


def _panels(training: Training, lang: str) -> list[tuple[str, list[Series], bool, float | None]]:
    """Title, series, whether the scale is logarithmic, and where it ends."""
    r = training.records

    def per(part: Callable[[Record], dict[str, float | None]]) -> list[Series]:
        names = dict.fromkeys(n for one in r for n in part(one))
        return [Series(n, [(one.step, v) for one in r if (v := part(one).get(n)) is not None]) for n in names]

    made: list[tuple[str, list[Series], bool, float | None]] = [
        (n, [Series(n, s)], False, None) for n, s in _figures(training, lang)]
    made += [
        (say(lang, "watched gradient"), per(lambda one: {k: f.gradient for k, f in one.flow.items()}), True, None),
        (say(lang, "watched update"), per(lambda one: {k: f.update for k, f in one.flow.items()}), True, None),
        (say(lang, "watched spread"), per(lambda one: {k: w.spread for k, w in one.layers.items()}), True, None),
        (say(lang, "watched dead"), per(lambda one: {k: w.dead for k, w in one.layers.items()}), False, 1.0),
        (say(lang, "watched entropy"), per(lambda one: {k: _mean(h) for k, h in one.attention.items()}), False, 1.0),
        (say(lang, "watched agreement"), [
            Series(say(lang, "with first"), training.series("explanation/agreement with first")),
            Series(say(lang, "with previous"), training.series("explanation/agreement with previous"))], False, None),
        (say(lang, "watched suspect"), [Series("", training.series("explanation/suspect share"))], False, 1.0),
    ]
    return made


def _figures(training: Training, lang: str) -> list[tuple[str, list[tuple[int, float]]]]:
    """What the loop said of itself."""
    names = dict.fromkeys(n for r in training.records for n in r.figures)
    return [(say(lang, "watched loss") if n == "loss" else visible(n, 60),
             [(r.step, v) for r in training.records if (v := r.figures.get(n)) is not None]) for n in names]


def _mean(values: tuple[float | None, ...]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _maps(training: Training, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """The first probe inputs' maps at some of the looks, each input on a scale of its own."""
    seen = [r for r in training.records if r.explained is not None]
    if len(seen) > SHOWN:
        seen = [seen[round(k * (len(seen) - 1) / (SHOWN - 1))] for k in range(SHOWN)]
    nodes: list[Element] = []
    if not seen or seen[-1].explained is None:
        return nodes, y
    y += 20
    nodes.append(line(sheet.say("watched maps"), sheet.margin, y, 13, "strong"))
    y += 10
    for k in range(min(3, len(seen[-1].explained.maps))):
        some = [Tile(_grid(r, k), sheet.say("at step", n=r.step)) for r in seen]
        limit = max(float(np.abs(np.nan_to_num(t.values, posinf=0, neginf=0)).max()) for t in some) or 1.0
        made, y = tiles(some, limit, sheet.margin, y, sheet.inner)
        nodes += [*made, *scale_bar(limit, sheet.margin, y - 4, 150, f"{sheet.id}-m{k}")]
        y += 30
    return nodes, y


def _grid(record: Record, k: int) -> np.ndarray:
    assert record.explained is not None
    values, shape = np.array(record.explained.maps[k]), record.explained.shapes[k]
    return values.reshape(shape) if len(shape) == 2 else values.reshape(1, -1)


def _table(training: Training, lang: str, width: int) -> list[str]:
    """The last look, a line per layer."""
    if not training.records:
        return []
    last = training.records[-1]
    names = list(dict.fromkeys([*last.layers, *last.flow]))
    heads = [say(lang, f"watched {k}") for k in ("gradient", "update", "spread", "dead")]
    rows: list[list[str]] = []
    for n in names:
        flow, layer = last.flow.get(n), last.layers.get(n)
        rows.append([visible(n, 60), *(number(v, 2) for v in (
            flow.gradient if flow else None, flow.update if flow else None, layer.spread if layer else None)),
            "–" if layer is None or layer.dead is None else f"{layer.dead:.0%}"])
    if not rows:
        return []
    table = [["", *heads], *rows]
    wide = [max(columns(row[k]) for row in table) for k in range(len(table[0]))]
    drawn = ["  ".join(pad(cell, w, right=k > 0) for k, (cell, w) in enumerate(zip(row, wide, strict=True)))
             for row in table]
    if sum(wide) + 2 * len(wide) > width:  # too wide for the terminal: a line each
        drawn = [t for row in rows for t in (clip(row[0], width, columns),
                                             *(f"  {h}: {c}" for h, c in zip(heads, row[1:], strict=True)))]
    return ["", say(lang, "at step", n=last.step), *drawn]
