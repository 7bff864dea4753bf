"""Elements of SVG and HTML: the one place where text becomes markup, so nothing can go unescaped."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from pellucid.views.writing import visible

VOID = {"meta", "br", "hr", "col", "img"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:-]*\Z")
_LONGEST = 4_000_000


class Markup(str):
    """Text that is markup already: only `Element` and a finished drawing make it."""


def clean(text: str, hidden: bool = True) -> str:
    """Text between tags: characters that XML forbids or that reorder a line are shown as marks.

    The two isolating characters stay: `isolate` sets them around names that run from right to left.
    """
    if hidden and not (text.isascii() and text.isprintable()):
        text = visible(text, _LONGEST, keep="\u2068\u2069")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(value: Any) -> str:
    """The value of an attribute, numbers with two digits after the point."""
    if isinstance(value, float):
        text = f"{value:.2f}".rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    return clean(str(value)).replace('"', "&quot;").replace("'", "&#39;")


class Element:
    """A tag with attributes and children. Underscores in names become hyphens."""

    def __init__(self, tag: str, *children: Element | str | None, **attributes: Any) -> None:
        self.tag, self.children, self.attributes = tag, [c for c in children if c is not None], attributes

    def add(self, *children: Element | str | None) -> Element:
        self.children.extend(c for c in children if c is not None)
        return self

    def __str__(self) -> str:
        return self.markup()

    def markup(self) -> Markup:
        """The element written out, escaped."""
        names = {name.rstrip("_").replace("_", "-"): v for name, v in self.attributes.items() if v is not None}
        for name in (self.tag, *names):
            if not _NAME.match(name):
                raise ValueError(f"not a name of a tag or attribute: {name!r}")
        opening = self.tag + "".join(f' {name}="{quoted(v)}"' for name, v in names.items())
        if self.tag in VOID:
            return Markup(f"<{opening}>")
        inside = "".join(c if isinstance(c, Markup) else clean(c) if isinstance(c, str) else c.markup()
                         for c in self.children)
        return Markup(f"<{opening}>{inside}</{self.tag}>")


def el(tag: str, *children: Element | str | None, **attributes: Any) -> Element:
    """An element; an attribute that is None is left out."""
    return Element(tag, *children, **attributes)


def heading(svg: str) -> tuple[str, str]:
    """The title and the description of a finished drawing, as text; empty where it has none."""
    found = [re.search(rf"<{tag}\b[^>]*>(.*?)</{tag}>", svg, re.DOTALL) for tag in ("title", "desc")]
    title, told = (unescape(f[1]) if f else "" for f in found)
    return title, told


def style(sheet: str) -> Element:
    """A style element; the sheet is ours alone and never holds a user's text."""
    return Element("style", Markup(re.sub(r"\s*\n\s*", "", sheet)))
