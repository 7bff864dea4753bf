"""From the baseline's score to the input's: each of the largest effects moves the total on, the others together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.views import story
from pellucid.views.bars import ROW, THICK, rest, told
from pellucid.views.frame import Part, Sheet, axis, error_notes, line
from pellucid.views.scale import scale_of, ticks
from pellucid.views.svg import Element, el
from pellucid.views.words import say
from pellucid.views.writing import clip, columns, em, isolate, number, pad, signed, visible
from pellucid.words.explanation import Explanation

UNTOLD = 1e-3
"""From this share of the score's change on, what the values leave over has a step of its own."""


@dataclass(frozen=True)
class Step:
    """One step: its name, from where to where, its number in words; `item` is the value that it shows."""

    name: str
    start: float
    end: float
    figures: str
    item: story.Item | None = None


def fits(e: Explanation) -> bool:
    """Whether values add up from the baseline's score to the input's."""
    return (e.baseline_score is not None and e.residual is not None and story.means(e) == "effect"
            and bool(np.isfinite(e.numpy()).all()))


def steps(e: Explanation, top: int, lang: str) -> list[Step]:
    """Baseline, the largest effects, the others together, what the values miss, and the score."""
    found, at = story.items(e, lang), float(e.baseline_score or 0.0)
    made = [Step(say(lang, "at baseline"), at, at, number(at, 4))]
    for item in found[:top]:
        made.append(Step(item.name, at, at + item.value, told(item), item))
        at += item.value
    n, together = rest(found, top)
    if n:
        made.append(Step(say(lang, "others", n=n), at, at + together, signed(together)))
        at += together
    left = e.score - at
    if abs(left) > UNTOLD * max(abs(e.score - float(e.baseline_score or 0.0)), 1e-12):
        made.append(Step(say(lang, "not accounted for"), at, e.score, signed(left)))
    return [*made, Step(say(lang, "axis score"), e.score, e.score, number(e.score, 4))]


def body(e: Explanation, sheet: Sheet) -> Part:
    """The middle of the drawing."""
    made = steps(e, sheet.top, sheet.lang)
    ends = [v for s in made for h in [(s.item.half or 0.0) if s.item else 0.0] for v in (s.start, s.end - h, s.end + h)]
    low, high = min(ends), max(ends)
    room = (high - low) * 0.04 or 0.5
    low, high = low - room, high + room
    names = [clip(visible(s.name.strip(), 300), sheet.inner * (0.38 if not sheet.narrow else 1.0) / 13) for s in made]
    right = max(em(s.figures) for s in made) * 12.5 + 10
    left = 0.0 if sheet.narrow else min(sheet.inner * 0.38, max(em(n) for n in names) * 13) + 14
    row, y = ROW + (20 if sheet.narrow else 0), 34.0
    start, span = sheet.margin + left, sheet.inner - left - right

    def place(v: float) -> float:
        return start + span * (v - low) / (high - low)

    nodes = [line(sheet.say("waterfall"), sheet.margin, 18, 12.5, "strong"),
             *axis(ticks(low, high, max(3, int(span / 62))), place, y, row * len(made) + 4)]
    for k, step in enumerate(made):
        top = y + 2 + k * row
        nodes.append(_bar(step, names[k], top, row, place, sheet, start - 12))
        if k + 1 < len(made):  # where the next step begins
            middle = top + row - ROW / 2
            nodes.append(el("path", d=f"M{place(step.end):.1f} {middle + THICK / 2:.1f}v{row - THICK:.1f}",
                            class_="axis", stroke_dasharray="2 2"))
    y += row * len(made) + 4
    nodes.append(line(clip(sheet.say("score of", target=e.target), span / 11.5), start + span / 2, y + 33, 11.5, "soft",
                      text_anchor="middle"))
    notes = error_notes(e, sheet)
    if any(s.item and s.item.open for s in made):
        notes.append(sheet.say("pale"))
    return Part(nodes, y + 40, scale_of(e.numpy()), notes)


def _bar(step: Step, name: str, y: float, row: float, place, sheet: Sheet, label: float) -> Element:
    """A step: an arrow from where the total was to where it is; a line across where it only stands."""
    group = el("g", el("title", f"{isolate(step.name)}: {step.figures}"))
    middle, total = y + row - ROW / 2, step.start == step.end and step.item is None
    kind = "strong" if total else ""
    group.add(line(name, sheet.margin, y + 16, 13, f"halo {kind}".strip()) if sheet.narrow
              else line(name, label, middle + 4.5, 13, kind, text_anchor="end"))
    a, b = place(step.start), place(step.end)
    if total:
        group.add(el("path", d=f"M{a:.1f} {middle - ROW / 2 + 3:.1f}v{ROW - 6:.1f}", class_="mark"))
    else:
        group.add(_arrow(a, b, middle, step))
        half = step.item.half if step.item else None
        if half:
            low, high = place(step.end - half), place(step.end + half)
            group.add(el("path", d=f"M{low:.2f} {middle - 4:.1f}v8M{high:.2f} {middle - 4:.1f}v8M{low:.2f} {middle:.1f}"
                                   f"H{high:.2f}", class_="whisker", data_whisker=f"{half:.4g}"))
    return group.add(line(step.figures, sheet.width - sheet.margin, middle + 4.5, 12.5, f"tab {kind}".strip(),
                          text_anchor="end"))


def _arrow(a: float, b: float, middle: float, step: Step) -> Element:
    """A bar whose end points the way that the score goes, so that its sign does not hang on colour."""
    tip = min(abs(b - a), 5.0) * (1 if b >= a else -1)
    up, down = middle - THICK / 2, middle + THICK / 2
    d = f"M{a:.1f} {up:.1f}L{b - tip:.1f} {up:.1f}L{b:.1f} {middle:.1f}L{b - tip:.1f} {down:.1f}L{a:.1f} {down:.1f}Z"
    item = step.item
    return el("path", d=d, class_="pos" if b >= a else "neg", fill_opacity=0.35 if item and item.open else None,
              data_step=f"{step.end - step.start:.4g}", data_at=item.at if item else None)


def text(e: Explanation, width: int, lang: str, top: int = 12) -> list[str]:
    """Each step with its number and the total behind it."""
    made = steps(e, top, lang)
    totals = [number(s.end, 4) for s in made]
    figures = ["" if s.start == s.end and s.item is None else s.figures for s in made]
    right, middle = max(map(columns, totals)), max(map(columns, figures))
    room = max(8, min(width - right - middle - 6, max(columns(visible(s.name.strip(), 200)) for s in made)))
    return [f"{pad(clip(visible(s.name.strip(), 200), room, columns), room)}  {pad(f, middle, right=True)}  → "
            f"{pad(t, right, right=True)}" for s, f, t in zip(made, figures, totals, strict=True)]
