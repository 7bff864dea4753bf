"""Horizontal bars around zero, the largest first: columns of a table, units of a layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pellucid.views import story
from pellucid.views.frame import Part, Sheet, axis, error_notes, line
from pellucid.views.heat import constant, words_instead
from pellucid.views.scale import Scale, scale_of, ticks
from pellucid.views.svg import Element, el
from pellucid.views.words import say
from pellucid.views.writing import clip, columns, em, isolate, number, pad, signed, visible, wrap
from pellucid.words.explanation import Explanation

ROW = 28.0
THICK = 15.0


def reach(found: list[story.Item]) -> tuple[float, float]:
    """How far the axis goes to either side: bars and whiskers fit, zero is always on it."""
    ends = [v for i in found if np.isfinite(i.value)
            for v in (i.value, i.value - (i.half or 0), i.value + (i.half or 0)) if np.isfinite(v)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    room = (high - low) * 0.03
    return (low - room if low < 0 else 0.0), (high + room if high > 0 else 0.0)


def rest(found: list[story.Item], top: int) -> tuple[int, float]:
    """How many are not shown, and their sum."""
    return max(0, len(found) - top), float(np.nansum([i.value for i in found[top:]]))


def body(e: Explanation, sheet: Sheet) -> Part:
    """The middle of the drawing."""
    found = story.items(e, sheet.lang)
    values = np.array([i.value for i in found])
    key, scale = constant(values), scale_of(values)
    nodes, y = [line(sheet.say("columns"), sheet.margin, 18, 12.5, "strong")], 34.0
    if key and key != "all same":
        made, below = words_instead(e, sheet, key, sheet.margin, y, sheet.inner)
        nodes += [el("rect", x=sheet.margin, y=y, width=sheet.inner, height=below - y, rx=6, class_="well"), *made]
        return Part(nodes, below, Scale(0.0), [])
    shown = found[: sheet.top]
    low, high = reach(shown)
    numbers = [told(i) + mark for i, mark in zip(shown, _marks(e, shown), strict=True)]
    names = [clip(visible(i.name.strip(), 300), sheet.inner * (0.38 if not sheet.narrow else 1.0) / 13) for i in shown]
    right = max(em(t) for t in numbers) * 12.5 + 10
    # on a phone the name stands above its bar, beside it elsewhere
    left = 0.0 if sheet.narrow else min(sheet.inner * 0.38, max(em(n) for n in names) * 13) + 14
    row = ROW + (20 if sheet.narrow else 0)
    start, span = sheet.margin + left, sheet.inner - left - right

    def place(v: float) -> float:
        return start + span * (v - low) / ((high - low) or 1)

    marks = ticks(low, high, max(3, int(span / 62)))
    nodes += axis(marks, place, y, row * len(shown) + 4)
    for k, item in enumerate(shown):
        nodes.append(bar(item, names[k], numbers[k], y + 2 + k * row, row, place, sheet, start - 12))
    y += row * len(shown) + 4
    nodes.append(line(clip(story.effect(e, sheet.lang), span / 11.5), start + span / 2, y + 33, 11.5, "soft",
                      text_anchor="middle"))
    y += 40
    n, together = rest(found, sheet.top)
    if n:
        nodes.append(line(sheet.say("more", n=n, value=signed(together)), sheet.margin, y + 16, 12.5, "soft"))
        y += 22
    notes = error_notes(e, sheet)
    if any(n.endswith("*") for n in numbers):
        notes.append(sheet.say("starred"))
    if any(i.open for i in shown):
        notes.append(sheet.say("pale"))
    if not np.isfinite(values).all():
        notes.append(sheet.say("not finite", n=int((~np.isfinite(values)).sum())))
    return Part(nodes, y, scale, notes)


def _marks(e: Explanation, shown: list[story.Item]) -> list[str]:
    """A star for a value that differs from zero where false discoveries among all values are held down."""
    if not story.uncertain(e):
        return [""] * len(shown)
    sure = e.significant().flatten().tolist()
    return [" *" if i.at is not None and sure[i.at] else "" for i in shown]


def told(item: story.Item) -> str:
    """The value with its interval, both to the interval's second digit."""
    half = item.half
    if half is None or not np.isfinite(item.value):
        return signed(item.value)
    if not 1e-4 < half < 1e4:
        return f"{signed(item.value)} ± {number(half, 2)}"
    digits = max(0, 1 - int(np.floor(np.log10(half))))
    return f"{item.value:+.{digits}f} ± {half:.{digits}f}".replace("-", "−")


def bar(item: story.Item, name: str, figures: str, y: float, row: float, place: Callable[[float], float], sheet: Sheet,
        label: float) -> Element:
    """One row: name, bar from zero, whiskers, number."""
    group = el("g", el("title", f"{isolate(item.name)}: {figures}"))
    middle = y + row - ROW / 2
    if sheet.narrow:
        group.add(line(name, sheet.margin, y + 16, 13, "halo"))
    else:
        group.add(line(name, label, middle + 4.5, 13, text_anchor="end"))
    if np.isfinite(item.value):
        a, b = sorted((place(0.0), place(item.value)))
        group.add(el("rect", x=a, y=middle - THICK / 2, width=max(b - a, 0.75), height=THICK, rx=2,
                     class_="pos" if item.value > 0 else "neg", fill_opacity=0.35 if item.open else None,
                     data_bar=f"{item.value:.4g}", data_at=item.at))
        if item.half:
            a, b = place(item.value - item.half), place(item.value + item.half)
            caps = f"M{a:.2f} {middle - 4:.1f}v8M{b:.2f} {middle - 4:.1f}v8"
            group.add(el("path", d=f"{caps}M{a:.2f} {middle:.1f}H{b:.2f}", class_="whisker",
                         data_whisker=f"{item.half:.4g}"))
    return group.add(line(figures, sheet.width - sheet.margin, middle + 4.5, 12.5, "tab", text_anchor="end"))


EIGHTHS = " ▏▎▍▌▋▊▉█"


def text(e: Explanation, width: int, lang: str, top: int = 12) -> list[str]:
    """Names, bars of block characters and numbers, to the width of the terminal."""
    found = story.items(e, lang)
    values = np.array([i.value for i in found])
    key = constant(values)
    if key and key != "all same":
        return wrap(say(lang, key, n=values.size, value=""), width, columns)
    shown = found[:top]
    numbers = [told(i) + mark for i, mark in zip(shown, _marks(e, shown), strict=True)]
    right = max(map(columns, numbers))
    room = max(4, min(width * 2 // 5, width - right - 11))
    names = [clip(visible(i.name.strip(), 300), room, columns) for i in shown]
    left = max(map(columns, names))
    span = max(4, width - left - right - 5)
    low, high = min([0.0, *(i.value for i in shown)]), max([0.0, *(i.value for i in shown)])
    below = round(span * -low / ((high - low) or 1)) if low < 0 else 0
    unit = (span - below) / high if high > 0 else below / -low
    out = list[str]()
    for item, name, told_ in zip(shown, names, numbers, strict=True):
        size = abs(item.value) * unit if np.isfinite(item.value) else 0.0
        if item.value >= 0:
            drawn = " " * below + "│" + "█" * int(size) + EIGHTHS[int(size % 1 * 8)].strip()
        else:
            drawn = ("▒" * min(below, max(round(size), 1))).rjust(below) + "│"
        out.append(f"{pad(name, left)} {pad(drawn, span + 1)} {pad(told_, right, right=True)}")
    n, together = rest(found, top)
    remarks = [*([say(lang, "more", n=n, value=signed(together))] if n else []),
               *([say(lang, "starred")] if any(n.endswith("*") for n in numbers) else []),
               *([say(lang, "error")] if story.uncertain(e) else [])]
    return [*out, *(t for remark in remarks for t in wrap(remark, width, columns))]
