"""A drawing that was made elsewhere, in fonts that are here."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pellucid.printing import fonts
from pellucid.printing.css import tag

GENERIC: dict[str, tuple[str, ...]] = {
    "sans-serif": (), "system-ui": (), "ui-sans-serif": (), "ui-rounded": (), "-apple-system": (), "cursive": (),
    "fantasy": (),
    "serif": ("Noto Serif", "Liberation Serif", "DejaVu Serif", "Libertinus Serif"),
    "ui-serif": ("Noto Serif", "Liberation Serif", "DejaVu Serif", "Libertinus Serif"),
    "monospace": ("Noto Sans Mono", "Liberation Mono", "DejaVu Sans Mono"),
    "ui-monospace": ("Noto Sans Mono", "Liberation Mono", "DejaVu Sans Mono"),
}
"""Kinds of faces, which the typesetter does not know, and what stands for them before the faces of every drawing."""

_STYLED = re.compile(r"(font-family\s*:\s*)([^;}]+)", re.IGNORECASE)
_SHORT = re.compile(r"(font\s*:[^;}]{0,200}?[\d.](?:px|pt|em|rem|ex|mm|cm|in|%)?(?:\s*/\s*[\w.%]+)?\s+)"
                    r"([^\d\s;}][^;}]*)", re.IGNORECASE)


def faced(svg: bytes) -> str:
    """The drawing with every font that it names followed by those that are here, the Chinese ones first for a line with
    Chinese letters. Raises `ElementTree.ParseError` for what is no XML."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        if "font-family" in element.attrib:
            element.set("font-family", families(element.attrib["font-family"]))
        if "style" in element.attrib:
            element.set("style", _written(element.attrib["style"]))
        if tag(element) == "style" and element.text:
            element.text = _written(element.text)
    if "font-family" not in root.attrib:
        root.set("font-family", families(""))
    _chinese(root)
    return ElementTree.tostring(root, encoding="unicode")


def families(given: str, chinese: bool = False) -> str:
    """A list of families with the kinds among them as fonts that are here, and all others after them."""
    known, named = set(fonts.installed().families()), list[str]()
    for name in (part.strip().strip("'\"") for part in given.split(",")):
        named += [f for f in GENERIC.get(name.lower(), (name,)) if f in known]
    if chinese:  # the first font sets the whole line, and what it lacks comes from any: so it must have both
        named = [name for name in named if name in fonts.CHINESE or "CJK" in name]
    return ",".join(f"'{name}'" for name in dict.fromkeys([*named, *fonts.faces(chinese)]))


def _written(css: str) -> str:
    for rule in (_STYLED, _SHORT):
        css = rule.sub(lambda found: found[1] + families(found[2]), css)
    return css


def _chinese(root: Element) -> None:
    """Give lines with Chinese letters a face that has them."""
    waiting = [(root, "")]
    while waiting:
        element, held = waiting.pop()
        held = element.get("font-family", held)
        if tag(element) != "text" or not fonts.wide("".join(element.itertext())):
            waiting += [(child, held) for child in element]
            continue
        for inner in element.iter():
            told = families(inner.get("font-family", held), chinese=True)
            style = inner.get("style", "").rstrip("; ")
            inner.set("style", f"{style};font-family:{told}".lstrip(";"))
