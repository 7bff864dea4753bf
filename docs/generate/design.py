"""docs/design-language.md: how drawings look, with every figure taken from the code that draws them."""

from __future__ import annotations

from pathlib import Path

from docs.generate.catalogue import DOCS
from pellucid.views import palette
from pellucid.views.chart import shades
from pellucid.views.frame import DARK, LIGHT, PRINT, SIZES

PAGE = DOCS / "design-language.md"

ROLES = {
    "ink": "text, what is read first", "soft": "text beside it, ticks", "rule": "hair lines", "ground": "the card",
    "well": "fields without a value", "pos": "raises the score", "neg": "lowers the score", "pass": "checks passed",
    "warn": "use with care", "fail": "do not rely on this",
}

HEAD = """# The visual language

*The figures here are written by `make docs` from the code that draws; the text stands in docs/generate/design.py.*

One drawing for each kind of answer, the same in a notebook, a browser, a report, a PDF and (as characters) a terminal.
It must be beautiful enough for a customer and honest enough for an auditor. Where the two quarrel, honesty wins.

## What every drawing keeps to

1. **The verdict comes first**, before the picture can convince anybody: a band with a sign and the reason, then what to
   do. The signs differ in shape (circle, triangle, octagon), so that nothing hangs on colour.
2. **The question is the title** (“Why ‘seven’?”), the score stands below it, then the method in plain words.
3. **Zero is fixed.** A signed scale is symmetric, zero has no colour at all, and what lies below stays visible there.
   Strengths without a sign start at zero. Where outliers are cut, the note says at which percentile and how large the
   largest is.
4. **Colour means effect and nothing else.** Pictures below a map are grey, unless `ground="picture"` is asked for.
5. **What is compared shares a scale**; what does not compare says so (small multiples of different methods).
6. **A number carries its error** where it is known: whiskers and ± are 95 % intervals, values whose interval holds zero
   are pale.
7. **Nothing is decoration.** No gradient, shadow or icon without a meaning; hair lines instead of boxes.
8. **Raw values are kept**: in `data-` attributes for scripts, in tables for readers and machines; a file is never
   rounded.
9. **Everything has a text form**: `<title>` and `<desc>` for screen readers, `text()` for terminals, tables below.
10. **Motion** only answers a hand: values follow the pointer, nothing moves by itself; transitions are left out where
    the reader's system asks for less motion.
"""

WRITING = """## How things are written

- Numbers have three significant digits, a true minus sign (−), a plus sign where a sign is meant, and figures of one
  width; an interval is written to its second digit, its value to the same place.
- Names that do not fit end in “…”; the whole name stands in the tooltip and in the table. Long texts are wrapped,
  Chinese, Japanese and Korean at any letter; right-to-left texts are mirrored.
- Characters that cannot be seen (zero-width, bidirectional, control) are shown as marks such as ‹ZWSP›; piles of
  accents are cut after three. A label is data and never markup.
- Letters without a font are never boxes: where a drawing is printed they stand as their codes, and where it is live a
  line says which they are; both say what to install.
- Words of scripts that run in different directions stand on a line as Unicode's rules for them say.
- Words are plain; English and Chinese come from one catalogue ([languages](languages.md)).

## Spacing

Drawings are 720 units wide (320 to 2000), with a margin of 28 (18 below 520, where parts stand under one another).
Parts are 26 apart, lines of text 1.45 of their size. Corners: 12 for a card, 8 for a band, 2 to 6 for marks.

## Themes

`auto` follows the reader's system and turns to print on paper; `light`, `dark` and `print` hold one. Print has black
text and no card. The controls of live drawings take the drawing's own colours.
"""


def text() -> str:
    """The page."""
    out = [HEAD, "## Type", "", "One family, the system's own sans serif. Sizes by role, in units of the drawing:", "",
           "| size | for |", "|---|---|"]
    out += [f"| {size:g} | {role} |" for size, role in SIZES.items()]
    out += ["", "## Colours", "", "| name | light | dark | print | for |", "|---|---|---|---|---|"]
    out += [f"| `{k}` | `{LIGHT[k]}` | `{DARK[k]}` | `{PRINT[k]}` | {ROLES[k]} |" for k in LIGHT]
    out += ["", "Text has a contrast of at least 4.5 to 1 on its ground in every theme, so have verdicts:",
            "tests/drawings/test_palette.py measures it.", "", "### The signed scale", "",
            "Blue below zero, nothing at zero, vermilion above; size is shown by opacity and, towards the ends, by",
            "depth. The arms differ in blue against yellow, which every common colour blindness keeps. Simulated after",
            "Machado, Oliveira and Fernandes (doi:10.1109/TVCG.2009.113) for protanopia, deuteranopia and tritanopia,",
            "equal sizes on either side stay apart by 0.11 in OKLab from half of the scale on (a just noticeable",
            "step is about 0.02), and each side grows darker all the way on a light ground. The test measures it.", "",
            "| value | −1 | −½ | ½ | 1 |", "|---|---|---|---|---|",
            "| colour | " + " | ".join(f"`{palette.css(t)}`" for t in (-1, -0.5, 0.5, 1)) + " |", "",
            "### Series", "", "Lines of a chart have equal lightness, from blue over violet to vermilion: the order of",
            "layers shows in them: " + ", ".join(f"`{c}`" for c in shades(5)) + " for five.", "", WRITING]
    return "\n".join(out)


def write(place: Path = PAGE) -> None:
    place.write_text(text(), encoding="utf-8")
