"""Tokens found again in the text they came from, so that the text is shown as it was written."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from pellucid.words.explanation import Explanation

READ = 200_000
"""Characters of the text that are searched."""
AHEAD = 64
"""How far ahead the next token may begin: further away it is somewhere else by chance."""


@dataclass(frozen=True)
class Piece:
    """A stretch of the text; `at` is the feature it belongs to, None for what no feature covers."""

    written: str
    at: int | None
    open: bool = False


def bare(name: str) -> str:
    """A token without the signs its tokenizer adds: `##ing`, `▁the`, `Ġthe`, `end</w>`."""
    if name.startswith("##") and len(name) > 2:
        name = name[2:]
    return name.removesuffix("</w>").lstrip("▁Ġ") or name


def _folded(text: str) -> tuple[str, list[int]]:
    """The text without case and accents, and for each of its characters where it came from."""
    out, origin = list[str](), list[int]()
    for i, char in enumerate(text):
        for c in unicodedata.normalize("NFKD", char).casefold():
            if not unicodedata.combining(c):
                out.append(c)
                origin.append(i)
    return "".join(out), origin


def pieces(e: Explanation) -> list[Piece]:
    """The whole text in order, cut into tokens and what lies between them."""
    names = e.names
    text = e.shown.text if e.shown else ""
    if not text:
        return [p for i, n in enumerate(names) for p in (Piece(bare(n), i), Piece(" ", None))][:-1]
    text, rest = text[:READ], len(text) - READ
    folded, origin = _folded(text)
    made, done, cursor = list[Piece](), 0, 0
    for i, name in enumerate(names):
        wanted = _folded(bare(name).strip())[0]
        found = folded.find(wanted, cursor, cursor + AHEAD + len(wanted)) if wanted else -1
        if found < 0:
            made += [Piece(" ", None), Piece(bare(name), i)]
            continue
        start = max(origin[found], done)
        stop = max(start, origin[found + len(wanted)] if found + len(wanted) < len(origin) else len(text))
        # an accent written as its own character belongs to the letter before it
        if start > done:
            made.append(Piece(text[done:start], None))
        # what a longer match leaves over at its end (spaces) is not part of the token
        piece = text[start:stop]
        kept = piece.rstrip() or piece
        made.append(Piece(kept, i))
        done, cursor = start + len(kept), found + len(wanted)
    tail = text[done:]
    if tail.strip():
        made.append(Piece(tail, None, open=len(tail) + max(rest, 0) > 200))
    return made
