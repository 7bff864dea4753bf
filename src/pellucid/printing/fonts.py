"""Which fonts are there, which characters none of them has, and what to install then."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from pellucid.languages.catalogue import Phrase, say
from pellucid.words.errors import OptionError

SANS = ("Noto Sans", "Segoe UI", "Helvetica Neue", "Arial", "Liberation Sans", "Roboto", "DejaVu Sans",
        "Libertinus Serif")
"""Faces for Latin letters, best first; the last one comes with typst."""
CHINESE = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei",
           "WenQuanYi Micro Hei", "Droid Sans Fallback", "SimHei")
"""Faces with Chinese letters, best first."""
OTHERS = ("DejaVu Sans", "Noto Color Emoji", "Noto Emoji", "Apple Color Emoji", "Segoe UI Emoji", "Noto Sans Symbols 2",
          "Symbola")
"""Asked for what the faces above lack."""

FILES = ("NotoSansCJK", "NotoSerifCJK", "NotoSansSC", "SourceHanSans", "DroidSansFallback", "wqy", "msyh", "simsun",
         "simhei", "PingFang", "Hiragino", "STHeiti", "ukai", "uming")
PLACES = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/System/Library/Fonts",
          "/Library/Fonts", "C:/Windows/Fonts")

INSTALL = {
    "chinese": "Noto Sans CJK (Debian: apt install fonts-noto-cjk, or the smaller fonts-droid-fallback)",
    "emoji": "Noto Color Emoji (Debian: apt install fonts-noto-color-emoji)",
    "other": "Noto Sans (Debian: apt install fonts-noto-core)",
}
"""What to install for letters of a kind."""

_WIDE = re.compile("[\u2e80-\u2fdf\u2ff0-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f"
                   "\uff00-\uffef\U0001aff0-\U0001b16f\U00020000-\U0003ffff]")
_EMOJI = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")
_REFUSED = re.compile(r'the text `"(.*?)"` could not be displayed')
_PROBE = b"""#set document(title: "probe")
#set text(font: json(bytes(sys.inputs.faces)))
#for c in json(bytes(sys.inputs.letters)) { text(c); linebreak() }
"""


_DRAWN = b"""#set document(title: "probe")
#image(bytes(sys.inputs.svg), format: "svg", alt: "probe")
"""


def typst() -> Any:
    """The typst package; raises `extra.pdf` where it is missing or too old."""
    try:
        import typst
    except ImportError:
        found = "no typst"
    else:
        if hasattr(typst, "Fonts"):
            return typst
        found = f"typst {getattr(typst, '__version__', '')}".strip()
    raise OptionError("extra.pdf", found, "typst 0.15 or newer, which sets pages and pictures",
                      'pip install "pellucid[pdf]"')


@cache
def installed() -> Any:
    """Every font of the system, and the few that typst brings."""
    return typst().Fonts()


def faces(chinese: bool = False) -> list[str]:
    """The families to set text in, in order of preference; with Chinese letters first where text is Chinese."""
    known = set(installed().families())
    latin, wide = ([f for f in names if f in known] for names in (SANS, CHINESE))
    more = [f for f in OTHERS if f in known]
    return list(dict.fromkeys([*wide, *latin, *more] if chinese else [*latin, *wide, *more]))


def wide(text: str) -> bool:
    """Whether Chinese, Japanese or Korean letters are in it."""
    return bool(_WIDE.search(text))


_SHOWN: dict[int, tuple[Any, set[str], set[str]]] = {}
"""For a set of fonts, which is kept so that its id stays its own: characters that one has, and that none has."""


def missing(text: str) -> list[str]:
    """The characters that no font here can show, each once, in order.

    The typesetter itself is asked, on a page of those characters: it falls back as it does on any other page.
    """
    fonts = installed()
    _, good, bad = _SHOWN.setdefault(id(fonts), (fonts, set(), set()))
    letters = [c for c in dict.fromkeys(text) if not c.isascii() and unicodedata.category(c) not in _UNSEEN]
    new = [c for c in letters if c not in good and c not in bad]
    if new:
        bad.update(_refused(fonts, new))
        good.update(c for c in new if c not in bad)
    for piled in dict.fromkeys(_ACCENTED.findall(text)):
        if piled not in good and piled not in bad:
            (good if _fits(fonts, piled) else bad).add(piled)
    accents = dict.fromkeys(c for piled in _ACCENTED.findall(text) if piled in bad for c in piled[1:])
    return [*(c for c in letters if c in bad), *accents]


_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
"""Categories that need no glyph: what is unseen has become a mark before."""


def _refused(fonts: Any, letters: Sequence[str]) -> set[str]:
    inputs = {"letters": json.dumps(letters), "faces": json.dumps(faces())}
    try:
        typst().compile(_PROBE, font_paths=fonts, ignore_system_fonts=True, format="pdf", pdf_standards=["ua-1"],
                        sys_inputs=inputs)
    except typst().TypstError as error:
        told = {re.sub(r"\\u\{([0-9a-f]+)\}", lambda m: chr(int(m[1], 16)), found)
                for found in _REFUSED.findall(error.diagnostic)}
        if told:
            return {c for c in letters if c in told}
        raise
    return set()


_ACCENTED = re.compile("[^\u0300-\u036f][\u0300-\u036f]+")
"""A letter with accents of its own: a font may have each, and still no place to put one above the other."""


def _fits(fonts: Any, text: str) -> bool:
    """Whether the typesetter can show this as it is, in a drawing too, where it looks for fonts letter by letter."""
    family = ",".join(f"'{name}'" for name in faces())
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="20" font-family="{family}"><text y="15">'
           f"{escape(text)}</text></svg>")
    try:
        typst().compile(_DRAWN, font_paths=fonts, ignore_system_fonts=True, format="pdf", pdf_standards=["ua-1"],
                        sys_inputs={"svg": svg})
    except typst().TypstError:
        return False
    return True


def marked(text: str, absent: Iterable[str]) -> str:
    """The text with the characters that no font has as their codes."""
    return text.translate({ord(c): f"‹U+{ord(c):04X}›" for c in absent})


def line(absent: Sequence[str], lang: str | None = None) -> str:
    """One line that says which characters have no font, and what to install."""
    kinds = dict.fromkeys("chinese" if wide(c) else "emoji" if _EMOJI.match(c) else "other" for c in absent)
    codes = ", ".join(f"U+{ord(c):04X}" for c in absent[:5]) + (", …" if len(absent) > 5 else "")
    return say(lang, "no font", n=len(absent), list=codes, fonts=Phrase("; ".join(INSTALL[k] for k in kinds)))


def needed(lang: str | None) -> None:
    """Refuse a page in a language that no font here can write (`font.missing`)."""
    if lang == "zh" and missing("中文字体"):
        raise OptionError("font.missing", "no font with Chinese letters", "one that can show lang='zh'",
                          f"install {INSTALL['chinese']}, or write .html or .svg, which use the reader's fonts")


def chinese_font() -> str:
    """The name of an installed font with Chinese letters, empty where there is none; needs no typst."""
    ask = shutil.which("fc-list")
    if ask:
        try:
            told = subprocess.run([ask, ":lang=zh", "family"], capture_output=True, text=True, timeout=20, check=False)
            return told.stdout.partition("\n")[0].partition(",")[0].strip()
        except (OSError, subprocess.SubprocessError):
            pass
    for place in PLACES:
        for file in sorted(Path(place).expanduser().glob("**/*.[to]t[fc]")):
            if any(known.lower() in file.name.lower() for known in FILES):
                return file.name
    return ""
