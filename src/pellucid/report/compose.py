"""From records to a report: chosen, ordered, put into words once, for every format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count

from pellucid.languages import choice
from pellucid.report import logo as logos
from pellucid.report import templates
from pellucid.report.document import Document, Entry, Group, Section
from pellucid.report.told import entry
from pellucid.version import __version__
from pellucid.views.words import Phrase, say
from pellucid.views.writing import visible
from pellucid.words.comparison import Comparison
from pellucid.words.draw import Drawn
from pellucid.words.errors import OptionError, nearest

Part = Drawn | Section


def document(items: Part | Iterable[Part], *, widths: tuple[float, float], title: str = "", lang: str | None = None,
             notes: str = "", template: str = "", logo: str | bytes | os.PathLike[str] | None = None) -> Document:
    """Everything that a report of these says; drawings are `widths` wide: alone, and beside one another.

    Raises `report.item`, `report.template`, and what a logo and a language may raise.
    """
    spoken = choice.chosen(lang)
    parts = [items] if isinstance(items, Drawn | Section) else list(items)
    for item in (i for p in parts for i in (p.items if isinstance(p, Section) else [p])):
        if not isinstance(item, Drawn):
            raise OptionError("report.item", f"a {type(item).__name__}",
                              "what explain(), evaluate(), compare(), look() and the others return, or a Section of "
                              "such", "pass the records themselves")
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
    alone = [d for d in done if isinstance(d, Entry)]
    laid = templates.grouped(alone, template, spoken) if len(alone) == len(done) else tuple(done)
    every = Document("", spoken, "", (), "", None, laid, False, "").entries
    return Document(
        visible(title, 400) or say(spoken, f"title {template}" if template else "report"), spoken, template,
        paragraphs(notes), say(spoken, f"read {template}") if template else "",
        templates.overview(every, template, spoken), laid, any(embeds(e.item) for e in every),
        counted(every, spoken), logos.read(logo))


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
