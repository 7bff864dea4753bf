"""A picture that excites a unit: the picture, what it reaches, and what random pictures reach."""

from __future__ import annotations

from pellucid.views import story
from pellucid.views.concepts import card, remarks, sheet_of
from pellucid.views.frame import Sheet, line, lines
from pellucid.views.heat import panel
from pellucid.views.png import data_uri, fit
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import say
from pellucid.views.writing import columns, number, wrap
from pellucid.words.visualised import Visualised

SIDE = 320.0
"""Pixels across the picture."""


def draw(seen: Visualised, *, lang: str = "en", width: float = 720, theme: str = "auto", id: str = "") -> Markup:
    """One SVG: the picture, and a line on which its activation and those of the controls stand."""
    sheet = sheet_of(seen, lang, width, theme, id)
    x = sheet.margin
    title = sheet.say("excites", target=seen.target)
    nodes, y = lines(title, x, sheet.margin + 22, 22, sheet.inner, "strong", 1.25, most=2)
    height, wide = seen.image.shape[:2]
    across = min(SIDE, sheet.inner, SIDE * wide / height)
    tall = across * height / wide
    nodes.append(panel(data_uri(fit(seen.image, 640)), x, y - 8, across, tall, max(height, wide) < 200))
    y += tall + 8
    made, y = lines(_reached(seen, lang), x, y + 4, 13, sheet.inner, "strong")
    nodes += made
    made, y = _scale(seen, sheet, y - 4)
    nodes += made
    for key in (_controls(seen, lang), say(lang, "excited means")):
        made, y = lines(key, x, y + 4, 12.5, sheet.inner, "soft")
        nodes += made
    made, y = remarks(seen.findings, sheet, y)
    told = f"{_reached(seen, lang)} {_controls(seen, lang)}"
    return card([*nodes, *made], y, sheet, theme, title, told)


def _scale(seen: Visualised, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    values = [*seen.controls, seen.activation, seen.start]
    low, high = min(values), max(values)
    x, room = sheet.margin, sheet.inner

    def at(value: float) -> float:
        return x + room * ((value - low) / (high - low) if high > low else 0.5)

    nodes = [el("rect", x=x, y=y, width=room, height=14, rx=3, class_="well")]
    nodes += [el("circle", cx=at(c), cy=y + 7, r=2.6, class_="soft", fill_opacity=0.6) for c in seen.controls]
    nodes.append(el("circle", cx=at(seen.activation), cy=y + 7, r=5, class_="pos",
                    data_activation=f"{seen.activation:.6g}"))
    nodes += [line(number(low), x, y + 27, 10, "soft tab"),
              line(number(high), x + room, y + 27, 10, "soft tab", text_anchor="end")]
    return nodes, y + 42


def _reached(seen: Visualised, lang: str) -> str:
    return say(lang, "excited", value=number(seen.activation), steps=seen.steps)


def _controls(seen: Visualised, lang: str) -> str:
    return say(lang, "excited controls", mean=number(seen.control), low=number(min(seen.controls)),
               high=number(max(seen.controls)))


def text(seen: Visualised, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal."""
    told = [f"{say(lang, 'excites', target=seen.target)}  {_reached(seen, lang)}", _controls(seen, lang),
            say(lang, "excited means"), *(story.remark(f, lang) for f in seen.findings)]
    return "\n".join(t for some in told for t in wrap(some, width, columns)) + "\n"
