"""A report: what was found, in one self-contained HTML page, for a reader in a hurry and for an auditor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pellucid.report import judged
from pellucid.report.facts import facts
from pellucid.report.look import SHEET
from pellucid.report.training import section as watched
from pellucid.store import atomic
from pellucid.views import story
from pellucid.views.frame import SHAPES
from pellucid.views.svg import Element, Markup, el, style
from pellucid.views.training import title as training_title
from pellucid.views.words import say
from pellucid.views.writing import visible
from pellucid.words.comparison import Comparison
from pellucid.words.errors import OptionError
from pellucid.words.evaluation import Evaluation
from pellucid.words.explanation import Explanation
from pellucid.words.watch import Training

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
WIDE, HALF, NARROW = 760, 520, 360

Item = Explanation | Evaluation | Comparison
"""What stands on the page with a drawing and a verdict of its own."""


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report: a title, a text (paragraphs between blank lines), explanations or what was found of them.

    `side_by_side` lays the items in two columns where the window is wide enough.
    """

    title: str
    text: str = ""
    items: Sequence[Item] = ()
    side_by_side: bool = False


Part = Item | Section | Training


def page(items: Part | Iterable[Part], *, title: str = "", lang: str = "en", notes: str = "") -> str:
    """One HTML page that needs nothing from outside and runs no script."""
    parts = [items] if isinstance(items, Part) else list(items)
    for part in parts:
        if not isinstance(part, Part):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OptionError("report.item", f"a {type(part).__name__}",
                              "explanations, evaluations, comparisons, sections and trainings",
                              "pass what explain(), evaluate() or compare() returned, or a Section of such")
    title = title or say(lang, "report")
    shown = list(explanations(parts))
    main = el("main")
    if shown:
        main.add(hurry(shown, lang))
    if len(parts) > 1:
        main.add(contents(parts, lang))
    count = 0
    for i, part in enumerate(parts):
        if isinstance(part, Item):
            count += 1
            main.add(article(part, f"e{count}", 2, WIDE, lang, id=f"s{i + 1}"))
            continue
        if isinstance(part, Training):
            main.add(watched(part, f"t{i + 1}", (WIDE, NARROW), lang, f"s{i + 1}"))
            continue
        section = el("section", el("h2", visible(part.title, 400)), *paragraphs(part.text), id=f"s{i + 1}")
        beside = el("div", class_="side" if part.side_by_side and len(part.items) > 1 else None)
        for e in part.items:
            count += 1
            beside.add(article(e, f"e{count}", 3, HALF if beside.attributes["class_"] else WIDE, lang))
        main.add(section.add(beside))
    head = el("head", el("meta", charset="utf-8"), el("meta", http_equiv="Content-Security-Policy", content=POLICY),
              el("meta", name="viewport", content="width=device-width, initial-scale=1"),
              el("meta", name="color-scheme", content="light dark"),
              el("meta", name="referrer", content="no-referrer"), el("title", visible(title, 400)), style(SHEET))
    header = el("header", el("h1", visible(title, 400)),
                el("p", say(lang, "embeds"), class_="note") if any(embeds(e) for e in shown) else None,
                *paragraphs(notes, "lead"))
    made = say(lang, "made one" if len(shown) == 1 else "made", n=len(shown)) if shown else "Pellucid"
    footer = el("footer", el("p", made))
    return "<!doctype html>\n" + el("html", head, el("body", header, main, footer),
                                    lang="zh-Hans" if lang == "zh" else lang).markup() + "\n"


def report(items: Part | Iterable[Part], path: str | os.PathLike[str], *, title: str = "", lang: str = "en",
           notes: str = "") -> Path:
    """Write the page to a file ending in .html; the file is there whole or not at all."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".html", ".htm"):
        do = "write the .html page and print it to PDF" if suffix == ".pdf" else "give the file a name ending in .html"
        raise OptionError("report.format", repr(suffix), "'.html'", do)
    return atomic.write(path, page(items, title=title, lang=lang, notes=notes).encode("utf-8"))


def explanations(parts: Iterable[Part]) -> Iterator[Item]:
    """Every explanation, evaluation and comparison in the order of the page."""
    for part in parts:
        yield from [part] if isinstance(part, Item) else part.items if isinstance(part, Section) else ()


def embeds(item: Item) -> bool:
    """Whether its drawing holds the input."""
    if isinstance(item, Comparison):
        return any(embeds(e) for e in item.explanations.values())
    return isinstance(item, Explanation) and item.shown is not None


def asked(item: Item, lang: str) -> str:
    """The question that an item answers."""
    return say(lang, "why", target=item.target) if isinstance(item, Explanation) else judged.title(item, lang)


def paragraphs(text: str, kind: str | None = None) -> list[Element]:
    """A text cut at its blank lines."""
    return [el("p", visible(" ".join(p.split()), 5000), class_=kind) for p in text.split("\n\n") if p.strip()]


def hurry(shown: list[Item], lang: str) -> Element:
    """One sentence for each item, with its verdict."""
    made = el("ul")
    for i, e in enumerate(shown):
        status = e.verdict.status
        icon = el("svg", el("path", d=SHAPES[status], class_=status), viewBox="0 0 18 18", role="img",
                  aria_label=say(lang, status))
        told = el("a", story.sentence(e, lang) if isinstance(e, Explanation) else asked(e, lang), href=f"#e{i + 1}")
        made.add(el("li", icon, el("div", told, el("span", story.verdict(e, lang, 1)[0], class_="more"))))
    return el("section", el("h2", say(lang, "in a hurry")), made, class_="hurry")


def contents(parts: Sequence[Part], lang: str) -> Element:
    """Links to the parts."""
    made = el("ol")
    for i, part in enumerate(parts):
        name = (asked(part, lang) if isinstance(part, Item)
                else training_title(part, lang) if isinstance(part, Training) else visible(part.title, 400))
        made.add(el("li", el("a", name, href=f"#s{i + 1}")))
    return el("nav", el("h2", say(lang, "contents")), made, aria_label=say(lang, "contents"))


def article(e: Item, name: str, level: int, width: float, lang: str, id: str | None = None) -> Element:
    """One item: the drawing for wide and for narrow windows, and the facts."""
    figure = el("figure")
    for kind, size in (("large", width), ("small", NARROW)):
        more = {"numbers": kind == "large"} if isinstance(e, Explanation) else {}
        drawn = e.svg(lang=lang, width=size, id=f"{name}-{kind}", **more)
        figure.add(Markup(drawn.replace("<svg ", f'<svg class="{kind}" ', 1)))
    return el("article", el("span", id=id) if id else None,
              el(f"h{level}", asked(e, lang), class_="unseen"), figure,
              facts(e, lang, level + 1) if isinstance(e, Explanation) else judged.facts(e, lang, level + 1), id=name)
