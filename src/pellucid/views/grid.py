"""Small pictures side by side: feature maps, attention by head, on one scale that they share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.views import palette, png
from pellucid.views.frame import Sheet, line, lines
from pellucid.views.heat import Array, panel
from pellucid.views.svg import Element, el
from pellucid.views.writing import clip, em, number

LEAST, MOST = 56.0, 120.0
"""Pixels across a tile."""

WIDEST, STRIP = 28.0, 22.0
"""Pixels across a cell of a strip, at most, and down it."""

FINEST = 160
"""A larger map is averaged down to this before it is embedded: a tile is no larger."""


@dataclass(frozen=True)
class Tile:
    """A map, what stands below it, and what a script or a reader of the source finds."""

    values: Array
    name: str
    told: str = ""
    limit: float | None = None
    """Full colour, where the tile has a scale of its own."""


def tiles(some: Sequence[Tile], limit: float, x: float, y: float, width: float, *, least: float = LEAST,
          group: str = "", named: bool = False) -> tuple[list[Element], float]:
    """Tiles in rows as wide as there is room for, full colour at ±limit; also the y below the last row.

    `group` is the layer that they belong to, for what picks one of them; `named` says that rows and columns are the
    tokens whose names the drawing tells.
    """
    if not some:
        return [], y
    gap = 10.0
    most = max(1, min(len(some), int((width + gap) // (least + gap))))
    across = -(-len(some) // -(-len(some) // most))  # as many rows as it takes, all of one length
    size = min((width - gap * (across - 1)) / across, MOST)
    nodes, tallest = list[Element](), 0.0
    two = size >= 72 and any(t.told and (em(t.name) + em(t.told)) * 10 + 8 > size for t in some)
    below = 37.0 if two else 24.0
    for k, tile in enumerate(some):
        full = tile.limit or limit
        if k and k % across == 0:
            y, tallest = y + tallest + below, 0.0
        at = x + (k % across) * (size + gap)
        tall = size * min(max(tile.values.shape[0] / tile.values.shape[1], 0.12), 1.6)
        tallest = max(tallest, tall)
        nodes.append(el("rect", x=at, y=y, width=size, height=tall, class_="well"))
        nodes.append(panel(coloured(shrunk(tile.values), full), at, y, size, tall, True, tile.name,
                           data_named="" if named else None, **_about(tile.values, tile.name, group, full)))
        nodes.append(line(clip(tile.name, size / 11), at, y + tall + 12, 10, "soft"))
        if tile.told and two:
            nodes.append(line(clip(tile.told, size / 10), at, y + tall + 25, 10, "soft tab"))
        elif tile.told and size >= 72:
            nodes.append(line(tile.told, at + size, y + tall + 12, 10, "soft tab", text_anchor="end"))
    return nodes, y + tallest + below


def strip(values: Array, limit: float, x: float, y: float, width: float, name: str, *, group: str = ""
          ) -> tuple[list[Element], float]:
    """One row of values as cells in a line, none wider than a finger, with a name below; also the y below it."""
    across = min(width, WIDEST * len(values))
    return [
        el("rect", x=x, y=y, width=across, height=STRIP, class_="well"),
        panel(coloured(values[None], limit), x, y, across, STRIP, True, name,
              **_about(values[None], name, group, limit)),
        line(name, x, y + STRIP + 12, 10, "soft"),
    ], y + STRIP + 24


UNKNOWN, BEYOND = 1, round(palette.OPACITY * 255) + 1
"""Opacities, in bytes, that no value within the limit has: of a cell without a value, and of one past the limit."""


def coloured(values: Array, limit: float) -> str:
    """Values as a picture from which a script reads them back, and which have none or lie past the limit."""
    numbers, colours = palette.coarse(values, limit)
    none, most, least = len(colours), len(colours) + 1, len(colours) + 2
    past = np.where(np.isfinite(values), np.abs(values), 0.0) > (limit or 1) * (1 + 1e-9)
    numbers = np.where(np.isfinite(values), np.where(past, np.where(values > 0, most, least), numbers), none)
    ends = [(*colours[-1][:3], BEYOND), (*colours[0][:3], BEYOND)]
    return png.numbered(numbers.astype(np.uint8), np.vstack([colours, (0, 0, 0, UNKNOWN), *ends]).astype(np.uint8))


def _about(values: Array, name: str, group: str, limit: float) -> dict[str, Any]:
    """What a script needs to read a tile: whose it is, its limit, and of one that was averaged its own size."""
    step = block(values)
    return {"data_tile": name, "data_group": group or None, "data_limit": f"{limit:.6g}",
            "data_block": step if step > 1 else None,
            "data_shape": json.dumps(list(values.shape), separators=(",", ":")) if step > 1 else None}


def block(values: Array) -> int:
    """How many rows, and as many columns, of a map one pixel of its tile is the mean of."""
    return -(-max(values.shape) // FINEST)


def shrunk(values: Array) -> Array:
    """A map no larger than a tile shows, averaged block by block; values that are not finite stay out.

    Blocks at the edge are smaller where the size is no multiple: no row is left out.
    """
    step = block(values)
    if step == 1:
        return values
    padded = np.pad(values.astype(float), [(0, -s % step) for s in values.shape], constant_values=np.nan)
    cut = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    known = np.isfinite(cut)
    return np.divide(np.where(known, cut, 0.0).sum((1, 3)), known.sum((1, 3)), where=known.any((1, 3)),
                     out=np.full(known.any((1, 3)).shape, np.nan))


def averaged(values: Array, sheet: Sheet, x: float, y: float) -> tuple[list[Element], float]:
    """A note below tiles of maps of this size, where they are averages; also the y below it."""
    if block(values) == 1:
        return [], y
    rows, columns = values.shape
    made, y = lines(sheet.say("averaged", n=block(values), rows=rows, columns=columns), x, y + 4, 11.5, sheet.inner,
                    "soft")
    return made, y + 4


def scale_bar(limit: float, x: float, y: float, width: float, prefix: str, *, least: float | None = None
              ) -> list[Element]:
    """The colours of all tiles, with the numbers at both ends."""
    low = -limit if least is None else least
    steps = 48
    stops = list[Element]()
    for i in range(steps + 1):
        r, g, b, a = palette.rgba(np.array(low + (limit - low) * i / steps), limit)
        stops.append(el("stop", offset=f"{i / steps:.4f}", stop_color=f"#{r:02x}{g:02x}{b:02x}",
                        stop_opacity=f"{a / 255:.3f}"))
    return [
        el("defs", el("linearGradient", *stops, id=prefix)),
        el("rect", x=x, y=y, width=width, height=8, rx=2, class_="well"),
        el("rect", x=x, y=y, width=width, height=8, rx=2, fill=f"url(#{prefix})"),
        line(number(low), x, y + 20, 10, "soft tab"),
        line(number(limit), x + width, y + 20, 10, "soft tab", text_anchor="end"),
    ]
