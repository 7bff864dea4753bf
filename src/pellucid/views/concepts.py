"""Which concepts move a score: a line for each concept and layer, with where random concepts lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pellucid.views.frame import THEMES, Sheet, line, lines, sheet_style
from pellucid.views.heat import panel, picture_of
from pellucid.views.look import shorter, table
from pellucid.views.png import data_uri, fit
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import say
from pellucid.views.writing import clip, columns, em, number, signed, visible, wrap
from pellucid.words.concepts import Concepts, Tested
from pellucid.words.errors import OptionError
from pellucid.words.explanation import Finding


def sheet_of(record: object, lang: str, width: float, theme: str, id: str, top: int = 12) -> Sheet:
    """The sheet a drawing is made on. Raises `option.value` for what cannot be drawn."""
    if not 320 <= width <= 2000 or top < 1 or theme not in THEMES:
        raise OptionError("option.value", f"width={width}, top={top}, theme={theme!r}",
                          "320 to 2000 pixels, 1 or more, 'auto', 'light', 'dark' or 'print'", "leave them out")
    prefix = id or "c" + hashlib.sha256(repr((record, lang, width)).encode()).hexdigest()[:10]
    return Sheet(float(width), lang, prefix, top)


def card(nodes: Sequence[Element], y: float, sheet: Sheet, theme: str, title: str, told: str) -> Markup:
    """Everything on its ground, as one SVG with its words for who does not see it."""
    p, height = sheet.id, round(y + sheet.margin)
    return el(
        "svg", el("title", title, id=f"{p}-t"), el("desc", told, id=f"{p}-d"), sheet_style(p, theme),
        el("rect", x=0.5, y=0.5, width=sheet.width - 1, height=height - 1, rx=12, class_="ground"), *nodes,
        xmlns="http://www.w3.org/2000/svg", id=p, role="img", lang=sheet.lang, aria_labelledby=f"{p}-t {p}-d",
        width=sheet.width, height=height, viewBox=f"0 0 {sheet.width:g} {height}").markup()


def remarks(findings: Sequence[Finding], sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """What a drawing has to say of itself, each with what to do."""
    nodes: list[Element] = []
    for f in findings:
        made, y = lines(f"{f.code}: {f.told(sheet.lang)[0]}", sheet.margin, y + 14, 12, sheet.inner, f.level)
        nodes += made
        if f.do:
            made, y = lines(sheet.say("do", do=f.told(sheet.lang)[1]), sheet.margin, y, 12, sheet.inner, "soft")
            nodes += made
        y -= 10
    return nodes, y


def draw(concepts: Concepts, *, lang: str = "en", width: float = 720, theme: str = "auto", id: str = "") -> Markup:
    """One SVG: a line from 0 to 1 for each concept and layer, random concepts in grey, counter-sets as dots."""
    sheet = sheet_of(concepts, lang, width, theme, id)
    x = sheet.margin
    title = sheet.say("concepts", target=concepts.target)
    nodes, y = lines(title, x, sheet.margin + 22, 22, sheet.inner, "strong", 1.25, most=2)
    made, y = lines(_over(concepts, lang), x, y - 2, 13, sheet.inner, "soft")
    nodes += made
    for name in dict.fromkeys(t.concept for t in concepts.values()):
        made, y = _card(concepts, name, sheet, y + 12)
        nodes += made
    made, y = lines(sheet.say("concepts how"), x, y + 26, 12, sheet.inner, "soft")
    return card([*nodes, *made], y, sheet, theme, title, " ".join(_spoken(t, lang) + "." for t in concepts.values()))


def _card(concepts: Concepts, name: str, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """One concept: its name, some of its examples, and a line for each layer."""
    x = sheet.margin
    nodes = [el("path", d=f"M{x:.1f} {y:.1f}h{sheet.inner:.1f}", class_="rule"),
             line(clip(visible(name, 120), sheet.inner / 18), x, y + 24, 16, "strong")]
    y += 34
    examples = concepts.shown.get(name, ())
    pictures = [p for s in examples if (p := picture_of(s)) is not None][: int((sheet.inner + 8) / (SMALL + 8))]
    tile = min(TILE, (sheet.inner + 8) / max(len(pictures), 1) - 8)
    for k, picture in enumerate(pictures):
        tall = tile * min(max(picture.shape[0] / picture.shape[1], 0.4), 1.0)
        nodes.append(panel(data_uri(fit(picture, 2 * TILE)), x + k * (tile + 8), y, tile, tall,
                           max(picture.shape[:2]) < 96))
    if pictures:
        y += tile + 6
    for s in [] if pictures else examples[:3]:
        told = s.text or say(sheet.lang, "comma").join(s.cells)
        if told:
            nodes.append(line(clip(visible(told, 300), sheet.inner / 13.5), x, y + 10, 12, "soft"))
            y += 18
    for test in concepts.values():
        if test.concept == name:
            made, y = _line(test, sheet, y + 6)
            nodes += made
    return nodes, y + 4


DOT = 5.0
"""Radius of a concept's score, which keeps inside of its strip at 0 and at 1."""
TILE, SMALL = 64, 36
"""Pixels across an example where there is room for all, and at least: more are left out."""


def _line(test: Tested, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    x, inner = sheet.margin, sheet.inner
    low, high = test.usual

    def at(share: float) -> float:
        return x + DOT + (inner - 2 * DOT) * share

    kind = "pos" if test.slope > 0 else "neg"
    said = _verdict(test, sheet.lang)
    room = min(inner / 22, (inner - em(said) * 12 - 12) / 13 * 0.88)  # bold letters are wider
    nodes = [line(clip(visible(test.layer, 120), room), x, y + 12, 13, "strong"),
             line(said, x + inner, y + 12, 12, kind if test.significant else "soft",
                  text_anchor="end"),
             el("rect", x=x, y=y + 22, width=inner, height=14, rx=3, class_="well"),
             el("rect", x=at(low), y=y + 24, width=max(at(high) - at(low), 1), height=10, rx=2, class_="soft",
                fill_opacity=0.25)]
    nodes += [el("circle", cx=at(s), cy=y + 29, r=2.4, class_=kind, fill_opacity=0.45) for s in test.scores]
    nodes.append(el("circle", cx=at(test.score), cy=y + 29, r=DOT, class_=kind if test.significant else "soft",
                    data_score=f"{test.score:.4g}", data_p=f"{test.p:.4g}"))
    first, *rest = _figures(test, sheet.lang).split(" · ")
    rows = [first]
    for figure in rest:  # a number stays beside its name
        longer = f"{rows[-1]} · {figure}"
        rows[-1:] = [longer] if em(longer) * 12 <= inner else [rows[-1], figure]
    nodes += [line(row, x, y + 52 + 17 * k, 12, "soft tab") for k, row in enumerate(rows)]
    return nodes, y + 39 + 17 * len(rows)


def _over(concepts: Concepts, lang: str) -> str:
    return say(lang, "concepts over", n=concepts.inputs, sets=concepts.sets, m=concepts.permutations)


def _verdict(test: Tested, lang: str) -> str:
    return say(lang, "tcav significant" if test.significant else "tcav not" if test.found else "tcav none")


def _figures(test: Tested, lang: str) -> str:
    return say(lang, "tcav line", score=number(test.score, 2), slope=signed(test.slope), p=number(test.p, 2),
               accuracy=f"{test.accuracy:.0%}")


def _spoken(test: Tested, lang: str) -> str:
    return f"{test.concept}, {test.layer}: {_figures(test, lang)}, {_verdict(test, lang)}"


def text(concepts: Concepts, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal: a table, and what there is to know of single tests."""
    out = wrap(say(lang, "concepts", target=concepts.target) + "  " + _over(concepts, lang), width, columns)
    heads = [say(lang, k) for k in ("concept", "layer", "tcav score", "tcav slope", "tcav p", "tcav accuracy",
                                    "tcav stability", "tcav says")]
    rows = [[visible(t.concept, 40), shorter(visible(t.layer, 40), max(width // 4, 12)), number(t.score, 2),
             signed(t.slope), number(t.p, 2), f"{t.accuracy:.0%}", number(t.stability, 2), _verdict(t, lang)]
            for t in concepts.values()]
    out += ["", *table([heads, *rows], width, lang), ""]
    for code in dict.fromkeys(f.code for t in concepts.values() for f in t.findings):
        found = [f for t in concepts.values() for f in t.findings if f.code == code]
        out += wrap(f"{code}: {found[0].told(lang)[0]}", width, columns)
        if len(found) > 1:
            out += wrap("  " + say(lang, "more findings", n=len(found) - 1), width, columns)
    return "\n".join(out).rstrip() + "\n"
