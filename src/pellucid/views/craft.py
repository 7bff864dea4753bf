"""What a layer is made of: each part with the crops that show it best, how much it matters, and where it is."""

from __future__ import annotations

import math

from pellucid.views import story
from pellucid.views.concepts import card, remarks, sheet_of
from pellucid.views.frame import Sheet, line, lines
from pellucid.views.grid import Tile, tiles
from pellucid.views.heat import panel
from pellucid.views.png import data_uri, fit
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import say
from pellucid.views.writing import columns, number, pad, signed, wrap
from pellucid.words.craft import Craft, Part

TILE = 72.0
"""Pixels across a crop."""

DRAWN = 200
"""A crop is embedded no larger than this."""


def draw(craft: Craft, *, lang: str = "en", width: float = 720, top: int = 12, theme: str = "auto", id: str = ""
         ) -> Markup:
    """One SVG: the `top` most important parts, a row of crops for each, and their places in the first input."""
    sheet = sheet_of(craft, lang, width, theme, id, top)
    x = sheet.margin
    title = sheet.say("crafted", layer=craft.layer, target=craft.target)
    nodes, y = lines(title, x, sheet.margin + 22, 22, sheet.inner, "strong", 1.25, most=2)
    made, y = lines(_over(craft, lang), x, y - 2, 13, sheet.inner, "soft")
    nodes += made
    for part in craft.parts[:top]:
        made, y = _part(craft, part, sheet, y + 8)
        nodes += made
    if len(craft.grid) == 2 and craft.parts:
        made, y = lines(sheet.say("part scale"), x, y + 14, 11.5, sheet.inner, "soft")
        nodes += made
    made, y = remarks(craft.findings, sheet, y)
    told = " ".join(_figures(p, lang) + "." for p in craft.parts[:top])
    return card([*nodes, *made], y, sheet, theme, title, told)


def _part(craft: Craft, part: Part, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    x, gap = sheet.margin, 8.0
    nodes = [el("path", d=f"M{x:.1f} {y:.1f}h{sheet.inner:.1f}", class_="rule"),
             line(sheet.say("part", n=part.number), x, y + 22, 14, "strong"),
             el("rect", x=x, y=y + 30, width=max(sheet.inner * min(part.importance, 1.0), 1), height=5, rx=2,
                class_="pos" if part.effect >= 0 else "neg", data_importance=f"{part.importance:.4g}")]
    made, y = lines(_figures(part, sheet.lang), x, y + 52, 12, sheet.inner, "soft tab")
    nodes += made
    room = int((sheet.inner + gap) // (TILE + gap))
    pictures = [c.picture for c in part.crops if c.picture is not None][: room - 1]
    for k, picture in enumerate(pictures):
        nodes.append(panel(data_uri(fit(picture, DRAWN)), x + k * (TILE + gap), y - 4, TILE, TILE,
                           max(picture.shape[:2]) < DRAWN))
    if len(craft.grid) == 2:
        where = craft.where(part.number - 1).double().numpy()
        # A part is told from its own places, not from how much more there is of another one.
        most = float(where.max())
        made, _ = tiles([Tile(where, sheet.say("input"), number(most, 2))], most or 1.0,
                        x + len(pictures) * (TILE + gap), y - 4, TILE, least=TILE)
        nodes += made
    return nodes, y + (TILE + 18 if pictures or len(craft.grid) == 2 else 0)


def _over(craft: Craft, lang: str) -> str:
    return say(lang, "crafted over", n=craft.inputs, crops=craft.crops, side=craft.crop, lost=f"{craft.lost:.0%}")


def _figures(part: Part, lang: str) -> str:
    spread = number(part.importance, 2) if part.error != part.error else _between(part.importance, part.error)
    return say(lang, "joint").join([
        say(lang, "part importance", value=spread), say(lang, "part effect", value=signed(part.effect)),
        say(lang, "part same", value=number(part.same, 2))])


def _between(value: float, error: float) -> str:
    """A value and its error to the error's first digit, its second where the first is a one."""
    if not 1e-6 < error < 1e4:
        return f"{number(value)} ± {number(error, 1)}"
    digits = max(0, -math.floor(math.log10(error)) + (f"{error:e}"[0] == "1"))
    return f"{value:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def text(craft: Craft, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal: where each part is seen best, and its figures."""
    title = say(lang, "crafted", layer=craft.layer, target=craft.target)
    out = [*wrap(title + "  " + _over(craft, lang), width, columns), ""]
    most = max((p.importance for p in craft.parts), default=0.0) or 1.0
    for p in craft.parts:
        bar = pad("█" * round(8 * max(p.importance, 0) / most), 8)
        out += wrap(f"{say(lang, 'part', n=p.number)}  {bar}  {_figures(p, lang)}", width, columns)
    for f in craft.findings:
        out += ["", *wrap(story.remark(f, lang), width, columns)]
    return "\n".join(out).rstrip() + "\n"
