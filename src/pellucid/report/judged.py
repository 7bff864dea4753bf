"""What a report says below the drawing of an evaluation or a comparison: every figure, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable

from pellucid.report.document import Block, Grid, Lines, Pairs
from pellucid.views import compared
from pellucid.views.evaluation import plain, within
from pellucid.views.words import metric_name, say
from pellucid.views.writing import number, visible
from pellucid.words.comparison import Comparison
from pellucid.words.evaluation import Evaluation


def metrics(e: Evaluation, lang: str) -> Iterable[Block]:
    """Every metric with its interval and its controls, in figures and in words; then the papers."""
    heads = (say(lang, "metric"), say(lang, "measured"), say(lang, "controls"), "p")
    rows = tuple((metric_name(m.name, lang), " ".join(filter(None, (number(m.value), within(m)))), number(m.control),
                  number(m.p)) for m in e.values())
    said = tuple(((f"{metric_name(m.name, lang)}{say(lang, 'colon')}{plain(m, lang)}", "soft"),) for m in e.values())
    yield Block(say(lang, "metric"), (Grid(heads, rows), Lines(said)))
    papers = tuple((metric_name(m.name, lang), visible(m.paper, 200)) for m in e.values() if m.paper)
    if papers:
        yield Block(say(lang, "paper", paper="").rstrip(": ："), (Pairs(papers),))


def contradictions(c: Comparison, lang: str) -> Iterable[Block]:
    """All of them; the drawing tells the largest."""
    if c.contradictions:
        names = compared.feature_names(c, lang)
        yield Block(say(lang, "contradict"), (Lines(tuple(
            ((names[f.at] + say(lang, "colon") + compared.sides(c, f, lang), ""),) for f in c.contradictions)),))
