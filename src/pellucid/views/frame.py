"""The frame every drawing shares: verdict, question, score, method, and the card they stand on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.languages.sentences import noted, translated
from pellucid.views import palette, story
from pellucid.views.scale import PERCENTILE, Scale, ticks
from pellucid.views.svg import Element, Markup, el, style
from pellucid.views.words import method_name, say
from pellucid.views.writing import clip, em, number, signed, visible, wrap
from pellucid.words.explanation import Explanation

FONTS = ('system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Noto Sans","PingFang SC","Hiragino Sans",'
         '"Microsoft YaHei","Noto Sans CJK SC","Source Han Sans SC","Droid Sans Fallback",sans-serif')
LIGHT = {"ink": "#16191d", "soft": "#59616b", "rule": "#d9dde2", "ground": "#ffffff", "well": "#f4f5f7",
         "pos": palette.css(1), "neg": palette.css(-1), "pass": "#1a7f4b", "warn": "#9a6200", "fail": "#b3261e"}
DARK = {"ink": "#eceff3", "soft": "#9ca6b2", "rule": "#333a43", "ground": "#15191e", "well": "#1e242b",
        "pos": "#ff8a57", "neg": "#6cabff", "pass": "#5fd19a", "warn": "#f2b84b", "fail": "#ff8a80"}
PRINT = {**LIGHT, "ink": "#000000", "soft": "#454b52", "rule": "#c3c8ce"}
THEMES = ("auto", "light", "dark", "print")
"""As the reader's system is, by day, at night, and on paper: there without the card's frame."""

MOST_NUMBERS = 65_536
"""Values written into the data attributes; a drawing of more keeps its picture only."""

SIZES = {24.0: "the question of an explanation", 22.0: "the title of other records", 17.0: "the words of a text",
         16.0: "the title of a part", 15.0: "a sentence in place of a picture", 14.0: "the score, a layer, a verdict",
         13.0: "what is read: reasons, methods, names", 12.5: "names of panels, rows and their numbers",
         12.0: "figures of a layer", 11.5: "notes, captions of scales", 11.0: "ticks and heads of tables",
         10.0: "captions of small maps"}
"""Sizes of letters by role, in units of the drawing; cells of a matrix take what fits."""

SHAPES = {
    "pass": "M9 0a9 9 0 1 0 .001 0zM4.7 9.3l3 3 5.6-6.2",
    "warn": "M9 .8 17.6 16.6H.4zM9 6.2v5.2M9 13.6v.9",
    "fail": "M5.3 0h7.4L18 5.3v7.4L12.7 18H5.3L0 12.7V5.3zM5.8 5.8l6.4 6.4M12.2 5.8l-6.4 6.4",
}
"""A circle, a triangle, an octagon: the verdict does not hang on colour."""


@dataclass
class Part:
    """The middle of a drawing: elements from y = 0 down to `height`, numbers, remarks below."""

    nodes: list[Element]
    height: float
    scale: Scale | None = None
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Sheet:
    """What every part needs to know: width, margins, language, a prefix for ids; of a map its lines and its ground."""

    width: float
    lang: str = "en"
    id: str = ""
    top: int = 12
    contours: bool = False
    ground: str = "grey"

    @property
    def margin(self) -> float:
        return 28.0 if self.width >= 520 else 18.0

    @property
    def inner(self) -> float:
        return self.width - 2 * self.margin

    @property
    def narrow(self) -> bool:
        return self.width < 520

    def say(self, key: str, **data: object) -> str:
        return say(self.lang, key, **data)


def line(text: str, x: float, y: float, size: float, kind: str = "", **attributes: Any) -> Element:
    """One line of text; `kind` names a class: soft, strong, tab (figures of one width)."""
    return el("text", text, x=x, y=y, font_size=size, class_=kind or None, **attributes)


def lines(text: str, x: float, y: float, size: float, width: float, kind: str = "", leading: float = 1.45,
          most: int = 6) -> tuple[list[Element], float]:
    """Text wrapped into lines; also the y of the line after the last."""
    width *= 0.88 if "strong" in kind else 1.0  # bold letters are wider
    broken = wrap(text, width / size)
    if len(broken) > most:
        broken = [*broken[: most - 1], clip(broken[most - 1] + " …", width / size - 1) + "…"]
    return [line(t, x, y + i * size * leading, size, kind) for i, t in enumerate(broken)], (
        y + len(broken) * size * leading)


def band(e: story.Checked, sheet: Sheet) -> tuple[list[Element], float]:
    """The verdict with its reasons, and the y below."""
    nodes, x, status = list[Element](), sheet.margin, e.verdict.status
    y, size = sheet.margin, 13.0
    room = sheet.inner - 54
    rows = list[Element]()
    at = y + 22
    first = True
    for text in story.verdict(e, sheet.lang):
        word = sheet.say(status) + sheet.say("colon")
        if first and text.startswith(word):
            rows.append(line(sheet.say(status), x + 42, at, size + 1, f"strong {status}"))
            at += 19.5
            text = text[len(word):]
        made, at = lines(text, x + 42, at, size, room, "" if first else "soft")
        rows += made
        first = False
    tall = at - y - 7
    nodes.append(el("rect", x=x, y=y, width=sheet.inner, height=tall, rx=8, class_=f"band {status}"))
    nodes.append(el("path", d=SHAPES[status], transform=f"translate({x + 13:g} {y + 12:g})", class_=f"icon {status}"))
    return [*nodes, *rows], y + tall


def head(e: Explanation, sheet: Sheet) -> tuple[list[Element], float]:
    """Verdict first, then the question with its score, then how it was answered."""
    x = sheet.margin
    nodes, y = band(e, sheet)
    y += 38
    made, y = lines(sheet.say("why", target=e.target), x, y, 24, sheet.inner, "strong", 1.25, most=3)
    nodes += made
    nodes.append(line(clip(story.facts(e, sheet.lang), sheet.inner / 14), x, y - 4, 14, "soft tab"))
    y += 24
    nodes.append(line(clip(method_name(e.method, sheet.lang), sheet.inner / 15), x, y, 13, "strong"))
    y += 19
    if e.summary:
        made, y = lines(visible(translated("summary", e.summary, sheet.lang), 600), x, y, 13, sheet.inner, "soft")
        nodes += made
    return nodes, y + 8


def compact(values: Iterable[float]) -> str:
    """Numbers as JSON with four significant digits; null where not finite."""
    return "[" + ",".join("null" if v != v or abs(v) == float("inf") else "0" if v == 0 else f"{v:.4g}"
                          for v in values) + "]"


def data(e: Explanation, scale: Scale | None) -> dict[str, Any]:
    """The numbers for whatever reads the drawing later."""
    flat = e.values.detach().cpu().double().flatten()
    known: dict[str, Any] = {
        "data_kind": e.features.kind, "data_method": e.method, "data_target": e.target,
        "data_score": f"{e.score:.6g}", "data_verdict": e.verdict.status,
        "data_shape": json.dumps(list(e.values.shape), separators=(",", ":")),
        "data_limit": f"{scale.limit:.6g}" if scale else None,
        "data_baseline": None if e.baseline_score is None else f"{e.baseline_score:.6g}",
    }
    if flat.numel() > MOST_NUMBERS:
        return {**known, "data_left_out": flat.numel()}
    known["data_values"] = compact(flat.tolist())
    if e.error is not None:
        known["data_error"] = compact(e.error.detach().cpu().double().flatten().tolist())
    return known


def properties(colours: dict[str, str]) -> str:
    """Custom properties of a theme."""
    return ";".join(f"--{k}:{v}" for k, v in colours.items())


def sheet_style(prefix: str, theme: str) -> Element:
    """The style of one drawing; its rules hold inside that drawing alone."""
    p = f"#{prefix}"
    dark = f"{p}{{{properties(DARK)}}}"
    rules = f"""
    {p}{{{properties({"dark": DARK, "print": PRINT}.get(theme, LIGHT))};font-family:{FONTS};max-width:100%;height:auto}}
    {f"@media (prefers-color-scheme:dark){{{dark}}}" if theme == "auto" else ""}
    {f"@media print{{{p}{{{properties(PRINT)}}}}}" if theme == "auto" else ""}
    {p} text{{fill:var(--ink)}}
    {p} .soft{{fill:var(--soft)}}
    {p} .strong{{font-weight:650}}
    {p} .halo{{paint-order:stroke;stroke:var(--ground);stroke-width:5px;stroke-linejoin:round}}
    {p} .tab{{font-variant-numeric:tabular-nums}}
    {p} .ground{{fill:var(--ground);stroke:var(--rule)}}
    {p} .well{{fill:var(--well)}}
    {p} .rule{{stroke:var(--rule);fill:none}}
    {p} .axis{{stroke:var(--soft);fill:none}}
    {p} .contour{{fill:none;stroke:var(--ink);stroke-width:1.1;vector-effect:non-scaling-stroke;opacity:.8}}
    {p} .contour.below{{stroke-dasharray:3 2}}
    {p} .mark{{stroke:var(--ink);fill:none;stroke-width:2.4}}
    {p} .whisker{{stroke:var(--ink);fill:none;stroke-width:1.4;opacity:.75}}
    {p} .pos{{fill:var(--pos)}}
    {p} .neg{{fill:var(--neg)}}
    {p} .crisp{{image-rendering:pixelated}}
    {p} .token{{unicode-bidi:isolate;text-anchor:middle}}
    {p} .band{{fill-opacity:.1}}
    {p} .icon{{fill:none;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}}
    """
    if theme == "print":
        rules += f"{p} .ground{{stroke:none}}"
    for status in SHAPES:
        rules += f"{p} .{status}{{fill:var(--{status})}}{p} .icon.{status}{{fill:none;stroke:var(--{status})}}"
    return style(rules)


def whole(e: Explanation, sheet: Sheet, part: Part, theme: str, numbers: bool = True) -> Markup:
    """Head, middle and remarks on one card."""
    nodes, y = head(e, sheet)
    nodes.append(el("g", *part.nodes, transform=f"translate(0 {y:g})"))
    y += part.height + 26
    # what was done to the input on the way
    told = [visible(noted(n, sheet.lang), 300) for n in e.shown.notes] if e.shown else []
    for note in [*part.notes, *told]:
        made, y = lines(note, sheet.margin, y, 11.5, sheet.inner, "soft")
        nodes += made
        y += 3
    height = round(y + sheet.margin - 16)
    spoken = [sentence_end(t, sheet) for t in (story.sentence(e, sheet.lang), *story.verdict(e, sheet.lang))]
    return el(
        "svg",
        el("title", sheet.say("why", target=e.target), id=f"{sheet.id}-t"),
        el("desc", "".join(spoken), id=f"{sheet.id}-d"),
        sheet_style(sheet.id, theme),
        el("rect", x=0.5, y=0.5, width=sheet.width - 1, height=height - 1, rx=12, class_="ground"),
        *nodes,
        xmlns="http://www.w3.org/2000/svg", id=sheet.id, role="img", lang=sheet.lang,
        aria_labelledby=f"{sheet.id}-t {sheet.id}-d", width=sheet.width, height=height,
        viewBox=f"0 0 {sheet.width:g} {height}", **(data(e, part.scale) if numbers else {}),
    ).markup()


def sentence_end(text: str, sheet: Sheet) -> str:
    """The text with the language's full stop."""
    return text if text.endswith((".", "。", "!", "?")) else text + sheet.say("stop")


def name_of(e: Explanation, sheet_width: float, lang: str) -> str:
    """A prefix for ids that belongs to this drawing: many stand in one page."""
    seen = hashlib.sha256(f"{e.method}\0{e.target}\0{e.score}\0{sheet_width}\0{lang}\0{e.ordinal}".encode(
        "utf-8", "replace"))
    seen.update(np.ascontiguousarray(e.values.detach().cpu().double().numpy()).tobytes())
    return "p" + seen.hexdigest()[:10]


def axis(ticks: Sequence[float], place: Callable[[float], float], y: float, height: float) -> list[Element]:
    """Hair lines with numbers below; zero is drawn darker."""
    nodes = list[Element]()
    for t in ticks:
        x = place(t)
        nodes.append(el("path", d=f"M{x:.1f} {y:.1f}v{height:.1f}", class_="axis" if t == 0 else "rule"))
        nodes.append(line(number(t), x, y + height + 15, 11, "soft tab", text_anchor="middle"))
    return nodes


def colour_bar(sheet: Sheet, scale: Scale, x: float, y: float, width: float,
               e: Explanation, ground: str = "var(--ground)", fade: float = 1.0) -> tuple[list[Element], float]:
    """A horizontal colour bar with ticks, zero in the middle, and what its ends mean; from zero on
    where the values have no sign.

    It lies on the same `ground` and is as faded as the values themselves, so that the colours are equal.
    """
    steps, low = 64, 0 if story.unsigned(e) else -1
    stops = list[Element]()
    for i in range(steps + 1):
        t = low + (1 - low) * i / steps
        r, g, b, a = palette.rgba(np.array(t), 1.0)
        stops.append(el("stop", offset=f"{i / steps:.4f}", stop_color=f"#{r:02x}{g:02x}{b:02x}",
                        stop_opacity=f"{a / 255 * fade:.3f}"))
    bottom = y + 52
    nodes = [
        el("defs", el("linearGradient", *stops, id=f"{sheet.id}-c")),
        el("rect", x=x, y=y, width=width, height=12, rx=3, style=f"fill:{ground}"),
        el("rect", x=x, y=y, width=width, height=12, rx=3, fill=f"url(#{sheet.id}-c)"),
        el("rect", x=x, y=y, width=width, height=12, rx=3, class_="rule"),
    ]
    for t in ticks(low * scale.limit, scale.limit, max(3, min(7, int(width / 58)))):
        at = x + width * (t / scale.limit - low) / (1 - low)
        nodes.append(el("path", d=f"M{at:.1f} {y + 12:.1f}v4", class_="axis"))
        near = min(max(at, x + 12), x + width - 12)
        nodes.append(line(number(t), near, y + 28, 11, "soft tab", text_anchor="middle"))
    words = (("lowers", "raises"), ("lower", "raise")) if story.means(e) == "effect" else (("weaker", "stronger"),) * 2
    below, above = map(sheet.say, words[0])
    if em(f"← {below}{above} →") * 11.5 + 16 > width:
        below, above = map(sheet.say, words[1])
    if low:
        nodes.append(line(f"← {below}", x, y - 8, 11.5, "neg"))
        nodes.append(line(f"{above} →", x + width, y - 8, 11.5, "pos", text_anchor="end"))
    for k, caption in enumerate(wrap(story.effect(e, sheet.lang), width / 11.5)[:3]):
        nodes.append(line(caption, x + width / 2, y + 46 + 15 * k, 11.5, "soft", text_anchor="middle"))
        bottom = y + 52 + 15 * k
    return nodes, bottom


def scale_note(sheet: Sheet, scale: Scale) -> str:
    """What full colour stands for."""
    if scale.clipped:
        return sheet.say("percentile", limit=number(scale.limit), p=f"{PERCENTILE:g}", largest=signed(scale.largest))
    return sheet.say("largest", limit=number(scale.limit))


def error_notes(e: Explanation, sheet: Sheet) -> list[str]:
    """What the intervals mean and how many leave zero out."""
    if e.error is None or not story.uncertain(e):
        return []
    values, errors = e.values.detach().cpu().double(), e.error.detach().cpu().double()
    apart = int((~(values.abs() <= story.INTERVAL * errors)).sum())
    return [sheet.say("error"), sheet.say("apart", k=apart, n=values.numel())]

