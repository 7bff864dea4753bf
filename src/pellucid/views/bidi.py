"""Words of scripts that run in different directions, in the order in which a line shows them (Unicode's annex 9)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def order(words: Sequence[str], rightwards: bool) -> list[int]:
    """The words' numbers from left to right, for a line of a text that begins on the left (`rightwards`) or right.

    A word, or a space between two, has the direction of its first letter; digits keep their own order; what has
    neither goes with its neighbours where they agree and with the text where they do not.
    """
    base = "L" if rightwards else "R"
    sides, last = list[str](), base
    for word in words:
        side = _side(word)
        if side == "N" and last == "L":
            side = "L"
        last = side if side in "LR" else last
        sides.append(side)
    for k, side in enumerate(sides):
        if side == "?":
            before = sides[k - 1] if k else base
            after = next((s for s in sides[k:] if s != "?"), base)
            one, other = ("R" if s == "N" else s for s in (before, after))
            sides[k] = one if one == other else base
    levels = [{"L": 0 if rightwards else 2, "R": 1, "N": 2}[side] for side in sides]
    at = list(range(len(words)))
    for level in (2, 1):
        k = 0
        while k < len(at):
            end = k
            while end < len(at) and levels[at[end]] >= level:
                end += 1
            at[k:end] = reversed(at[k:end])
            k = end + 1
    return at


def _side(word: str) -> str:
    """L, R, N for digits, ? for neither."""
    found = "?"
    for char in word:
        side = unicodedata.bidirectional(char)
        if side in ("L", "R", "AL"):
            return "L" if side == "L" else "R"
        if side in ("EN", "AN"):
            found = "N"
    return found
