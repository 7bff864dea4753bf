"""Rows of a table for models that take standardised numbers and one-hot categories."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pellucid.models import layouts
from pellucid.models.csv_file import Row, read_csv
from pellucid.models.layouts import Layout
from pellucid.models.subject import Example
from pellucid.models.tensors import as_tensor, check_finite, given_value, is_array, own, recorded
from pellucid.words.case import Carrier
from pellucid.words.errors import InputError, ModelError, OptionError, nearest
from pellucid.words.explanation import Shown
from pellucid.words.features import Features, columns, groups
from pellucid.words.site import INPUT

BASELINES = ("mean", "median", "zero", "data:I", "draws:K")


@dataclass(frozen=True)
class Column:
    """One column: a number, standardised by mean and std, or a category, one entry per value."""

    name: str
    kind: str = "number"
    categories: tuple[str, ...] = ()
    unit: str = ""
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(str(c) for c in self.categories))
        good = (self.kind == "number" and self.std > 0) if self.kind != "category" else len(self.categories) > 0
        if not good or len(set(self.categories)) < len(self.categories):
            raise OptionError("columns.unfit", f"the column {self.name!r} of kind {self.kind!r}",
                              "kind 'number' with std above 0, or 'category' with different categories",
                              "describe the column as the model was trained on it")

    @property
    def width(self) -> int:
        """How many entries of the encoded row it fills."""
        return 1 if self.kind == "number" else len(self.categories)

    def encode(self, value: Any, place: str) -> list[float]:
        """The entries for one cell; `place` says where it stands, for errors."""
        if self.kind == "number":
            return [(_number(value, self.name, place) - self.mean) / self.std]
        text = _text(value)
        if text not in self.categories:
            raise InputError("csv.unknown_category", f"{text[:40]!r} in column {self.name!r}{place}",
                             "a category the model knows", nearest(text[:100], self.categories))
        return [float(c == text) for c in self.categories]

    def decode(self, entries: Sequence[float]) -> str:
        """The cell as a reader would write it."""
        if self.kind == "number":
            return f"{entries[0] * self.std + self.mean:.6g}"
        on = [c for c, v in zip(self.categories, entries, strict=True) if v > 0.5]
        return on[0] if len(on) == 1 else "mixed"


@dataclass(frozen=True, eq=False)
class TableReader:
    """Reads a row as a mapping, from a DataFrame, a list of mappings, a CSV file, or already encoded.

    `background` is a list of rows, in any of these forms, that baselines are drawn from.
    """

    columns: tuple[Column, ...]
    background: Any = None
    usual: Layout = None

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        if not names or len(set(names)) < len(names):
            raise OptionError("columns.unfit", f"{len(names)} columns", "at least one, each with a name of its own",
                              "describe every column once")

    @property
    def task(self) -> str:
        return "table"

    def split(self, raw: Any) -> list[Any] | None:
        """The rows of whatever holds several."""
        rows = self._singles(raw)
        return rows if len(rows) != 1 else None

    def read(self, raw: Any) -> Example:
        """One row, encoded; cells are shown as they were written."""
        rows = self._singles(raw)
        if len(rows) != 1:
            raise InputError("input.batch", f"{len(rows)} rows in one example", "one row", "give the rows as one list")
        row = rows[0]
        if isinstance(row, Tensor):
            x, notes = self._encoded(row), ()
            cells = self._cells(x)
        else:
            x, notes = self.encode(row), row.notes
            cells = tuple(_with_unit(_text(row[c.name]), c) for c in self.columns)
        return Example(Carrier({0: x[None].clone()}), INPUT, x, Shown("table", cells=cells, notes=notes), notes)

    @cached_property
    def _laid(self) -> Features:
        """A category's entries together."""
        owner = [k for k, c in enumerate(self.columns) for _ in range(c.width)]
        return groups(owner, [c.name for c in self.columns], "columns", "columns")

    def features(self, example: Example, layout: Layout, coarse: bool) -> Features:
        """columns (a category's entries together), units (each entry), or a map over columns or entries."""
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        owner = [k for k, c in enumerate(self.columns) for _ in range(c.width)]
        if layout is not None and not isinstance(layout, str):
            if is_array(layout) and tuple(layout.shape) == (len(self.columns),) and len(owner) > len(self.columns):
                layout = as_tensor(layout)[torch.tensor(owner)]
            return layouts.given(layout, (len(owner),), [(0,)])
        name, _ = layouts.spelled(layout or "columns", ("columns", "units"))
        if name == "units":
            names = [f"{c.name}={v}" for c in self.columns for v in c.categories or ("",)]
            return columns(tuple(n.removesuffix("=") for n in names), "units")
        return self._laid

    def baseline(self, example: Example, spec: Any) -> Tensor | Carrier:
        """mean (of the background; the usual one), median, zero, data:I (its row I), a row, or an encoded value."""
        assert example.x is not None
        name = self.baseline_of(spec)
        if isinstance(name, str):
            if name == "zero":
                return torch.zeros_like(example.x)
            if name == "mean":
                return self.mean.to(example.x)
            if name == "median":
                return self.median.to(example.x)
            if name.startswith("data:"):
                return self._row(name.removeprefix("data:")).to(example.x)
        elif isinstance(spec, Mapping):
            return self.encode(Row(dict(spec)))
        value = given_value(spec, example.x)
        if value is None:
            raise OptionError("baseline.unknown", f"the baseline {str(spec)[:40]!r}",
                              ", ".join(BASELINES) + ", a row or an encoded value", nearest(str(name), BASELINES))
        return value

    def layout_of(self, layout: Layout, coarse: bool) -> str:
        """columns, units, or `segments` for a map."""
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        return layouts.layout_name(layout, "columns")

    def baseline_of(self, spec: Any) -> Any:
        """The baseline's name, or the value itself."""
        return recorded(spec, "mean")

    def encode(self, row: Mapping[str, Any]) -> Tensor:
        """One row as the model takes it: (entries,)."""
        place = f", {row.place}" if isinstance(row, Row) and row.place else ""
        names = [c.name for c in self.columns]
        for name in names:
            if name not in row:
                raise InputError("csv.missing_column", f"no column {name!r}{place}", ", ".join(names)[:300],
                                 f"add it; {nearest(name, [str(k) for k in row])}")
        for name in row:
            if name not in names:
                raise InputError("csv.extra_column", f"a column {str(name)[:40]!r}{place}", ", ".join(names)[:300],
                                 f"remove it; {nearest(str(name)[:100], names)}")
        return torch.tensor([v for c in self.columns for v in c.encode(row[c.name], place)], dtype=torch.float32)

    @cached_property
    def rows(self) -> Tensor:
        """The background, encoded: (rows, entries)."""
        if self.background is None:
            raise ModelError("background.missing", "a table model without background rows", "rows to draw from",
                             "give background= to wrap, or choose the baseline zero")
        found = [self._encoded(r) if isinstance(r, Tensor) else self.encode(r) for r in self._singles(self.background)]
        if not found:
            raise ModelError("background.missing", "a background of 0 rows", "at least one row", "give some rows")
        return torch.stack(found)

    @property
    def mean(self) -> Tensor:
        """The background's mean row; without a background each column's own mean and equal shares."""
        if self.background is not None:
            return self.rows.double().mean(0).float()
        shares = [1 / c.width if c.kind == "category" else 0.0 for c in self.columns for _ in range(c.width)]
        return torch.tensor(shares)

    @property
    def median(self) -> Tensor:
        """The background's median of every number and commonest value of every category; without one the mean."""
        if self.background is None:
            return self.mean
        out, at = self.rows.double().quantile(0.5, dim=0).float(), 0
        for column in self.columns:
            if column.kind == "category":
                shares = self.rows[:, at : at + column.width].double().mean(0)
                out[at : at + column.width] = (torch.arange(column.width) == shares.argmax()).float()
            at += column.width
        return out

    def draws(self, k: int, seed: int) -> list[str]:
        """k background rows as baselines, without repetition; all of them where there are fewer."""
        generator = torch.Generator().manual_seed(seed)
        return [f"data:{i}" for i in torch.randperm(len(self.rows), generator=generator)[:k].tolist()]

    def _row(self, number: str) -> Tensor:
        if not (number.isascii() and number.isdigit()) or int(number) >= len(self.rows):
            raise OptionError("baseline.out_of_range", f"background row {number[:20]!r}", f"0 to {len(self.rows) - 1}",
                              "count rows from 0")
        return self.rows[int(number)].clone()

    def _singles(self, raw: Any) -> list[Any]:
        """Single rows: a Row for cells by name, a tensor for an encoded one."""
        if isinstance(raw, Row):
            return [raw]
        if isinstance(raw, Mapping):
            return [Row({str(k): v for k, v in raw.items()})]
        if isinstance(raw, str | os.PathLike | bytes):
            return list(read_csv(raw))
        if is_array(raw):
            value = as_tensor(raw)
            return [value] if value.dim() < 2 else [value[i] for i in range(len(value))]
        if hasattr(raw, "to_dict") and hasattr(raw, "columns"):
            return self._frame(raw)
        if hasattr(raw, "to_dict") and hasattr(raw, "index"):
            return [Row({str(k): v for k, v in raw.to_dict().items()})]
        if isinstance(raw, list | tuple) and raw and all(isinstance(r, Mapping) or is_array(r) for r in raw):
            return [row for i, r in enumerate(raw)
                    for row in (_placed(r, i) if isinstance(r, Mapping) else self._singles(r))]
        if isinstance(raw, list | tuple) and len(raw) == 0:
            raise InputError("csv.empty", "no rows", "at least one row", "give some rows")
        raise InputError("input.type", f"a {type(raw).__name__}",
                         "a row as a mapping, a DataFrame, a list of rows, a CSV file or an encoded tensor",
                         "write {'column': value, …}")

    def _frame(self, frame: Any) -> list[Any]:
        names = [str(c) for c in frame.columns]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InputError("csv.duplicate_column", f"the column {twice[0]!r} twice", "every column once",
                             "rename one of them")
        if not len(frame):
            raise InputError("csv.empty", "a table of 0 rows", "at least one row", "give some rows")
        values = frame.to_numpy(dtype=object)
        return [Row(dict(zip(names, cells, strict=True)), f"row {i}") for i, cells in enumerate(values)]

    def _encoded(self, row: Tensor) -> Tensor:
        width = sum(c.width for c in self.columns)
        value = own(row, "the row")
        if tuple(value.shape) != (width,):
            raise InputError("input.shape", f"an encoded row of shape {tuple(value.shape)}", f"({width},)",
                             "give the row by column names and it is encoded for you")
        if not value.is_floating_point():
            value = value.float()
        check_finite(value, "the row")
        return value

    def _cells(self, x: Tensor) -> tuple[str, ...]:
        cells, at, entries = [], 0, x.tolist()
        for column in self.columns:
            cells.append(_with_unit(column.decode(entries[at : at + column.width]), column))
            at += column.width
        return tuple(cells)


def _placed(row: Mapping[Any, Any], number: int) -> list[Row]:
    return [row if isinstance(row, Row) else Row({str(k): v for k, v in row.items()}, f"row {number}")]


def _with_unit(text: str, column: Column) -> str:
    return f"{text} {column.unit}" if column.unit else text


def _text(value: Any) -> str:
    """A cell as text; 2.0, which is what tables make of 2 beside a gap, is written 2."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def _number(value: Any, column: str, place: str) -> float:
    # Python would also read '1_000' and digits of other scripts, which no spreadsheet writes.
    odd = isinstance(value, str) and ("_" in value or not value.isascii() or not value.strip())
    try:
        number = None if odd else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        found = "an empty cell" if value is None or str(value).strip() == "" else repr(str(value)[:40])
        raise InputError("csv.not_a_number", f"{found} in column {column!r}{place}", "a number such as 3.5",
                         "write it with a point and without thousands marks, or fill the gap")
    if number != number or number in (float("inf"), float("-inf")):
        raise InputError("input.not_finite", f"{str(value)[:40]!r} in column {column!r}{place}", "a finite number",
                         "fill the gap, or leave the row out")
    return number
