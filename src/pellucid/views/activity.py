"""What the channels of a model do: every finding in a sentence, and for each layer which of its channels fire."""

from __future__ import annotations

import hashlib

import numpy as np

from pellucid.views import palette
from pellucid.views.findings import found, sentences
from pellucid.views.findings import text as findings_text
from pellucid.views.frame import THEMES, Sheet, compact, line, lines, sheet_style
from pellucid.views.heat import panel
from pellucid.views.look import table
from pellucid.views.png import data_uri
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import say
from pellucid.views.writing import clip, columns, number, visible, wrap
from pellucid.words.activity import Activity, Channels
from pellucid.words.errors import OptionError

TALL = 14.0
"""Pixels of a layer's strip."""


def draw(activity: Activity, *, lang: str = "en", width: float = 720, theme: str = "auto", id: str = "") -> Markup:
    """One SVG: what is wrong, and a strip for each layer in which a channel is as dark as the inputs it fires for."""
    if not 320 <= width <= 2000 or theme not in THEMES:
        raise OptionError("option.value", f"width={width}, theme={theme!r}",
                          "320 to 2000 pixels, 'auto', 'light', 'dark' or 'print'", "leave them out")
    prefix = id or "a" + hashlib.sha256(repr((activity, lang, width)).encode()).hexdigest()[:10]
    sheet = Sheet(float(width), lang, prefix)
    x, y = sheet.margin, sheet.margin + 22
    nodes, y = lines(say(lang, "active", model=activity.model), x, y, 22, sheet.inner, "strong", 1.25, most=2)
    nodes.append(line(say(lang, "looked at", n=activity.inputs), x, y - 2, 13, "soft"))
    made, y = found(activity.findings, sheet, y + 12)
    nodes += made
    made, y = lines(say(lang, "strips"), x, y + 6, 12, sheet.inner, "soft")
    nodes += made
    y -= 3.4
    for channels in activity.values():
        made, y = _strip(channels, sheet, y)
        nodes += made
    height, told = round(y + sheet.margin), " ".join(said for said, _ in sentences(activity.findings, lang))
    return el(
        "svg", el("title", say(lang, "active", model=activity.model), id=f"{prefix}-t"),
        el("desc", told, id=f"{prefix}-d"), sheet_style(prefix, theme),
        el("rect", x=0.5, y=0.5, width=sheet.width - 1, height=height - 1, rx=12, class_="ground"), *nodes,
        xmlns="http://www.w3.org/2000/svg", id=prefix, role="img", lang=lang,
        aria_labelledby=f"{prefix}-t {prefix}-d", width=sheet.width, height=height,
        viewBox=f"0 0 {sheet.width:g} {height}").markup()


def _strip(c: Channels, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """A layer's channels in a row, as dark as the share of inputs that they fire for; dead ones stay blank."""
    x = sheet.margin
    rates = (c.fired.double() / max(c.inputs, 1)).numpy()
    few = rates if len(rates) <= 512 else np.array([b.mean() for b in np.array_split(rates, 512)])
    nodes = [line(clip(visible(c.name, 80), sheet.inner / 14), x, y + 11, 12.5),
             line(counts(c, sheet.lang), x + sheet.inner, y + 11, 11.5, "soft tab", text_anchor="end"),
             el("rect", x=x, y=y + 17, width=sheet.inner, height=TALL, class_="well"),
             el("g", panel(data_uri(palette.rgba(few[None], 1.0)), x, y + 17, sheet.inner, TALL, True, c.name),
                data_channels=compact([float(v) for v in few]))]
    return nodes, y + 17 + TALL + 12


def counts(c: Channels, lang: str) -> str:
    """What is out of the ordinary, in numbers."""
    told = [("dead", len(c.dead)), ("nearly dead", len(c.nearly)), ("always on", len(c.always)),
            ("duplicated", sum(len(g) - 1 for g in c.duplicated)), ("saturated", len(c.saturated)),
            ("not finite", len(c.not_finite))]
    some = [say(lang, f"channels {name}", n=n) for name, n in told if n]
    return say(lang, "joint").join([say(lang, "channels of", n=c.count), *some])


def text(activity: Activity, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal: findings, and a table of counts."""
    about = say(lang, "looked at one" if activity.inputs == 1 else "looked at", n=activity.inputs)
    out = wrap(say(lang, "active", model=activity.model) + say(lang, "joint") + about, width, columns)
    out += findings_text(activity.findings, lang, width)
    heads = [say(lang, "layer"), say(lang, "count"), *(say(lang, f"short {k}") for k in (
        "dead", "nearly", "always", "double", "saturated", "not_finite", "spread"))]
    rows = [[visible(c.name, 60), str(c.count), *(str(n) if n else "" for n in (
        len(c.dead), len(c.nearly), len(c.always), sum(len(g) - 1 for g in c.duplicated), len(c.saturated),
        len(c.not_finite))),
        number(c.scale)] for c in activity.values()]
    out += ["", *table([heads, *rows], width, lang, left=1)]
    for at, finding in activity.failed.items():
        out += wrap(f"{say(lang, 'input')} {at + 1}: {finding.code}: {finding.told(lang)[0]}", width, columns)
    return "\n".join(out) + "\n"
