"""A table whose cells are coloured by their values and say them: agreement of methods, values of features by method."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from pellucid.views import palette
from pellucid.views.frame import compact, line
from pellucid.views.palette import Array
from pellucid.views.svg import Element, el
from pellucid.views.writing import clip


def two(value: float) -> str:
    """A number with two digits after the point, a dash where there is none."""
    return "–" if value != value else f"{value:.2f}".replace("-", "−")


def cells(values: Array, limit: float, x: float, y: float, wide: float, tall: float, *,
          told: Callable[[float], str] = two, says: Callable[[int, int], str] | None = None) -> list[Element]:
    """The cells alone, (rows, columns), full colour at ±limit; `says` what a reader who points at one is told."""
    nodes = list[Element]()
    size = min(12.0, wide / 3.4)
    for r, row in enumerate(values):
        for c, v in enumerate(row):
            value = float(v)
            red, green, blue, alpha = palette.rgba(np.array(value), limit)
            left, top = x + c * wide, y + r * tall
            group = el("g", el("title", says(r, c)) if says else None, data_cell=f"{value:.4g}")
            group.add(el("rect", x=left + 1, y=top + 1, width=wide - 2, height=tall - 2, rx=3, class_="well"))
            if np.isfinite(value):
                group.add(el("rect", x=left + 1, y=top + 1, width=wide - 2, height=tall - 2, rx=3,
                             fill=f"#{red:02x}{green:02x}{blue:02x}", fill_opacity=f"{alpha / 255:.3f}"))
            group.add(line(told(value), left + wide / 2, top + tall / 2 + size * 0.36, size, "tab",
                           text_anchor="middle"))
            nodes.append(group)
    return nodes


def labelled(values: Array, limit: float, rows: Sequence[str], columns: Sequence[str], x: float, y: float,
             label: float, wide: float, tall: float, *, told: Callable[[float], str] = two,
             says: Callable[[int, int], str] | None = None) -> tuple[list[Element], float]:
    """Cells with a name before each row (`label` wide) and a number or name above each column; also the y below.

    Where `says` is not given, a script says the names of a cell's row and, in a table of the same things down and
    across, of its column.
    """
    nodes = [line(clip(name, wide / 12), x + label + (c + 0.5) * wide, y + 11, 11, "soft tab", text_anchor="middle")
             for c, name in enumerate(columns)]
    y += 18
    for r, name in enumerate(rows):
        nodes.append(line(clip(name, label / 13.5), x, y + r * tall + tall / 2 + 4.5, 12.5))
    nodes += cells(values, limit, x + label, y, wide, tall, told=told, says=says)
    names = None if says else json.dumps([*rows], ensure_ascii=False)
    return [el("g", *nodes, data_matrix=compact([float(v) for v in values.ravel()]), data_rows=names)], (
        y + len(values) * tall + 6)


def percent(value: float) -> str:
    """A share with its sign, in few letters."""
    size = abs(value) * 100
    told = "0" if size < 0.05 else f"{size:.1f}" if size < 0.95 else f"{size:.0f}"
    return f"{'' if told == '0' else '+' if value > 0 else '−'}{told}%"
