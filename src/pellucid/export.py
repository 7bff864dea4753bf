"""The verb: export(item, path), a drawing or its numbers in a file, by the ending of its name."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pellucid import printing
from pellucid.languages import choice
from pellucid.languages.catalogue import method_name, say
from pellucid.printing.latex import escaped, figure
from pellucid.report.page import report
from pellucid.report.told import verdict_of
from pellucid.store import atomic, tabular
from pellucid.version import __version__
from pellucid.views.png import dense
from pellucid.views.svg import heading
from pellucid.words.draw import Drawn
from pellucid.words.errors import FileError, OptionError, nearest
from pellucid.words.table import chosen

TOLD = ("method", "target", "model", "score", "baseline_score", "residual", "inputs", "layer", "paper", "recipe",
         "provenance", "evidence")
"""What goes beside the tables, where a record has it."""


def export(item: Drawn, path: str | os.PathLike[str], *, lang: str | None = None, width: float | None = None,
           scale: float | None = None, theme: str | None = None, table: str | None = None, **options: Any) -> Path:
    """Write a record's drawing or its numbers to a file that is there whole or not at all; its path.

    The ending chooses: `.svg`, `.png` and `.pdf` are the drawing, `width` units wide (720; 320 to 2000; a PNG has
    `scale` pixels for each, 2 if left out), `theme` "print", "light" or "dark" (an SVG without one follows its reader's
    system; one for print has no style sheet, for programs that read none), and `options` as the drawing takes them.
    `.tex` is a figure for LaTeX, with the drawing beside it as NAME-figure.pdf. `.txt` is the drawing in characters,
    `.html` a page of its own. `.csv` and `.parquet` are one table, the first or the one named by `table`; `.json` all
    tables with recipe and provenance. A record that holds an input embeds it in its drawing.

    Raises `export.format` for another ending, `export.table` for a table that it has not, `option.unknown` for an
    option that an ending has no use for, `option.width`, `option.scale`, `option.theme`, `extra.pdf` and
    `extra.parquet` where what writes a format is not installed, and `file.unwritable`.
    """
    place = Path(path)
    kind = place.suffix.lower()
    if kind not in ENDINGS:
        raise OptionError("export.format", repr(place.suffix), ", ".join(ENDINGS),
                          nearest(kind, ENDINGS) if kind else "give the file a name with one of these endings")
    if not place.parent.is_dir():
        raise FileError("file.unwritable", f"no folder {str(place.parent)!r}", "a file name in a folder that exists",
                        "create the folder first")
    given = {**{k: v for k, v in (("width", width), ("scale", scale), ("theme", theme)) if v is not None}, **options}
    if kind not in DRAWINGS:
        _useless(given, kind)
    elif kind != ".png" and "scale" in given:
        _useless({"scale": scale}, kind)
    if kind in (".csv", ".parquet"):
        one = chosen(item.tables(lang=lang), table)
        if kind == ".csv" and (n := sum(tabular.guarded(cell) for row in one.rows for cell in row)):
            logging.getLogger("pellucid").warning(say(lang, "guarded", n=n, file=place.name))
        return atomic.write(place, tabular.csv(one) if kind == ".csv" else tabular.parquet(one, _beside(item)))
    if table is not None:
        raise OptionError("option.value", f"table={table!r} for a {kind} file", "a .csv or .parquet file",
                          "leave table out, or write one of those")
    return ENDINGS[kind](item, place, {"width": 720, "theme": None, **given, "lang": lang})


def _useless(options: Mapping[str, Any], kind: str) -> None:
    """An error for the first of these, which a file of this kind has no use for."""
    for name in options:
        raise OptionError("option.unknown", f"{name}= for a {kind} file",
                          "options of drawings for " + ", ".join(DRAWINGS) + " only, scale for .png",
                          "leave it out")


def _drawing(item: Drawn, options: Mapping[str, Any], theme: str | None = None) -> str:
    """The drawing without what only files of pixels ask for."""
    asked = {k: v for k, v in options.items() if k not in ("scale", "theme")}
    return item.svg(**asked, **({"theme": theme} if theme is not None else {}))


def _paper(options: Mapping[str, Any]) -> str:
    """The theme of what has no reader's system to follow."""
    return "print" if options["theme"] in (None, "auto") else options["theme"]


def _svg(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    theme = options["theme"]
    drawn = _drawing(item, options, theme)
    return atomic.write(place, (printing.flat(drawn, "print") if theme == "print" else drawn).encode("utf-8"))


def _png(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    theme = _paper(options)
    drawn = _drawing(item, options, theme)  # first, for it minds the width
    wide = _pixels(options)
    made = printing.png(drawn, width=wide, theme=theme, lang=options["lang"])
    return atomic.write(place, dense(made, 96 * wide / options["width"]))


def _pixels(options: Mapping[str, Any]) -> int:
    scale: Any = options.get("scale", 2.0)
    number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if not number or not (math.isfinite(scale) and options["width"] * scale >= 1):
        raise OptionError("option.scale", f"scale={scale!r}", "a number above 0", "leave it out for 2")
    return round(options["width"] * scale)


def _pdf(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, _vectors(item, options))


def _vectors(item: Drawn, options: Mapping[str, Any]) -> bytes:
    theme = _paper(options)
    return printing.pdf(_drawing(item, options, theme), theme=theme, lang=options["lang"])


def _tex(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    """The drawing as PDF, and a figure that shows it.

    The PDF's name is plain whatever the figure's is, another for every other, and no name that somebody would choose.
    """
    name = re.sub(r"[^A-Za-z0-9-]+", "-", place.stem).strip("-")
    if name != place.stem:
        name = "-".join(filter(None, (name, hashlib.sha256(place.stem.encode("utf-8", "replace")).hexdigest()[:8])))
    beside = place.with_name(f"{name}-figure.pdf")
    new, spoken = not beside.exists(), choice.chosen(options["lang"])
    glue = "" if spoken == "zh" else " "
    caption = glue.join(escaped(t) for t in _caption(item, spoken))
    atomic.write(beside, _vectors(item, options))
    try:
        return atomic.write(place, figure(beside.stem, caption).encode())
    except FileError:
        if new:
            beside.unlink(missing_ok=True)
        raise


def _caption(item: Drawn, lang: str) -> list[str]:
    """What is asked, how it was answered, and the verdict with its reasons, as sentences."""
    told = [heading(item.svg(lang=lang))[0] or item.tables(lang=lang)[0].title]
    if method := getattr(item, "method", ""):
        told.append(say(lang, "joint").join(filter(None, (method_name(method, lang), getattr(item, "model", "")))))
    verdict = verdict_of(item)
    if verdict is not None:
        reasons = say(lang, "comma").join(f.told(lang)[0] for f in verdict.findings)
        told.append(say(lang, verdict.status) + (say(lang, "colon") + reasons if reasons else ""))
    return [t if t.endswith((".", "?", "!", "。", "？", "！")) else t + say(lang, "stop").strip() for t in told]


def _txt(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, item.text(lang=options["lang"]).encode("utf-8"))


def _html(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return report(item, place, lang=options["lang"])


def _json(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, tabular.written(document(item, options["lang"])))


def document(item: Drawn, lang: str | None = None) -> dict[str, Any]:
    """All tables and what is beside them, as JSON holds it; `digest` is of tables, recipe and provenance."""
    tables = {t.name: {"title": t.title, "columns": [asdict(c) for c in t.columns], "rows": list(t.records())}
              for t in item.tables(lang=lang)}
    made = tabular.plain({**_beside(item), "tables": tables})
    rows = {name: t["rows"] for name, t in made["tables"].items()}
    digested = json.dumps([rows, made.get("recipe"), made.get("provenance")], sort_keys=True, separators=(",", ":"))
    return {**made, "digest": "sha256:" + hashlib.sha256(digested.encode()).hexdigest()}


def _beside(item: Drawn) -> dict[str, Any]:
    """The kind of a record, and what it says of itself beside its numbers."""
    told: dict[str, Any] = {"pellucid": __version__, "kind": item.drawn}
    for name in TOLD:
        value = getattr(item, name, None)
        if value is not None and value != "":
            told[name] = value
    if model := getattr(getattr(item, "run", None), "model", ""):
        told.setdefault("model", model)
    verdict = verdict_of(item)
    if verdict is not None:
        told["verdict"] = {"status": verdict.status, "findings": verdict.findings}
    return told


DRAWINGS = (".svg", ".png", ".pdf", ".tex")
"""Endings of what is drawn, in a width and a theme."""

Write = Callable[[Drawn, Path, Mapping[str, Any]], Path]

ENDINGS: dict[str, Write | Any] = {
    ".svg": _svg, ".png": _png, ".pdf": _pdf, ".tex": _tex, ".txt": _txt, ".html": _html, ".json": _json, ".csv": None,
    ".parquet": None,
}
"""What can be written, by the ending of a file's name; the last two are tables."""
