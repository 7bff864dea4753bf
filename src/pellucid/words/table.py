"""Numbers as a table: what a screen reader reads below a drawing, and what is exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Cell = str | float | int | bool | None
"""What stands in a cell; None where there is nothing."""


@dataclass(frozen=True)
class Column:
    """A column: `name` is for machines and never changes, `head` is for readers, in their language."""

    name: str
    head: str = ""

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
