"""Drawings as PNG and PDF, and the typesetter behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pellucid.printing import fonts
from pellucid.printing.css import tag
from pellucid.printing.flattened import SVG, flat
from pellucid.printing.foreign import faced
from pellucid.views.writing import wrap
from pellucid.words.errors import OptionError

LARGEST = 20_000
"""Pixels on the longer side of a picture."""
WRITTEN = 0
"""The date in every file, seconds since 1970: the same drawing gives the same bytes."""

_ALONE = b"""#let d = json(bytes(sys.inputs.data))
#set document(title: d.title, date: none)
#set text(lang: d.lang)
#set page(width: d.width * 1pt, height: d.height * 1pt, margin: 0pt, fill: none)
#image(bytes(sys.inputs.svg), format: "svg", width: 100%, alt: d.alt)
"""
_FOREIGN = b"""#set document(title: "logo", date: none)
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#image(bytes(sys.inputs.svg), format: "svg", height: int(sys.inputs.height) * 1pt)
"""


def png(svg: str, *, width: int | None = None, scale: float = 2.0, theme: str = "print", lang: str | None = None
        ) -> bytes:
    """The drawing as PNG, `width` pixels wide, or `scale` pixels for each unit of the drawing.

    `theme` as for `flat`. Characters that no font here has stand as their codes, and a line below the drawing says
    what to install. Raises `extra.pdf` without typst, `option.width` and `option.scale` for sizes that make no
    picture, `font.missing` for a Chinese drawing where no font is Chinese.
    """
    shown, _ = typeset(flat(svg, theme), lang)
    root = ElementTree.fromstring(shown)
    across, down = size(root)
    if width is None and not (scale > 0 and max(across, down) * scale <= LARGEST):
        raise OptionError("option.scale", f"scale={scale}", f"above 0, and at most {LARGEST} pixels a side",
                          "choose a smaller one, or a width in pixels")
    if width is not None and not (width >= 1 and width * max(1.0, down / across) <= LARGEST):
        raise OptionError("option.width", f"width={width}", f"1 to {LARGEST} pixels, the height no more either",
                          "choose a width in between")
    across, down = (width, width * down / across) if width is not None else (across * scale, down * scale)
    return _alone(root, shown, "png", max(1, round(across)), max(1, round(down)), lang, ppi=72)


def pdf(svg: str, *, theme: str = "print", lang: str | None = None) -> bytes:
    """The drawing as one page of tagged PDF, in vectors, with real text; one unit is 1/96 inch.

    Errors and missing fonts as for `png`.
    """
    shown, _ = typeset(flat(svg, theme), lang)
    root = ElementTree.fromstring(shown)
    across, down = size(root)
    return _alone(root, shown, "pdf", across * 0.75, down * 0.75, lang, pdf_standards=["ua-1"], timestamp=WRITTEN)


def _alone(root: Element, svg: str, format: str, width: float, height: float, lang: str | None, **options: Any
           ) -> bytes:
    """One drawing on a page of its size."""
    told = {tag(e): "".join(e.itertext()).strip() for e in root if tag(e) in ("title", "desc")}
    title = told.get("title") or "Pellucid"
    data = {"title": title, "alt": told.get("desc") or title, "lang": lang or root.get("lang") or "en",
            "width": width, "height": height}
    return set_(_ALONE, {"data": json.dumps(data), "svg": svg}, format, **options)


def pixels(svg: str, width: int, height: int) -> bytes:
    """A drawing that was typeset as PNG of this size, without further ado."""
    data = {"title": "x", "alt": "x", "lang": "en", "width": max(1, width), "height": max(1, height)}
    return set_(_ALONE, {"data": json.dumps(data), "svg": svg}, "png", ppi=72)


def pictured(svg: bytes, height: int = 640) -> bytes:
    """A foreign SVG as PNG of so many pixels in height; `logo.kind` where it is none that can be drawn.

    Nothing in it is run, and no file or address that it names is read.
    """
    try:
        return set_(_FOREIGN, {"svg": faced(svg), "height": str(height)}, "png", ppi=72)
    except (OptionError, ElementTree.ParseError) as error:
        if isinstance(error, OptionError) and error.code != "printing.failed":
            raise
        raise OptionError("logo.kind", "an SVG that cannot be drawn", "a picture as PNG, JPEG or SVG",
                          "save it as PNG") from error


def set_(source: bytes, inputs: Mapping[str, str], format: str, **options: Any) -> bytes:
    """What typst makes of a source of ours and of data; data never become source.

    Raises `extra.pdf` without typst and `printing.failed` where a page cannot be set.
    """
    typst = fonts.typst()
    try:
        return typst.compile(source, root=str(Path(__file__).parent), font_paths=fonts.installed(),
                             ignore_system_fonts=True, format=format, sys_inputs=dict(inputs), **options)
    except typst.TypstError as error:
        raise OptionError("printing.failed", "a page that cannot be set", f"one that typst can write as {format}",
                          "write .html or .svg instead, and report this") from error


def typeset(svg: str, lang: str | None = None, told: bool = True) -> tuple[str, list[str]]:
    """A flat drawing in fonts that are here, and the characters that none has: those stand as codes, and where `told` a
    line below the drawing says what to install."""
    root = ElementTree.fromstring(svg)
    lang = lang or root.get("lang")
    fonts.needed(lang)
    texts = [e for e in root.iter() if tag(e) == "text"]
    absent = fonts.missing("".join("".join(e.itertext()) for e in texts))
    for element in root.iter():
        element.attrib.pop("font-family", None)
        if absent and tag(element) in ("text", "tspan"):
            element.text = fonts.marked(element.text or "", absent)
            element.tail = fonts.marked(element.tail or "", absent)
    root.set("font-family", _names(fonts.faces()))
    chinese = _names(fonts.faces(chinese=True))
    for element in texts:
        if fonts.wide("".join(element.itertext())):
            element.set("font-family", chinese)  # one face for the whole line: else its Latin letters come from two
    if absent and told:
        _told(root, fonts.line(absent, "en"))
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode"), absent


def size(root: Element) -> tuple[float, float]:
    """Width and height of a drawing."""
    return float(root.get("width", "0").removesuffix("px")), float(root.get("height", "0").removesuffix("px"))


def _names(families: list[str]) -> str:
    return ",".join(f"'{name}'" for name in families)


def _told(root: Element, text: str) -> None:
    """A line below the drawing, which grows by it."""
    across, down = size(root)
    broken = wrap(text, (across - 24) / 12)
    more = 17 * len(broken) + 12
    root.set("height", f"{down + more:g}")
    root.set("viewBox", f"0 0 {across:g} {down + more:g}")
    root.append(Element(f"{{{SVG}}}rect", {"y": f"{down:g}", "width": f"{across:g}", "height": f"{more:g}",
                                          "fill": "#ffffff"}))
    for i, words in enumerate(broken):
        made = Element(f"{{{SVG}}}text", {"x": "12", "y": f"{down + 17 * (i + 1):g}", "font-size": "12",
                                          "fill": "#9a6200"})
        made.text = words
        root.append(made)

