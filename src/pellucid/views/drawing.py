"""One drawing per layout: an explanation as one SVG, and as plain text."""

from __future__ import annotations

import re

from pellucid.languages.sentences import translated
from pellucid.views import bars, heat, story, tokens, waterfall
from pellucid.views.frame import THEMES, Sheet, name_of, whole
from pellucid.views.words import detail_name, method_name, say
from pellucid.views.writing import columns, visible, wrap
from pellucid.words.errors import OptionError, nearest
from pellucid.words.explanation import Explanation

FORMS = ("auto", "bars", "waterfall")


def view(e: Explanation, form: str = "auto"):
    """Which drawing fits: a heat map over a picture, tokens, or bars; or the form that was asked for."""
    if form == "waterfall" and not waterfall.fits(e):
        raise OptionError("option.form", f"form='waterfall' for values of {e.method}",
                          "values that add up from a baseline's score to the input's",
                          "take form='bars', or a complete method: shapley, integrated_gradients")
    if form not in FORMS:
        raise OptionError("option.form", f"form={form!r}", ", ".join(FORMS), nearest(str(form), FORMS))
    if form != "auto":
        return waterfall if form == "waterfall" else bars
    if story.painted(e) is not None:
        return heat
    return tokens if e.features.kind == "tokens" else bars


def draw(explanation: Explanation, *, lang: str = "en", width: float = 720, top: int = 12, theme: str = "auto",
         id: str = "", numbers: bool = True, form: str = "auto", contours: bool = False,
         ground: str = "grey") -> str:
    """One SVG with real text, its numbers in data attributes, and nothing from outside.

    `width` in pixels (320 to 2000); below 520 the parts stand under one another. `top` bars are shown.
    `theme` is auto (light or dark as the reader's system is), light or dark. `id` is the prefix of all
    ids, made from the content if not given: give one where the same drawing stands in a page twice.
    `numbers=False` leaves the data attributes out. `form` is auto (what fits the features), bars, or waterfall (from
    the baseline's score to the input's), which values must add up for; else `option.form` is raised.
    Over a picture `contours` draws lines at a quarter, half and three quarters of the scale, and `ground` is what
    colours lie on: the picture in grey, so that colour means effect alone, or the picture itself (`picture`).
    """
    if not 320 <= width <= 2000:
        raise OptionError("option.width", f"width={width}", "320 to 2000 pixels", "choose a width in between")
    if theme not in THEMES:
        raise OptionError("option.theme", f"theme={theme!r}", "'auto', 'light', 'dark' or 'print'",
                          "choose one of the four")
    if id and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,40}", id):
        raise OptionError("option.id", f"id={id!r}", "a letter, then letters, digits or hyphens", "leave it out")
    if top < 1:
        raise OptionError("option.top", f"top={top}", "1 or more", "choose how many bars to show")
    if ground not in ("grey", "picture"):
        raise OptionError("option.value", f"ground={ground!r}", "'grey' or 'picture'", "leave it out for grey")
    sheet = Sheet(float(width), lang, id or name_of(explanation, width, lang), top, contours, ground)
    return whole(explanation, sheet, view(explanation, form).body(explanation, sheet), theme, numbers)


def text(explanation: Explanation, *, lang: str = "en", width: int = 80, form: str = "auto") -> str:
    """The drawing in characters, for a terminal or a screen reader; the verdict comes first. Options as for `draw`."""
    if not 24 <= width <= 1000:
        raise OptionError("option.width", f"width={width}", "24 to 1000 characters", "choose a width in between")
    e = explanation
    signs = {"pass": "✓", "warn": "!", "fail": "✗"}
    lines = list[str]()
    for i, reason in enumerate(story.verdict(e, lang)):
        first, *more = wrap(reason, width - 2, columns)
        lines += [(f"{signs[e.verdict.status]} " if not i else "  ") + first, *("  " + m for m in more)]
    lines += ["", *wrap(say(lang, "why", target=e.target) + "  " + story.facts(e, lang), width, columns)]
    summary = visible(translated("summary", e.summary, lang), 600)
    about = method_name(e.method, lang) + (say(lang, "colon") + summary if summary else "")
    lines += wrap(about, width, columns)
    if e.evidence.twin is not None:
        lines += wrap(say(lang, "answered") + say(lang, "colon") + story.answered_by(e, lang), width, columns)
    for name, value in e.details.items():
        lines += wrap(detail_name(name, lang) + say(lang, "colon") + story.beside(value, lang), width, columns)
    lines.append("")
    return "\n".join([*lines, *view(e, form).text(e, width, lang)]) + "\n"
