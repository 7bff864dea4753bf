"""Templates with their holes filled: the blank that stands beside a foreign name goes where both sides are Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template such as `对 {list} 反应最强` or `至多 {0}` with what fills its holes, by name or number."""
    made = ""
    for words, hole, _, _ in Formatter().parse(template):
        made = _beside(made, words)
        if hole is not None:
            made = _beside(made, parts[hole])
    return made


def _beside(left: str, right: str) -> str:
    """Two pieces side by side."""
    if left.endswith(" ") and _chinese(left[-2:-1]) and _chinese(right[:1]):
        return left[:-1] + right
    if right.startswith(" ") and _chinese(left[-1:]) and _chinese(right[1:2]):
        return left + right[1:]
    return left + right


def _chinese(letter: str) -> bool:
    return "\u4e00" <= letter <= "\u9fff"
