"""Sentences that stand in English at their place, in another language: matched by code and template.

Findings, errors, summaries and help are plain English where they are written. The Chinese catalogue says for each
stable code which English templates it can say, and the Chinese of each; what fills a template's holes is carried over.
So what was stored, or comes from other packages, is translated too, and what nobody knows stays as it is.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from pellucid.languages.choice import chosen
from pellucid.languages.filling import filled

AREAS = ("files", "help", "inputs", "judging", "layers", "methods", "models", "notes", "options", "summaries",
         "targets")
"""The files of `languages/chinese` by area; what does not fit into one goes on in NAME_more."""

GOES_ON = ("inputs", "models")

LISTS = (("; ", "；"), (", ", "、"), (" or ", " 或 "), (" and ", " 和 "))
"""What stands between the members of a list, longest lists first."""

BETWEEN = "; expected "
"""What stands between an error's first two parts where a finding says both."""

QUOTING = ("compare.left_out", "input.empty")
"""Codes whose sentences quote those of other errors."""

ASIDE, DEFINITE = ("help", "target", "summary", "shell", "price", "note", "format", "choice", "twin", "doctor", "*"), 8
"""What no error says; and how many letters of a quoted sentence must be a wording's own."""

LONGEST, DEEP = 4000, 5
"""Longer texts are nobody's sentence; phrases stand in phrases so deep."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Template:
    """An English wording in pieces, holes between them; `holes` are their numbers in order."""

    pieces: tuple[str, ...]
    holes: tuple[int, ...]
    told: str

    def fits(self, text: str) -> dict[int, str] | None:
        """What fills the holes where the text is of this wording; each hole takes as little as it can."""
        first, last = self.pieces[0], self.pieces[-1]
        at, stop = len(first), len(text) - len(last)
        if at > stop or not text.startswith(first) or not text.endswith(last):
            return None
        found = dict[int, str]()
        for hole, piece in zip(self.holes, self.pieces[1:-1], strict=False):
            end = text.find(piece, at, stop) if piece else at + len(_word(text[at:stop]))
            if end < 0:
                return None
            found[hole] = text[at:end]
            at = end + len(piece)
        found[self.holes[-1]] = text[at:stop]
        return found


def _word(text: str) -> str:
    """The first word, or what stands in quotes: two holes side by side part behind it."""
    found = re.match(r"'[^']*'|\"[^\"]*\"|[^\s,;:]*", text)
    return found[0] if found else ""


def template(english: str, told: str) -> Template:
    """A wording such as `at most {0} of {1}`; braces of its own are doubled."""
    pieces, holes = [""], list[int]()
    for part in re.split(r"(\{\d+\}|\{\{|\}\})", english):
        if re.fullmatch(r"\{\d+\}", part):
            holes.append(int(part[1:-1]))
            pieces.append("")
        else:
            pieces[-1] += part[0] if part in ("{{", "}}") else part
    return Template(tuple(pieces), tuple(holes), told)


class Wordings:
    """What a code can say: whole sentences by themselves, templates the most definite first."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        made = [template(english, told) for english, told in pairs]
        self.whole = {t.pieces[0]: t.told for t in made if not t.holes}
        self.open = sorted((t for t in made if t.holes), key=lambda t: -sum(map(len, t.pieces)))

    def found(self, text: str) -> tuple[str, dict[int, str]] | None:
        """The Chinese of a text, with what fills its holes."""
        if text in self.whole:
            return self.whole[text], {}
        for t in self.open:
            filled = t.fits(text)
            if filled is not None:
                return t.told, filled
        return None


@cache
def sentences() -> Mapping[str, Pairs]:
    """Code → (English, Chinese)."""
    found = dict[str, Pairs]()
    for name in (*AREAS, *(f"{area}_more" for area in GOES_ON)):
        found |= importlib.import_module(f"pellucid.languages.chinese.{name}").SENTENCES
    return found


@cache
def _said(code: str) -> Wordings | None:
    pairs = (*sentences().get(code, ()), *sentences().get(f"{code.partition('.')[0]}.*", ()))
    return Wordings(pairs) if pairs else None


@cache
def _phrases(code: str) -> tuple[Wordings, ...]:
    from pellucid.languages.chinese.phrases import PHRASES

    return tuple(Wordings(PHRASES[name]) for name in (code, "*") if name in PHRASES)


def translated(code: str, english: str, lang: str | None = None) -> str:
    """A finding's or error's sentence in a language, by its code; as it is where the sentence is not known.

    `lang` None is PELLUCID_LANG, else English. Codes `summary` and `help` are those of methods' first lines and of
    the command line's help.
    """
    if chosen(lang) == "en" or not english or len(english) > LONGEST:
        return english
    return _translated(code, english)


def noted(text: str, lang: str | None = None) -> str:
    """What was noted on the way, in a language; an error is noted as `[code] what was found`."""
    error = re.fullmatch(r"\[([\w.]+)\] (.*)", text, re.DOTALL)
    return f"[{error[1]}] {translated(error[1], error[2], lang)}" if error else translated("note", text, lang)


def _translated(code: str, english: str) -> str:
    known, anyone = _said(code), _said("*")
    seen, middle, wanted = english.rpartition(BETWEEN)
    joined = bool(middle) and known is not None and not (known.found(seen) is known.found(wanted) is None)
    found = known.found(english) if known is not None and not joined else None
    if found is not None:
        return _filled(code, found, DEEP)
    found = anyone.found(english) if anyone is not None else None
    if found is not None:  # an error's parts, put together anew by whoever caught it
        return filled(found[0], {str(i): _translated(code, part) for i, part in found[1].items()})
    return _phrase(code, english, DEEP)


def _filled(code: str, found: tuple[str, dict[int, str]], depth: int) -> str:
    """The Chinese of a template with what fills its holes, each part translated where it is a phrase."""
    return filled(found[0], {str(i): _phrase(code, part, depth) for i, part in found[1].items()})


def _phrase(code: str, text: str, depth: int) -> str:
    """What fills a hole: a phrase, or a list of phrases or of quoted names; names and numbers stay."""
    if not text or depth == 0:
        return text
    lists = [(theirs, members, [_phrase(code, one, depth - 1) for one in members])
             for between, theirs in LISTS if len(members := _members(text, between)) > 1]
    for theirs, members, said in lists:
        quoted = all(re.fullmatch(r"'[^']*'|\.\w+", one) for one in members)  # names, or endings of files
        if quoted or all(one != was for one, was in zip(said, members, strict=True)):
            return theirs.join(said)
    for known in _phrases(code):
        found = known.found(text)
        if found is not None:
            return _filled(code, found, depth - 1)
    for theirs, members, said in lists:
        if said != members:
            return theirs.join(said)
    return _quoted(text) if code in QUOTING else text


def _quoted(text: str) -> str:
    """An error's sentence inside another's, behind a name or by itself: as the most definite wording of any code."""
    name, colon, sentence = text.rpartition(": ")
    best, sure = text, DEFINITE
    for lead, rest in (("", text), (f"{name}：", sentence)) if colon else (("", text),):
        for code in sentences():
            known = None if code in ASIDE else _said(code)
            found = known.found(rest) if known is not None else None
            length = len(rest) - sum(map(len, found[1].values())) if found is not None else 0
            if found is not None and length > sure:
                best, sure = lead + _filled(code, found, DEEP), length
    return best


def _members(text: str, between: str) -> list[str]:
    """The members of a list; what stands in brackets is one."""
    found = list[str]()
    for part in text.split(between):
        if found and found[-1].count("(") > found[-1].count(")"):
            found[-1] += between + part
        else:
            found.append(part)
    return found


def plain(english: str) -> bool:
    """Whether a template holds no word: names given a value, numbers and signs are the same in any language."""
    bare = re.sub(r"[\w.]+=(?=\{\d+\})", " ", english)
    return not re.search(r"[A-Za-z]{2,}|^a\b", re.sub(r"\{\d+\}", " ", bare))


def wordings() -> Iterator[tuple[str, str, str]]:
    """Everything that can be translated: code, English, Chinese."""
    from pellucid.languages.chinese.phrases import PHRASES

    for catalogue in (sentences(), PHRASES):
        for code, pairs in catalogue.items():
            for english, told in pairs:
                yield code, english, told
