"""What a drawing says is what the explanation holds, whatever its words are made of."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import warnings
import xml.etree.ElementTree as ET
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pellucid.views import palette, story
from pellucid.views.drawing import draw, text
from pellucid.views.frame import Sheet
from pellucid.views.pieces import pieces
from pellucid.views.scale import scale_of, ticks
from pellucid.views.tokens import arrange
from pellucid.views.words import CATALOGUE, say
from pellucid.views.writing import columns, em, number, signed, visible, wrap
from pellucid.words.errors import OptionError
from pellucid.words.explanation import Explanation, Recipe, Shown, Verdict
from pellucid.words.features import groups, pixels, units

sys.path.insert(0, str(Path(__file__).parent))
import samples
from hostile import HOSTILE, UNSEEN, harmless

SVG = "{http://www.w3.org/2000/svg}"
ALL = ("digit", "cam", "patched", "halves", "sentence", "chinese", "arabic", "row", "layer")
OUTSIDE = r"(?:href|src)=\"(?!data:image/png;base64,)[^\"]*\"|url\((?!#)[^)]*\)|@import|<script"


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def spoken(root: ET.Element) -> str:
    return "\n".join("".join(t.itertext()) for t in root.iter(f"{SVG}text"))


def layers(root: ET.Element) -> np.ndarray:
    """The pixels of the values in the drawing."""
    [image] = [i for i in root.iter(f"{SVG}image") if i.get("data-layer") == "values"]
    raw = base64.b64decode((image.get("href") or "").partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(raw)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("width", [720, 360])
def test_every_drawing_is_well_formed_and_stands_alone(name: str, width: int) -> None:
    for lang in ("en", "zh"):
        svg = draw(getattr(samples, name)(), width=width, lang=lang)
        root = parsed(svg)
        assert root.get("role") == "img"
        assert root.find(f"{SVG}title") is not None
        assert re.findall(OUTSIDE, svg) == []
        ids = [x.get("id") for x in root.iter() if x.get("id")]
        assert len(ids) == len(set(ids))
        assert all(i.startswith(root.get("id") or "?") for i in ids if i)


@pytest.mark.parametrize("name", ALL)
def test_the_numbers_in_the_drawing_are_the_values(name: str) -> None:
    e = getattr(samples, name)()
    root = parsed(draw(e))
    assert json.loads(root.get("data-shape") or "") == list(e.values.shape)
    drawn = np.array(json.loads(root.get("data-values") or ""))
    assert np.allclose(drawn, e.numpy().ravel(), rtol=6e-4, atol=0)
    if e.error is not None:
        assert np.allclose(json.loads(root.get("data-error") or ""), e.error.numpy().ravel(), rtol=6e-4, atol=0)


def test_the_largest_pixel_has_the_end_of_the_scale_and_zero_has_no_colour() -> None:
    values = torch.linspace(-1, 1, 25).reshape(5, 5)
    for sign, end in ((1, 1.0), (-1, -1.0)):
        grid = layers(parsed(draw(samples.made(values * sign, pixels(5, 5)))))
        assert grid.shape == (5, 5, 4)
        assert tuple(grid[4, 4]) == tuple(palette.rgba(np.array(end), 1.0))
        assert grid[2, 2, 3] == 0


def test_values_lie_at_their_own_place_over_the_picture() -> None:
    values = torch.zeros(8, 8)
    values[2, 5] = 1
    drawn = layers(parsed(draw(samples.patched(verdict=Verdict()).__class__(
        values, samples.patched().features, "m", "t", 1.0, shown=samples.patched().shown))))
    rows, across = np.nonzero(drawn[..., 3])
    assert (rows.min(), rows.max(), across.min(), across.max()) == (56, 83, 140, 167)


def test_a_map_of_a_layer_is_interpolated_as_values() -> None:
    drawn = layers(parsed(draw(samples.cam())))
    assert drawn.shape[:2] == (224, 224)
    row, column = np.unravel_index(int(np.argmax(samples.cam().numpy())), (7, 7))
    red = drawn[..., 3] * (drawn[..., 0].astype(int) > drawn[..., 2])
    assert abs(np.argwhere(red == red.max()).mean(0) / 32 - 0.5 - [row, column]).max() < 0.6


def test_a_few_outliers_do_not_fade_the_rest_and_the_drawing_says_so() -> None:
    values = torch.full((64, 64), 0.1)
    values[0, 0], values[1, 1] = 50.0, 0.0
    root = parsed(draw(samples.made(values, pixels(64, 64))))
    assert float(root.get("data-limit") or 0) == pytest.approx(0.1)
    assert "99.5th percentile" in spoken(root)
    assert "+50" in spoken(root)
    patched = parsed(draw(samples.patched()))
    assert float(patched.get("data-limit") or 0) == pytest.approx(1.4), "a patch counts once"


@pytest.mark.parametrize(("values", "said"), [
    (torch.zeros(9, 9), "Every one of the 81 values is zero"),
    (torch.full((9, 9), 0.25), "All 81 values are the same: +0.25"),
    (torch.full((9, 9), float("nan")), "No value is finite"),
])  # fmt: skip
def test_a_map_that_would_mislead_is_words(values: torch.Tensor, said: str) -> None:
    e = samples.made(values, pixels(9, 9), shown=Shown("image", samples.seven(9)))
    root = parsed(draw(e))
    assert said in " ".join(spoken(root).split())
    assert not [i for i in root.iter(f"{SVG}image") if i.get("data-layer")]
    assert said in text(e)
    flat = samples.made(values[0], groups(range(9), list("abcdefghi"), "tokens", "tokens"))
    assert said.partition(" ")[0] in text(flat)


def test_strengths_without_a_sign_are_never_said_to_raise_a_score() -> None:
    signed_ = samples.digit()
    recipe = Recipe({"method": "saliency", "absolute": True})
    e = samples.made(signed_.values.abs(), signed_.features, {"recipe": recipe, "method": "saliency"})
    for told in (spoken(parsed(draw(e))) + (parsed(draw(e)).findtext(f"{SVG}desc") or ""), text(e)):
        assert "raise" not in told
        assert "react" in told
    assert "−" not in spoken(parsed(draw(e)))


def test_values_that_are_not_finite_stay_blank_and_are_counted() -> None:
    values = torch.randn(6, 6)
    values[1, 1] = float("nan")
    values[2, 2] = float("inf")
    root = parsed(draw(samples.made(values, pixels(6, 6))))
    assert "2 values are not finite" in spoken(root)
    assert layers(root)[1, 1, 3] == 0
    assert json.loads(root.get("data-values") or "")[7] is None


def test_whiskers_are_as_long_as_1_96_standard_errors_on_the_axis() -> None:
    e = samples.row()
    root = parsed(draw(e))
    bars = {float(b.get("data-bar") or 0): b for b in root.iter(f"{SVG}rect") if b.get("data-bar")}
    whiskers = [p for p in root.iter(f"{SVG}path") if p.get("data-whisker")]
    assert len(bars) == len(whiskers) == 12
    ordered = story.items(e)
    lengths = []
    for item, (value, rect), path in zip(ordered, bars.items(), whiskers, strict=False):
        assert value == pytest.approx(item.value, rel=1e-3)
        unit = float(rect.get("width") or 0) / abs(item.value)
        left, right, _ = re.findall(r"M([\d.]+)", path.get("d") or "")
        lengths.append((float(right) - float(left)) / 2 / (unit * 1.96 * e.error.flatten()[e.names.index(
            item.name.split(" = ")[0])].item()))
    assert np.allclose(lengths[:5], 1, atol=0.02)
    assert "1.96" in spoken(root)


def test_exact_values_have_no_interval() -> None:
    for e in (samples.row(error=torch.zeros(14)), samples.cam(error=torch.zeros(7, 7))):
        told = spoken(parsed(draw(e))) + text(e)
        assert "±" not in told.replace("at ±", "").replace("= ±", "")
        assert "differ from zero" not in told


def test_bars_are_sorted_carry_their_cells_and_count_the_rest() -> None:
    told = spoken(parsed(draw(samples.row(), top=3)))
    places = [told.index(n) for n in ("minutes_viewed = 12 min", "price = € 49.90", "returning_customer = yes")]
    assert places == sorted(places)
    rest = samples.row().values.sum().item() - (0.9 - 0.62 + 0.44)
    assert f"… and 11 more, together {signed(rest)}" in told


@pytest.mark.parametrize("name", ALL)
def test_the_verdict_comes_first_with_word_reason_remedy_and_shape(name: str) -> None:
    e = getattr(samples, name)(**({} if name == "cam" else {"verdict": samples.WARN}))
    root = parsed(draw(e))
    told = " ".join(spoken(root).split())
    assert told.startswith("Use with care")
    assert "4.2 % where 1 % was asked for" in told
    assert "What to do: raise" in told
    assert text(e).startswith("! Use with care: ")
    shapes = {parsed(draw(samples.row(verdict=v))).find(f"{SVG}path").get("d")
              for v in (samples.PASS, samples.WARN, samples.FAIL)}
    assert len(shapes) == 3


def test_the_description_names_the_three_strongest_and_the_verdict() -> None:
    described = parsed(draw(samples.sentence())).findtext(f"{SVG}desc") or ""
    for part in ("wonder (+1.3)", "bad (−0.9)", "not (+0.62)", "Checks passed"):
        assert part in described


def test_words_stand_as_they_were_written() -> None:
    for e in (samples.sentence(), samples.chinese(), samples.arabic()):
        assert e.shown is not None
        assert "".join(p.written for p in pieces(e)) == e.shown.text
    accents = samples.made([1.0, 2.0], groups(range(2), ["cafe", "creme"], "tokens", "tokens"),
                           shown=Shown("text", text="Café  CRÈME."))
    assert [p.written for p in pieces(accents)] == ["Café", "  ", "CRÈME", "."]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=25), st.sampled_from([320.0, 720.0]))
def test_tokens_stay_inside_the_width_and_the_drawing_stays_xml(names: list[str], width: float) -> None:
    e = samples.made([float(i + 1) for i in range(len(names))], groups(range(len(names)), names, "tokens", "tokens"),
                     shown=Shown("text", text=" ".join(names)))
    sheet = Sheet(width)
    chips, rows = arrange(e, sheet)
    assert all(c.x + c.wide <= sheet.inner + sheet.margin and c.row < rows for c in chips)
    parsed(draw(e, width=width))
    assert all(columns(line) <= 60 for line in text(e, width=60).splitlines())


def test_a_very_long_word_and_a_very_long_text_fit() -> None:
    for names in (["x" * 100_000], ["字" * 3000], ["word"] * 3000):
        e = samples.made(torch.linspace(0.1, 1, len(names)), groups(range(len(names)), names, "tokens", "tokens"))
        chips, _ = arrange(e, Sheet(360.0))
        assert max(c.x + c.wide for c in chips) <= Sheet(360.0).width
        assert len(draw(e)) < 1_500_000
    assert "and 1500 more tokens" in text(e)


def test_what_was_done_to_the_input_and_what_was_not_read_is_said() -> None:
    e = samples.made([1.0], groups([0], ["read"], "tokens", "tokens"),
                     shown=Shown("text", text="read " + "and not read " * 40, notes=("cut after 1 token",)))
    told = spoken(parsed(draw(e)))
    assert "cut after 1 token" in told
    assert "… 521 more characters follow the last token" in " ".join(told.split())


def test_a_text_from_right_to_left_begins_at_the_right() -> None:
    words = [t for t in parsed(draw(samples.arabic())).iter(f"{SVG}text") if "token" in (t.get("class") or "")]
    places = {t.text: float(t.get("x") or 0) for t in words}
    assert places["كان"] > places["الفيلم"] > places["Netflix"] > places["بطيئة"]
    assert {t.get("direction") for t in words if t.text == "كان"} == {"rtl"}


@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_words_stay_words(bad: str) -> None:
    more = {"target": bad, "method": bad or "m", "summary": bad, "paper": bad}
    tokens = samples.made([1.0, -2.0, 0.5], groups(range(3), ["a", bad, "b"], "tokens", "tokens"),
                          shown=Shown("text", text=f"a {bad} b"), **more)
    table = samples.made([1.0, -2.0], groups(range(2), [bad, "b"], "columns", "columns"),
                         shown=Shown("table", cells=(bad, bad), title=bad), **more)
    picture = samples.digit(**more)
    for e in (tokens, table, picture):
        svg = draw(e)
        harmless(svg)
        assert not re.search(UNSEEN, text(e))
        svg.encode("utf-8")


def test_hidden_characters_show_as_marks() -> None:
    assert visible("a\u202eb\u200bc\x00") == "a‹RLO›b‹ZWSP›c‹U+0000›"
    assert visible("e" + "\u0301" * 50) == "e" + "\u0301" * 3
    names = ["pay\u202elap", "ok"]
    e = samples.made([1.0, 0.5], groups(range(2), names, "columns", "columns"))
    assert "pay‹RLO›lap" in spoken(parsed(draw(e)))


def test_chinese_letters_are_twice_as_wide() -> None:
    assert columns("电影ab") == 6
    assert em("电") > 1.6 * em("a")
    assert all(columns(t) <= 20 for t in wrap(samples.CHINESE, 20, columns))
    lines = text(samples.row(), width=80).splitlines()
    bars = [line for line in lines if "│" in line]
    assert len({columns(line[: line.index("│")]) for line in bars}) == 1, "the axis is one straight line"
    assert max(map(columns, lines)) <= 80


@pytest.mark.parametrize("name", ALL)
def test_the_text_form_fits_its_width(name: str) -> None:
    for width in (40, 80):
        for lang in ("en", "zh"):
            assert max(map(columns, text(getattr(samples, name)(), width=width, lang=lang).splitlines())) <= width


def test_the_map_in_characters_marks_both_signs() -> None:
    values = torch.zeros(8, 8)
    values[:4], values[4:] = 1.0, -1.0
    told = text(samples.made(values, pixels(8, 8))).splitlines()
    rows = [line for line in told if line.startswith("│")]
    assert set(rows[0][1:-1]) == {"█"}
    assert set(rows[-1][1:-1]) == {"#"}


def test_the_palette_is_even_centred_and_safe_for_colour_blind_eyes() -> None:
    ramp = palette.over(palette.rgba(np.linspace(-1, 1, 41), 1.0), 255) / 255
    lab = palette.oklab(ramp)
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=-1)
    assert steps.max() / steps.min() < 3.5
    assert np.allclose(ramp[20], 1)
    lightness = lab[:, 0]
    assert (np.diff(lightness[:21]) > 0).all()
    assert (np.diff(lightness[20:]) < 0).all()
    # Machado, Oliveira and Fernandes (2009), severity 1
    blind = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    for matrix in blind.values():
        linear = np.where(ramp <= 0.04045, ramp / 12.92, ((ramp + 0.055) / 1.055) ** 2.4)
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        seen = palette.oklab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
        for k in (5, 10, 20):
            assert np.linalg.norm(seen[20 - k] - seen[20 + k]) > 0.04 * k / 5


def test_scales_hold_zero_and_round_ticks() -> None:
    assert ticks(-0.137, 0.137) == [-0.1, -0.05, 0.0, 0.05, 0.1]
    assert scale_of(np.array([0.2, -3.0])).limit == 3.0
    assert 0.0 in scale_of(np.array([1e-9, -4e-9])).ticks()
    assert ticks(0, 0) == [0.0]
    assert [number(v) for v in (0.0, -1.5, 12345, 1e-7, 13.0185, -0.0)] == ["0", "−1.5", "12345", "1e−7", "13", "0"]


def test_both_languages_fill_the_same_blanks() -> None:
    for english, chinese in CATALOGUE.values():
        blanks = [sorted(re.findall(r"\{(\w+)\}", t)) for t in (english, chinese)]
        assert blanks[0] == blanks[1]
    told = spoken(parsed(draw(samples.row(summary="", method="kernel_shap", verdict=Verdict()), lang="zh")))
    assert "为什么是" in told
    assert not re.search(r"[Ww]hisk|effect|Checks", told)


@pytest.mark.parametrize(("options", "code"), [
    ({"lang": "tlh"}, "option.lang"), ({"width": 20}, "option.width"), ({"theme": "pink"}, "option.theme"),
    ({"id": "a b"}, "option.id"), ({"top": 0}, "option.top"),
])  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, object], code: str) -> None:
    with pytest.raises(OptionError) as refused:
        draw(samples.row(), **options)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert say("en", "stop") == ". "


def test_many_values_leave_the_numbers_out_and_say_so() -> None:
    big = samples.made(torch.randn(300, 300), pixels(300, 300))
    root = parsed(draw(big))
    assert root.get("data-left-out") == "90000"
    assert root.get("data-values") is None
    assert "data-values" not in draw(samples.row(), numbers=False)


def test_units_are_bars_or_a_sum_over_channels() -> None:
    assert "Sum over 16 channels" in spoken(parsed(draw(samples.layer())))
    flat = samples.made(torch.randn(512), units((512,)))
    assert "and 500 more" in spoken(parsed(draw(flat)))


def test_the_explanation_draws_prints_and_plots_itself() -> None:
    e: Explanation = samples.row()
    assert e.svg() == draw(e)
    assert escape(e.svg()) in e._repr_html_() == e._repr_mimebundle_()["text/html"]
    assert e.text() == text(e)
    for sample in (e, samples.cam(), samples.halves(), samples.made(torch.zeros(4, 4), pixels(4, 4))):
        figure = sample.plot()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            figure.savefig(io.BytesIO(), format="png")
        noted = any(say("en", "font") == t.get_text() for t in figure.texts)
        assert all("missing from font" in str(w.message) for w in seen)
        assert not seen or noted, "where the machine has no letters for it, the figure says which font to install"
    assert "99.5" not in text(e)
