"""Text made safe: characters that cannot be seen become visible marks."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

HIDDEN = {
    0x00AD: "SHY", 0x034F: "CGJ", 0x061C: "ALM", 0x115F: "filler", 0x1160: "filler", 0x180E: "MVS",
    0x200B: "ZWSP", 0x200C: "ZWNJ", 0x200D: "ZWJ", 0x200E: "LRM", 0x200F: "RLM", 0x2028: "LS", 0x2029: "PS",
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO", 0x2060: "WJ", 0x2066: "LRI",
    0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0x3164: "filler", 0xFEFF: "BOM", 0xFFA0: "filler",
}  # fmt: skip
"""Characters that change a line without being seen, with the short names they are shown by."""

STACK = 3
"""Combining marks left on one letter; the rest of a taller pile is counted instead of drawn."""

_RTL = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff]")


@lru_cache(maxsize=4096)
def mark(char: str) -> str | None:
    """How a character that cannot be seen is shown; None for an ordinary one."""
    code = ord(char)
    if char == "\n":
        return "↵"
    if char == "\t":
        return "⇥"
    if code in HIDDEN:
        return f"‹{HIDDEN[code]}›"
    unseen = 0xFE00 <= code <= 0xFE0D or 0xE0100 <= code <= 0xE01EF or code & 0xFFFE == 0xFFFE
    # Cf holds a few Arabic signs that are drawn (U+0600 and kin); they stay
    formats = unicodedata.category(char) in ("Cc", "Cs", "Co", "Cf") and not 0x0600 <= code <= 0x06DD
    return f"‹U+{code:04X}›" if unseen or formats else None


def visible(text: str, longest: int = 2000, keep: str = "") -> str:
    """The text with bidi controls, zero-width and control characters as marks, piles of accents cut."""
    if text.isascii() and text.isprintable():
        return text if len(text) <= longest else text[:longest] + "…"
    out: list[str] = []
    pile = 0
    for char in text[:longest]:
        pile = pile + 1 if unicodedata.combining(char) else 0
        if pile > STACK:
            continue
        out.append(char if char in keep else mark(char) or char)
    return "".join(out) + ("…" if len(text) > longest else "")


def isolate(text: str) -> str:
    """Visible text that keeps its own direction inside a sentence of another one."""
    text = visible(text, 300)
    return f"\u2068{text}\u2069" if _RTL.search(text) else text


def right_to_left(text: str) -> bool:
    """Whether the first letter with a direction runs from right to left."""
    for char in text[:2000]:
        side = unicodedata.bidirectional(char)
        if side in ("R", "AL"):
            return True
        if side == "L":
            return False
    return False
