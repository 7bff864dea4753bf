"""Explanations into files, by the ending of the name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pellucid.cli import output
from pellucid.words.errors import FileError, OptionError, nearest

ENDINGS = (".html", ".pdf", ".svg", ".pellucid", ".txt", ".json")
PAGES = (".html", ".pdf")
"""Reports, which hold several."""
SINGLE = (".svg", ".pellucid")


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
        if place.suffix.lower() in SINGLE:
            raise OptionError("out.several", f"{count} explanations for one {place.suffix.lower()} file",
                              "one explanation", "write .html, .pdf or .json, or choose one --method and one --row")


def write(found: Sequence[Any], place: Path, *, lang: str, title: str = "", keep_input: bool = False,
          **page: Any) -> Path:
    """Write explanations to one file whose name says how; `page` are options of a report."""
    from pellucid.report.page import report
    from pellucid.store import atomic

    kind = place.suffix.lower()
    if kind in PAGES:
        return report(found, place, title=title, lang=lang, **page)
    if kind == ".svg":
        return atomic.write(place, found[0].svg(lang=lang).encode())
    if kind == ".pellucid":
        found[0].save(place, input=keep_input)
        return place
    if kind == ".json":
        made = [output.as_dict(e) for e in found]
        return atomic.write(place, (output.as_text(made[0] if len(made) == 1 else made) + "\n").encode())
    return atomic.write(place, "\n".join(e.text(lang=lang) for e in found).encode())


def write_drawn(items: Sequence[Any], place: Path, made: Any, *, lang: str, title: str = "") -> Path:
    """Write what has a drawing to one file: all of it on a page or as text, the last as a drawing, `made` as JSON."""
    from pellucid.report.page import report
    from pellucid.store import atomic

    kind = place.suffix.lower()
    if kind in PAGES:
        return report(items, place, title=title, lang=lang)
    content = (items[-1].svg(lang=lang) if kind == ".svg" else output.as_text(made) + "\n" if kind == ".json"
               else "\n".join(i.text(lang=lang) for i in items))
    return atomic.write(place, content.encode())
