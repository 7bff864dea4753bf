"""From records to a report: chosen, ordered, put into words once, for every format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from pellucid.languages import choice
from pellucid.report import logo as logos
from pellucid.report import names, templates
from pellucid.report.document import Document, Entry, Group, Section
from pellucid.report.told import entry
from pellucid.version import __version__
from pellucid.views.words import Phrase, say
from pellucid.views.writing import visible
from pellucid.words.comparison import Comparison
from pellucid.words.draw import Drawn
from pellucid.words.errors import OptionError, PellucidError, nearest

Part = Drawn | Section


def document(items: Part | Iterable[Part], *, widths: tuple[float, float], title: str = "", lang: str | None = None,
             notes: str = "", template: str = "", logo: str | bytes | os.PathLike[str] | None = None) -> Document:
    """Everything that a report of these says; drawings are `widths` wide: alone, and beside one another.

    Raises `report.item`, `report.template`, and what a logo and a language may raise.
    """
    spoken = choice.chosen(lang)
    for what, given in (("title", title), ("notes", notes)):
        if not isinstance(given, str):
            raise OptionError("option.value", f"{what}={given!r}", "a text", "pass it as one string")
    failed = list[PellucidError]()
    parts = [replace(p, items=flat(p.items, failed)) if isinstance(p, Section) else p
             for p in flat(items, failed, sections=True)]
    if not parts and not failed:
        raise OptionError("report.empty", "no records", "one at least", "pass what explain() or another verb returned")
    if template and template not in templates.TEMPLATES:
        raise OptionError("report.template", f"template={template!r}", "the name of a template, or nothing",
                          nearest(template, templates.TEMPLATES))
    shown = list(parts)
    if not any(isinstance(p, Section) for p in parts):  # who makes sections has an order in mind
        plain = [p for p in parts if isinstance(p, Drawn)]
        template = template or templates.chosen(plain)
        shown = templates.ordered(plain, template)
    numbers = count(1)

    def made(item: Drawn, width: float) -> Entry:
        id = f"e{next(numbers)}"
        return entry(item, id, item.svg(lang=spoken, width=width, id=f"{id}-large"), spoken)

    done = list[Entry | Group]()
    for part in shown:
        if isinstance(part, Section):
            beside = part.side_by_side and len(part.items) > 1
            inside = tuple(made(item, widths[1] if beside else widths[0]) for item in part.items)
            done.append(Group(visible(part.title, 400), paragraphs(part.text), inside, beside))
        else:
            done.append(made(part, widths[1] if template == "models" else widths[0]))
    named = names.told(done, spoken)
    alone = [d for d in named if isinstance(d, Entry)]
    laid = templates.grouped(alone, template, spoken) if len(alone) == len(named) else named
    every = Document("", spoken, "", (), "", None, laid, False, "").entries
    if failed:
        laid = (*laid, Group(say(spoken, "not answered"), tuple(visible(_told(e, spoken), 1000) for e in failed), ()))
    return Document(
        visible(title, 400) or say(spoken, f"title {template}" if template else "report"), spoken, template,
        paragraphs(notes), say(spoken, f"read {template}") if template else "",
        templates.overview(every, template, spoken), laid, any(embeds(e.item) for e in every),
        counted(every, spoken), logos.read(logo), tally(every, spoken))


def flat(items: Any, failed: list[PellucidError], *, sections: bool = False) -> list[Any]:
    """Records in order, out of whatever lists and dictionaries a verb returned; errors in place of records to `failed`.

    Raises `report.item` for what is neither.
    """
    if isinstance(items, Drawn) or (sections and isinstance(items, Section)):
        return [items]
    if isinstance(items, PellucidError):
        failed.append(items)
        return []
    if isinstance(items, Mapping):
        items = items.values()
    elif isinstance(items, str | bytes | Section) or not isinstance(items, Iterable):
        raise OptionError("report.item", f"a {type(items).__name__}",
                          "what explain(), evaluate(), compare(), look() and the others return, or a Section of "
                          "such", "pass the records themselves")
    return [one for item in items for one in flat(item, failed, sections=sections)]


def _told(error: PellucidError, lang: str) -> str:
    """What could not be answered, why, and what to do."""
    found, expected, do = error.told(lang)
    return f"[{error.code}] " + say(lang, "semicolon").join(filter(None, (found, expected, do)))


def tally(entries: Sequence[Entry], lang: str) -> str:
    """How many passed their checks and how many did not; empty for one."""
    found = Counter(e.status or "none" for e in entries)
    parts = [say(lang, f"tally {s}", n=found[s]) for s in ("fail", "warn", "pass", "none") if found[s]]
    return say(lang, "comma").join(parts) if len(entries) > 1 else ""


def paragraphs(text: str) -> tuple[str, ...]:
    """A text cut at its blank lines."""
    return tuple(visible(" ".join(p.split()), 5000) for p in text.split("\n\n") if p.strip())


def embeds(item: Drawn) -> bool:
    """Whether its drawing holds an input."""
    if isinstance(item, Comparison):
        return any(embeds(e) for e in item.explanations.values())
    return bool(getattr(item, "shown", None)) or item.drawn == "craft"


def counted(entries: Sequence[Entry], lang: str) -> str:
    """How many of each kind there are, and what made the report."""
    kinds = Counter(e.item.drawn for e in entries)
    told = [say(lang, f"count {kind}" if n == 1 else f"counts {kind}", n=n) for kind, n in kinds.items()]
    if not told:
        return f"Pellucid {__version__}"
    return say(lang, "made of", list=Phrase(say(lang, "joint").join(told)), version=__version__)
