"""A drawing that is taller than a page, cut where nothing is drawn."""

from __future__ import annotations

import io
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from pellucid.printing import press

LEAST = 0.72
"""A drawing that fits a page at this share of its size or more is made smaller; a taller one is cut."""
EMPTY, RULE, SOMETHING = 0, 1, 2
WIDE = 0.8
"""An empty band of this share of the widest is wide."""
FINE = 0.5
"""Pixels for each unit when looking for places to cut."""

_OPENING = re.compile(r"<svg\b[^>]*>")


def sliced(svg: str, across: float, down: float, first: float | None = None) -> list[tuple[str, float]]:
    """A flat drawing in fonts that are here as drawings that fit a page of so many points, each with its width in
    points; a unit is 3/4 pt where there is room. Of the page where it begins, only `first` points down may be left:
    what would fit there made smaller stays whole."""
    width, height = press.size(ElementTree.fromstring(svg))
    full = min(across, width * 0.75)
    first = down if first is None else first
    whole = min(full, down * width / max(height, 1.0))
    if first * width / max(height, 1.0) >= LEAST * full:
        return [(svg, round(whole, 2))]
    made, top = list[tuple[str, float]](), 0.0
    for end in _cuts(svg, width, height, first * width / full, down * width / full):
        made.append((_window(svg, width, top, end), round(full, 2)))
        top = end
    return made


def _cuts(svg: str, width: float, height: float, tall: float, then: float) -> list[float]:
    """Where to cut so that the first slice is no taller than `tall`, the others no taller than `then`: above a rule, or
    in a wide empty band, as low as may be."""
    rows = _rows(svg, width, height)
    ends, top = list[float](), 0.0
    while height - top > tall:
        first, last = int((top + tall * 0.45) * FINE), int((top + tall) * FINE)
        top = _band(rows, first, min(last, len(rows) - 2)) / FINE
        ends.append(top)
        tall = then
    return [*ends, height]


def _band(rows: np.ndarray[Any, Any], first: int, last: int) -> int:
    """The middle of the lowest run of empty rows that ends at a rule; else of the lowest wide one; else any row."""
    runs, start = list[tuple[int, int, bool]](), -1
    for row in range(first, last + 2):
        if row <= last and rows[row] == EMPTY:
            start = row if start < 0 else start
        elif start >= 0:
            runs.append((row - start, (start + row) // 2, bool(rows[row] == RULE)))
            start = -1
    ruled = [middle for length, middle, rule in runs if rule and length > 2]
    widest = max((length for length, _, _ in runs), default=0)
    wide = [middle for length, middle, _ in runs if length >= WIDE * widest]
    return max([*(ruled or wide or [last]), 1])


def _rows(svg: str, width: float, height: float) -> np.ndarray[Any, Any]:
    """What each row of a small picture holds, the card's own edges left out: nothing, a rule across, or something."""
    picture = press.pixels(svg, round(width * FINE), round(height * FINE))
    with Image.open(io.BytesIO(picture)) as opened:
        sheet = Image.new("RGBA", opened.size, "white")
        sheet.alpha_composite(opened.convert("RGBA"))
    edge = round(14 * FINE)
    ink = np.abs(255 - np.asarray(sheet.convert("L"), dtype=np.int16)[:, edge:-edge])
    faint = (np.median(ink, axis=1) > 3) & (ink.max(1) < 80)
    empty = ink.max(1) <= 3
    across = faint & (np.roll(empty, 2) | np.roll(empty, 1)) & (np.roll(empty, -2) | np.roll(empty, -1))  # thin
    return np.where(empty, EMPTY, np.where(across, RULE, SOMETHING))


def _window(svg: str, width: float, top: float, end: float) -> str:
    """The drawing through a window of full width."""
    def opened(found: re.Match[str]) -> str:
        tag = re.sub(r'\bheight="[^"]*"', f'height="{end - top:g}"', found[0], count=1)
        return re.sub(r'\bviewBox="[^"]*"', f'viewBox="0 {top:g} {width:g} {end - top:g}"', tag, count=1)

    return _OPENING.sub(opened, svg, count=1)
