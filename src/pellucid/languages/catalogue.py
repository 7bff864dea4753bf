"""Every string a drawing, a report or the shell shows, in English and Chinese."""

from __future__ import annotations

from pellucid.languages.choice import LANGUAGES, chosen
from pellucid.languages.filling import filled
from pellucid.languages.marks import isolate, visible
from pellucid.languages.names import DETAILS, FACTS, METHODS, METRICS
from pellucid.languages.sentences import translated
from pellucid.languages.strings.concepts import CONCEPTS
from pellucid.languages.strings.drawings import DRAWINGS
from pellucid.languages.strings.judging import JUDGING
from pellucid.languages.strings.layers import LAYERS
from pellucid.languages.strings.reading import READING
from pellucid.languages.strings.report import REPORT
from pellucid.languages.strings.tables import TABLES
from pellucid.languages.strings.training import TRAINING

CATALOGUE: dict[str, tuple[str, str]] = {**DRAWINGS, **REPORT, **READING, **LAYERS, **CONCEPTS, **TRAINING, **JUDGING,
                                        **TABLES}
"""Key → (English, Chinese)."""


class Phrase(str):
    """Words that are safe already, made of other words."""


def say(lang: str | None, key: str, /, **data: object) -> str:
    """The string in a language; what is filled in is made visible and keeps its own direction.

    A `Phrase` was made visible before and goes in as it is; a `target` is said in the language where it is no label.
    """
    lang = chosen(lang)
    if "target" in data:
        data["target"] = translated("target", str(data["target"]), lang)
    return filled(CATALOGUE[key][LANGUAGES.index(lang)],
                  {k: v if isinstance(v, Phrase) else isolate(str(v)) for k, v in data.items()})


def method_name(name: str, lang: str | None) -> str:
    """A method's name as it is written."""
    return _named(METHODS, name, lang)


def metric_name(name: str, lang: str | None) -> str:
    """A metric's name as it is written."""
    return _named(METRICS, name, lang)


def detail_name(name: str, lang: str | None) -> str:
    """What a method says beside its values, as it is written."""
    if name in DETAILS:
        return DETAILS[name][LANGUAGES.index(chosen(lang))]
    return visible(name.replace("_", " "), 120)


def fact_name(name: str, lang: str | None) -> str:
    """What was chosen or where a record comes from, as it is written."""
    if name in FACTS:
        return FACTS[name][LANGUAGES.index(chosen(lang))]
    return visible(name.replace("_", " "), 120)


def _named(known: dict[str, tuple[str, str]], name: str, lang: str | None) -> str:
    if name in known:
        return known[name][LANGUAGES.index(chosen(lang))]
    words = visible(name.replace("_", " "), 120)
    return words[:1].upper() + words[1:]
