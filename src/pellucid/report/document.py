"""A report before it is a page: what stands in it, in order, in words. HTML and PDF are written from the same one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.words.draw import Drawn

Run = tuple[str, str]
"""Words and how they stand: "" plain, "strong", "soft"; "\\n" alone breaks the line."""


@dataclass(frozen=True)
class Lines:
    """Paragraphs of runs."""

    paragraphs: tuple[tuple[Run, ...], ...]


@dataclass(frozen=True)
class Pairs:
    """Names and what stands beside them."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """A table; the first column names the row, the columns from `numbers` on hold numbers, but for those of `words`.
    `rest` sums up the rows that are left out."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rest: tuple[str, ...] = ()
    numbers: int = 1
    words: tuple[int, ...] = ()


@dataclass(frozen=True)
class Block:
    """A part with a heading, below a drawing; `record` where it is kept for who repeats or audits it."""

    title: str
    parts: tuple[Lines | Pairs | Grid, ...]
    record: bool = False


@dataclass(frozen=True, eq=False)
class Entry:
    """One record: its drawing, what that says in a sentence, how far it can be trusted, and all that is known of it.

    `spoken` describes the drawing to who does not see it. `status` is pass, warn or fail, empty where nothing was
    judged. `name` tells it from the others: the question, and the method, model or input where they differ.
    """

    id: str
    item: Drawn
    svg: str
    spoken: str
    label: str
    question: str
    sentence: str
    status: str
    verdict: str
    blocks: tuple[Block, ...]
    name: str = ""


@dataclass(frozen=True, eq=False)
class Group:
    """A part with a title, a text and entries, side by side if `beside`."""

    title: str
    paragraphs: tuple[str, ...]
    entries: tuple[Entry, ...]
    beside: bool = False


@dataclass(frozen=True)
class Logo:
    """A picture of the owner's: its bytes and their media type."""

    content: bytes
    media: str


FEW = 12
"""Entries up to which a reader in a hurry is told all of them."""


@dataclass(frozen=True, eq=False)
class Document:
    """Everything that a report says. All text is safe to show: what is hidden has become a mark."""

    title: str
    lang: str
    template: str
    notes: tuple[str, ...]
    lead: str
    overview: Grid | None
    parts: tuple[Entry | Group, ...]
    embeds: bool
    made: str
    logo: Logo | None = None
    tally: str = ""

    @property
    def hurry(self) -> tuple[Entry, ...]:
        """What a reader in a hurry reads: all of few, of many those that want care; `tally` counts the others."""
        return tuple(e for e in self.entries if len(self.entries) <= FEW or e.status in ("warn", "fail"))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry in order."""
        return tuple(_entries(self.parts))


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report: a title, a text (paragraphs between blank lines), and whatever has a drawing.

    `side_by_side` lays the items in two columns where the window is wide enough.
    """

    title: str
    text: str = ""
    items: Sequence[Any] = ()
    side_by_side: bool = False


def _entries(parts: Sequence[Entry | Group]) -> Iterator[Entry]:
    for part in parts:
        yield from (part,) if isinstance(part, Entry) else part.entries
