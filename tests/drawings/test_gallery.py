"""The gallery shows what is drawn today: every picture is made anew and held against the one that is kept."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docs.generate import gallery
from docs.generate.gallery import GALLERY, PAGE, PICTURES, VARIANTS, Picture, plain
from pellucid.words.draw import VIEWS

sys.path.insert(0, str(Path(__file__).parent))
from alike import LIMIT, apart, said

NAMED = {p.name: p for p in GALLERY}
VERBS = {"explain": "explanation", "evaluate": "evaluation", "compare": "comparison", "tcav": "concepts",
         "visualise": "visualised", "Training.open": "training"}
"""What a verb gives, where that has another name."""
MOST = 6_000_000
"""Bytes that the pictures and what they are drawn from may take."""


def kept(name: str, variant: str) -> str:
    return (PICTURES / f"{name}-{variant}.svg").read_text(encoding="utf-8")


@pytest.mark.usefixtures("vision")
@pytest.mark.parametrize("picture", GALLERY, ids=lambda p: p.name)
def test_a_picture_made_anew_looks_like_the_one_that_is_kept(picture: Picture) -> None:
    for variant in VARIANTS:
        made, old = picture.svg(variant), kept(picture.name, variant)
        if made != old:  # byte for byte on the machine that made it; elsewhere numbers round otherwise
            assert said(made) == said(old), f"{picture.name}-{variant}: make docs, and look at it"
            assert apart(made, old) <= LIMIT, f"{picture.name}-{variant}: make docs, and look at it"


def test_every_kind_of_record_has_a_picture_and_the_folder_stays_small() -> None:
    verbs = {p.code.partition("(")[0] for p in GALLERY}
    assert {VERBS.get(v, v) for v in verbs} == set(VIEWS)
    assert sum(f.stat().st_size for f in PICTURES.rglob("*") if f.is_file()) < MOST
    assert {f.name for f in PICTURES.glob("*.svg")} == {f"{n}-{v}.svg" for n in NAMED for v in VARIANTS}


def test_the_page_shows_every_picture_and_only_these() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == gallery.page(), "gallery.md: make docs"
    shown = set(re.findall(r'gallery/([\w-]+\.svg)', page))
    assert shown == {f"{n}-{v}.svg" for n in NAMED for v in VARIANTS}


# --- teeth: what a reader would notice is noticed, what nobody would see is not

def drawn(name: str, **changed: Any) -> str:
    """The picture of a record that was tampered with."""
    picture = NAMED[name]
    made: Any = replace(picture.record("en"), **changed)  # type: ignore[type-var]
    return plain(made.svg(id=f"g-{name}", **{**picture.options, **VARIANTS["light"]}))


@pytest.mark.parametrize("name", ["map", "patches", "words", "bars"])
def test_a_flipped_sign_is_seen(name: str) -> None:
    true = NAMED[name].record("en")
    assert apart(drawn(name, values=-true.values), kept(name, "light")) > 2 * LIMIT  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["heat", "map", "patches"])
def test_a_map_that_lies_elsewhere_is_seen(name: str) -> None:
    true = NAMED[name].record("en")
    moved = true.values.roll(max(1, true.values.shape[-1] // 8), -1)  # type: ignore[attr-defined]
    assert apart(drawn(name, values=moved), kept(name, "light")) > 2 * LIMIT


@pytest.mark.parametrize("name", ["bars", "methods", "heads", "activity", "training"])
def test_a_missing_part_is_seen(name: str) -> None:
    """Any bar, map or curve of some size that is not there, one after the other."""
    whole = kept(name, "light")
    parts = [m for m in re.finditer(r'<(rect|image|path)\b[^>]*></\1>', whole) if _shown(m[0])]
    if name == "training":
        parts = [p for p in parts if p[1] == "path"]  # the first looks' maps are nearly empty
    assert parts
    for part in parts[:: max(1, len(parts) // 4)]:
        assert apart(whole[: part.start()] + whole[part.end() :], whole) > LIMIT, part[0][:200]


def _shown(element: str) -> bool:
    """Bars with a colour of their own, pictures, curves that rise or fall; not hair lines and grounds."""
    if element.startswith("<path"):
        tall = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", element)]
        return 'stroke-linejoin="round"' in element and max(tall) - min(tall) > 60
    wide = float((re.search(r' width="([\d.]+)"', element) or [0, 0])[1])
    return element.startswith("<image") or (wide > 12 and bool(re.search(r'class="(pos|neg)"', element)))


def test_a_missing_word_and_another_theme_are_seen() -> None:
    whole = kept("words", "light")
    assert said(re.sub(r"<text[^>]*>waited</text>", "", whole)) != said(whole)
    assert apart(kept("words", "dark"), whole) > 10 * LIMIT
    assert said(kept("words", "zh")) != said(whole)


def test_half_a_pixel_and_the_last_digit_are_not_seen() -> None:
    for name in ("heat", "bars", "heads"):
        whole = kept(name, "light")
        moved = re.sub(r'(<rect[^>]*? x=")([\d.]+)"', lambda m: f'{m[1]}{float(m[2]) + 0.3:.2f}"', whole)
        assert moved != whole
        assert apart(moved, whole) <= LIMIT
        assert said(whole.replace("0.1", "0.2")) == said(whole)
