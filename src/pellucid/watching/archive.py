"""A training as the archive has it."""

from __future__ import annotations

from typing import Any

from pellucid.store.run import read
from pellucid.watching.findings import events
from pellucid.words.watch import Training


def open_(path: Any) -> Training:
    """Every whole record of a run, and what happened in it."""
    run, records, notes = read(path)
    return Training(run, tuple(records), events(records), notes)
