"""What stands below a drawing: verdict, method, values as a table, recipe, evidence, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pellucid.views import cost, story
from pellucid.views.bars import told
from pellucid.views.svg import Element, el
from pellucid.views.words import detail_name, method_name, say
from pellucid.views.writing import isolate, number, signed, visible
from pellucid.words.explanation import Explanation

TOP = 10
EVIDENCE = ("rows", "passes", "seconds", "chunk", "dtype", "device", "isolation", "strict", "precision",
            "shared_by", "recomputed", "retries")  # fmt: skip
TALL = 400


def written(value: Any, lang: str) -> str:
    """An option or a fact as a reader wants it."""
    if value is None:
        return say(lang, "none")
    if isinstance(value, bool):
        return say(lang, "yes" if value else "no")
    if isinstance(value, float):
        return number(value, 4)
    if isinstance(value, (list, tuple)):
        return visible(", ".join(written(v, lang) for v in value), TALL) or say(lang, "none")
    if isinstance(value, Mapping):
        return visible(", ".join(f"{k}: {written(v, lang)}" for k, v in value.items()), TALL) or say(lang, "none")
    return visible(str(value), TALL)


def pairs(facts: Iterable[tuple[str, Any]], lang: str) -> Element:
    """Names and values in two columns."""
    made = el("dl")
    for name, value in facts:
        made.add(el("dt", visible(name, 200)), el("dd", written(value, lang)))
    return made


def block(level: int, title: str, *inside: Element | None) -> Element:
    """A part with a heading of this level."""
    return el("div", el(f"h{level}", title), *inside)


def values(e: Explanation, lang: str, level: int) -> Element:
    """The largest values with their intervals; parts of a picture by ninths."""
    picture = story.painted(e) is not None
    found = story.ninths(e, lang) if picture else story.items(e, lang)
    half = any(i.half is not None for i in found)
    head = el("tr", el("th", say(lang, "name"), scope="col"), el("th", say(lang, "value"), scope="col", class_="n"))
    body = el("tbody")
    for item in found[:TOP]:
        body.add(el("tr", el("th", isolate(item.name.strip()) or "␣", scope="row"),
                    el("td", told(item) if half else signed(item.value), class_="n")))
    rest = found[TOP:]
    if rest:
        body.add(el("tr", el("th", say(lang, "others", n=len(rest)), scope="row", class_="soft"),
                    el("td", signed(sum(i.value for i in rest)), class_="n soft")))
    remark = say(lang, "ninths") if picture else say(lang, "error") if half else ""
    return block(level, say(lang, "values"), el("table", el("thead", head), body),
                 el("p", remark, class_="soft") if remark else None)


def verdict(e: Explanation, lang: str, level: int) -> Element:
    """The verdict with every finding and its code."""
    status = el("p", el("strong", say(lang, e.verdict.status)))
    if not e.verdict.findings:
        return block(level, say(lang, "how far"), status.add(say(lang, "colon") + say(lang, "quiet")))
    made = [el("p", visible(f.reason, 1000), *([el("br"), say(lang, "do", do=f.do)] if f.do else []),
               el("br"), el("span", visible(f.code, 100), class_="soft")) for f in story.findings(e)]
    return block(level, say(lang, "how far"), status, *made)


def method(e: Explanation, lang: str, level: int) -> Element:
    """What the method does and where it comes from."""
    about = el("p", el("strong", method_name(e.method, lang)))
    if e.summary:
        about.add(say(lang, "colon") + visible(e.summary, 1000))
    paper = el("p", say(lang, "paper", paper=e.paper), class_="soft") if e.paper else None
    return block(level, say(lang, "method"), about, paper)


def details(e: Explanation, lang: str, level: int) -> Element | None:
    """What the method says beside its values."""
    told = [(detail_name(name, lang), story.beside(value, lang)) for name, value in e.details.items()]
    return block(level, say(lang, "details"), pairs(told, lang)) if told else None


def facts(e: Explanation, lang: str, level: int) -> Element:
    """Everything below the drawing."""
    evidence: list[tuple[str, Any]] = [(say(lang, key), getattr(e.evidence, key)) for key in EVIDENCE]
    evidence.append((say(lang, "answered"), story.answered_by(e, lang)))
    if e.evidence.format:
        evidence.append((say(lang, "format"), e.evidence.format))
    if e.evidence.peak_bytes is not None:
        evidence.append((say(lang, "peak_bytes"), f"{e.evidence.peak_bytes / 2**20:.1f} MiB"))
    if e.evidence.memory:
        mib = f"{(e.evidence.predicted_bytes or 0) / 2**20:.1f}"
        evidence.append((say(lang, "memory"), say(lang, f"memory {e.evidence.memory}", mib=mib)))
    if e.evidence.joules is not None:
        evidence.append((say(lang, "joules"), e.evidence.joules))
    evidence += [(say(lang, f"time {part}"), seconds) for part in cost.PARTS
                 if (seconds := e.evidence.time.get(part, 0.0)) > 0]
    evidence += [(name, value) for name, value in e.evidence.chosen.items()]
    if e.residual is not None:
        evidence.append((say(lang, "residual"), float(e.residual)))
    replay = el("p", say(lang, "replay" if e.recipe.replayable else "no replay"), class_="soft")
    return el(
        "div",
        el("div", verdict(e, lang, level), method(e, lang, level)),
        values(e, lang, level),
        details(e, lang, level),
        block(level, say(lang, "recipe"), pairs(e.recipe.items(), lang), replay) if len(e.recipe) else None,
        block(level, say(lang, "evidence"), pairs(evidence, lang)),
        block(level, say(lang, "provenance"), pairs(e.provenance.items(), lang)) if e.provenance else None,
        class_="facts",
    )
