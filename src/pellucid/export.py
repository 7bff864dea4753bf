"""The verb: export(item, path), a drawing or its numbers in a file, by the ending of its name."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from pellucid import printing
from pellucid.languages.catalogue import method_name, say
from pellucid.languages.marks import mark, visible
from pellucid.report.page import report
from pellucid.store import atomic
from pellucid.version import __version__
from pellucid.words.draw import Drawn
from pellucid.words.errors import FileError, OptionError, nearest
from pellucid.words.table import Cell, Table, chosen

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for a formula: text that begins so gets an apostrophe in front. Numbers stay as they are."""

KEPT = "\n\r\t\u200c\u200d"
"""Unseen characters that stay in the text of a CSV file: they break lines, and join emoji and letters."""

TOLD = ("method", "target", "model", "score", "baseline_score", "residual", "inputs", "layer", "paper", "verdict",
        "recipe", "provenance", "evidence")
"""What goes beside the tables, where a record has it."""

_ODD = re.compile(r"[^\x20-\x7e]")

_TEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
        "^": r"\textasciicircum{}", "_": r"\_", "~": r"\textasciitilde{}", "%": r"\%",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": r"\`{}",
        "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "÷": r"$\div$", "≤": r"$\le$", "≥": r"$\ge$", "→": r"$\to$",
        "∞": r"$\infty$", "…": r"\ldots{}"}
"""How LaTeX writes what means something there, and signs that its older engines do not know."""


def export(item: Drawn, path: str | os.PathLike[str], *, lang: str | None = None, width: float = 720,
           scale: float = 2.0, theme: str | None = None, table: str | None = None, **options: Any) -> Path:
    """Write a record's drawing or its numbers to a file that is there whole or not at all; its path.

    The ending chooses: `.svg`, `.png` and `.pdf` are the drawing, `width` units wide (320 to 2000; a PNG has `scale`
    pixels for each), `theme` "print", "light" or "dark" (an SVG without one follows its reader's system; one for print
    has no style sheet, for programs that read none), and `options` as the drawing takes them. `.tex` is a figure for
    LaTeX, with the drawing as PDF beside it. `.txt` is the drawing in characters, `.html` a page of its own. `.csv` and
    `.parquet` are one table, the first or the one named by `table`; `.json` all tables with recipe and provenance. A
    record that holds an input embeds it in its drawing.

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
        one = chosen(item.tables(lang=lang), table)
        if kind == ".csv" and (n := sum(guarded(cell) for row in one.rows for cell in row)):
            logging.getLogger("pellucid").warning(say(lang, "guarded", n=n, file=place.name))
        return atomic.write(place, _csv(one) if kind == ".csv" else _parquet(one, item))
    if table is not None:
        raise OptionError("option.value", f"table={table!r} for a {kind} file", "a .csv or .parquet file",
                          "leave table out, or write one of those")
    return ENDINGS[kind](item, place, {"lang": lang, "width": width, "scale": scale, "theme": theme, **options})


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
    made = printing.png(_drawing(item, options, theme), width=_pixels(options), theme=theme, lang=options["lang"])
    return atomic.write(place, made)


def _pixels(options: Mapping[str, Any]) -> int:
    wide = options["width"] * options["scale"]
    if not (math.isfinite(wide) and wide >= 1):
        raise OptionError("option.scale", f"scale={options['scale']}", "a number above 0", "leave it out for 2")
    return round(wide)


def _pdf(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, _vectors(item, options))


def _vectors(item: Drawn, options: Mapping[str, Any]) -> bytes:
    theme = _paper(options)
    return printing.pdf(_drawing(item, options, theme), theme=theme, lang=options["lang"])


def _tex(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    """The drawing as PDF, and a figure that shows it; the PDF's name is plain, whatever the figure's is."""
    name = re.sub(r"[^A-Za-z0-9-]+", "-", place.stem).strip("-") or "figure"
    atomic.write(place.with_name(f"{name}.pdf"), _vectors(item, options))
    caption = " ".join(escaped(t) for t in _caption(item, options["lang"]))
    farthest = max(map(ord, caption))  # what pdfLaTeX knows of itself ends with Latin letters and their quotes
    more = ("" if farthest < 0x250 or all(ord(c) < 0x250 or c in "‘’“”–—‹›" for c in caption) else
            "; typeset with LuaLaTeX or XeLaTeX" + (" and ctex" if farthest >= 0x2E80 else "") + " for the caption")
    return atomic.write(place, f"""% needs \\usepackage{{graphicx}}{more}
\\begin{{figure}}[htbp]
  \\centering
  \\includegraphics[width=\\linewidth]{{{name}.pdf}}
  \\caption{{{caption}}}
  \\label{{fig:{name}}}
\\end{{figure}}
""".encode())


def _caption(item: Drawn, lang: str | None) -> list[str]:
    """What is asked, how it was answered, and the verdict with its reasons, as sentences."""
    told = [item.tables(lang=lang)[0].title]
    if method := getattr(item, "method", ""):
        told.append(say(lang, "joint").join(filter(None, (method_name(method, lang), getattr(item, "model", "")))))
    verdict = getattr(item, "verdict", None)
    if verdict is not None and verdict.findings:
        reasons = say(lang, "comma").join(f.told(lang)[0] for f in verdict.findings)
        told.append(say(lang, verdict.status) + say(lang, "colon") + reasons)
    return [t if t.endswith((".", "?", "!", "。", "？", "！")) else t + say(lang, "stop").strip() for t in told]


def escaped(text: str) -> str:
    """Text as LaTeX takes it: every character that means something there means itself."""
    return "".join(_TEX.get(c, c) for c in visible(" ".join(text.split()), 2000))


def _txt(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, item.text(lang=options["lang"]).encode("utf-8"))


def _html(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return report(item, place, lang=options["lang"])


def _csv(table: Table) -> bytes:
    """RFC 4180 in UTF-8 with the columns' names for machines; whatever is text stands in quotes."""
    rows = [[c.name for c in table.columns], *table.rows]
    return "".join(",".join(map(_cell, row)) + "\r\n" for row in rows).encode("utf-8")


def guarded(value: Cell) -> bool:
    """Whether a spreadsheet would take a text for a formula."""
    return isinstance(value, str) and value.startswith(FORMULAS)


def _cell(value: Cell) -> str:
    """Numbers to the last digit; text with what cannot be seen as marks (joiners of emoji and letters stay)."""
    if isinstance(value, str):
        seen = _ODD.sub(lambda c: c[0] if c[0] in KEPT else mark(c[0]) or c[0], value)
        told = f"'{seen}" if guarded(value) else seen
        return '"' + told.replace('"', '""') + '"'
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    return repr(value)


def _json(item: Drawn, place: Path, options: Mapping[str, Any]) -> Path:
    return atomic.write(place, written(document(item, options["lang"])))


def document(item: Drawn, lang: str | None = None) -> dict[str, Any]:
    """All tables and what is beside them, as JSON holds it; `digest` is of tables, recipe and provenance."""
    tables = {t.name: {"title": t.title, "columns": [asdict(c) for c in t.columns], "rows": list(t.records())}
              for t in item.tables(lang=lang)}
    made = plain({**_beside(item), "tables": tables})
    rows = {name: t["rows"] for name, t in made["tables"].items()}
    digested = json.dumps([rows, made.get("recipe"), made.get("provenance")], sort_keys=True, separators=(",", ":"))
    return {**made, "digest": "sha256:" + hashlib.sha256(digested.encode()).hexdigest()}


def written(found: Any) -> bytes:
    """Strict JSON in UTF-8, a row of a table on a line; characters that cannot be seen are escaped."""
    text = _laid_out(plain(found), 0) + "\n"
    seen = _ODD.sub(lambda c: c[0] if c[0] == "\n" or mark(c[0]) is None else json.dumps(c[0])[1:-1], text)
    return seen.encode("utf-8")


def _laid_out(value: Any, depth: int) -> str:
    """JSON that is broken into lines down to the rows of tables."""
    if depth == 4 or not value or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    pad, dump = "\n" + " " * (depth + 1), json.dumps
    inside = [f"{dump(k, ensure_ascii=False)}: {_laid_out(v, depth + 1)}" for k, v in value.items()] if isinstance(
        value, dict) else [_laid_out(v, depth + 1) for v in value]
    if isinstance(value, list) and not isinstance(value[0], dict | list):
        return "[" + ", ".join(inside) + "]"
    ends = "{}" if isinstance(value, dict) else "[]"
    return ends[0] + pad + ("," + pad).join(inside) + pad[:-1] + ends[1]


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
    kinds = [_kind(cells, "float" if c.unit else "str") for c, cells in zip(table.columns, columns, strict=True)]
    fields = [arrow.field(c.name, types[kind], metadata={"title": c.title, "unit": c.unit})
              for c, kind in zip(table.columns, kinds, strict=True)]
    told = written(_beside(item)).decode()
    arrays = [arrow.array(_even(cells, kind), types[kind]) for cells, kind in zip(columns, kinds, strict=True)]
    made = arrow.table(arrays, schema=arrow.schema(fields, metadata={"pellucid": told}))
    out = io.BytesIO()
    parquet.write_table(made, out)
    return out.getvalue()


def _kind(column: Iterable[Cell], empty: str = "str") -> str:
    """The type of a column: text where any cell is text, whole numbers only where all are; `empty` where none is."""
    kinds = {type(v).__name__ for v in column if v is not None}
    return next((kind for kind in ("str", "float", "int", "bool") if kind in kinds), empty)


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
