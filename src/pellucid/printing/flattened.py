"""A drawing without style sheet: every rule written out, for programs that read plain SVG only."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pellucid.printing.css import Sheet, resolved, tag
from pellucid.words.errors import OptionError

SVG = "http://www.w3.org/2000/svg"
THEMES = {"print": ("print", "light"), "light": ("screen", "light"), "dark": ("screen", "dark")}

KEPT = {
    "fill", "fill-opacity", "fill-rule", "stroke", "stroke-opacity", "stroke-width", "stroke-linecap",
    "stroke-linejoin", "stroke-dasharray", "stroke-dashoffset", "stroke-miterlimit", "opacity", "color",
    "font-family", "font-size", "font-weight", "font-style", "letter-spacing", "word-spacing", "text-anchor",
    "dominant-baseline", "text-decoration", "writing-mode", "direction", "unicode-bidi", "paint-order",
    "image-rendering", "shape-rendering", "stop-color", "stop-opacity", "clip-path", "clip-rule", "mask",
    "mix-blend-mode", "visibility", "vector-effect",
}  # fmt: skip
"""Properties that plain SVG has an attribute for; the others lay out a page, which a drawing on paper has not."""

_LENGTH = re.compile(r"(-?[\d.]+)px")
_MIX = re.compile(r"color-mix\(\s*in \w+\s*,\s*(.+?)\s+([\d.]+)%\s*,\s*transparent\s*\)")
_LIVE = ("data-", "aria-", "on")


def flat(svg: str, theme: str = "print") -> str:
    """The drawing with style rules, custom properties and media queries written into plain attributes.

    `theme` is "print" (as on paper), "light" or "dark", where the drawing was made with `theme="auto"`. What only a
    live page uses (data attributes, tooltips, scripts) is left out; the title and the description stay.
    """
    if theme not in THEMES:
        raise OptionError("option.theme", f"theme={theme!r}", "'print', 'light' or 'dark'", "choose one of the three")
    root = ElementTree.fromstring(svg)
    said = "".join(e.text or "" for e in root.iter() if tag(e) == "style")
    sheet = Sheet(said, *THEMES[theme])
    _flatten([root], sheet, sheet.of([root]), {})
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _flatten(path: list[Element], sheet: Sheet, held: dict[str, str], known: dict[str, str]) -> None:
    """Write what holds for the last element of the path into it, then go on to its children."""
    element = path[-1]
    own = {name: value for name, value in held.items() if name.startswith("--")}
    known = {**known, **own} if own else known
    for child in list(element):
        name = tag(child)
        if name in ("style", "script", "foreignObject") or (name in ("title", "desc") and len(path) > 1):
            _drop(element, child)
            continue
        inner = [*path, child]
        declared = sheet.of(inner)
        if declared.get("display") == "none":
            _drop(element, child)
            continue
        _flatten(inner, sheet, declared, known)
    written = {name: value for name, value in held.items() if name in KEPT}
    for name in [n for n in element.attrib if n in ("class", "style", "tabindex") or n.startswith(_LIVE)]:
        del element.attrib[name]
    for name, value in {**{n: v for n, v in element.attrib.items() if n in KEPT}, **written}.items():
        _write(element, name, resolved(value, known))
    if held.get("white-space", "").startswith("pre"):
        element.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")


def _write(element: Element, name: str, value: str) -> None:
    """One property as an attribute, in the words of plain SVG."""
    if not value:
        element.attrib.pop(name, None)
        return
    mixed = _MIX.fullmatch(value)
    if mixed and name in ("fill", "stroke", "stop-color"):
        value = mixed[1]
        element.set("stop-opacity" if name == "stop-color" else f"{name}-opacity", f"{float(mixed[2]) / 100:g}")
    if name == "font-weight" and value.isdigit():
        value = "700" if int(value) >= 600 else "400"  # most fonts have these two only
    if name == "image-rendering":
        value = "optimizeSpeed" if value in ("pixelated", "crisp-edges", "optimizeSpeed") else "optimizeQuality"
    element.set(name, _LENGTH.sub(r"\1", value))


def _drop(parent: Element, child: Element) -> None:
    """Remove a child, not the text that follows it."""
    at = list(parent).index(child)
    if child.tail:
        if at:
            before = parent[at - 1]
            before.tail = (before.tail or "") + child.tail
        else:
            parent.text = (parent.text or "") + child.tail
    parent.remove(child)
