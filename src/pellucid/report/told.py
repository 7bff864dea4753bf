"""What a report says of a record: its verdict, method, numbers, recipe, evidence and provenance, whatever its kind.

Every record is asked for the same things by the same names; what only one kind has stands in `MORE` and `SETTINGS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pellucid.languages.sentences import translated
from pellucid.report import judged, watched
from pellucid.report.document import Block, Entry, Grid, Lines, Pairs, Run
from pellucid.views import cost, story
from pellucid.views.bars import told as with_error
from pellucid.views.svg import heading
from pellucid.views.words import Phrase, detail_name, fact_name, method_name, say
from pellucid.views.writing import clip, isolate, number, signed, visible
from pellucid.words.draw import Drawn
from pellucid.words.explanation import Evidence, Explanation, Finding, Verdict
from pellucid.words.table import Cell, Table

TOP = 10
"""Rows of a table that a report shows."""
SHORT = 60
"""Rows up to which a table that is not the record's first is shown."""
TALL = 400
BRIEF = 120.0
"""Ems of a drawing's own words that a reader in a hurry is told."""

EVIDENCE = ("rows", "passes", "seconds", "chunk", "dtype", "device", "isolation", "strict", "precision",
            "shared_by", "recomputed", "retries")  # fmt: skip
SHARED = ("passes", "seconds", "chunk", "isolation")
"""What of the evidence is about a run in which several shared."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "evaluation": ("method",),
    "heads": ("inputs", "ablation", "compared"),
    "look": ("inputs",),
    "activity": ("inputs",),
    "concepts": ("inputs", "sets", "permutations", "level", "control", "over", "cav", "penalty", "seed"),
    "craft": ("layer", "inputs", "crops", "crop", "seed"),
    "visualised": ("target", "steps", "seed"),
    "training": ("run.method", "run.probes", "run.probe"),
}
"""What was chosen, for the kinds whose recipe is their own attributes."""
CHOICES = ("control", "over", "cav", "ablation")
"""Those that are words of ours."""


def entry(item: Drawn, id: str, svg: str, lang: str) -> Entry:
    """What a report says of one record, whose drawing is `svg`; `id` is its own in the report."""
    question, spoken = heading(svg)
    question = question or say(lang, f"kind {item.drawn}")
    verdict = verdict_of(item)
    sentence = story.sentence(item, lang) if isinstance(item, Explanation) else _answer(question, spoken, verdict, lang)
    short = lines_of(verdict, lang)[0] if verdict is not None else say(lang, "no verdict")
    return Entry(id, item, svg, spoken or question, say(lang, f"kind {item.drawn}"), question, sentence,
                 verdict.status if verdict else "", short, tuple(_blocks(item, verdict, lang)))


def _answer(question: str, spoken: str, verdict: Verdict | None, lang: str) -> str:
    """The question and what the drawing answers, which it says to who does not see it; the verdict stands elsewhere."""
    for line in () if verdict is None else (*lines_of(verdict, lang), *(reason(f, lang)[0] for f in verdict.findings)):
        spoken = spoken.replace(line, "", 1)
    answer = clip(spoken.strip(" .。;；\n"), BRIEF)
    if not answer:
        return question
    asked = question if question.endswith(("?", "？")) else question + say(lang, "colon").strip()
    return say(lang, "asked", question=Phrase(asked), answer=Phrase(answer))


def verdict_of(item: Any) -> Verdict | None:
    """The verdict, or the findings as one; None for what is shown and not judged."""
    if hasattr(item, "verdict"):
        return item.verdict
    found = getattr(item, "findings", None)
    if found is None and isinstance(item, Mapping):
        found = tuple(f for one in item.values() for f in getattr(one, "findings", ())) or None
    return None if found is None else Verdict(tuple(found))


def reason(finding: Finding, lang: str) -> tuple[str, str]:
    """What was seen and what to do, in the language where its sentence is known there."""
    seen, do = finding.told(lang)
    return visible(seen, 1000), visible(do, 600)


def lines_of(verdict: Verdict, lang: str) -> list[str]:
    """The verdict's word with the gravest reason, then the other reasons."""
    word = say(lang, verdict.status) + say(lang, "colon")
    found = [isolate(reason(f, lang)[0]) for f in ordered(verdict)] or [say(lang, "quiet")]
    return [word + found[0], *found[1:]]


def ordered(verdict: Verdict) -> list[Finding]:
    """The reasons, the gravest first."""
    return sorted(verdict.findings, key=lambda f: {"fail": 0, "warn": 1}.get(f.level, 2))


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
    return visible(str(value), TALL) or say(lang, "none")


def pairs(facts: Iterable[tuple[str, Any]], lang: str) -> Pairs:
    """Names with values as they are written."""
    return Pairs(tuple((visible(name, 200), written(value, lang)) for name, value in facts))


def soft(*texts: str) -> Lines:
    """Remarks."""
    return Lines(tuple(((text, "soft"),) for text in texts if text))


def _blocks(item: Any, verdict: Verdict | None, lang: str) -> Iterable[Block]:
    """Everything below the drawing."""
    if verdict is not None:
        yield _verdict(verdict, lang)
    yield _method(item, lang)
    yield from MORE.get(item.drawn, _tables)(item, lang)
    details = getattr(item, "details", None)
    if details:
        told = tuple((detail_name(name, lang), str(story.beside(value, lang))) for name, value in details.items())
        yield Block(say(lang, "details"), (Pairs(told),))
    yield Block(say(lang, "caveats"), (soft(say(lang, f"caveat {item.drawn}"), *_remarks(item, lang)),))
    yield from _recipe(item, lang)
    yield from _evidence(item, lang)
    known = getattr(item, "provenance", None) or {k: v for k in ("model",) if (v := _reached(item, k, f"run.{k}"))}
    if known:
        yield Block(say(lang, "provenance"), (pairs(((fact_name(k, lang), v) for k, v in known.items()), lang),),
                    record=True)


def _verdict(verdict: Verdict, lang: str) -> Block:
    """The verdict with every finding and its code."""
    word: Run = (say(lang, verdict.status), "strong")
    if not verdict.findings:
        return Block(say(lang, "how far"), (Lines(((word, (say(lang, "colon") + say(lang, "quiet"), "")),)),))
    made: list[tuple[Run, ...]] = [(word,)]
    for finding in ordered(verdict):
        seen, do = reason(finding, lang)
        more: list[Run] = [("\n", ""), (say(lang, "do", do=Phrase(do)), "")] if do else []
        made.append(((seen, ""), *more, ("\n", ""), (visible(finding.code, 100), "soft")))
    return Block(say(lang, "how far"), (Lines(tuple(made)),))


def _method(item: Any, lang: str) -> Block:
    """What was done, in plain words, and where that comes from."""
    if not isinstance(item, Explanation):
        return Block(say(lang, "method"), (Lines((((say(lang, f"about {item.drawn}"), ""),),)),))
    about: list[Run] = [(method_name(item.method, lang), "strong")]
    if item.summary:
        about.append((say(lang, "colon") + visible(translated("summary", item.summary, lang), 1000), ""))
    paper = (soft(say(lang, "paper", paper=item.paper)),) if item.paper else ()
    return Block(say(lang, "method"), (Lines((tuple(about),)), *paper))


def _values(e: Explanation, lang: str) -> Iterable[Block]:
    """The largest values with their intervals; parts of a picture by ninths."""
    picture = story.painted(e) is not None
    found = story.ninths(e, lang) if picture else story.items(e, lang)
    half = any(i.half is not None for i in found)
    rows = tuple((isolate(i.name.strip()) or "␣", with_error(i) if half else signed(i.value)) for i in found[:TOP])
    rest = found[TOP:]
    last = (say(lang, "others", n=len(rest)), signed(sum(i.value for i in rest))) if rest else ()
    remark = say(lang, "ninths") if picture else say(lang, "error") if half else ""
    grid = Grid((say(lang, "name"), say(lang, "value")), rows, last)
    yield Block(say(lang, "values"), (grid, soft(remark)) if remark else (grid,))


def _tables(item: Any, lang: str) -> Iterable[Block]:
    """The numbers of the drawing, the first rows of each table; of long tables only the most important."""
    for i, table in enumerate(item.tables(lang=lang)):
        said = table.name in ("findings", "events") and hasattr(item, "verdict")  # above, with what to do
        if table.rows and not said and (not i or len(table.rows) <= SHORT):
            yield Block(visible(table.title, 200), _grid(table, lang))


def _grid(table: Table, lang: str) -> tuple[Grid | Lines, ...]:
    rows = tuple(tuple(_cell(cell, lang) for cell in row) for row in table.rows[:TOP])
    words = tuple(i for i in range(1, len(table.columns)) if any(isinstance(row[i], str) for row in table.rows))
    grid = Grid(tuple(visible(c.title, 120) for c in table.columns), rows, words=words)
    rest = len(table.rows) - TOP
    return (grid, soft(say(lang, "more rows", n=rest))) if rest > 0 else (grid,)


def _cell(cell: Cell, lang: str) -> str:
    if isinstance(cell, bool):
        return say(lang, "yes" if cell else "no")
    if cell is None or isinstance(cell, float):
        return number(cell)
    return isolate(visible(str(cell), 200))


def _remarks(item: Any, lang: str) -> list[str]:
    """What was done to the input on the way, and what a watcher noted."""
    shown = getattr(item, "shown", None)
    notes = getattr(shown, "notes", ()) or getattr(item, "notes", ())
    return [visible(translated("note", str(n), lang), 600) for n in notes]


def _recipe(item: Any, lang: str) -> Iterable[Block]:
    recipe = getattr(item, "recipe", None)
    several = getattr(item, "explanations", None)
    if several is not None:
        told = several.values() if isinstance(several, Mapping) else several
        yield Block(say(lang, "recipe"), (pairs(((method_name(e.method, lang), e.recipe) for e in told), lang),),
                    record=True)
    elif recipe is not None and len(recipe):
        replay = soft(say(lang, "replay" if recipe.replayable else "no replay"))
        yield Block(say(lang, "recipe"), (pairs(recipe.items(), lang), replay), record=True)
    elif item.drawn in SETTINGS:
        chosen = [(fact_name(name.rpartition(".")[2], lang), fact_name(value, lang) if name in CHOICES else value)
                  for name in SETTINGS[item.drawn] if (value := _reached(item, name)) not in (None, "")]
        yield Block(say(lang, "settings"), (pairs(chosen, lang),), record=True)


def _reached(item: Any, *names: str) -> Any:
    """The first attribute that there is, `run.model` being one of one."""
    for name in names:
        found = item
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None and found != "":
            return found
    return None


def _evidence(item: Any, lang: str) -> Iterable[Block]:
    evidence: Evidence | None = getattr(item, "evidence", None)
    if evidence is None or not (evidence.passes or evidence.rows):
        return
    alone = isinstance(item, Explanation)
    told: list[tuple[str, Any]] = [(say(lang, key), getattr(evidence, key)) for key in (EVIDENCE if alone else SHARED)]
    units = {say(lang, "seconds"): cost.taken, say(lang, "chunk"): lambda n: say(lang, "n rows", n=n)}
    told = [(name, units[name](value) if name in units else value) for name, value in told]
    if alone:
        told += _alone(item, lang)
    for at, finding in getattr(item, "failed", {}).items():
        told.append((f"{say(lang, 'left out')} {at + 1}", reason(finding, lang)[0]))
    yield Block(say(lang, "evidence"), (pairs(told, lang),), record=True)


def _alone(e: Explanation, lang: str) -> list[tuple[str, Any]]:
    """What the evidence of a single explanation says besides."""
    found = e.evidence
    told: list[tuple[str, Any]] = [(say(lang, "answered"), story.answered_by(e, lang))]
    if found.format:
        told.append((say(lang, "format"), translated("format", found.format, lang)))
    if found.peak_bytes is not None:
        told.append((say(lang, "peak_bytes"), f"{found.peak_bytes / 2**20:.1f} MiB"))
    if found.memory:
        mib = f"{(found.predicted_bytes or 0) / 2**20:.1f}"
        told.append((say(lang, "memory"), say(lang, f"memory {found.memory}", mib=mib)))
    if found.joules is not None:
        told.append((say(lang, "joules"), found.joules))
    told += [(say(lang, f"time {part}"), cost.taken(seconds)) for part in cost.PARTS
             if (seconds := found.time.get(part, 0.0)) > 0]
    told += [(name, translated("choice", str(why), lang)) for name, why in found.chosen.items()]
    if e.residual is not None:
        told.append((say(lang, "residual"), float(e.residual)))
    return told


MORE: dict[str, Callable[[Any, str], Iterable[Block]]] = {
    "explanation": _values,
    "evaluation": judged.metrics,
    "comparison": judged.contradictions,
    "training": watched.last,
}
"""What stands below the method; for every other kind, its tables."""
