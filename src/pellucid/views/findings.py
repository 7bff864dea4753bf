"""What is wrong, in sentences: each finding with its sign, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.views.frame import SHAPES, Sheet, lines
from pellucid.views.svg import Element, el
from pellucid.views.words import say
from pellucid.views.writing import columns, visible, wrap
from pellucid.words.explanation import Finding


def found(findings: tuple[Finding, ...], sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """Each finding with its sign, and what to do; that there is none where there is none."""
    told = [(f.level, *s) for f, s in zip(findings, sentences(findings, sheet.lang), strict=False)]
    return signed(told or [("pass", sheet.say("no faults"), "")], sheet, y)


def signed(told: Sequence[tuple[str, str, str]], sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """Levels with what was seen and what to do: the level's sign beside each."""
    x, nodes = sheet.margin, list[Element]()
    for level, said, do in told:
        nodes.append(el("path", d=SHAPES[level], transform=f"translate({x:g} {y - 5:g}) scale(.9)",
                        class_=f"icon {level}"))
        made, y = lines(said, x + 26, y + 8, 13, sheet.inner - 26)
        nodes += made
        if do:
            made, y = lines(sheet.say("do", do=do), x + 26, y - 1, 12, sheet.inner - 26, "soft")
            nodes += made
        y += 5
    return nodes, y


def sentences(findings: tuple[Finding, ...], lang: str) -> list[tuple[str, str]]:
    """Each finding in the language, with what to do; that there is none where there is none."""
    if not findings:
        return [(say(lang, "no faults"), "")]
    return [(visible(said, 900), visible(do, 600)) for said, do in (f.told(lang) for f in findings)]


def text(findings: tuple[Finding, ...], lang: str, width: int) -> list[str]:
    """The same in lines for a terminal, each behind an empty one."""
    out = list[str]()
    for said, do in sentences(findings, lang):
        out += ["", *wrap(said, width, columns), *(wrap(say(lang, "do", do=do), width, columns) if do else [])]
    return out
