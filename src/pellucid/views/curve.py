"""A curve of an evaluation: the score while features go or come back, before the band of what knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.views.frame import compact, line
from pellucid.views.palette import Array
from pellucid.views.scale import ticks
from pellucid.views.svg import Element, el
from pellucid.views.writing import clip, number

Points = Sequence[tuple[float, float]]

LEFT, BELOW = 44.0, 40.0
"""Room for the numbers at the left, and for numbers and caption below."""


@dataclass(frozen=True)
class Curve:
    """A curve with those of its controls, in which colour it is drawn, and what its axes and its ends are called."""

    name: str
    points: Points
    beside: Sequence[Points]
    across: str
    up: str
    kind: str = "pos"


def plot(curve: Curve, x: float, y: float, width: float, height: float) -> list[Element]:
    """The curve in a box with its name above, axes with numbers, the controls' range and mean in grey."""
    at, own = _columns(curve.points)
    others = np.array([np.interp(at, *_columns(p)) for p in curve.beside])
    every = np.concatenate([own, others.ravel()])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    if high - low <= 1e-12 * max(abs(high), abs(low), 1e-300):
        low, high = low - 0.5, high + 0.5
    room = (high - low) * 0.06
    low, high = low - room, high + room
    left, span, first, last = x + LEFT, width - LEFT, float(at[0]), float(at[-1])

    def place(v: float) -> float:
        return left + span * (v - first) / ((last - first) or 1)

    def level(v: float) -> float:
        return y + height - height * (v - low) / (high - low)

    def path(where: Array, values: Array) -> str:
        good = [(a, v) for a, v in zip(where, values, strict=True) if np.isfinite(v)]
        return "M" + "L".join(f"{place(a):.1f} {level(v):.1f}" for a, v in good)

    nodes = [line(clip(curve.name, width / 14), x, y - 26, 13, "strong"), line(curve.up, x, y - 8, 11, "soft")]
    for t in ticks(low, high, max(3, int(height / 30))):
        nodes.append(el("path", d=f"M{left:.1f} {level(t):.1f}h{span:.1f}", class_="axis" if t == 0 else "rule"))
        nodes.append(line(number(t), left - 7, level(t) + 4, 11, "soft tab", text_anchor="end"))
    for t in ticks(first, last, max(3, int(span / 60))):
        told = f"{t:.0%}" if last <= 1 else number(t)
        nodes.append(line(told, min(place(t), left + span - 12), y + height + 16, 11, "soft tab",
                          text_anchor="middle"))
    nodes.append(line(clip(curve.across, span / 11.5), left + span / 2, y + height + 33, 11, "soft",
                      text_anchor="middle"))
    group = el("g", el("title", curve.name), data_curve=compact([float(v) for v in own]),
               data_at=compact([float(v) for v in at]))
    if len(others):
        top, bottom = np.nanmax(others, 0), np.nanmin(others, 0)
        group.add(el("path", d=f"{path(at, top)}L{path(at[::-1], bottom[::-1])[1:]}Z", class_="cloud"))
        group.add(el("path", d=path(at, np.nanmean(others, 0)), class_="axis", stroke_dasharray="4 3"))
    group.add(el("path", d=path(at, own), class_=f"line {curve.kind}"))
    return [*nodes, group]


def _columns(points: Points) -> tuple[Array, Array]:
    both = np.array(points, dtype=float)
    return both[:, 0], both[:, 1]
