"""Rows of a CSV file, read strictly: one encoding, one header, every row complete."""

from __future__ import annotations

import csv
import io
import os
from typing import Any

from pellucid.models.local_file import read_bytes
from pellucid.words.errors import InputError

BYTES, ROWS, COLUMNS, CELL = 20_000_000, 100_000, 2_000, 10_000


class Row(dict[str, Any]):
    """One row by column name, with its place in the file and what was done to read it."""

    def __init__(self, cells: dict[str, Any], place: str = "", notes: tuple[str, ...] = ()) -> None:
        super().__init__(cells)
        self.place, self.notes = place, notes


def read_csv(source: str | os.PathLike[str] | bytes) -> list[Row]:
    """The rows of a file or of its bytes. UTF-8; commas, semicolons or tabs between the cells."""
    data = source if isinstance(source, bytes) else read_bytes(source, BYTES, "csv.too_large")
    if len(data) > BYTES:
        raise InputError("csv.too_large", f"{len(data) / 1e6:.0f} MB", f"at most {BYTES / 1e6:.0f} MB",
                         "split the file")
    text, notes = _decoded(data)
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = max(",;\t", key=first.count)
    if first.count(mark) and mark != ",":
        notes += (f"cells separated by {'a semicolon' if mark == ';' else 'a tab'}",)
    rows = _parsed(text, mark if first.count(mark) else ",")
    if not rows:
        raise InputError("csv.empty", "a table without a header", "a header and at least one row", "check the file")
    header = [name.strip() for name in rows[0][1]]
    _check_header(header)
    if len(rows) == 1:
        raise InputError("csv.empty", "a header without rows", "at least one row", "check the file")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError("csv.ragged", f"{len(cells)} cells in line {line}", f"{len(header)}, as in the header",
                             "put cells that hold the separator in quotes")
    return [Row(dict(zip(header, cells, strict=True)), f"line {line}", notes) for line, cells in rows[1:]]


def _decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    if not data.strip():
        raise InputError("csv.empty", "an empty file", "a header and at least one row", "check the file")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4096]:
        raise InputError("csv.encoding", "UTF-16 or binary content", "UTF-8 text", "save the table as CSV UTF-8")
    if data.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        raise InputError("csv.encoding", "a compressed file or a workbook", "UTF-8 text", "save the table as CSV UTF-8")
    notes = ("a byte order mark was skipped",) if data.startswith(b"\xef\xbb\xbf") else ()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("csv.encoding", f"bytes that are not UTF-8, from byte {error.start}", "UTF-8 text",
                         "save the table as CSV UTF-8") from error
    if "\0" in text:
        raise InputError("csv.encoding", "NUL characters", "UTF-8 text", "save the table as CSV UTF-8")
    return text, notes


def _parsed(text: str, mark: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            if not any(c.strip() for c in cells) and len(cells) < 2:
                continue
            if len(cells) > COLUMNS:
                raise InputError("csv.too_large", f"{len(cells)} columns", f"at most {COLUMNS}", "leave columns out")
            if any(len(c) > CELL for c in cells):
                raise _long_cell(reader.line_num)
            rows.append((reader.line_num, cells))
            if len(rows) > ROWS + 1:
                raise InputError("csv.too_large", f"more than {ROWS} rows", f"at most {ROWS}", "split the file")
    except csv.Error as error:
        if "field larger" in str(error):
            raise _long_cell(reader.line_num) from error
        raise InputError("csv.quotes", f"a quote that does not fit, near line {reader.line_num}",
                         "quotes in pairs around a whole cell",
                         "close the quote, or double it inside a cell") from error
    return rows


def _check_header(header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError("csv.duplicate_column", "the column " + ", ".join(repr(n) for n in twice[:3]) + " twice",
                         "every column once", "rename or remove one of them")


def _long_cell(line: int) -> InputError:
    return InputError("csv.too_large", f"a cell above {CELL} characters near line {line}", f"at most {CELL} characters",
                      "shorten the cell, or close a quote before it")
