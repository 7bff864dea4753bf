"""Text made safe and measured: hidden characters become visible, lines break where they must."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

from pellucid.languages.marks import HIDDEN, STACK, isolate, mark, right_to_left, visible

__all__ = ["HIDDEN", "SLACK", "STACK", "clip", "columns", "em", "isolate", "mark", "minus", "number", "pad",
           "right_to_left", "signed", "visible", "wrap"]

# Advance widths of Helvetica in thousandths of an em, space to tilde: near enough to any sans serif face.
_LATIN = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 "
    "278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 "
    "611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 "
    "556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584"
)
_WIDTHS = [int(w) / 1000 for w in _LATIN.split()]


_OTHER = {char: wide for wide, chars in {
    0.24: "ויןاأإآ", 0.38: "גזנ", 0.43: "دذرزوؤلة", 0.5: "كمنهيىءئبتثجحخعغف", 0.78: "жшщюфыЖШЩЮФМЫмسشصضطظ",
}.items() for char in chars}
"""The same of letters that are far from the six tenths of most: Hebrew, Arabic as it is joined, Russian."""

SLACK = 1.14
"""Widest of the usual faces (DejaVu, Verdana) over Helvetica: a line that must fit is measured with it."""


def em(text: str, slack: float = SLACK) -> float:
    """Width in ems; Chinese, Japanese and Korean letters are one em wide."""
    total = 0.0
    for char in text:
        code = ord(char)
        if 32 <= code < 127:
            total += _WIDTHS[code - 32]
        elif unicodedata.combining(char) or char in "\u2068\u2069\ufe0f\ufe0e":
            continue
        elif unicodedata.east_asian_width(char) in "WF":
            total += 1.25 if code > 0x1F000 and code < 0x20000 else 1.0
        else:
            total += 0.9 if char in "…—" else _OTHER.get(char, 0.6)
    return total * slack


def columns(text: str) -> int:
    """Width in terminal cells: two for a wide letter, none for an accent."""
    zero = "\u2068\u2069\ufe0f\ufe0e"
    return sum(0 if unicodedata.combining(c) or c in zero else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in text)


def pad(text: str, width: int, right: bool = False) -> str:
    """Fill with spaces to so many terminal cells."""
    space = " " * max(0, width - columns(text))
    return space + text if right else text + space


def clip(text: str, limit: float, measure: Callable[[str], float] = em) -> str:
    """Cut the end off, with an ellipsis, where the text is too wide."""
    if measure(text) <= limit:
        return text
    room = limit - measure("…")
    at, used = 0, 0.0
    while at < len(text) and used + measure(text[at]) <= room:
        used += measure(text[at])
        at += 1
    return text[:at].rstrip() + "…"


def _words(text: str) -> Iterator[str]:
    """Pieces between which a line may break: after a space, around every wide letter."""
    word = ""
    for char in text:
        if unicodedata.east_asian_width(char) in "WF" and unicodedata.category(char) == "Lo":
            if word:
                yield word
            word = ""
            yield char
        else:
            word += char
            if char == " ":
                yield word
                word = ""
    if word:
        yield word


def wrap(text: str, limit: float, measure: Callable[[str], float] = em) -> list[str]:
    """Break into lines that fit; a word longer than a line is broken inside."""
    lines, line, used = list[str](), "", 0.0
    for word in _words(" ".join(text.split())):
        wide = measure(word)
        if line and used + measure(word.rstrip()) > limit:
            lines.append(line.rstrip())
            line, used = "", 0.0
        while measure(word) > limit:
            at = 1
            while at < len(word) and measure(word[: at + 1]) <= limit:
                at += 1
            lines.append(word[:at])
            word = word[at:]
            wide = measure(word)
        line, used = line + word, used + wide
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def number(value: float | None, digits: int = 3) -> str:
    """A number to a few significant digits, with a true minus sign."""
    if value is None:
        return "–"
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "not a number", "inf": "∞", "-inf": "−∞"}[str(value)]
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, power = text.split("e")
        text = f"{value:.0f}" if 0 <= int(power) < 5 else f"{mantissa}e{int(power)}"
    return "0" if text in ("-0", "0") else text.replace("-", "−")


def minus(text: str) -> str:
    """A number that is written already, with a true minus sign, and none before a zero."""
    zero = text.startswith("-") and not any(c in "123456789" for c in text)
    return text[1:] if zero else text.replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """A number with its sign, plus included."""
    text = number(value, digits)
    return f"+{text}" if value > 0 and text != "0" else text
