"""What stands behind INPUT: a file, standard input, or the text itself."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

from pellucid.models.csv_file import BYTES as CSV_BYTES
from pellucid.models.csv_file import read_csv
from pellucid.models.image_file import BYTES as IMAGE_BYTES
from pellucid.models.local_file import check_file, read_bytes
from pellucid.models.subject import Subject
from pellucid.words.errors import InputError, OptionError, nearest

STDIN = "-"
TEXT_BYTES = 1_000_000
TEXT_FILES = (".txt", ".csv", ".md", ".json", ".tsv")


def read(subject: Subject, given: str, *, row: int | None = None, column: str | None = None) -> Any:
    """The raw input for `explain`; several rows of a table come as a list."""
    task = subject.task
    if column is not None and task != "text":
        raise OptionError("option.unfit", f"--column {column}", "a text model, whose text is in that column",
                          "leave --column out; a table's columns go by their names")
    if row is not None and task not in ("table", "text"):
        raise OptionError("option.unfit", f"--row {row}", "rows of a CSV file", "leave --row out")
    if task == "image":
        return _bytes(IMAGE_BYTES) if given == STDIN else str(check_file(given))
    if task == "table":
        return _one_or_all(read_csv(_bytes(CSV_BYTES) if given == STDIN else given), row)
    if task == "text":
        return _text(given, row, column)
    return tensor(given)


def _text(given: str, row: int | None, column: str | None) -> Any:
    """The text of a file or of standard input without its last line end, a CSV's column, or INPUT itself."""
    place = None if given == STDIN or not _is_file(given) else given
    table = column is not None or row is not None or (place is not None and place.lower().endswith((".csv", ".tsv")))
    if table and (given == STDIN or place is not None):
        rows = read_csv(_bytes(CSV_BYTES) if given == STDIN else given)
        names = list(rows[0])
        if column is None and len(names) > 1:
            raise OptionError("option.missing", f"{len(names)} columns and no --column", ", ".join(names)[:300],
                              "say which column holds the text: --column NAME")
        if column is not None and column not in names:
            raise OptionError("csv.missing_column", f"no column {column!r}", ", ".join(names)[:300],
                              nearest(column, names))
        return _one_or_all([str(r[column or names[0]]) for r in rows], row)
    if table:
        raise OptionError("option.unfit", "--row or --column without a CSV file", "a CSV file as INPUT",
                          "name the file, or leave them out")
    if given == STDIN or place is not None:
        data = _bytes(TEXT_BYTES) if place is None else read_bytes(place, TEXT_BYTES, "text.too_long")
        return data.rstrip(b"\r\n")
    return given


def _is_file(given: str) -> bool:
    """Whether INPUT names a file; a name that looks like one must exist."""
    try:
        if Path(given).expanduser().is_file():
            return True
    except (OSError, ValueError):
        return False
    if given.lower().endswith(TEXT_FILES) and not any(c.isspace() for c in given):
        check_file(given)
    return False


def tensor(given: str) -> Any:
    """An array in NumPy's own format, without anything pickled; its first axis is the batch."""
    import numpy as np
    import torch

    if given != STDIN and not given.lower().endswith(".npy"):
        check_file(given)
        raise InputError("input.type", f"a file ending in {Path(given).suffix or 'nothing'}",
                         "a .npy file: this model takes tensors as they are",
                         "save one with numpy.save, or wrap the model with preprocess=, tokenizer= or columns=")
    data = _bytes(IMAGE_BYTES) if given == STDIN else read_bytes(given, IMAGE_BYTES, "input.too_large")
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
        return torch.from_numpy(np.ascontiguousarray(array))
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise InputError("input.unreadable", "a file that is no plain NumPy array", "numbers saved by numpy.save",
                         "save the array again, without objects in it") from error


def _one_or_all(rows: list[Any], row: int | None) -> Any:
    if row is not None:
        if not 1 <= row <= len(rows):
            raise OptionError("row.out_of_range", f"--row {row}", f"1 to {len(rows)}",
                              "count rows from 1, without the header")
        return rows[row - 1]
    return rows[0] if len(rows) == 1 else rows


def _bytes(limit: int) -> bytes:
    """Standard input, whole; one byte above the limit is too much."""
    data = sys.stdin.buffer.read(limit + 1)
    if len(data) > limit:
        raise InputError("input.too_large", f"more than {limit / 1e6:.0f} MB on standard input",
                         f"at most {limit / 1e6:.0f} MB", "make it smaller first")
    if not data:
        raise InputError("input.empty", "nothing on standard input", "the bytes of one input",
                         f"pipe the input in, for example: cat FILE | pellucid explain MODEL {STDIN}")
    return data


def name_of(given: str) -> str:
    """How messages call the input."""
    return "standard input" if given == STDIN else os.path.basename(given)[:60]

