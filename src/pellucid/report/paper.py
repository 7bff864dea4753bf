"""A report as PDF: tagged, with an outline, in vectors; typst sets the pages, and gets everything as data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import product, zip_longest
from typing import Any
from xml.etree import ElementTree

from pellucid.printing import fonts
from pellucid.printing.flattened import flat
from pellucid.printing.press import WRITTEN, pictured, set_, size, typeset
from pellucid.printing.slices import LEAST, sliced
from pellucid.report.compose import Part, document
from pellucid.report.document import Block, Document, Entry, Grid, Group, Lines, Logo, Pairs
from pellucid.version import __version__
from pellucid.views.frame import LIGHT, SHAPES
from pellucid.views.svg import el
from pellucid.views.words import say
from pellucid.views.writing import clip, columns

WIDE = 640
"""Units that a drawing is wide; a unit is 3/4 pt, so that its letters are as large as the page's."""
ROOM = 482.0, 610.0
"""Points of a page that a drawing may fill, across and down."""
LEFT = 360.0
"""Points of the first page below which a drawing is rather set on the next."""
HALF, COLUMN = 320, 228.0
"""The same of a drawing that stands beside another: units wide, and points across."""
ACROSS = 10
"""Columns of a table that a page has room for."""
LONG, WHOLE = 24, 50
"""Lines from which a part below a drawing, and a row of parts, may run on to the next page."""
NEUTRAL = "M9 0a9 9 0 1 0 .001 0z"


def paper(items: Part | Iterable[Part], *, title: str = "", lang: str | None = None, notes: str = "",
          template: str = "", logo: str | bytes | os.PathLike[str] | None = None) -> bytes:
    """The report as PDF/UA-1; the same report gives the same bytes. Options and errors as for `report`."""
    fonts.typst()
    doc = document(items, widths=(WIDE, WIDE), title=title, lang=lang, notes=notes, template=template, logo=logo)
    fonts.needed(doc.lang)
    return set_(_source(), {"data": json.dumps(_data(doc))}, "pdf", pdf_standards=["ua-1"], timestamp=WRITTEN)


@cache
def _source() -> bytes:
    return resources.files("pellucid.report").joinpath("report.typ").read_bytes()


def _data(doc: Document) -> dict[str, Any]:
    """Everything the pages say; characters that no font here has stand as their codes, and a line says so."""
    lang, drawn, absent = doc.lang, dict[str, list[tuple[str, float]]](), dict[str, None]()
    for entry, drawing, across, down in _drawings(doc):
        svg, missing = typeset(flat(drawing), lang, told=False)
        drawn[entry.id] = sliced(svg, across, ROOM[1], down)
        absent |= dict.fromkeys(missing)
    made = {e.id: _entry(e, f"{n}  " if len(drawn) > 1 else "", drawn[e.id], lang)
            for n, e in enumerate(doc.entries, 1)}
    data: dict[str, Any] = {
        "title": doc.title, "short": clip(doc.title, 60, columns), "lang": lang, "notes": doc.notes, "lead": doc.lead,
        "made": doc.made, "maker": f"Pellucid {__version__}", "embeds": say(lang, "embeds") if doc.embeds else "",
        "page": say(lang, "page of", page="{page}", pages="{pages}"),
        "labels": {"hurry": say(lang, "in a hurry"), "contents": say(lang, "contents"),
                   "overview": say(lang, "overview")},
        "hurry": [{"id": e.id, "status": e.status or "none", "sentence": e.sentence, "verdict": e.verdict}
                  for e in doc.hurry],
        "tally": doc.tally, "overview": _grid(doc.overview) if doc.overview is not None else None,
        "parts": [made[p.id] if isinstance(p, Entry) else _group(p, made, lang) for p in doc.parts],
    }
    absent |= dict.fromkeys(fonts.missing("".join(_strings(data))))
    data = _marked(data, list(absent)) if absent else data
    return {**data, "fontless": fonts.line(list(absent), lang) if absent else "", "signs": _signs(lang),
            "fonts": _faces(lang), "logo": _logo(doc.logo, doc.title)}


def _drawings(doc: Document) -> Iterator[tuple[Entry, str, float, float]]:
    """Every entry with its drawing and the points that are left for it, across and down where it begins."""
    for part in doc.parts:
        for entry in (part,) if isinstance(part, Entry) else part.entries:
            if isinstance(part, Group) and part.beside:
                yield entry, entry.item.svg(lang=doc.lang, width=HALF, id=entry.id), COLUMN, ROOM[1]
            else:
                begins = len(doc.parts) == 1 and entry is doc.entries[0]
                yield entry, entry.svg, ROOM[0], _left(doc) if begins else ROOM[1]


def _left(doc: Document) -> float:
    """Points that the first page has left for the drawing of the only part, about; a whole page where they are few."""
    def tall(text: str, letters: int, line: float) -> float:
        return -(-columns(text) // letters) * line

    told = 75 + tall(doc.title, 34, 28) + sum(9 + tall(text, 90, 15) for text in doc.notes) + tall(doc.lead, 95, 14)
    told += sum(12 + tall(e.sentence, 80, 15) + tall(e.verdict, 95, 13) for e in doc.hurry)
    if isinstance(doc.parts[0], Group):
        told += 50 + sum(9 + tall(text, 95, 14) for text in doc.parts[0].paragraphs)
    left = 715 - told - 30 * doc.embeds - 45 * (doc.logo is not None)
    return min(left, ROOM[1]) if left > LEFT else ROOM[1]


def _group(group: Group, made: Mapping[str, dict[str, Any]], lang: str) -> dict[str, Any]:
    """A part with its entries, by twos where they stand side by side."""
    told = {"kind": "group", "title": group.title, "paragraphs": group.paragraphs, "beside": group.beside}
    if not group.beside:
        return {**told, "entries": [made[e.id] for e in group.entries]}
    rows = list[dict[str, Any]]()
    for at in range(0, len(group.entries), 2):
        one, other = group.entries[at], group.entries[at + 1] if at + 1 < len(group.entries) else None
        aside = [] if other else [b for b in one.blocks if not b.record and not _broad(b)]
        below = _compared(one, other, lang) if other else _rows([b for b in one.blocks if b not in aside], lang)
        rows.append({"entries": [made[e.id] for e in (one, other) if e], "rows": list(below),
                     "aside": [_block(b, lang) for b in aside]})
    return {**told, "entries": rows}


def _compared(one: Entry, other: Entry, lang: str) -> Iterable[dict[str, Any]]:
    """The blocks of two entries, those of the same title beside each other; broad tables alone, each with its entry."""
    sides = [{title: [b for b in e.blocks if b.title == title] for title in dict.fromkeys(b.title for b in e.blocks)}
             for e in (one, other)]
    for title in sides[0] | sides[1]:
        for pair in zip_longest(*(side.get(title, []) for side in sides)):
            if any(block is not None and _broad(block) for block in pair):
                for entry, block in zip((one, other), pair, strict=True):
                    if block is not None:
                        name = entry.name or entry.question
                        named = block.title if block.title in name else f"{block.title} · {name}"
                        yield {"kind": "wide", "block": {**_block(block, lang), "title": named}}
            else:
                tall = max(_tall(block) for block in pair if block is not None)
                yield {"kind": "beside", "whole": tall < WHOLE,
                       "sides": [[] if block is None else [_block(block, lang)] for block in pair]}


def _entry(entry: Entry, number: str, drawn: Sequence[tuple[str, float]], lang: str) -> dict[str, Any]:
    full = size(ElementTree.fromstring(drawn[0][0]))[0] * 0.75
    made = [{"svg": svg, "width": width, "least": LEAST * min(ROOM[0], full),
             "alt": entry.spoken if not i else say(lang, "continued", of=entry.question)}
            for i, (svg, width) in enumerate(drawn)]
    heading = f"{number}{entry.label} · {entry.name or entry.question}"
    return {"kind": "entry", "id": entry.id, "heading": heading, "slices": made,
            "rows": list(_rows(entry.blocks, lang))}


def _rows(blocks: Sequence[Block], lang: str) -> Iterable[dict[str, Any]]:
    """Blocks in two columns, those kept for the record below the others, those with broad tables alone across both."""
    waiting = list[Block]()
    for block in [*blocks, None]:
        if waiting and (block is None or _broad(block) or block.record is not waiting[-1].record):
            sides = _halves(waiting)
            yield {"kind": "beside", "whole": max(sum(_tall(b) for b in side) for side in sides) < WHOLE,
                   "sides": [[_block(b, lang) for b in side] for side in sides]}
            waiting = []
        if block is not None and _broad(block):
            yield {"kind": "wide", "block": _block(block, lang)}
        elif block is not None:
            waiting.append(block)


def _broad(block: Block) -> bool:
    return any(isinstance(part, Grid) and len(part.heads) > 3 for part in block.parts)


def _halves(blocks: Sequence[Block]) -> tuple[Sequence[Block], Sequence[Block]]:
    """Two columns about as tall as each other: each in order, the first block in the first."""
    def cost(right: Sequence[bool]) -> tuple[float, int]:
        tall = [sum(_tall(b) for b, k in zip(blocks, right, strict=True) if k is side) for side in (False, True)]
        return max(tall), sum(k and not later for at, k in enumerate(right) for later in right[at:])

    free = min(len(blocks) - 1, 9)  # of more blocks, the last ones stand in the second column
    right = min(((False, *some, *[True] * (len(blocks) - 1 - free)) for some in product((False, True), repeat=free)),
                key=cost)
    left, other = ([b for b, k in zip(blocks, right, strict=True) if k is side] for side in (False, True))
    return left, other


def _tall(block: Block) -> float:
    """Lines that a block takes in a column, about."""
    lines = 2.5
    for part in block.parts:
        if isinstance(part, Lines):
            lines += sum(0.4 + -(-columns("".join(t for t, _ in runs)) // 52) + sum(t == "\n" for t, _ in runs)
                         for runs in part.paragraphs)
        elif isinstance(part, Pairs):
            lines += sum(0.2 + max(-(-columns(name) // 19), -(-columns(value) // 31), 1) for name, value in part.pairs)
        else:
            lines += 1.5 * (len(part.rows) + 1 + bool(part.rest))
    return lines


def _block(block: Block, lang: str) -> dict[str, Any]:
    made = list[dict[str, Any]]()
    for part in block.parts:
        if isinstance(part, Lines):
            made.append({"kind": "lines", "paragraphs": part.paragraphs})
        elif isinstance(part, Pairs):
            made.append({"kind": "pairs", "pairs": part.pairs})
        else:
            made.append(_grid(_narrowed(part)))
            if len(part.heads) > ACROSS:
                told = say(lang, "more columns", n=len(part.heads) - ACROSS)
                made.append({"kind": "lines", "paragraphs": [[[told, "soft"]]]})
    return {"title": block.title, "long": _tall(block) > LONG, "parts": made}


def _narrowed(grid: Grid) -> Grid:
    """As many columns as a page has room for."""
    return replace(grid, heads=grid.heads[:ACROSS], rows=tuple(row[:ACROSS] for row in grid.rows),
                   rest=grid.rest[:ACROSS])


def _grid(grid: Grid) -> dict[str, Any]:
    right = [k >= grid.numbers and k not in grid.words for k in range(len(grid.heads))]
    return {"kind": "grid", "heads": grid.heads, "rows": grid.rows, "rest": grid.rest, "right": right}


def _signs(lang: str) -> dict[str, dict[str, str]]:
    """The verdicts' shapes, each with its word."""
    made = dict[str, dict[str, str]]()
    for status, shape in {**SHAPES, "none": NEUTRAL}.items():
        path = el("path", d=shape, transform="translate(1 1)", fill="none", stroke=LIGHT.get(status, LIGHT["soft"]),
                  stroke_width=1.8, stroke_linecap="round", stroke_linejoin="round")
        svg = el("svg", path, xmlns="http://www.w3.org/2000/svg", width=20, height=20, viewBox="0 0 20 20")
        made[status] = {"svg": svg.markup(), "word": say(lang, status if status != "none" else "no verdict")}
    return made


def _faces(lang: str) -> list[Any]:
    """The fonts of the text; in Chinese, quotation marks are Chinese as well."""
    latin, *others = fonts.faces()
    return [{"name": latin, "covers": "latin-in-cjk"}, *fonts.faces(chinese=True)] if lang == "zh" else [latin, *others]


def _logo(logo: Logo | None, owner: str) -> dict[str, Any] | None:
    """The logo as pixels: whatever else an SVG holds stays behind."""
    if logo is None:
        return None
    content, kind = logo.content, {"image/png": "png", "image/jpeg": "jpg"}.get(logo.media)
    if kind is None:
        content, kind = pictured(content), "png"
    return {"content": list(content), "format": kind, "alt": owner}


def _strings(value: Any) -> Iterable[str]:
    """Every text in the data but the drawings, which were looked at before."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key != "svg":
                yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)


def _marked(value: Any, absent: list[str]) -> Any:
    if isinstance(value, str):
        return fonts.marked(value, absent)
    if isinstance(value, dict):
        return {key: inner if key == "svg" else _marked(inner, absent) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_marked(inner, absent) for inner in value]
    return value
