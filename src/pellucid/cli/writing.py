"""Answers into files, by the ending of the name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.cli import output
from pellucid.words.errors import FileError, OptionError, nearest

PAGES = (".html", ".pdf")
"""Reports, which hold several."""
SINGLE = (".svg", ".png", ".tex", ".csv", ".parquet")
"""One drawing, or the first table of one."""
ENDINGS = (*PAGES, *SINGLE, ".txt", ".json")
"""What every verb can write."""
STORED = (*ENDINGS, ".pellucid")
"""What an explanation can be written to besides: the file that keeps it whole."""


def _out(known: Sequence[str]) -> Any:
    told = f"Write {', '.join(known[:-1])} or {known[-1]}; may be given several times."
    return typer.Option("--out", "-o", metavar="FILE", help=told)


Out = Annotated[list[str] | None, _out(ENDINGS)]
OutStored = Annotated[list[str] | None, _out(STORED)]


def check(path: str, known: Sequence[str] = ENDINGS) -> Path:
    """The place of a file still to be written; refused before any work is done."""
    place = Path(path).expanduser()
    if place.suffix.lower() not in known:
        raise OptionError("out.format", f"--out {path}", "a name ending in " + ", ".join(known),
                          nearest(place.suffix.lower(), known) if place.suffix else f"write {path}{known[0]}")
    if place.is_dir() or not place.parent.is_dir():
        what = "a folder of that name" if place.is_dir() else f"no folder {str(place.parent)!r}"
        raise FileError("file.unwritable", what, "a file name in a folder that exists", "create the folder first")
    return place


def check_count(places: Sequence[Path], count: int) -> None:
    """Refuse several explanations for a file that holds one, before any work is done."""
    for place in places if count > 1 else ():
        if place.suffix.lower() in (*SINGLE, ".pellucid"):
            raise OptionError("out.several", f"{count} explanations for one {place.suffix.lower()} file",
                              "one explanation", "write .html, .pdf or .json, or choose one --method and one --row")


def write(found: Sequence[Any], place: Path, *, lang: str, title: str = "", keep_input: bool = False,
          **page: Any) -> Path:
    """Write explanations to one file whose name says how; `page` are options of a report."""
    if place.suffix.lower() == ".pellucid":
        found[0].save(place, input=keep_input)
        return place
    made = [output.as_dict(e) for e in found] if place.suffix.lower() == ".json" else []
    return write_drawn(found, place, made[0] if len(made) == 1 else made, lang=lang, title=title, page=page)


def write_drawn(items: Sequence[Any], place: Path, made: Any, *, lang: str, title: str = "", more: str = "",
                page: dict[str, Any] | None = None, **drawing: Any) -> Path:
    """Write what has a drawing to one file: all of it on a page or as text, the last as a drawing or its first table.

    JSON is `made`, with the tables of a single answer beside; `more` goes below the text, `drawing` are options of a
    drawing.
    """
    from pellucid.export import document, export
    from pellucid.report.page import report
    from pellucid.store import atomic, tabular

    kind = place.suffix.lower()
    if kind in PAGES:
        return report(items, place, title=title, lang=lang, **(page or {}))
    if kind == ".json":
        whole = {**document(items[-1], lang), **made} if isinstance(made, dict) else made
        return atomic.write(place, tabular.written(whole))
    if kind == ".txt":
        return atomic.write(place, ("\n".join(i.text(lang=lang) for i in items) + more).encode())
    return export(items[-1], place, lang=lang, **(drawing if kind in (".svg", ".png", ".tex") else {}))
