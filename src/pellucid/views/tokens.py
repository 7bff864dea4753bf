"""The words of a text as it was written, each on a ground whose colour is its value."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from pellucid.views import bidi, palette, story
from pellucid.views.frame import Part, Sheet, colour_bar, error_notes, line, scale_note
from pellucid.views.heat import constant, words_instead
from pellucid.views.pieces import pieces
from pellucid.views.scale import Scale, scale_of
from pellucid.views.svg import Element, el
from pellucid.views.words import say
from pellucid.views.writing import clip, columns, em, isolate, number, right_to_left, signed, visible
from pellucid.words.explanation import Explanation

SIZE = 17.0
LEADING = 46.0
MOST = 1500
"""Tokens drawn; the rest is counted and summed."""
LONGEST = 240
"""Letters drawn of one token."""
STRONG = 0.3
"""From this share of the scale on a token shows its number."""
UNREAD = 60
SNUG = 1.04
"""Words on a ground are set to exactly the width measured, so no reserve is needed."""
FADE = 0.8
"""Grounds are a little fainter than elsewhere: the word on them is what is read."""


@dataclass(frozen=True)
class Chip:
    """A token, or a part of one, in its place."""

    shown: str
    at: int | None
    x: float
    row: int
    wide: float
    first: bool


def arrange(e: Explanation, sheet: Sheet) -> tuple[list[Chip], int]:
    """Place the pieces on lines that fit; also the number of lines."""
    chips, x, row, space = list[Chip](), 0.0, 0, em(" ", SNUG) * SIZE
    for piece in pieces(e):
        if piece.at is not None and piece.at >= MOST:
            break
        if piece.at is None:
            words = piece.written
            if piece.open:
                words = words[:UNREAD] + "…"
            for i, part in enumerate(words.split("\n")):
                row, x = (row + 1, 0.0) if i and x else (row, x)
                for j, word in enumerate(part.split(" ")):
                    x += space if j and x else 0
                    for k, cut in enumerate(fitting(visible(word), sheet.inner)):
                        wide = em(cut, SNUG) * SIZE
                        if x and (k or x + wide > sheet.inner):
                            row, x = row + 1, 0.0
                        chips.append(Chip(cut, None, x, row, wide, False))
                        x += wide
            continue
        for k, cut in enumerate(fitting(visible(piece.written, LONGEST), sheet.inner - 6)):
            wide = em(cut, SNUG) * SIZE + 6
            # a full stop hangs over the edge rather than begin a line
            edge = sheet.inner + (sheet.margin - 4 if unicodedata.category(cut[0])[0] == "P" and len(cut) == 1 else 0)
            if x and (k or x + wide > edge):
                row, x = row + 1, 0.0
            chips.append(Chip(cut, piece.at, x, row, wide, not k))
            x += wide
    return chips, row + 1


def fitting(text: str, room: float) -> list[str]:
    """The text in parts that fit on a line each; none for no text."""
    parts, part, used = list[str](), "", 0.0
    for char in text:
        wide = em(char, SNUG) * SIZE
        if part and used + wide > room:
            parts.append(part)
            part, used = "", 0.0
        part, used = part + char, used + wide
    return [*parts, part] if part else parts


def body(e: Explanation, sheet: Sheet) -> Part:
    """The middle of the drawing."""
    values = e.values.detach().cpu().double().flatten().numpy()
    scale, key = scale_of(values), constant(values)
    nodes: list[Element] = [line(sheet.say("text"), sheet.margin, 18, 12.5, "strong")]
    notes = list[str]()
    top = 34.0
    if key and key != "all same":
        made, below = words_instead(e, sheet, key, sheet.margin, top, sheet.inner)
        nodes += [el("rect", x=sheet.margin, y=top, width=sheet.inner, height=below - top, rx=6, class_="well"), *made]
        top = below + 12
    made, y = strip(e, sheet, top, values, scale)
    nodes += made
    if values.size > MOST:
        y += 6
        rest = signed(float(np.nansum(values[MOST:])))
        nodes.append(line(sheet.say("hidden tokens", n=values.size - MOST, value=rest), sheet.margin, y, 12.5, "soft"))
        y += 16
    if scale.limit:
        wide = min(sheet.inner, 380.0)
        bar, y = colour_bar(sheet, scale, sheet.margin, y + 34, wide, e, fade=FADE)
        nodes += bar
        notes.append(scale_note(sheet, scale))
    if story.uncertain(e):
        notes.append(error_notes(e, sheet)[-1])
    unread = sum(len(p.written) for p in pieces(e) if p.open)
    if unread:
        notes.append(sheet.say("unread", n=unread))
    if not (e.shown and e.shown.text):
        notes.append(sheet.say("stripped"))
    if not np.isfinite(values).all():
        notes.append(sheet.say("not finite", n=int((~np.isfinite(values)).sum())))
    return Part(nodes, y, scale, notes)


def strip(e: Explanation, sheet: Sheet, top: float, values: np.ndarray, scale: Scale) -> tuple[list[Element], float]:
    """The words on their grounds, with the strong ones' values below them; also the y below the last line."""
    nodes = list[Element]()
    chips, rows = arrange(e, sheet)
    mirrored = right_to_left(e.shown.text if e.shown and e.shown.text else " ".join(e.names[:20]))
    chips = [c for _, row in groupby(chips, lambda chip: chip.row) for c in directed(list(row), sheet, mirrored)]
    for chip in chips:
        nodes += drawn(e, chip, top + chip.row * LEADING, values, scale)
    return [*nodes, *numbers(chips, sheet, top, values, scale)], top + rows * LEADING


def directed(chips: list[Chip], sheet: Sheet, mirrored: bool) -> list[Chip]:
    """A line's pieces where a reader of their scripts looks for them, in the drawing's units; `mirrored` from the
    right edge."""
    words, spans, end = list[str](), list[float](), 0.0
    for chip in chips:  # what lies between two pieces is moved as well
        words += [" ", chip.shown]
        spans += [chip.x - end, chip.wide]
        end = chip.x + chip.wide
    x, places = sheet.margin + (sheet.inner - end if mirrored else 0), [0.0] * len(words)
    for k in bidi.order(words, not mirrored):
        places[k] = x
        x += spans[k]
    return [replace(chip, x=places[2 * k + 1]) for k, chip in enumerate(chips)]


def drawn(e: Explanation, chip: Chip, y: float, values: np.ndarray, scale: Scale) -> list[Element]:
    """One token on its ground; between tokens, quiet text."""
    x, middle = chip.x, chip.x + chip.wide / 2
    direction = "rtl" if right_to_left(chip.shown) else None
    wide = chip.wide - (6 if chip.at is not None else 0)
    word = line(chip.shown, middle, y + 20, SIZE, "token" if chip.at is not None else "token soft",
                textLength=wide, lengthAdjust="spacingAndGlyphs", direction=direction)
    if chip.at is None:
        return [word]
    value = float(values[chip.at])
    r, g, b, a = palette.rgba(np.array(value), scale.limit)
    ground = el("rect", x=x + 0.75, y=y, width=chip.wide - 1.5, height=29, rx=5, data_at=chip.at,
                fill=f"#{r:02x}{g:02x}{b:02x}", fill_opacity=f"{a / 255 * FADE:.3f}")
    told = f"{isolate(e.names[chip.at])}: {signed(value)}"
    if e.error is not None and story.uncertain(e):
        told += f" ± {number(float(e.error.detach().flatten()[chip.at]) * story.INTERVAL)}"
    return [el("g", el("title", told), ground, word)]


def numbers(chips: list[Chip], sheet: Sheet, top: float, values: np.ndarray, scale: Scale) -> list[Element]:
    """The values under the strong tokens, the strongest first, as long as they do not touch."""
    nodes, taken = list[Element](), dict[int, list[tuple[float, float]]]()
    strong = [c for c in chips if c.at is not None and c.first and scale.limit
              and abs(values[c.at]) >= STRONG * scale.limit]
    for chip in sorted(strong, key=lambda c: -abs(values[c.at or 0])):
        told = signed(float(values[chip.at or 0]), 2)
        wide = em(told) * 11 + 6
        x = min(max(chip.x + chip.wide / 2, sheet.margin + wide / 2 - 3), sheet.width - sheet.margin - wide / 2 + 3)
        if all(x + wide / 2 <= a or x - wide / 2 >= b for a, b in taken.get(chip.row, [])):
            taken.setdefault(chip.row, []).append((x - wide / 2, x + wide / 2))
            nodes.append(line(told, x, top + chip.row * LEADING + 40, 11, "soft tab", text_anchor="middle"))
    return nodes


def text(e: Explanation, width: int, lang: str) -> list[str]:
    """The words in a line with their values in brackets, the weak ones without."""
    values = e.values.detach().cpu().double().flatten().numpy()
    scale, key = scale_of(values), constant(values)
    flow, used, made = "", 0, list[str]()
    out = [say(lang, key, n=values.size, value=signed(float(values[0])) if values.size else "")] if key else []
    for piece in pieces(e):
        if piece.at is not None and piece.at >= MOST:
            break
        shown = visible(piece.written[:UNREAD] if piece.open else piece.written.replace("\n", " "), LONGEST)
        if piece.at is not None and scale.limit and not key and abs(values[piece.at]) >= STRONG / 3 * scale.limit:
            shown = f"{isolate(shown)}[{signed(float(values[piece.at]), 2)}]"
        wide = columns(shown)
        if used and used + wide > width:
            made.append(flow.rstrip())
            flow, used, shown = "", 0, shown.lstrip()
        while columns(shown) > width:
            cut = clip(shown, width + 1, columns)[:-1] or shown[:1]
            made.append(cut)
            shown = shown[len(cut):]
        flow, used = flow + shown, used + columns(shown)
    made.append(flow.rstrip())
    if values.size > MOST:
        made.append(say(lang, "hidden tokens", n=values.size - MOST, value=signed(float(np.nansum(values[MOST:])))))
    parts = [f"{signed(i.value):>9}  {clip(visible(i.name.strip(), 200), width - 12, columns)}"
             for i in story.strongest(e, 5, lang)]
    return [*out, *made, "", *parts]
