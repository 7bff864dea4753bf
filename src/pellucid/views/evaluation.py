"""An evaluation drawn: each metric's number with its interval before the cloud of its controls, and the curves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pellucid.views import story
from pellucid.views.curve import BELOW, Curve, plot
from pellucid.views.frame import THEMES, Sheet, band, compact, line, lines, sentence_end, sheet_style
from pellucid.views.svg import Element, Markup, el, style
from pellucid.views.words import CATALOGUE, method_name, metric_name, say
from pellucid.views.writing import clip, columns, number, pad, visible, wrap
from pellucid.words.errors import OptionError
from pellucid.words.evaluation import Evaluation, Measurement
from pellucid.words.explanation import Finding

ROW, BARE = 74.0, 56.0
ALPHA = 0.05
"""Told from what knows nothing: no more often as good than this."""


def draw(evaluated: Evaluation, *, lang: str = "en", width: float = 720, theme: str = "auto", id: str = "") -> Markup:
    """One SVG: the verdict, a row for each metric, its curves, and what could not be measured.

    `width`, `theme` and `id` are as in `Explanation.svg`.
    """
    e = evaluated
    sheet = sheet_of(e, lang, width, theme, id)
    nodes, y = band(e, sheet)
    y += 38
    title = sheet.say("how good", target=e.target)
    made, y = lines(title, sheet.margin, y, 22, sheet.inner, "strong", 1.25, most=3)
    facts = [method_name(e.method, lang), *([visible(e.model, 60)] if e.model else [])]
    nodes += [*made, line(clip(sheet.say("joint").join(facts), sheet.inner / 14), sheet.margin, y - 3, 13, "soft")]
    y += 22
    made, y = _rows(e, sheet, y)
    nodes += made
    made, y = _curves(e, sheet, y)
    nodes += made
    made, y = missing(e.unfit, sheet, y, "not measured")
    nodes += made
    for note in _notes(e, sheet):
        made, y = lines(note, sheet.margin, y, 11.5, sheet.inner, "soft")
        nodes += made
        y += 3
    data = {m.name: {"value": m.value, "interval": m.interval, "controls": m.controls, "p": m.p}
            for m in e.values()}
    return sealed(sheet, nodes, y, title, [_spoken(m, lang) for m in e.values()], theme, e, data_kind="evaluation",
                  data_method=e.method, data_metrics=json.dumps(data, separators=(",", ":"), default=str))


def sheet_of(e: story.Checked, lang: str, width: float, theme: str, id: str) -> Sheet:
    """The sheet for these options, or an error."""
    if not 320 <= width <= 2000 or theme not in THEMES:
        raise OptionError("option.value", f"width={width}, theme={theme!r}",
                          "320 to 2000 pixels, 'auto', 'light', 'dark' or 'print'", "leave them out")
    say(lang, "stop")
    prefix = id or "q" + hashlib.sha256(f"{e!r}{e.verdict}{lang}{width}".encode("utf-8", "replace")).hexdigest()[:10]
    return Sheet(float(width), lang, prefix)


def sealed(sheet: Sheet, nodes: list[Element], y: float, title: str, told: list[str], theme: str, e: story.Checked,
           **data: object) -> Markup:
    """The elements on their card, with what is said of them and the style of curves and clouds."""
    height, p = round(y + sheet.margin - 12), f"#{sheet.id}"
    more = style(f"""
    {p} .cloud{{fill:var(--soft);fill-opacity:.18;stroke:none}}
    {p} .speck{{fill:var(--soft);fill-opacity:.55}}
    {p} .line{{fill:none;stroke-width:2.2;stroke-linejoin:round}}
    {p} .line.pos{{fill:none;stroke:var(--pos)}}{p} .line.neg{{fill:none;stroke:var(--neg)}}
    {p} .ink{{fill:var(--ink)}}
    {p} .boxed{{fill:none;stroke:var(--ink);stroke-width:1.6}}
    """)
    spoken = [sentence_end(t, sheet) for t in (*story.verdict(e, sheet.lang), *told)]
    return el(
        "svg", el("title", title, id=f"{sheet.id}-t"), el("desc", "".join(spoken), id=f"{sheet.id}-d"),
        sheet_style(sheet.id, theme), more,
        el("rect", x=0.5, y=0.5, width=sheet.width - 1, height=height - 1, rx=12, class_="ground"), *nodes,
        xmlns="http://www.w3.org/2000/svg", id=sheet.id, role="img", lang=sheet.lang,
        aria_labelledby=f"{sheet.id}-t {sheet.id}-d", width=sheet.width, height=height,
        viewBox=f"0 0 {sheet.width:g} {height}", data_verdict=e.verdict.status, **data).markup()


def plain(m: Measurement, lang: str) -> str:
    """How a number compares, in words."""
    if not m.better:
        return say(lang, "neither")
    if not m.controls:
        return say(lang, f"{m.better} alone")
    key = "beats all" if m.beaten == len(m.controls) else "beats some" if m.beaten else "beats none"
    return say(lang, key, k=m.beaten, n=len(m.controls))


def within(m: Measurement) -> str:
    """Half of the interval, where there is one that is not empty."""
    if m.interval is None or m.interval[0] == m.interval[1]:
        return ""
    return f"± {number((m.interval[1] - m.interval[0]) / 2, 2)}"


def status(m: Measurement) -> str:
    """How the dot is coloured: told from what knows nothing, not told from it, or nothing to tell it from."""
    return "ink" if m.p is None else "pass" if m.p <= ALPHA else "fail" if m.kind == "faithfulness" else "warn"


def _spoken(m: Measurement, lang: str) -> str:
    figures = " ".join(filter(None, (number(m.value), within(m))))
    return f"{metric_name(m.name, lang)} {figures}{say(lang, 'comma')}{plain(m, lang)}"


def _rows(e: Evaluation, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """A row for each metric: name, dot and cloud from worse to better, the number, and what it means in words."""
    nodes = list[Element]()
    left = 0.0 if sheet.narrow else 190.0
    start, span = sheet.margin + left, sheet.inner - left - 96
    if any(_compared(m) for m in e.values()):
        nodes += [line(f"← {sheet.say('worse')}", start, y, 11.5, "soft"),
                  line(f"{sheet.say('better')} →", start + span, y, 11.5, "soft", text_anchor="end")]
        y += 12
    for m in e.values():
        made, y = _row(m, sheet, y, start, span)
        nodes.append(made)
    return nodes, y + 8


def _row(m: Measurement, sheet: Sheet, y: float, start: float, span: float) -> tuple[Element, float]:
    """One row, and the y below; on a phone the words stand below the strip, and the kind is left out."""
    least = (ROW if _compared(m) else BARE) + (34 if sheet.narrow and _compared(m) else 18 if sheet.narrow else 0)
    group = el("g", el("title", _spoken(m, sheet.lang)), data_metric=m.name, data_value=f"{m.value:.6g}",
               data_controls=compact(m.controls) if m.controls else None)
    group.add(el("path", d=f"M{sheet.margin:.1f} {y:.1f}h{sheet.inner:.1f}", class_="rule"))
    room = span if sheet.narrow else start - sheet.margin - 14
    group.add(line(clip(metric_name(m.name, sheet.lang), room / 15.6), sheet.margin, y + 24, 13, "strong"))
    if not sheet.narrow:
        kind = sheet.say(m.kind) if m.kind in CATALOGUE else visible(m.kind, 40)
        group.add(line(kind, sheet.margin, y + 42, 11.5, "soft"))
    right, middle = sheet.width - sheet.margin, y + 22
    group.add(line(number(m.value), right, middle + 3, 14, "strong tab", text_anchor="end"),
              line(within(m), right, middle + 20, 11.5, "soft tab", text_anchor="end"))
    if sheet.narrow:
        middle += 24
    if _compared(m):
        group.add(*_strip(m, start, middle, span))
    below = middle + (38 if _compared(m) else 3 if not sheet.narrow else -1)
    room = span + (84 if _compared(m) else 30 if sheet.narrow else 0)  # below the strip no number stands to the right
    words, after = lines(plain(m, sheet.lang), start, below, 12.5, room, "" if _compared(m) else "soft", 1.3)
    return group.add(*words), max(y + least, after - 2.5)


def _compared(m: Measurement) -> bool:
    """Whether there is anything to show a number against."""
    ends = [m.value, *m.controls]
    return bool(m.better and m.controls) and max(ends) - min(ends) > 1e-12 * max(map(abs, ends))


def _strip(m: Measurement, x: float, y: float, width: float) -> list[Element]:
    """Controls as grey dots, the value as a coloured one with its interval; better is always to the right."""
    ends = [m.value, *m.controls, *(m.interval or ())]
    low, high = min(ends), max(ends)
    room = 10.0

    def place(v: float) -> float:
        share = (v - low) / (high - low)
        return x + room + (width - 2 * room) * (1 - share if m.better == "low" else share)

    nodes = [el("path", d=f"M{x:.1f} {y:.1f}h{width:.1f}", class_="rule")]
    for k, c in enumerate(m.controls):
        # the same height for the same control in every row, so that a cloud is not one smear
        nodes.append(el("circle", cx=place(c), cy=y + ((k * 7) % 5 - 2) * 3.0, r=2.6, class_="speck"))
    if m.interval is not None and m.interval[0] < m.interval[1]:
        a, b = sorted(map(place, m.interval))
        nodes.append(el("path", d=f"M{a:.1f} {y:.1f}H{b:.1f}M{a:.1f} {y - 5:.1f}v10M{b:.1f} {y - 5:.1f}v10",
                        class_="whisker"))
    nodes.append(el("circle", cx=place(m.value), cy=y, r=6, class_=status(m), stroke="var(--ground)", stroke_width=1.5))
    first, last = (high, low) if m.better == "low" else (low, high)
    return [*nodes, line(number(first), x, y + 21, 11, "soft tab"),
            line(number(last), x + width, y + 21, 11, "soft tab", text_anchor="end")]


def _curves(e: Evaluation, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """The curves that numbers were taken from, two in a row where there is room."""
    some = _curved(e)
    nodes, gap = list[Element](), 30.0
    if not some:
        return nodes, y
    across = 1 if sheet.narrow else 2
    width = (sheet.inner - gap * (across - 1)) / across
    height = 150.0
    for k, m in enumerate(some):
        if k and k % across == 0:
            y += height + BELOW + 52
        words = [sheet.say(f"axis {a}") if f"axis {a}" in CATALOGUE else visible(a, 60) for a in m.axes]
        curve = Curve(metric_name(m.name, sheet.lang), m.curve, [c for c in m.curves if len(c) > 1], words[0], words[1],
                      "neg" if m.better == "low" else "pos")
        nodes += plot(curve, sheet.margin + (k % across) * (width + gap), y + 44, width, height)
    return nodes, y + height + BELOW + 62


def _curved(e: Evaluation) -> list[Measurement]:
    """The metrics whose curve says more than their number."""
    return [m for m in e.values() if len(m.curve) > 1 and m.kind == "faithfulness"]


def missing(found: Mapping[str, Finding], sheet: Sheet, y: float, key: str) -> tuple[list[Element], float]:
    """What is not there, and why."""
    nodes = list[Element]()
    if not found:
        return nodes, y
    nodes.append(line(sheet.say(key), sheet.margin, y + 12, 13, "strong"))
    y += 34
    for name, finding in found.items():
        label = metric_name(name, sheet.lang) if key == "not measured" else method_name(name, sheet.lang)
        seen, do = finding.told(sheet.lang)
        made, y = lines(label + sheet.say("colon") + visible(seen, 300), sheet.margin, y, 12.5, sheet.inner)
        nodes += made
        if do:
            made, y = lines(sheet.say("do", do=do), sheet.margin, y, 12, sheet.inner, "soft")
            nodes += made
        y += 4
    return nodes, y + 8


def _notes(e: Evaluation, sheet: Sheet) -> list[str]:
    controls = max((len(m.controls) for m in e.values()), default=0)
    level = f"{next((m.level for m in e.values()), 0.95):.0%}"
    notes = [sheet.say("is read", level=level, n=controls) if controls else sheet.say("is read alone", level=level)]
    return [*notes, *([sheet.say("curve read")] if any(m.curves for m in _curved(e)) else [])]


def head_text(e: story.Checked, lang: str, width: int) -> list[str]:
    """The verdict as lines of text."""
    sign, out = {"pass": "✓", "warn": "!", "fail": "✗"}[e.verdict.status], list[str]()
    for i, reason in enumerate(story.verdict(e, lang)):
        first, *more = wrap(reason, width - 2, columns)
        out += [(f"{sign} " if not i else "  ") + first, *("  " + m for m in more)]
    return out


def text(evaluated: Evaluation, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal or a screen reader: a line for each metric, and what it means."""
    e = evaluated
    out = [*head_text(e, lang, width), "",
           *wrap(say(lang, "how good", target=e.target) + "  " + method_name(e.method, lang), width, columns), ""]
    names = [metric_name(m.name, lang) for m in e.values()]
    left = max(map(columns, names), default=0) + 2
    figures = [" ".join(filter(None, (number(m.value), within(m)))) for m in e.values()]
    right = max(map(columns, figures), default=0)
    for name, told, m in zip(names, figures, e.values(), strict=True):
        first, *more = wrap(plain(m, lang), max(width - left - right - 2, 16), columns)
        if left + right + 18 > width:
            out += [*wrap(name, width, columns), f"  {told}"]
            out += ["  " + t for t in wrap(plain(m, lang), width - 2, columns)]
            continue
        out.append(f"{pad(name, left)}{pad(told, right, right=True)}  {first}")
        out += [" " * (left + right + 2) + t for t in more]
    colon = say(lang, "colon")
    for name, finding in e.unfit.items():
        seen, do = (visible(t, 300) for t in finding.told(lang))
        out += wrap(f"{metric_name(name, lang)}{colon}{say(lang, 'not measured')}{colon}{seen}", width, columns)
        out += ["  " + t for t in wrap(say(lang, "do", do=do), width - 2, columns)] if do else []
    return "\n".join(out) + "\n"
