"""A report as PDF: tagged, with an outline, in vectors; typst sets the pages, and gets everything as data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from pellucid.printing import fonts
from pellucid.printing.flattened import flat
from pellucid.printing.press import WRITTEN, pictured, set_, typeset
from pellucid.printing.slices import sliced
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
ACROSS = 10
"""Columns of a table that a page has room for."""
LONG = 24
"""Lines from which a part below a drawing may run on to the next page."""
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
    lang, drawn, absent = doc.lang, list[list[tuple[str, float]]](), dict[str, None]()
    for entry in doc.entries:
        svg, missing = typeset(flat(entry.svg), lang, told=False)
        drawn.append(sliced(svg, *ROOM))
        absent |= dict.fromkeys(missing)
    pictures = iter(drawn)
    numbers = iter(range(1, len(drawn) + 1))
    data: dict[str, Any] = {
        "title": doc.title, "short": clip(doc.title, 60, columns), "lang": lang, "notes": doc.notes, "lead": doc.lead,
        "made": doc.made, "maker": f"Pellucid {__version__}", "embeds": say(lang, "embeds") if doc.embeds else "",
        "page": say(lang, "page of", page="{page}", pages="{pages}"),
        "labels": {"hurry": say(lang, "in a hurry"), "contents": say(lang, "contents"),
                   "overview": say(lang, "overview")},
        "hurry": [{"id": e.id, "status": e.status or "none", "sentence": e.sentence, "verdict": e.verdict}
                  for e in doc.entries],
        "overview": _grid(doc.overview) if doc.overview is not None else None,
        "parts": [_entry(part, lang, pictures, numbers) if isinstance(part, Entry)
                  else _group(part, lang, pictures, numbers) for part in doc.parts],
    }
    absent |= dict.fromkeys(fonts.missing("".join(_strings(data))))
    data = _marked(data, list(absent)) if absent else data
    return {**data, "fontless": fonts.line(list(absent), lang) if absent else "", "signs": _signs(lang),
            "fonts": _faces(lang), "logo": _logo(doc.logo, doc.title)}


def _group(group: Group, lang: str, pictures: Any, numbers: Any) -> dict[str, Any]:
    return {"kind": "group", "title": group.title, "paragraphs": group.paragraphs,
            "entries": [_entry(e, lang, pictures, numbers) for e in group.entries]}


def _entry(entry: Entry, lang: str, pictures: Any, numbers: Any) -> dict[str, Any]:
    made = [{"svg": svg, "width": width, "alt": entry.spoken if not i else say(lang, "continued", of=entry.question)}
            for i, (svg, width) in enumerate(next(pictures))]
    return {"kind": "entry", "id": entry.id, "heading": f"{next(numbers)}  {entry.label} · {entry.question}",
            "slices": made, "rows": list(_rows(entry.blocks, lang))}


def _rows(blocks: Sequence[Block], lang: str) -> Iterable[dict[str, Any]]:
    """Blocks in two columns, those with broad tables alone across both."""
    waiting = list[Block]()
    for block in [*blocks, None]:
        if block is not None and not _broad(block):
            waiting.append(block)
            continue
        if waiting:
            yield {"kind": "beside", "sides": [[_block(b, lang) for b in side] for side in _halves(waiting)]}
            waiting = []
        if block is not None:
            yield {"kind": "wide", "block": _block(block, lang)}


def _broad(block: Block) -> bool:
    return any(isinstance(part, Grid) and len(part.heads) > 3 for part in block.parts)


def _halves(blocks: Sequence[Block]) -> tuple[Sequence[Block], Sequence[Block]]:
    """Cut where both columns come out about as tall."""
    tall = [_tall(b) for b in blocks]
    at = min(range(1, len(blocks) + 1), key=lambda k: max(sum(tall[:k]), sum(tall[k:])))
    return blocks[:at], blocks[at:]


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
    return Grid(grid.heads[:ACROSS], tuple(row[:ACROSS] for row in grid.rows), grid.rest[:ACROSS], grid.numbers)


def _grid(grid: Grid) -> dict[str, Any]:
    return {"kind": "grid", "heads": grid.heads, "rows": grid.rows, "rest": grid.rest, "numbers": grid.numbers}


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
