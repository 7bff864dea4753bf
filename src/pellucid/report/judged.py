"""What a report says below the drawing of an evaluation or a comparison: every figure, and where it comes from."""

from __future__ import annotations

from pellucid.report.facts import block, pairs
from pellucid.views import comparison, story
from pellucid.views.evaluation import plain, within
from pellucid.views.svg import Element, el
from pellucid.views.words import metric_name, say
from pellucid.views.writing import number, visible
from pellucid.words.comparison import Comparison
from pellucid.words.evaluation import Evaluation

SHARED = ("passes", "seconds", "chunk", "isolation")
"""What of the evidence is about a run in which several shared."""


def title(item: Evaluation | Comparison, lang: str) -> str:
    """The question that its drawing answers."""
    if isinstance(item, Evaluation):
        return say(lang, "how good", target=item.target)
    return say(lang, "does baseline" if item.baselines else "do agree", n=len(item), target=item.target)


def facts(item: Evaluation | Comparison, lang: str, level: int) -> Element:
    """Verdict with codes, all figures, and evidence."""
    found = (block(level, say(lang, "metric"), _metrics(item, lang)) if isinstance(item, Evaluation)
             else _contradictions(item, lang, level))
    evidence = [(say(lang, key), getattr(item.evidence, key)) for key in SHARED]
    papers = [(metric_name(m.name, lang), m.paper) for m in item.values() if m.paper] if isinstance(
        item, Evaluation) else []
    return el("div", _verdict(item, lang, level), found,
              block(level, say(lang, "evidence"), pairs(evidence, lang)),
              block(level, say(lang, "paper", paper="").rstrip(": ："), pairs(papers, lang)) if papers else None,
              class_="facts")


def _verdict(item: Evaluation | Comparison, lang: str, level: int) -> Element:
    status = el("p", el("strong", say(lang, item.verdict.status)))
    if not item.verdict.findings:
        return block(level, say(lang, "how far"), status.add(say(lang, "colon") + say(lang, "quiet")))
    made = [el("p", visible(f.reason, 1000), *([el("br"), say(lang, "do", do=f.do)] if f.do else []),
               el("br"), el("span", visible(f.code, 100), class_="soft")) for f in story.findings(item)]
    return block(level, say(lang, "how far"), status, *made)


def _metrics(e: Evaluation, lang: str) -> Element:
    heads = [say(lang, "metric"), say(lang, "value"), say(lang, "controls"), "p"]
    rows = [[metric_name(m.name, lang), " ".join(filter(None, (number(m.value), within(m)))), number(m.control),
             number(m.p)] for m in e.values()]
    table = _table(heads, rows)
    return el("div", table, *(el("p", f"{metric_name(m.name, lang)}{say(lang, 'colon')}{plain(m, lang)}", class_="soft")
                              for m in e.values()))


def _contradictions(c: Comparison, lang: str, level: int) -> Element | None:
    """All of them; the drawing tells the largest."""
    if not c.contradictions:
        return None
    names = comparison.feature_names(c, lang)
    return block(level, say(lang, "contradict"), *(
        el("p", names[f.at] + say(lang, "colon") + comparison.sides(c, f, lang)) for f in c.contradictions))


def _table(heads: list[str], rows: list[list[str]]) -> Element:
    head = el("tr", *(el("th", h, scope="col", class_="n" if k else None) for k, h in enumerate(heads)))
    body = el("tbody", *(el("tr", *(el("td", cell, class_="n") if k else el("th", cell, scope="row")
                                    for k, cell in enumerate(row))) for row in rows))
    return el("table", el("thead", head), body)
