"""A report: what was found, in one self-contained file, for a reader in a hurry and for an auditor."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pellucid.report import live
from pellucid.report.compose import Part, document
from pellucid.report.document import Block, Document, Entry, Grid, Group, Lines, Logo, Pairs, Run, Section
from pellucid.report.look import SHEET
from pellucid.store import atomic
from pellucid.views.frame import SHAPES
from pellucid.views.svg import Element, Markup, el, style
from pellucid.views.words import say
from pellucid.words.errors import OptionError

__all__ = ["POLICY", "Part", "Section", "page", "report"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
WIDE, HALF, NARROW = 760, 520, 360

_NUMBERS = re.compile(r' data-(?:values|error)="[^"]*"')
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_NEUTRAL = "M9 0a9 9 0 1 0 .001 0z"


def page(items: Part | Iterable[Part], *, title: str = "", lang: str | None = None, notes: str = "",
         template: str = "", logo: str | bytes | os.PathLike[str] | None = None) -> str:
    """One HTML page that needs nothing from outside.

    Options and errors as for `report`.
    """
    return written(document(items, widths=(WIDE, HALF), title=title, lang=lang, notes=notes, template=template,
                            logo=logo))


def report(items: Part | Iterable[Part], path: str | os.PathLike[str], *, title: str = "", lang: str | None = None,
           notes: str = "", template: str = "", logo: str | bytes | os.PathLike[str] | None = None) -> Path:
    """Write a report of whatever has a drawing to a file ending in .html or .pdf; it is there whole or not at all.

    `items` are what explain(), evaluate(), compare(), look() and the others return, or a `Section` of such. `title`
    and `notes` (paragraphs between blank lines) are the owner's words, `logo` the path or the bytes of a picture.
    `template` orders and introduces the parts: "prediction", "methods", "models", "audit" or "training"; chosen by
    what the items are if left out, and without effect on the order where there are sections. Raises `report.format`,
    `report.item`, `report.template`, `logo.unreadable`, `logo.kind`, `logo.large`, `option.lang`, `file.unwritable`;
    for PDF also `extra.pdf` and `font.missing`.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".html", ".htm"):
        made = page(items, title=title, lang=lang, notes=notes, template=template, logo=logo).encode("utf-8")
    elif suffix == ".pdf":
        from pellucid.report.paper import paper

        made = paper(items, title=title, lang=lang, notes=notes, template=template, logo=logo)
    else:
        raise OptionError("report.format", repr(suffix), "'.html' or '.pdf'",
                          "give the file a name ending in .html or .pdf")
    return atomic.write(path, made)


def written(doc: Document) -> str:
    """A report as HTML."""
    lang, several, sheets = doc.lang, len(doc.parts) > 1, dict[str, None]()
    shut = len(doc.entries) > 1
    main = el("main")
    if doc.hurry or doc.tally:
        main.add(_hurry(doc))
    if doc.overview is not None:
        head = say(lang, "overview audit" if doc.template == "audit" else "overview")
        main.add(el("section", el("h2", head), _grid(doc.overview), class_="over"))
    if several:
        main.add(_contents(doc))
    for i, part in enumerate(doc.parts):
        main.add(_article(part, 2, lang, sheets, shut, f"s{i + 1}") if isinstance(part, Entry)
                 else _section(part, lang, sheets, shut, f"s{i + 1}"))
    script, hashed = live.script()
    policy = POLICY + (f"; script-src '{hashed}'" if hashed else "")
    head = el("head", el("meta", charset="utf-8"), el("meta", http_equiv="Content-Security-Policy", content=policy),
              el("meta", name="viewport", content="width=device-width, initial-scale=1"),
              el("meta", name="color-scheme", content="light dark"),
              el("meta", name="referrer", content="no-referrer"), el("title", doc.title),
              style(SHEET + "".join(sheets)))
    header = el("header", _logo(doc.logo) if doc.logo else None, el("h1", doc.title),
                el("p", say(lang, "embeds"), class_="note") if doc.embeds else None,
                *(el("p", text, class_="lead") for text in doc.notes),
                el("p", doc.lead, class_="soft") if doc.lead else None)
    footer = el("footer", el("p", doc.made))
    return "<!doctype html>\n" + el("html", head, el("body", header, main, footer, script),
                                    lang="zh-Hans" if lang == "zh" else lang).markup() + "\n"


def _logo(logo: Logo) -> Element:
    """As a picture: what a browser shows so runs no script and fetches nothing, whatever is in it."""
    data = base64.b64encode(logo.content).decode("ascii")
    return el("img", src=f"data:{logo.media};base64,{data}", alt="", class_="logo")


def _hurry(doc: Document) -> Element:
    """One sentence for each entry, with its verdict."""
    made = el("ul")
    for entry in doc.hurry:
        shape = SHAPES.get(entry.status, _NEUTRAL)
        word = say(doc.lang, entry.status or "no verdict")
        icon = el("svg", el("path", d=shape, class_=entry.status or "none"), viewBox="0 0 18 18", role="img",
                  aria_label=word)
        told = el("a", entry.sentence, href=f"#{entry.id}")
        made.add(el("li", icon, el("div", told, el("span", entry.verdict, class_="more"))))
    tally = el("p", doc.tally, class_="tally") if doc.tally else None
    return el("section", el("h2", say(doc.lang, "in a hurry")), tally, made if doc.hurry else None, class_="hurry")


def _contents(doc: Document) -> Element:
    """Links to the parts."""
    made = el("ol")
    for i, part in enumerate(doc.parts):
        name = part.name if isinstance(part, Entry) else part.title
        made.add(el("li", el("a", name, href=f"#s{i + 1}")))
    return el("nav", el("h2", say(doc.lang, "contents")), made, aria_label=say(doc.lang, "contents"))


def _section(group: Group, lang: str, sheets: dict[str, None], shut: bool, id: str) -> Element:
    beside = el("div", *(_article(e, 3, lang, sheets, shut) for e in group.entries),
                class_="side" if group.beside else None)
    return el("section", el("h2", group.title), *(el("p", text) for text in group.paragraphs), beside, id=id)


def _article(entry: Entry, level: int, lang: str, sheets: dict[str, None], shut: bool, id: str | None = None
             ) -> Element:
    """One entry: the drawing for wide and for narrow windows, and the facts; their style goes to `sheets`.

    What is kept for the record is folded if `shut`: nobody reads it of a hundred, and it is printed all the same.
    """
    figure = el("figure", _shared(entry.svg, entry.id, "large", sheets),
                _shared(_borrowing(entry, lang), entry.id, "small", sheets))
    told, kept = ([b for b in entry.blocks if b.record is which] for which in (False, True))
    record = el("details", el("summary", say(lang, "for the record", list=say(lang, "comma").join(
        b.title for b in kept))), _facts(kept, level), open=None if shut else "") if kept else None
    return el("article", el("span", id=id) if id else None, el(f"h{level}", entry.name, class_="unseen"), figure,
              _facts(told, level), record, id=entry.id)


def _borrowing(entry: Entry, lang: str) -> str:
    """The drawing for narrow windows, which has the numbers of the other: written twice they would weigh most."""
    svg = entry.item.svg(lang=lang, width=NARROW, id=f"{entry.id}-small")
    first, end, rest = svg.partition(">")
    return _NUMBERS.sub("", first).replace("<svg ", f'<svg data-like="{entry.id}-large" ', 1) + end + rest


def _facts(blocks: Sequence[Block], level: int) -> Element:
    return el("div", *(_block(b, level + 1) for b in blocks), class_="facts")


def _shared(svg: str, id: str, kind: str, sheets: dict[str, None]) -> Markup:
    """A drawing that shares its style with the others of the page: a browser works out all styles anew for each sheet
    that it meets, which of two hundred takes seconds."""
    own = f"#{id}-{kind}"

    def moved(found: re.Match[str]) -> str:
        sheets[found[1].replace(own, ".drawn")] = None
        return ""

    return Markup(_STYLE.sub(moved, svg).replace("<svg ", f'<svg class="{kind} drawn" ', 1))


def _block(block: Block, level: int) -> Element:
    broad = any(isinstance(part, Grid) and len(part.heads) > 3 for part in block.parts)
    made = el("div", el(f"h{level}", block.title), class_="broad" if broad else None)
    for part in block.parts:
        made.add(*(_lines(part) if isinstance(part, Lines) else [_pairs(part)] if isinstance(part, Pairs)
                   else [_grid(part)]))
    return made


def _lines(lines: Lines) -> list[Element]:
    made = list[Element]()
    for runs in lines.paragraphs:
        whole = "soft" if all(kind == "soft" for _, kind in runs) else None
        made.append(el("p", *(_run(run, whole) for run in runs), class_=whole))
    return made


def _run(run: Run, whole: str | None) -> Element | str:
    text, kind = run
    if text == "\n":
        return el("br")
    if kind == "strong":
        return el("strong", text)
    return el("span", text, class_=kind) if kind and kind != whole else text


def _pairs(pairs: Pairs) -> Element:
    """Names and values in two columns."""
    made = el("dl")
    for name, value in pairs.pairs:
        made.add(el("dt", name), el("dd", value))
    return made


def _grid(grid: Grid) -> Element:
    def kind(column: int, *more: str) -> str | None:
        return " ".join([*(["n"] if column >= grid.numbers and column not in grid.words else []), *more]) or None

    head = el("tr", *(el("th", h, scope="col", class_=kind(k)) for k, h in enumerate(grid.heads)))
    body = el("tbody", *(_row(row, kind) for row in grid.rows))
    if grid.rest:
        body.add(_row(grid.rest, lambda column: kind(column, "soft")))
    return el("div", el("table", el("thead", head), body), class_="scroll" if len(grid.heads) > 3 else None)


def _row(cells: Sequence[str], kind: Callable[[int], str | None]) -> Element:
    return el("tr", *(el("td", cell, class_=kind(k)) if k else el("th", cell, scope="row", class_=kind(0))
                      for k, cell in enumerate(cells)))
