"""Which language is spoken: an argument, else PELLUCID_LANG, else English."""

from __future__ import annotations

import os

LANGUAGES = ("en", "zh")


def chosen(lang: str | None = None) -> str:
    """The language of an argument; where that is None, of the environment's PELLUCID_LANG; else English.

    Raises `option.lang` for a language that is not spoken here.
    """
    named = lang if lang is not None else os.environ.get("PELLUCID_LANG", "").strip() or "en"
    if named in LANGUAGES:
        return named
    from pellucid.words.errors import OptionError

    told = "lang" if lang is not None else "PELLUCID_LANG"
    raise OptionError("option.lang", f"{told}={named!r}", "'en' or 'zh'", "choose one of the two")


def spoken() -> str:
    """The environment's language, English where it names none that is spoken: what may not raise speaks so."""
    named = os.environ.get("PELLUCID_LANG", "").strip()
    return named if named in LANGUAGES else "en"
