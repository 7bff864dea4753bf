"""A small line chart over steps: several series on one scale, marks where something happened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pellucid.views.frame import compact, line
from pellucid.views.palette import srgb
from pellucid.views.scale import ticks
from pellucid.views.svg import Element, el
from pellucid.views.writing import clip, em, number, visible

TALL = 112.0
"""Of the plot itself; title above, steps and names below."""


@dataclass(frozen=True)
class Series:
    """A name and its (step, value) pairs."""

    name: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Mark:
    """A step at which something happened, and its level."""

    step: int
    level: str


def shades(n: int) -> list[str]:
    """n colours of equal lightness from blue over violet to vermilion: the order of layers shows in them."""
    found: list[str] = []
    for k in range(n):
        t = k / (n - 1) if n > 1 else 0.0
        hue = math.radians(255 + t * 140)
        rgb = srgb(np.array([0.62, 0.15 * math.cos(hue), 0.15 * math.sin(hue)]))
        found.append("#" + "".join(f"{round(float(c) * 255):02x}" for c in rgb))
    return found


def chart(title: str, series: Sequence[Series], x: float, y: float, width: float, *, log: bool = False,
          top: float | None = None, steps: tuple[int, int], marks: Sequence[Mark] = ()) -> tuple[list[Element], float]:
    """The chart with its corner at (x, y), and the y below it. With `log` values of zero and below are left out.

    `top` fixes the scale to 0 … top; `steps` are the first and last step, the same for all charts beside one another.
    """
    known = [Series(s.name, [(k, v) for k, v in s.points if math.isfinite(v) and (v > 0 or not log)]) for s in series]
    known = [s for s in known if s.points]
    nodes = [line(clip(title, width / 13), x, y + 13, 13, "strong")]
    values = [v for s in known for _, v in s.points]
    if not values:
        return nodes, y + 24
    low, high = (0.0, top) if top is not None else _range(values, log)
    left, first, last = x + 44, steps[0], max(steps[1], steps[0] + 1)
    span, base = width - 48, y + 26 + TALL

    def across(step: float) -> float:
        return left + span * (step - first) / (last - first)

    def up(value: float) -> float:
        at = math.log10(value) if log else value
        return base - TALL * min(max((at - low) / ((high - low) or 1), 0.0), 1.0)

    for t in ticks(low, high, 4):
        at = base - TALL * (t - low) / ((high - low) or 1)
        nodes.append(el("path", d=f"M{left:.1f} {at:.1f}h{span:.1f}", class_="rule"))
        nodes.append(line(number(10**t if log else t, 2), left - 6, at + 4, 11, "soft tab", text_anchor="end"))
    for t in ticks(first, last, max(2, int(span / 70))):
        nodes.append(line(number(t, 6), across(t), base + 15, 11, "soft tab", text_anchor="middle"))
    for mark in marks:
        nodes.append(el("path", d=f"M{across(mark.step):.1f} {base - TALL:.1f}v{TALL:.1f}", class_=f"icon {mark.level}",
                        stroke_dasharray="3 3"))
    for s, colour in zip(known, shades(len(known)), strict=True):
        path = "M" + "L".join(f"{across(k):.1f} {up(v):.1f}" for k, v in s.points)
        said = f"{visible(s.name, 120)}: {number(s.points[-1][1])}"
        shape = (el("path", d=path, fill="none", stroke=colour, stroke_width=1.6, stroke_linejoin="round")
                 if len(s.points) > 1 else el("circle", cx=across(s.points[0][0]), cy=up(s.points[0][1]), r=2.5,
                                              fill=colour))
        nodes.append(el("g", el("title", said), shape, data_series=visible(s.name, 120),
                        data_steps=compact([float(k) for k, _ in s.points]), data_values=compact(
                            [v for _, v in s.points])))
    return _names(nodes, known, x, base + 32, width)


def _names(nodes: list[Element], known: list[Series], x: float, y: float, width: float) -> tuple[list[Element], float]:
    """Which colour is whose; a single series needs no name."""
    if len(known) < 2:
        return nodes, y
    at = x
    for s, colour in zip(known, shades(len(known)), strict=True):
        name = clip(visible(s.name, 120), 12.0)
        wide = em(name) * 11 + 26
        if at + wide > x + width and at > x:
            at, y = x, y + 16
        nodes.append(el("rect", x=at, y=y - 6, width=12, height=3, rx=1.5, fill=colour))
        nodes.append(line(name, at + 16, y, 11, "soft"))
        at += wide
    return nodes, y + 14


def _range(values: Sequence[float], log: bool) -> tuple[float, float]:
    told = [math.log10(v) for v in values] if log else [0.0, *values]
    low, high = min(told), max(told)
    if high - low < 1e-9:
        low, high = (low - 0.5, high + 0.5) if log or not high else (min(0.0, low), high)
    return low, high


BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a line of blocks, the lowest at the bottom; averaged down to `width`."""
    known = [v for v in values if math.isfinite(v)]
    if not known:
        return ""
    if len(known) > width:
        cuts = [round(k * len(known) / width) for k in range(width + 1)]
        known = [sum(known[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, high = min(known), max(known)
    return "".join(BLOCKS[round(7 * (v - low) / (high - low))] if high > low else BLOCKS[0] for v in known)
