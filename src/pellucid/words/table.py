"""Numbers as a table: what a screen reader reads below a drawing, and what is exported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.words.errors import OptionError, nearest

Cell = str | float | int | bool | None
"""What stands in a cell; None where there is nothing."""


@dataclass(frozen=True)
class Column:
    """A column: `name` is for machines and never changes, `head` is for readers, in their language.

    `unit` is what its numbers are in: "s", "bits", "share" (0 to 1), "count", "score" (of the target); empty where they
    have none, or each row its own.
    """

    name: str
    head: str = ""
    unit: str = ""

    @property
    def title(self) -> str:
        return self.head or self.name


@dataclass(frozen=True)
class Table:
    """Rows under named columns; the first column names the row.

    `name` is for machines (a file's name, a key in JSON), `title` for readers. Numbers are whole, never rounded.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def records(self) -> Iterator[dict[str, Cell]]:
        """Each row by the names of its columns."""
        for row in self.rows:
            yield dict(zip((c.name for c in self.columns), row, strict=True))

    def to_frame(self) -> Any:
        """A pandas DataFrame (pandas is imported when asked)."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=[c.name for c in self.columns])


def chosen(tables: Sequence[Table], name: str | None = None) -> Table:
    """The table of this name, the first if left out. Raises `export.table`."""
    names = [t.name for t in tables]
    if name is not None and name not in names:
        raise OptionError("export.table", f"table={name!r}", ", ".join(names), nearest(name, names))
    return tables[names.index(name) if name is not None else 0]
