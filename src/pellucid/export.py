"""The verb: export(item, path), a drawing or its numbers in a file, by the ending of its name."""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from pellucid import printing
from pellucid.languages.marks import visible
from pellucid.report.page import report
from pellucid.store import atomic
from pellucid.version import __version__
from pellucid.words.draw import Drawn
from pellucid.words.errors import FileError, OptionError, nearest
from pellucid.words.table import Cell, Table

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula: text that begins so gets an apostrophe in front. Numbers stay as they are."""

TOLD = ("method", "target", "model", "score", "baseline_score", "residual", "inputs", "layer", "paper", "verdict",
        "recipe", "provenance", "evidence")
"""What goes beside the tables, where a record has it."""

_TEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}",
        "_": r"\_", "~": r"\textasciitilde{}", "%": r"\%", "<": r"\textless{}", ">": r"\textgreater{}",
        "|": r"\textbar{}", '"': r"\textquotedbl{}", "'": "'", "`": r"\textasciigrave{}"}


def export(item: Drawn, path: str | os.PathLike[str], *, lang: str | None = None, width: float = 720,
           scale: float = 2.0, theme: str | None = None, table: str | None = None, **options: Any) -> Path:
    """Write a record's drawing or its numbers to a file that is there whole or not at all; its path.

    The ending chooses: `.svg`, `.png` and `.pdf` are the drawing, `width` units wide (320 to 2000; a PNG has `scale`
    pixels for each), `theme` "print", "light" or "dark" (an SVG without one follows its reader's system), and `options`
    as the drawing takes them. `.tex` is a figure for LaTeX, with the drawing as PDF beside it. `.txt` is the
    drawing in characters, `.html` a page of its own. `.csv` and `.parquet` are one table, the first or the one named by
    `table`; `.json` all tables with recipe and provenance. A record that holds an input embeds it in its drawing.

    Raises `export.format` for another ending, `export.table` for a table that it has not, `extra.pdf` and
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
    if kind in (".csv", ".parquet"):
        chosen = _chosen(item.tables(lang=lang), table)
        return atomic.write(place, _csv(chosen) if kind == ".csv" else _parquet(chosen, item))
    if table is not None:
        raise OptionError("option.value", f"table={table!r} for a {kind} file", "a .csv or .parquet file",
                          "leave table out, or write one of those")
    return ENDINGS[kind](item, place, {"lang": lang, "width": width, "scale": scale, "theme": theme, **options})


def _chosen(tables: tuple[Table, ...], name: str | None) -> Table:
    names = [t.name for t in tables]
    if name is not None and name not in names:
        raise OptionError("export.table", f"table={name!r}", ", ".join(names), nearest(name, names))
    return tables[names.index(name) if name is not None else 0]


def _drawing(item: Drawn, options: Mapping[str, Any]) -> str:
    """The drawing without what only files of pixels ask for."""
    return item.svg(**{k: v for k, v in options.items() if k != "scale" and not (k == "theme" and v is None)})


def _svg(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, _drawing(item, options).encode("utf-8"))


def _png(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    theme, lang = options["theme"] or "print", options["lang"]
    drawn = _drawing(item, {**options, "theme": None})
    return atomic.write(place, printing.png(drawn, width=_pixels(options), theme=theme, lang=lang))


def _pixels(options: Mapping[str, Any]) -> int:
    wide = options["width"] * options["scale"]
    if not (math.isfinite(wide) and wide >= 1):
        raise OptionError("option.scale", f"scale={options['scale']}", "a number above 0", "leave it out for 2")
    return round(wide)


def _pdf(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, _vectors(item, options))


def _vectors(item: Drawn, options: Mapping[str, Any]) -> bytes:
    drawn = _drawing(item, {**options, "theme": None})
    return printing.pdf(drawn, theme=options["theme"] or "print", lang=options["lang"])


def _tex(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    """The drawing as PDF, and a figure that shows it; the PDF's name is plain, whatever the figure's is."""
    tables = item.tables(lang=options["lang"])
    name = re.sub(r"[^A-Za-z0-9-]+", "-", place.stem).strip("-") or "figure"
    atomic.write(place.with_name(f"{name}.pdf"), _vectors(item, options))
    verdict = getattr(item, "verdict", None)
    reasons = [f.told(options["lang"])[0] for f in verdict.findings] if verdict is not None else []
    caption = ". ".join(escaped(t.rstrip(".")) for t in [tables[0].title, *reasons]) + "."
    wide = any(ord(c) >= 0x2E80 for c in caption)
    return atomic.write(place, f"""% needs \\usepackage{{graphicx}}{" and, for the caption, ctex or xeCJK" if wide else ""}
\\begin{{figure}}[htbp]
  \\centering
  \\includegraphics[width=\\linewidth]{{{name}.pdf}}
  \\caption{{{caption}}}
  \\label{{fig:{name}}}
\\end{{figure}}
""".encode())


def escaped(text: str) -> str:
    """Text as LaTeX takes it: every character that means something there means itself."""
    return "".join(_TEX.get(c, c) for c in visible(" ".join(text.split()), 2000))


def _txt(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, item.text(lang=options["lang"]).encode("utf-8"))


def _html(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return report(item, place, lang=options["lang"])


def _csv(table: Table) -> bytes:
    """RFC 4180 in UTF-8 with the columns' names for machines."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([c.name for c in table.columns])
    writer.writerows([_cell(v) for v in row] for row in table.rows)
    return out.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Cell) -> Any:
    if isinstance(value, str):
        value = value.replace("\0", "␀")
        return f"'{value}" if value.startswith(FORMULAS) else value
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    return repr(value)


def _json(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    """All tables, and what is beside them; numbers that JSON has not become null."""
    tables = {t.name: {"title": t.title, "columns": {c.name: c.title for c in t.columns}, "rows": list(t.records())}
              for t in item.tables(lang=options["lang"])}
    made = {**_beside(item), "tables": tables}
    return atomic.write(place, (json.dumps(plain(made), ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode(
        "utf-8", "backslashreplace"))


def _beside(item: Drawn) -> dict[str, Any]:
    """The kind of a record, and what it says of itself beside its numbers."""
    told: dict[str, Any] = {"pellucid": __version__, "kind": item.drawn}
    for name in TOLD:
        value = getattr(item, name, None)
        if value is not None and value != "":
            told[name] = {"status": value.status, "findings": value.findings} if name == "verdict" else value
    return told


def plain(value: Any) -> Any:
    """Whatever a record holds as what JSON has."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, Iterable) else str(value)


def _parquet(table: Table, item: Drawn) -> bytes:
    """One table with typed columns; recipe, provenance and the like as JSON under `pellucid` in its metadata."""
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise OptionError("extra.parquet", "no package that writes Parquet", "pyarrow",
                          "pip install 'pellucid[parquet]', or write .csv") from error
    types = {"float": arrow.float64(), "int": arrow.int64(), "bool": arrow.bool_(), "str": arrow.string()}
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    arrays = [arrow.array(_even(column, kind), types[kind]) for column in columns for kind in [_kind(column)]]
    told = json.dumps(plain(_beside(item)), ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    made = arrow.table(arrays, names=[c.name for c in table.columns], metadata={b"pellucid": told})
    out = io.BytesIO()
    parquet.write_table(made, out)
    return out.getvalue()


def _kind(column: Iterable[Cell]) -> str:
    """The type of a column: text where any cell is text, whole numbers only where all are."""
    kinds = {type(v).__name__ for v in column if v is not None}
    return "str" if "str" in kinds or not kinds else "float" if "float" in kinds else "int" if "int" in kinds else "bool"


def _even(column: Iterable[Cell], kind: str) -> list[Any]:
    if kind == "str":
        return [None if v is None else str(v).encode("utf-8", "backslashreplace").decode() for v in column]
    return [None if v is None else {"float": float, "int": int, "bool": bool}[kind](v) for v in column]


Write = Callable[[Drawn, Path, Mapping[str, Any]], Path]

ENDINGS: dict[str, Write | Any] = {
    ".svg": _svg, ".png": _png, ".pdf": _pdf, ".tex": _tex, ".txt": _txt, ".html": _html, ".json": _json, ".csv": None,
    ".parquet": None,
}
"""What can be written, by the ending of a file's name; the last two are tables."""
