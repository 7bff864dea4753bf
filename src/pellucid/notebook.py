"""Records in a notebook: a drawing that answers in any front end, also offline, and a widget that answers Python."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from html import escape
from typing import Any

import torch

from pellucid.languages.choice import chosen, spoken
from pellucid.languages.sentences import translated
from pellucid.models.subject import Subject
from pellucid.report import live as scripts
from pellucid.report.page import POLICY
from pellucid.views import story
from pellucid.views.frame import DARK, LIGHT, properties
from pellucid.views.script import module
from pellucid.views.svg import Markup, el, heading, style
from pellucid.views.words import method_name, say
from pellucid.views.writing import number, visible
from pellucid.words.draw import Drawn
from pellucid.words.errors import OptionError
from pellucid.words.explanation import Explanation
from pellucid.words.table import Cell, Column, Table

ROWS = 100
"""Rows of a table that stand below a drawing; of more the number is told."""

CONTROLS = 110
"""Pixels below a drawing, before the page inside says itself how tall it is."""

LOOK = f"""
:root{{color-scheme:light dark;{properties(LIGHT)}}}
@media (prefers-color-scheme:dark){{:root{{{properties(DARK)}}}}}
body{{margin:0;color:var(--ink);font:13px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK SC",
sans-serif}}
figure{{margin:0;max-width:760px}}
figure>svg{{display:block;width:100%;height:auto}}
details{{margin:8px 2px;max-width:760px}}
summary{{cursor:pointer;color:var(--soft)}}
summary:focus-visible{{outline:2px solid var(--neg);outline-offset:2px}}
.wide{{overflow:auto;max-height:320px}}
h1{{font-size:20px;margin:6px 0 10px}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:6px 0}}
th,td{{text-align:left;padding:3px 14px 3px 0;border-bottom:1px solid var(--rule);font-weight:400;
vertical-align:top;max-width:26ch;overflow-wrap:break-word}}
td:last-child:not(.n){{min-width:26ch;max-width:60ch}}
td.n{{text-align:right}}
"""


def shown(item: Any) -> dict[str, Any]:
    """What a notebook chooses from: the drawing as a page in a frame of its own, and the same in characters.

    The frame needs no network, no widget manager and no trust beyond scripts in it; without scripts the drawing is
    complete. It stays when the notebook is turned into a page.
    """
    if isinstance(item, Drawn):
        svg = item.svg()
        return {"text/html": framed(page(item, svg), *_size(svg), title=_title(svg)), "text/plain": item.text()}
    made = _subject(item) if isinstance(item, Subject) else _catalogue(item)
    return {"text/html": framed(made, 760, 420, "Pellucid"), "text/plain": repr(item)}


def _document(title: str, *inside: Any) -> str:
    """A page of text and tables."""
    lang = spoken()
    head = el("head", el("meta", charset="utf-8"), el("meta", http_equiv="Content-Security-Policy", content=POLICY),
              el("meta", name="color-scheme", content="light dark"), el("title", title), style(LOOK))
    return "<!doctype html>" + el("html", head, el("body", el("main", el("h1", title), *inside)),
                                  lang="zh-Hans" if lang == "zh" else "en").markup()


def _subject(subject: Subject) -> str:
    """A model: what it is, what it says, and its layers by name."""
    lang, module_ = spoken(), subject.module
    count = sum(p.numel() for p in module_.parameters())
    labels = subject.spelled((lang,))
    facts = [(say(lang, "model kind"), type(module_).__name__),
             (say(lang, "model task"), say(lang, f"task {subject.task}")),
             (say(lang, "model parameters"), f"{count:,}"),
             *([(say(lang, "model classes"), say(lang, "comma").join(labels[:12]) + (" …" if len(labels) > 12 else ""))]
               if labels else [])]
    rows = tuple((name, type(m).__name__, sum(p.numel() for p in m.parameters()))
                 for name, m in module_.named_modules() if name)
    table = Table("layers", subject.name, (Column("layer", say(lang, "table layer")), Column(
        "kind", say(lang, "table kind")), Column("parameters", say(lang, "model parameters"))), rows)
    body = el("tbody", *(el("tr", el("th", k, scope="row"), el("td", visible(v, 600))) for k, v in facts))
    return _document(visible(subject.name, 200), el("table", body), _table(table, lang, say(lang, "table layers")))


def _catalogue(known: Mapping[str, Any]) -> str:
    """Methods: what each does, and what it asks of a model."""
    lang = spoken()
    rows = tuple((name, method_name(name, lang), m.card.asks, translated("summary", m.summary, lang))
                 for name, m in known.items())
    columns = tuple(Column(k, say(lang, f"table {k}")) for k in ("name", "title", "asks", "summary"))
    title = say(lang, "catalogue", n=len(rows))
    return _document(title, _table(Table("methods", title, columns, rows), lang, say(lang, "table methods")))


def page(item: Drawn, svg: str | None = None, lang: str | None = None) -> str:
    """One record alone as a page that needs nothing from outside: its drawing, live, and its numbers in a table."""
    svg = svg if svg is not None else item.svg(lang=lang)
    told = chosen(lang)
    script, digest = scripts.script()
    policy = f"{POLICY}; script-src '{digest}'"
    head = el("head", el("meta", charset="utf-8"), el("meta", http_equiv="Content-Security-Policy", content=policy),
              el("meta", name="color-scheme", content="light dark"), el("title", _title(svg)), style(LOOK))
    body = el("body", el("main", el("figure", Markup(svg)), *(_table(t, told) for t in item.tables(lang=lang)[:1])),
              script)
    return "<!doctype html>" + el("html", head, body, lang="zh-Hans" if told == "zh" else "en",
                                  data_framed="").markup()


def framed(inside: str, width: float, height: float, title: str) -> str:
    """A page in a frame, as tall as its drawing at full width; it then says itself how tall it is."""
    tall = math.ceil(height * min(1.0, 760 / max(width, 1))) + CONTROLS
    return (f'<iframe srcdoc="{escape(inside)}" title="{escape(title)}" width="100%" height="{tall}" '
            'style="border:0;max-width:790px;color-scheme:normal" loading="lazy"></iframe>')


def _size(svg: str) -> tuple[float, float]:
    found = [re.search(rf'^<svg[^>]*?\s{name}="([\d.]+)"', svg) for name in ("width", "height")]
    return tuple(float(f[1]) if f else 720.0 for f in found)  # pyright: ignore[reportReturnType]


def _title(svg: str) -> str:
    return heading(svg)[0] or "Pellucid"


def _table(table: Table, lang: str, summary: str = "") -> Any:
    """The numbers, folded away: what a screen reader reads in place of colours; what has a `summary` is unfolded."""
    head = el("tr", *(el("th", c.title, scope="col") for c in table.columns))
    rows = [el("tr", *(_cell(v, k) for k, v in enumerate(row))) for row in table.rows[:ROWS]]
    more = len(table.rows) - ROWS
    rest = el("p", say(lang, "rows left", n=more)) if more > 0 else None
    return el("details", el("summary", summary or say(lang, "numbers as table", n=len(table.rows))),
              el("div", el("table", el("thead", head), el("tbody", *rows)), rest, class_="wide", tabindex="0",
                 role="region", aria_label=visible(table.title, 300)), open="" if summary else None)


def _cell(value: Cell, column: int) -> Any:
    told = "–" if value is None else number(value, 5) if isinstance(value, float) else visible(str(value), 300)
    return el("th", told, scope="row") if not column else el("td", told, class_="n" if isinstance(
        value, int | float) else None)


# --- a widget that answers Python

def live(item: Drawn, **options: Any) -> Any:
    """The drawing as a widget: what is selected in it is known in Python.

    `options` are the drawing's. `selected` are the numbers of the values that are selected, in the order of `values`;
    of an explanation `total` is their sum, and `interval` where that lies at 95 % if their errors are independent.
    Raises `extra.notebook` without anywidget.
    """
    return _widget()(item, item.svg(**options))


@cache
def _widget() -> type[Any]:
    try:
        anywidget, traitlets = importlib.import_module("anywidget"), importlib.import_module("traitlets")
    except ImportError as error:
        raise OptionError("extra.notebook", "no package for widgets", "anywidget",
                          "pip install 'pellucid[notebook]'; a record alone in a cell needs none") from error

    class Live(anywidget.AnyWidget):
        """A drawing in a notebook."""

        _esm = module()
        svg = traitlets.Unicode().tag(sync=True)
        selected = traitlets.List(traitlets.Int()).tag(sync=True)

        def __init__(self, item: Drawn, svg: str) -> None:
            super().__init__(svg=svg)
            self.item = item

        def _chosen(self) -> torch.Tensor:
            return torch.as_tensor(self.selected, dtype=torch.long)

        @property
        def total(self) -> float | None:
            """The sum of the values that are selected."""
            if not isinstance(self.item, Explanation):
                return None
            values = self.item.values.detach().cpu().double()
            flat = (values.nan_to_num().sum(0) if values.dim() == 3 else values).flatten()
            return float(flat[self._chosen()].sum())

        @property
        def interval(self) -> tuple[float, float] | None:
            """Where that sum lies at 95 %, if errors are independent; None where they are unknown."""
            total, error = self.total, self.item.error if isinstance(self.item, Explanation) else None
            if total is None or error is None or error.dim() == 3:
                return None
            half = story.INTERVAL * float(error.detach().cpu().double().flatten()[self._chosen()].norm())
            return total - half, total + half

    return Live


# --- progress

@contextmanager
def progress(what: str = "", lang: str | None = None) -> Iterator[Callable[[int, int], None]]:
    """A counter of answered rows for `progress=`, shown in a notebook and gone when the work is done.

    Elsewhere nothing is shown: the shell has a counter of its own.
    """
    try:
        display = importlib.import_module("IPython.display")
        here = hasattr(importlib.import_module("IPython").get_ipython(), "kernel")  # a terminal cannot take lines back
    except ImportError:
        display, here = None, False
    if display is None or not here:
        yield lambda done, asked: None
        return
    handle: Any = None

    def told(done: int, asked: int) -> None:
        nonlocal handle
        share = min(done / asked, 1.0) if asked else 0.0
        bar = el("div", el("span", f"{visible(what, 100)} {say(lang, 'rows answered', rows=done, asked=asked)}"),
                 el("progress", value=f"{share:.3f}", max="1"))
        shown_ = {"text/html": bar.markup(), "text/plain": f"{done}/{asked}"}
        if handle is None:
            handle = display.display(shown_, raw=True, display_id=True)
        else:
            handle.update(shown_, raw=True)

    try:
        yield told
    finally:
        if handle is not None:
            handle.update({"text/html": "", "text/plain": ""}, raw=True)
