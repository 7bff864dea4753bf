"""What a comparison says in words: its names and figures, and all of it for a terminal or a screen reader."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pellucid.numbers.agreement import unit
from pellucid.views.evaluation import head_text
from pellucid.views.look import table
from pellucid.views.matrix import percent, two
from pellucid.views.words import method_name, metric_name, say
from pellucid.views.writing import clip, columns, number, pad, visible, wrap
from pellucid.words.comparison import Comparison, Contradiction

MEASURES = ("rank", "sign", "top")
MARKED = 6
"""Contradictions that are told in words; all are outlined."""


def title(c: Comparison, lang: str) -> str:
    return say(lang, "does baseline" if c.baselines else "do agree", n=len(c), target=c.target)


def facts(c: Comparison, lang: str) -> str:
    """Score, model, method where there is but one, and what all of it took."""
    told = [say(lang, "score", score=number(c.score))]
    if c.baselines:
        told.append(method_name(c.first.method, lang))
    if c.model:
        told.append(visible(c.model, 60))
    took = say(lang, "in common", passes=c.evidence.passes, seconds=number(c.evidence.seconds, 2))
    return say(lang, "joint").join([*told, took])


def label(c: Comparison, name: str, lang: str) -> str:
    """A method's name, or a baseline's."""
    return visible(name, 80) if c.baselines else method_name(name, lang)


def feature_names(c: Comparison, lang: str) -> list[str]:
    """Features by name; places of a picture in the reader's language, columns with their cells."""
    layout = c.layout
    if not layout.names and len(layout.shape) == 2:
        down, across = layout.shape
        return [say(lang, "row column", r=r + 1, c=k + 1) for r in range(down) for k in range(across)]
    if not layout.names:
        return [say(lang, "region", n=i + 1) for i in range(layout.n)]
    cells = c.first.shown.cells if c.first.shown and c.first.shown.kind == "table" else ()
    told = [f"{n} = {v}" if v else n for n, v in zip(layout.names, cells, strict=True)] if len(cells) == layout.n else (
        list(layout.names))
    return [visible(n, 120) for n in told]


def sums_of(c: Comparison) -> list[tuple[str, Tensor, str]]:
    """What the explanations say together: key of its name, values, and their kind."""
    if c.average is not None:
        return [("average", unit(c.average), "signed"), *([("spread between", c.spread, "size")] if c.spread is not None
                                                         and len(c) > 1 else [])]
    if c.consensus is not None and c.spread is not None:
        return [("consensus", c.consensus, "signed"), *([("spread between", c.spread, "size")] if len(c) > 1 else [])]
    return [("prominent", c.prominence, "size")] if c.prominence is not None else []


def sides(c: Comparison, found: Contradiction, lang: str) -> str:
    above, below = (say(lang, "comma").join(label(c, n, lang) for n in side) for side in
                    (found.above, found.below))
    return say(lang, "raised by", list=above) + say(lang, "semicolon") + say(lang, "lowered by", list=below)


def cells(c: Comparison, lang: str) -> tuple[list[str], list[list[str]]]:
    """The table of worth and cost: heads, then a row for each explanation."""
    metrics = list(dict.fromkeys(m for e in c.evaluations.values() for m in e))
    heads = [say(lang, "from baseline name" if c.baselines else "explained by")]
    heads += [say(lang, "score there")] if c.baselines else []
    heads += [metric_name(m, lang) for m in metrics] + [say(lang, "rows short"), say(lang, "took")]
    rows = list[list[str]]()
    for name in c:
        row = [label(c, name, lang)] + ([number(c.baselines[name])] if c.baselines else [])
        measured: Mapping[str, object] = c.evaluations.get(name, {})
        for metric in metrics:
            m = c.evaluations[name].measurements.get(metric) if metric in measured else None
            row.append("–" if m is None else number(m.value) + (f"  {m.beaten}/{len(m.controls)}" if m.controls and
                                                                 m.better else ""))
        cost = c.cost.get(name)
        rows.append([*row, *(["–", "–"] if cost is None else [f"{cost.rows:,}", number(cost.seconds, 2)])])
    return heads, rows


def text(compared: Comparison, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal or a screen reader."""
    c = compared
    out = [*head_text(c, lang, width), "", *wrap(title(c, lang) + "  " + facts(c, lang), width, columns), ""]
    heads, rows = cells(c, lang)
    out += [*wrap(say(lang, "baseline worth" if c.baselines else "worth"), width, columns),
            *_table([heads, *rows], width, lang), ""]
    if len(c) > 1:
        out.append(say(lang, "agreement"))
        for what in MEASURES:
            matrix = c.agreement[what]
            out += ["", *("  " + t for t in wrap(say(lang, f"agree {what}", k=c.k), width - 2, columns))]
            body = [[f"{i + 1} {label(c, n, lang)}", *(two(float(v)) for v in matrix[i])] for i, n in enumerate(c)]
            out += _table([["", *(str(i + 1) for i in range(len(c)))], *body], width, lang)
        out.append("")
    names = feature_names(c, lang)
    for key, values, _ in sums_of(c)[:1]:
        order: list[int] = values.abs().argsort(descending=True, stable=True)[:8].tolist()
        out += [say(lang, key), *(f"  {pad(percent(float(values[i])), 6, right=True)}  "
                                  f"{clip(names[i], width - 10, columns)}" for i in order), ""]
    out.append(say(lang, "contradict"))
    if not c.contradictions:
        out += ["  " + t for t in wrap(say(lang, "contradict none"), width - 2, columns)]
    for found in c.contradictions[:MARKED]:
        out += ["  " + t for t in wrap(names[found.at] + say(lang, "colon") + sides(c, found, lang), width - 2,
                                       columns)]
    if len(c.contradictions) > MARKED:
        out.append("  " + say(lang, "more contradict", n=len(c.contradictions) - MARKED))
    for name, error in c.errors.items():
        out += ["", *wrap(f"{say(lang, 'left out')}: {label(c, name, lang)}: {error.told(lang)[0]}", width, columns),
                *("  " + t for t in wrap(say(lang, "do", do=error.told(lang)[2]), width - 2, columns))]
    return "\n".join(out) + "\n"


def _table(rows: list[list[str]], width: int, lang: str) -> list[str]:
    """Names to the left and numbers to the right, set in a little."""
    return ["  " + t for t in table(rows, width - 2, lang, left=1)]
