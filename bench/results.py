"""Results on disk: one file per machine, into which single rows are merged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bench import machine

FOLDER = Path(__file__).parent / "results"
FORMAT = 1


def path_of(described: dict[str, Any], folder: Path = FOLDER) -> Path:
    return folder / f"{machine.slug(described)}.json"


def read(path: Path) -> dict[str, Any]:
    """A results file; an empty one where there is none yet."""
    if not path.exists():
        return {"format": FORMAT, "machine": {}, "rows": {}}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("format") != FORMAT:
        raise ValueError(f"{path.name}: format {found.get('format')}, expected {FORMAT}; delete it and measure anew")
    return found


def merge(path: Path, described: dict[str, Any], rows: dict[str, dict[str, Any]], order: list[str]) -> dict[str, Any]:
    """Put rows into a machine's file: those of the same name are replaced, the others stay.

    Rows that the registry (`order`) no longer has are dropped. The file is replaced as a whole, so that
    an interruption leaves the old one.
    """
    found = read(path)
    kept = {**found["rows"], **rows}
    whole = {"format": FORMAT, "machine": described, "rows": {name: kept[name] for name in order if name in kept}}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(beside, path)
    return whole


def all_of(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Every machine's results, by file name."""
    return [read(path) for path in sorted(folder.glob("*.json"))]
