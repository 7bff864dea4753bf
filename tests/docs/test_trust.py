"""The page on trust names every code that a verdict can have, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("reasons.py", "evaluate.py", "differences.py", "fitness.py")
COMPUTED = {"values.constant", "values.all_negative"}
"""Codes whose first half is filled in: of a map, of values."""


def test_every_code_of_a_verdict_is_on_the_page_with_what_to_do() -> None:
    page = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
    text = "".join((ROOT / "src" / "pellucid" / name).read_text(encoding="utf-8") for name in SOURCES)
    found = re.findall(r'(?:Finding|_caveat|_signs)\((?:c, )?\s*f?"([a-z]+\.[a-z_]+)"', text)
    known = {*found, *COMPUTED} - {"method.unfit"}
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    told = {code for row in rows for code in re.findall(r"`([a-z]+\.[a-z_]+)`", row.split("|")[1])}
    assert known - told == set(), "no row for these"
    assert told - known == set(), "no verdict has these"
    assert all(len(row.split("|")[3].strip()) > 3 for row in rows)
