"""Tables and records as bytes: CSV, JSON and Parquet, safe to open and the same to the last digit."""

from __future__ import annotations

import importlib
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from pellucid.languages.marks import mark
from pellucid.words.errors import OptionError
from pellucid.words.table import Cell, Table

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for a formula: text that begins so gets an apostrophe in front. Numbers stay as they are."""

KEPT = "\n\r\t\u200c\u200d"
"""Unseen characters that stay in the text of a CSV file: they break lines, and join emoji and letters."""

_ODD = re.compile(r"[^\x20-\x7e]")


def csv(table: Table) -> bytes:
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


def parquet(table: Table, beside: Mapping[str, Any]) -> bytes:
    """One table with typed columns; what stands beside it as JSON under `pellucid` in its metadata.

    Raises `extra.parquet` without pyarrow.
    """
    try:
        arrow, writer = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise OptionError("extra.parquet", "no package that writes Parquet", "pyarrow",
                          "pip install 'pellucid[parquet]', or write .csv") from error
    types = {"float": arrow.float64(), "int": arrow.int64(), "bool": arrow.bool_(), "str": arrow.string()}
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    kinds = [kind_of(cells, "float" if c.unit else "str") for c, cells in zip(table.columns, columns, strict=True)]
    fields = [arrow.field(c.name, types[kind], metadata={"title": c.title, "unit": c.unit})
              for c, kind in zip(table.columns, kinds, strict=True)]
    told = written(beside).decode()
    arrays = [arrow.array(even(cells, kind), types[kind]) for cells, kind in zip(columns, kinds, strict=True)]
    made = arrow.table(arrays, schema=arrow.schema(fields, metadata={"pellucid": told}))
    out = io.BytesIO()
    writer.write_table(made, out)
    return out.getvalue()


def kind_of(column: Iterable[Cell], empty: str = "str") -> str:
    """The type of a column: text where any cell is text, whole numbers only where all are; `empty` where none is."""
    kinds = {type(v).__name__ for v in column if v is not None}
    return next((kind for kind in ("str", "float", "int", "bool") if kind in kinds), empty)


def even(column: Iterable[Cell], kind: str) -> list[Any]:
    if kind == "str":
        return [None if v is None else str(v).encode("utf-8", "backslashreplace").decode() for v in column]
    return [None if v is None else {"float": float, "int": int, "bool": bool}[kind](v) for v in column]
