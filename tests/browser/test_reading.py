"""What the drawing's script reads out: right values at right places, for every kind, by pointer, touch and keys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pellucid
from pellucid import notebook
from pellucid.views.bars import told as told_with
from pellucid.views.script import FOLDER
from pellucid.views.story import Item
from pellucid.views.writing import signed
from pellucid.words.explanation import Shown
from pellucid.words.features import groups, pixels, segments, units
from pellucid.words.look import Look
from pellucid.words.multiples import multiples
from tests.browser.test_live import number, opened, said
from tests.drawings import samples
from tests.drawings.test_evaluation import evaluation, over_columns

SLIDE = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
CURSOR = "document.querySelector('.pellucid-live').shadowRoot.querySelector('.cursor').getBoundingClientRect().toJSON()"


def pointed(seen: Any, x: float, y: float) -> str:
    """What is said when a pointer is at a share of the width and height of where values lie."""
    box = seen.page.locator(".surface").bounding_box()
    seen.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    return said(seen)


def look(attention: torch.Tensor) -> Look:
    """One layer's heads, and nothing else."""
    return Look(attentions=({"blocks.0": attention},), inputs=1, model="m", shown=(Shown("text", text="a"),))


def lens(seen: Any, row: float, column: float) -> str:
    """What is said when a pointer is at a share of the enlarged map."""
    frame = seen.page.locator(".lens canvas")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    seen.page.mouse.move(box["x"] + column * box["width"], box["y"] + row * box["height"])
    return said(seen)


# --- values that are missing

def test_a_missing_or_infinite_value_is_said_and_adds_nothing(visit: Any, tmp_path: Path) -> None:
    values = torch.linspace(-1, 1, 64).reshape(8, 8).double()
    values[0, 0], values[0, 1] = torch.nan, torch.inf
    seen = opened(samples.made(values, pixels(8, 8)), visit, tmp_path)
    for k in (0, 1):
        assert pointed(seen, (k + 0.5) / 8, 0.5 / 8) == f"row 1, column {k + 1}: no value here"
    assert number(pointed(seen, 2.5 / 8, 0.5 / 8).rpartition(": ")[2]) == pytest.approx(float(values[0, 2]), rel=6e-3)
    channels = torch.ones(3, 4, 4)
    channels[1, 0, 0] = torch.nan
    channels[:, 0, 1] = torch.inf
    e = samples.made(channels, units((3, 4, 4)), shown=Shown("image", samples.seven()))
    seen = opened(e, visit, tmp_path)
    assert [pointed(seen, (k + 0.5) / 4, 0.1).rpartition(": ")[2] for k in range(3)] == ["+2", "no value here", "+3"]


# --- the lens

def test_the_lens_says_which_rows_a_dot_of_a_large_map_is_the_mean_of(visit: Any, tmp_path: Path) -> None:
    heads = torch.rand(2, 197, 197, generator=torch.Generator().manual_seed(0)).double() * 0.01
    heads[:, 196, 196] = 0.005
    heads[:, 100, 100] = 0.9
    heads[1, 20:22, 30:32] = torch.nan
    seen = opened(look(heads), visit, tmp_path)
    seen.page.locator(".lens select").nth(1).select_option(label="head 2")
    name = "blocks.0, head 2 · "
    told = lens(seen, 98.5 / 99, 98.5 / 99)
    assert told.startswith(f"{name}rows 197, columns 197: mean about ")
    assert number(told.rpartition("about ")[2]) == pytest.approx(0.005, abs=0.0001)
    told = lens(seen, 93.5 / 99, 3.5 / 99)
    assert told.startswith(f"{name}rows 187–188, columns 7–8: mean about ")
    assert number(told.rpartition("about ")[2]) == pytest.approx(float(heads[1, 186:188, 6:8].mean()), abs=0.0002)
    assert lens(seen, 50.5 / 99, 50.5 / 99).endswith("rows 101–102, columns 101–102: mean at least +0.00995")
    assert lens(seen, 10.5 / 99, 15.5 / 99).endswith("rows 21–22, columns 31–32: no value here")
    drawn = " ".join(seen.page.locator("svg text").all_text_contents())
    assert "mean of up to 2 × 2 values of a 197 × 197 map" in drawn
    seen.quiet()


def test_a_finger_that_taps_reads_the_lens_and_sees_where(visit: Any, tmp_path: Path) -> None:
    reviews, text = pellucid.load("demo:reviews"), next(t for t in pellucid.samples("reviews") if t.isascii())
    found = pellucid.look(reviews, text, ["attention"])
    seen = opened(found, visit, tmp_path, has_touch=True)
    seen.page.set_viewport_size({"width": 375, "height": 812})
    frame = seen.page.locator(".lens canvas")
    frame.scroll_into_view_if_needed()
    box, n = frame.bounding_box(), next(iter(found.attention.values())).shape[-1]
    seen.page.touchscreen.tap(box["x"] + 4.5 / n * box["width"], box["y"] + 2.5 / n * box["height"])
    e = next(iter(found.beside.values()))
    named = [e.names[k].strip() if k >= 0 else "·" for k in e.features.index.flatten().tolist()]
    told = said(seen).replace("\u2068", "").replace("\u2069", "")
    assert f"row 3, column 5, from ‘{named[2]}’ to ‘{named[4]}’: " in told
    mark, box = seen.page.locator(".frame div").bounding_box(), frame.bounding_box()
    assert mark["x"] + mark["width"] / 2 == pytest.approx(box["x"] + 4.5 / n * box["width"], abs=1)
    assert mark["y"] + mark["height"] / 2 == pytest.approx(box["y"] + 2.5 / n * box["height"], abs=1)
    seen.quiet()


@pytest.mark.parametrize("width", [320, 640])
def test_the_lens_is_whole_in_narrow_windows(width: int, visit: Any, tmp_path: Path) -> None:
    heads = torch.rand(2, 9, 9)
    item = replace(look(heads), attentions=({"encoder.layers.12.attention.of.a.long.name.indeed." + "x" * 60: heads},))
    seen = opened(item, visit, tmp_path)
    seen.page.set_viewport_size({"width": width, "height": 800})
    strip = seen.page.locator(".strip").bounding_box()
    for part in (".lens", ".lens .frame", ".lens select >> nth=0", ".lens select >> nth=1", ".lens label >> nth=0"):
        box = seen.page.locator(part).first.bounding_box()
        assert box["x"] >= strip["x"]
        assert box["x"] + box["width"] <= strip["x"] + strip["width"] + 0.5, part
        assert box["x"] + box["width"] <= width


def test_maps_that_are_laid_over_one_another_have_the_drawings_names(visit: Any, tmp_path: Path) -> None:
    a = samples.digit(method="grad_cam")
    many = multiples([[a, replace(a, method="integrated_gradients", values=a.values * 3)]])
    for lang, names, told in (("en", "Grad-CAM", "Colours do not compare"), ("zh", "Grad-CAM", "颜色不可比较")):
        seen = opened(many, visit, tmp_path, lang=lang)
        options = seen.page.locator(".lens select").first.locator("option").all_inner_texts()
        assert all("_" not in o for o in options), options
        assert names in options[0]
        assert told in seen.page.locator(".lens p").inner_text()
        seen.page.locator(".lens select").nth(1).select_option(index=0)
        assert seen.page.locator(".lens p").inner_text() == ""


# --- every kind answers

def test_steps_of_a_waterfall_are_read(visit: Any, tmp_path: Path) -> None:
    place, e = tmp_path / "alone.html", samples.row(residual=0.0)
    place.write_text(notebook.page(e, e.svg(form="waterfall")), "utf-8")
    seen = visit(place.as_uri())
    seen.page.wait_for_selector(".pellucid-live")
    seen.page.locator(".surface").focus()
    seen.page.keyboard.press("ArrowDown")
    assert said(seen).startswith("minutes_viewed = 12 min: +0.9")
    seen.page.keyboard.press("ArrowDown")
    assert "price" in said(seen)
    path = seen.page.locator("path[data-at]").nth(2).bounding_box()
    seen.page.mouse.move(path["x"] + path["width"] / 2, path["y"] + path["height"] / 2)
    assert said(seen).startswith("returning_customer = yes: +0.44")


def test_small_texts_side_by_side_are_read(visit: Any, tmp_path: Path) -> None:
    e = samples.sentence()
    seen = opened(multiples([[e, replace(e, values=-e.values)]]), visit, tmp_path)
    for k, told in ((0, "bad: −0.9"), (1, "bad: +0.9")):
        box = seen.page.locator("svg text.token:text-is('bad')").nth(k).bounding_box()
        seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert said(seen) == told


def test_cells_of_a_comparison_are_read_by_pointer_and_keys(visit: Any, tmp_path: Path) -> None:
    c = over_columns()
    seen = opened(c, visit, tmp_path)
    seen.page.locator("g[data-cell]").first.scroll_into_view_if_needed()
    measured = seen.page.locator("g[data-measure=rank] g[data-cell]")
    box = measured.nth(2).locator("rect").first.bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    name, _, value = said(seen).rpartition(": ")
    assert "Grad-CAM" in name
    assert number(value) == pytest.approx(float(c.agreement["rank"][0, 2]), abs=1e-3)
    seen.page.locator(".surface").focus()
    seen.page.keyboard.press("ArrowDown")
    assert number(said(seen).rpartition(": ")[2]) == pytest.approx(float(c.agreement["rank"][1, 2]), abs=1e-3)


def test_a_matrix_with_names_says_from_which_token_to_which(visit: Any, tmp_path: Path) -> None:
    reviews, text = pellucid.load("demo:reviews"), next(t for t in pellucid.samples("reviews") if t.isascii())
    found = pellucid.look(reviews, text, ["attention"])
    seen = opened(found, visit, tmp_path)
    mean = list(found.attention.values())[-1].double().mean(0)
    n = len(mean)
    told = pointed(seen, 4.5 / n, 2.5 / n)
    assert told.startswith("row 3, column 5, from ‘")
    assert number(told.rpartition(": ")[2]) == pytest.approx(float(mean[2, 4]), rel=6e-3)


# --- regions, rows, curves, texts

def test_a_region_around_another_is_hidden_and_marked_where_it_is(visit: Any, tmp_path: Path) -> None:
    index = torch.zeros(40, 40, dtype=torch.long)
    index[10:30, 10:30] = 1
    index[12:20, 35:38] = 2
    seen = opened(samples.made([1.0, 0.1, 0.5], segments(index), shown=Shown("image", samples.landscape(40, 40))),
                  visit, tmp_path)
    covered = """() => {
      const image = document.querySelector('image[data-layer=values]'), clip = document.querySelector('clipPath path');
      const of = (k) => Number(image.getAttribute(k)), found = [];
      for (let r = 0; r < 40; r++) for (let c = 0; c < 40; c++) found.push(clip.isPointInFill(new DOMPoint(
        of('x') + (c + .5) * of('width') / 40, of('y') + (r + .5) * of('height') / 40)));
      return found; }"""
    seen.page.locator("input[name=threshold]").evaluate(SLIDE, 0.2)
    seen.page.wait_for_selector("clipPath path", state="attached")
    assert seen.page.evaluate(covered) == (index.flatten() != 1).tolist()
    assert pointed(seen, 0.1, 0.1).startswith("region 1: +1")
    assert pointed(seen, 0.5, 0.5).startswith("region 2: +0.1")
    surface = seen.page.locator(".surface")
    surface.focus()
    for key, told in (("Right", "region 1: +1"), ("Right", "region 3: +0.5"), ("Left", "region 1: +1")):
        seen.page.keyboard.press(f"Arrow{key}")
        assert said(seen).startswith(told)


def test_the_whole_row_of_a_bar_answers(visit: Any, tmp_path: Path) -> None:
    seen = opened(samples.row(), visit, tmp_path)
    for name in ("price = € 49.90", "country = DE"):
        label = seen.page.locator(f"svg text:text-is('{name}')").bounding_box()
        row = label["y"] + label["height"] / 2
        surface = seen.page.locator(".surface").bounding_box()
        for x in (label["x"] + 4, surface["x"] + surface["width"] - 3, surface["x"] + surface["width"] * 0.6):
            for y in (row - 11, row, row + 11):
                seen.page.mouse.move(x, y)
                assert said(seen).startswith(name), (x, y)


def test_a_curve_answers_with_the_point_nearest_across(visit: Any, tmp_path: Path) -> None:
    seen = opened(evaluation(), visit, tmp_path)
    path = seen.page.locator("g[data-curve] > path").last.bounding_box()
    for share, told in ((0.02, "· 0: +4"), (0.4, "· 0.5: +0.5"), (0.97, "· 1: 0")):
        seen.page.mouse.move(path["x"] + share * path["width"], path["y"] + path["height"] * 0.5)
        assert said(seen).endswith(told)


def test_arrows_go_where_they_point_in_texts_of_either_direction(visit: Any, tmp_path: Path) -> None:
    words = ("كان الحساء باردا لكن النادل كان لطيفا جدا وسنعود مرة أخرى الى هذا المطعم " * 3).split()
    latin = ("The soup was cold but the waiter lovely and so we come back to this place " * 3).split()
    right, left = (samples.made(torch.linspace(-1, 1, len(w)), groups(range(len(w)), w, "tokens", "words"),
                                shown=Shown("text", text=" ".join(w))) for w in (words, latin))
    for e in (right, left):
        seen = opened(e, visit, tmp_path)
        seen.page.locator(".surface").focus()
        seen.page.keyboard.press("ArrowLeft" if e is right else "ArrowRight")
        back, on = ("ArrowRight", "ArrowLeft") if e is right else ("ArrowLeft", "ArrowRight")
        for _ in range(2):
            seen.page.keyboard.press(on)
        here = seen.page.evaluate(CURSOR)
        seen.page.keyboard.press(back)
        there = seen.page.evaluate(CURSOR)
        assert there["y"] == here["y"]
        assert (there["x"] > here["x"]) is (e is right)
        seen.page.keyboard.press("ArrowDown")
        below = seen.page.evaluate(CURSOR)
        assert below["y"] > there["y"] + 20
        assert abs(below["x"] - there["x"]) < 80
        seen.page.keyboard.press("ArrowUp")
        assert seen.page.evaluate(CURSOR)["y"] == there["y"]
        for _ in range(40):  # on from line to line
            seen.page.keyboard.press(on)
        assert seen.page.evaluate(CURSOR)["y"] > below["y"] - 1


# --- numbers

def test_numbers_are_written_as_the_drawing_writes_them(visit: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = [0.0, 1.0, -1.0, 123456.0, -99999.0, 12345.0, 1e-5, -0.00012345, 999.6, 0.1 + 0.2,
              *(rng.normal(size=200) * 10.0 ** rng.integers(-7, 8, 200)).tolist()]
    halves = [0.05, 0.0123, 1e-5, 2.5e4, 120.0, *(10.0 ** rng.uniform(-6, 6, 60)).tolist()]
    place = tmp_path / "words.html"
    place.write_text("<!doctype html><html lang=en><title>x</title><script type=module>"
                     + (FOLDER / "words.js").read_text("utf-8")
                     + "window.W = written; window.F = figures</script>", "utf-8")
    page = visit(place.as_uri()).page
    assert page.evaluate(f"{json.dumps(values)}.map((v) => W(v))") == [signed(v) for v in values]
    pairs = [(v, h) for v in values[:40] for h in halves]
    made = page.evaluate(f"{json.dumps(pairs)}.map(([v, h]) => F(v, h).join(' '))")
    assert made == [told_with(Item("", v, h)) for v, h in pairs]
