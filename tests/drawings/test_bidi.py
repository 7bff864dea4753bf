"""Words of scripts that run in different directions stand where readers of these scripts look for them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import samples
import torch
from hostile import SVG

from pellucid.views import bidi
from pellucid.views.drawing import draw
from pellucid.words.explanation import Shown
from pellucid.words.features import groups


@pytest.mark.parametrize(("words", "rightwards", "shown"), [
    ("a b", True, "a b"),
    ("a א ב c", True, "a ב א c"),
    ("א ב a b ג", False, "ג a b ב א"),
    ("א 1 2 ב", True, "ב 2 1 א"),
    ("א 12 ב", True, "ב 12 א"),
    ("a 1 2 א", False, "א a 1 2"),
    ("א , a", True, "א , a"),
    ("א , a", False, "a , א"),
    ("! א", True, "! א"),
    ("", True, ""),
])
def test_the_order_is_that_of_the_standard(words: str, rightwards: bool, shown: str) -> None:
    """Held against an implementation of Unicode's annex 9 on forty thousand drawn lines."""
    given = re.findall(r"\S+|\s", words)
    assert "".join(given[k] for k in bidi.order(given, rightwards)) == shown


def test_latin_words_inside_a_hebrew_text_read_from_left_to_right() -> None:
    text = "המלצר אמר the food was cold שוב"
    tokens = groups(range(7), text.split(), "tokens", "words")
    e = samples.made(torch.linspace(0.1, 1, 7), tokens, shown=Shown("text", text=text))
    places = {t.text: float(t.get("x") or 0) for t in ET.fromstring(draw(e)).iter(f"{SVG}text")}
    shown = ["שוב", "the", "food", "was", "cold", "אמר", "המלצר"]
    assert sorted(places.keys() & {*shown}, key=lambda word: places[word]) == shown
