"""Heads of attention: what each is worth with its interval, and how alike any two are."""

from __future__ import annotations

import hashlib

from pellucid.views import matrix
from pellucid.views.findings import found, sentences
from pellucid.views.findings import text as findings_text
from pellucid.views.frame import THEMES, Sheet, axis, line, lines, sheet_style
from pellucid.views.grid import Tile, tiles
from pellucid.views.look import table
from pellucid.views.scale import ticks
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import say
from pellucid.views.writing import columns, minus, number, visible, wrap
from pellucid.words.errors import OptionError
from pellucid.words.heads import Heads

SHOWN = ("accuracy", "loss", "margin", "changed", "score", "gradient")
"""Kinds of importance, the most telling first."""

SHARES = {"accuracy", "changed"}

CELLS = 24
"""So many heads at most have their likeness written into cells; more are a picture."""


def draw(heads: Heads, *, lang: str = "en", width: float = 720, theme: str = "auto", id: str = "") -> Markup:
    """One SVG: what is wrong, importance by head with intervals, and how alike heads are."""
    if not 320 <= width <= 2000 or theme not in THEMES:
        raise OptionError("option.value", f"width={width}, theme={theme!r}",
                          "320 to 2000 pixels, 'auto', 'light', 'dark' or 'print'", "leave them out")
    prefix = id or "d" + hashlib.sha256(repr((heads, lang, width)).encode()).hexdigest()[:10]
    sheet = Sheet(float(width), lang, prefix)
    x, y = sheet.margin, sheet.margin + 22
    nodes, y = lines(say(lang, "heads", model=heads.model), x, y, 22, sheet.inner, "strong", 1.25, most=2)
    made, y = lines(_about(heads, lang), x, y - 2, 13, sheet.inner, "soft")
    nodes += made
    made, y = found(heads.findings, sheet, y + 6)
    nodes += made
    made, y = _bars(heads, sheet, y + 8)
    nodes += made
    made, y = _alike(heads, sheet, y + 8)
    nodes += made
    height = round(y + sheet.margin)
    told = " ".join(said for said, _ in sentences(heads.findings, lang))
    return el(
        "svg", el("title", say(lang, "heads", model=heads.model), id=f"{prefix}-t"),
        el("desc", told, id=f"{prefix}-d"), sheet_style(prefix, theme),
        el("rect", x=0.5, y=0.5, width=sheet.width - 1, height=height - 1, rx=12, class_="ground"), *nodes,
        xmlns="http://www.w3.org/2000/svg", id=prefix, role="img", lang=lang, data_kind="heads",
        aria_labelledby=f"{prefix}-t {prefix}-d", width=sheet.width, height=height,
        viewBox=f"0 0 {sheet.width:g} {height}").markup()


def _about(heads: Heads, lang: str) -> str:
    told = [say(lang, "looked at", n=heads.inputs), say(lang, f"ablation {heads.ablation}")]
    if heads.accuracy is not None:
        told.append(say(lang, "own accuracy", value=f"{heads.accuracy.value:.1%}"))
    return say(lang, "joint").join(told)


def _main(heads: Heads) -> str:
    return next((k for k in ("margin", "score", "gradient") if k in heads.importance), "")


def _bars(heads: Heads, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """A bar for each head in order, with the interval of its mean."""
    name = _main(heads)
    if not name:
        return [], y
    x, label, one = sheet.margin, 190.0, 15.0
    values = heads.importance[name].values.tolist()
    low, high = (t.tolist() for t in heads.importance[name].interval())
    ends = [v for v in (*values, *low, *high, 0.0) if v == v]
    least, most = min(ends), max(ends)
    room = (sheet.inner - label) / ((most - least) or 1.0)

    def at(v: float) -> float:
        return x + label + (v - least) * room

    nodes, y = lines(sheet.say(f"importance {name}"), x, y + 10, 13, sheet.inner, "strong")
    y -= 8
    marks, long = ticks(least, most, max(3, int((sheet.inner - label) / 62))), one * len(heads.names)
    if len(heads.names) > CELLS:  # too many rows to see what stands below them
        nodes += [line(number(t), at(t), y + 11, 11, "soft tab", text_anchor="middle") for t in marks]
        y += 17
    nodes += axis(marks, at, y, long)
    for k, (layer, head) in enumerate(heads.names):
        start, end = sorted((at(0.0), at(values[k])))
        group = el("g", el("title", f"{layer}[{head}]: {number(values[k])}"), data_head=f"{values[k]:.4g}")
        group.add(el("rect", x=start, y=y + 3, width=max(end - start, 0.5), height=one - 6,
                     class_="pos" if values[k] >= 0 else "neg"))
        if low[k] == low[k]:
            group.add(el("path", d=f"M{at(low[k]):.1f} {y + one / 2:.1f}H{at(high[k]):.1f}", class_="whisker"))
        nodes += [line(_short(layer, head), x, y + 11, 11, "soft"), group]
        y += one
    return nodes, y + 24


def _alike(heads: Heads, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """Correlation and distance of any two heads."""
    if heads.similarity is None or heads.divergence is None:
        return [], y
    x, n = sheet.margin, len(heads.names)
    both = [("similarity", heads.similarity.numpy()), ("divergence", heads.divergence.numpy())]
    if n > CELLS:
        made, y = tiles([Tile(v, sheet.say(k)) for k, v in both], 1.0, x, y + 4, sheet.inner, least=110.0)
        return made, y
    nodes = list[Element]()
    for name, values in both:
        nodes.append(line(sheet.say(name), x, y + 12, 13, "strong"))
        wide = min(44.0, (sheet.inner - 190) / n)
        made, y = matrix.labelled(values, 1.0, [_short(*h) for h in heads.names], [str(h) for _, h in heads.names],
                                  x, y + 20, 190.0, wide, 18.0)
        nodes += made
        y += 10
    return nodes, y


def _short(layer: str, head: int) -> str:
    """A head's name, the end of it where it is long."""
    said = f"{visible(layer, 120)}[{head}]"
    return said if len(said) <= 28 else "…" + said[-27:]


def text(heads: Heads, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal: findings, and a row per head."""
    out = wrap(say(lang, "heads", model=heads.model) + say(lang, "joint") + _about(heads, lang), width, columns)
    out += findings_text(heads.findings, lang, width)
    kinds = [k for k in SHOWN if k in heads.importance]
    rows = [[say(lang, "head name"), *(say(lang, f"short {k}") for k in kinds), say(lang, "short entropy"),
             say(lang, "short distance")]]
    for k, (layer, head) in enumerate(heads.names):
        told = [minus(f"{v:+.1%}") if kind in SHARES else number(v) for kind in kinds
                if (v := float(heads.importance[kind].values[k])) is not None]
        rows.append([_short(layer, head), *told, *("" if a is None else number(float(a.values[k]), 2)
                                                   for a in (heads.entropy, heads.distance))])
    out += ["", *table(rows, width, lang, left=1)]
    for at, finding in heads.failed.items():
        out += wrap(f"{say(lang, 'input')} {at + 1}: {finding.code}: {finding.told(lang)[0]}", width, columns)
    return "\n".join(out) + "\n"
