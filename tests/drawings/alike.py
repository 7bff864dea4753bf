"""How far two drawings look apart: rendered at one size, softened, compared place by place in a space of equal steps.

Letters stand as bars of their length, so that no font matters; what they say is compared as words.
"""

from __future__ import annotations

import io
import re
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
from PIL import Image, ImageFilter

from pellucid.printing import flat, png
from pellucid.views.palette import oklab
from pellucid.views.writing import em

WIDTH = 480
"""Pixels across; the drawings' letters would be 7 to 15 pixels high."""
SOFT = 1.5
"""Pixels of blur: an edge that lies half a pixel further is the same edge."""
TILE = 8
"""Pixels of a place, of which the mean is taken."""
LIMIT = 0.03
"""OKLab distance of the worst place up to which two drawings count as the same; black and white are 1 apart."""
NUMBER = re.compile(r"[−+-]?\d[\d.,]*(e[−-]?\d+)?")
"""Its last digits may differ from one machine to another, and seconds do from one run to the next."""
SVG = "{http://www.w3.org/2000/svg}"


@lru_cache(16)
def rendered(svg: str) -> np.ndarray[Any, Any]:
    """OKLab of every pixel, softened: (rows, columns, 3)."""
    image = Image.open(io.BytesIO(png(wordless(svg), width=WIDTH, theme="light"))).convert("RGB")
    return oklab(np.asarray(image.filter(ImageFilter.GaussianBlur(SOFT)), dtype=float) / 255)


def wordless(svg: str) -> str:
    """The drawing with a bar in place of every text."""
    root = ElementTree.fromstring(flat(svg, "light"))
    for parent in list(root.iter()):
        for at, child in enumerate(list(parent)):
            if child.tag == f"{SVG}text":
                parent[at] = bar(child)
    return ElementTree.tostring(root, encoding="unicode")


def bar(text: Element) -> Element:
    """Where a text stands, how long it is, and in which colour."""
    size = float(text.get("font-size", "12"))
    long = em(NUMBER.sub("00", "".join(text.itertext())), 1.0) * size
    left = float(text.get("x", "0")) - long * {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor", ""), 0.0)
    kept = {k: v for k in ("fill", "fill-opacity", "opacity", "transform") if (v := text.get(k))}
    return Element(f"{SVG}rect", {**kept, "x": f"{left:.2f}", "y": f"{float(text.get('y', '0')) - 0.6 * size:.2f}",
                                  "width": f"{long:.2f}", "height": f"{0.4 * size:.2f}"})


def apart(one: str, other: str) -> float:
    """The largest mean distance of a place; infinite where the drawings differ in height."""
    a, b = rendered(one), rendered(other)
    if abs(len(a) - len(b)) > 1:
        return float("inf")
    rows = min(len(a), len(b)) // TILE * TILE
    distance = np.linalg.norm(a[:rows, : WIDTH // TILE * TILE] - b[:rows, : WIDTH // TILE * TILE], axis=-1)
    return float(distance.reshape(rows // TILE, TILE, -1, TILE).mean((1, 3)).max())


def said(svg: str) -> list[str]:
    """Every line of text, numbers as #."""
    root = ElementTree.fromstring(svg)
    lines = ("".join(e.itertext()) for e in root.iter() if e.tag in (f"{SVG}text", f"{SVG}title", f"{SVG}desc"))
    return [NUMBER.sub("#", line) for line in lines]
