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
WIDE = 0.8
"""An empty band of this share of the widest is wide."""
FINE = 0.5
"""Pixels for each unit when looking for places to cut."""

_OPENING = re.compile(r"<svg\b[^>]*>")


def sliced(svg: str, across: float, down: float) -> list[tuple[str, float]]:
    """A flat drawing in fonts that are here as drawings that fit a page of so many points, each with its width in
    points; a unit is 3/4 pt where there is room."""
    width, height = press.size(ElementTree.fromstring(svg))
    full = min(across, width * 0.75)
    whole = min(full, down * width / max(height, 1.0))
    if whole >= LEAST * full:
        return [(svg, round(whole, 2))]
    tall = down * width / full
    made, top = list[tuple[str, float]](), 0.0
    for end in _cuts(svg, width, height, tall):
        made.append((_window(svg, width, top, end), round(full, 2)))
        top = end
    return made


def _cuts(svg: str, width: float, height: float, tall: float) -> list[float]:
    """Where to cut so that no slice is taller than `tall`: in a wide empty band of its second half, as low as may be."""
    busy = _busy(svg, width, height)
    ends, top = list[float](), 0.0
    while height - top > tall:
        first, last = int((top + tall * 0.5) * FINE), int((top + tall) * FINE)
        top = _band(busy, first, min(last, len(busy) - 1)) / FINE
        ends.append(top)
    return [*ends, height]


def _band(busy: np.ndarray[Any, Any], first: int, last: int) -> int:
    """The middle of the lowest of the wide runs of empty rows; the calmest row where there is none."""
    runs, start = list[tuple[int, int]](), -1
    for row in range(first, last + 2):
        if row <= last and not busy[row]:
            start = row if start < 0 else start
        elif start >= 0:
            runs.append((row - start, (start + row) // 2))
            start = -1
    if not runs:
        return max(first + int(np.argmin(busy[first:last + 1])), 1)
    widest = max(length for length, _ in runs)
    return max(middle for length, middle in runs if length >= WIDE * widest)


def _busy(svg: str, width: float, height: float) -> np.ndarray[Any, Any]:
    """For each row of a small picture, how much it changes along the row, the card's own edges left out."""
    picture = press.pixels(svg, round(width * FINE), round(height * FINE))
    grey = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), dtype=np.int16)
    edge = round(14 * FINE)
    return np.abs(np.diff(grey[:, edge:-edge], axis=1)).sum(1)


def _window(svg: str, width: float, top: float, end: float) -> str:
    """The drawing through a window of full width."""
    def opened(found: re.Match[str]) -> str:
        tag = re.sub(r'\bheight="[^"]*"', f'height="{end - top:g}"', found[0], count=1)
        return re.sub(r'\bviewBox="[^"]*"', f'viewBox="0 {top:g} {width:g} {end - top:g}"', tag, count=1)

    return _OPENING.sub(opened, svg, count=1)
