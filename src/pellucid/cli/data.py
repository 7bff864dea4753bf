"""What stands behind INPUTS: many inputs from a folder of pictures, the lines of a file, or a table's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.words.errors import OptionError

Inputs = Annotated[str, typer.Argument(
    metavar="INPUTS", help="A folder of pictures (subfolders are labels), a .txt file with a text on each line, a CSV "
                           "file, or a .npy file.")]
Label = Annotated[str | None, typer.Option(
    "--label", metavar="COLUMN", help="The column of a CSV file that holds the labels.")]


def several(subject: Any, where: str, *, column: str | None = None, label: str | None = None) -> tuple[list[Any], Any]:
    """Inputs, and their labels: those of a column, or of subfolders that are named as labels are; None without."""
    from pellucid.choices.gathering import pictures
    from pellucid.cli import inputs

    place = Path(where).expanduser()
    if place.is_dir():
        named = [p for p in sorted(place.iterdir()) if p.is_dir() and p.name in subject.labels]
        if not named:
            return list(pictures(place)), None
        found = [(one, p.name) for p in named for one in pictures(p)]
        return [one for one, _ in found], [name for _, name in found]
    if subject.task == "text" and where.lower().endswith(".txt"):
        return [line for line in inputs.read(subject, where).decode("utf-8").splitlines() if line.strip()], None
    if label is not None:
        return _labelled(subject, where, column, label)
    raw = inputs.read(subject, where, column=column)
    many = subject.split(raw) if subject.task != "table" else raw if isinstance(raw, list) else None
    return (list(many) if many is not None else [raw]), None


def _labelled(subject: Any, where: str, column: str | None, label: str) -> tuple[list[Any], list[Any]]:
    """A CSV file's rows and what one of its columns says of them."""
    from pellucid.cli import inputs
    from pellucid.models.csv_file import read_csv

    rows = read_csv(where)
    if label not in rows[0]:
        raise OptionError("csv.missing_column", f"no column {label!r}", ", ".join(rows[0])[:300],
                          "name the column that holds the labels")
    said = [str(r[label]).strip() for r in rows]
    labels = [name if name in subject.labels or not name.isdigit() else int(name) for name in said]
    if subject.task != "text":
        return [{k: v for k, v in r.items() if k != label} for r in rows], labels
    found = inputs.read(subject, where, column=column or next((k for k in rows[0] if k != label), None))
    return (found if isinstance(found, list) else [found]), labels
