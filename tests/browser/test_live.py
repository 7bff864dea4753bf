"""The drawing in a real browser: what it says is what the explanation holds, by pointer and by keyboard alone."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import pellucid
from pellucid import notebook
from pellucid.report.page import POLICY
from pellucid.views.script import FOLDER, module


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("+", ""))


@pytest.fixture(scope="module")
def made(vision: bool) -> dict[str, Any]:
    """Explanations of a picture, by pixel and by region, of a text and of a row; a look and a comparison."""
    digits, picture = pellucid.load("demo:digits"), pellucid.samples("digits")[0]
    reviews, text = pellucid.load("demo:reviews"), pellucid.samples("reviews")[0]
    tumours, row = pellucid.load("demo:tumours"), pellucid.samples("tumours")[0]
    return {
        "map": pellucid.explain(digits, picture, "integrated_gradients"),
        "regions": pellucid.explain(digits, picture, "occlusion", features="patches:16"),
        "words": pellucid.explain(reviews, text, "shapley_sampling", samples=60),
        "bars": pellucid.explain(tumours, row, "shapley_sampling", samples=60),
        "look": pellucid.look(reviews, text, ["attention"]),
        "compared": pellucid.compare(digits, picture, ["saliency", "grad_cam"], metrics=[]),
    }


def opened(item: Any, visit: Any, tmp_path: Path, **options: Any) -> Any:
    lang = options.pop("lang", None)
    place = tmp_path / "alone.html"
    place.write_text(notebook.page(item, lang=lang), "utf-8")
    seen = visit(place.as_uri(), **options)
    seen.page.wait_for_selector(".pellucid-live")
    return seen


def said(seen: Any) -> str:
    return seen.page.locator(".pellucid-live output").inner_text()


def test_pointing_reads_the_value_that_the_explanation_holds(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    e, seen = made["map"], opened(made["map"], visit, tmp_path)
    surface = seen.page.locator(".surface")
    box = surface.bounding_box()
    rows, columns = e.values.shape
    for r, c in ((3, 50), (20, 30), (40, 7)):
        seen.page.mouse.move(box["x"] + (c + 0.5) / columns * box["width"], box["y"] + (r + 0.5) / rows * box["height"])
        name, _, value = said(seen).partition(": ")
        assert name == f"row {r + 1}, column {c + 1}"
        place = 0.06 * 1.96 * float(e.error[r, c])  # a value is written to the second digit of its interval
        assert number(value.split(" ±")[0]) == pytest.approx(float(e.values[r, c]), rel=6e-3, abs=place)
    seen.quiet()


def test_dragging_reads_the_sum_and_where_it_lies(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    e, seen = made["map"], opened(made["map"], visit, tmp_path)
    box, (rows, columns) = seen.page.locator(".surface").bounding_box(), e.values.shape

    def at(r: int, c: int) -> tuple[float, float]:
        return box["x"] + (c + 0.5) / columns * box["width"], box["y"] + (r + 0.5) / rows * box["height"]

    seen.page.mouse.move(*at(2, 44))
    seen.page.mouse.down()
    seen.page.mouse.move(*at(12, 58), steps=4)
    seen.page.mouse.up()
    inside, error = e.values[2:13, 44:59].double(), 1.96 * e.error[2:13, 44:59].double()
    told = said(seen)
    assert told.startswith(f"{inside.numel()} selected, sum ")
    assert number(told.split("sum ")[1].split(" ")[0]) == pytest.approx(float(inside.sum()), rel=6e-3)
    assert number(told.split("± ")[1].split(" ")[0]) == pytest.approx(float(error.norm()), rel=6e-3)
    assert number(told.split("± ")[2].split(" ")[0]) == pytest.approx(float(error.sum()), rel=6e-3)


def test_sliders_change_the_colours_and_hide_small_values(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = opened(made["map"], visit, tmp_path)
    slide = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
    seen.page.locator("input[name=opacity]").evaluate(slide, 0.25)
    assert seen.page.locator("image[data-layer=values]").evaluate("e => e.style.opacity") == "0.25"
    seen.page.locator("input[name=threshold]").evaluate(slide, 0.5)
    limit = float(seen.page.locator("svg[data-kind]").first.get_attribute("data-limit"))
    left = seen.page.locator("clipPath path").get_attribute("d").count("M")
    assert left == int((made["map"].values.abs() >= 0.5 * limit).sum())
    seen.quiet()


def test_regions_words_and_bars_are_read_by_keyboard_alone(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    for kind in ("regions", "words", "bars"):
        e, seen = made[kind], opened(made[kind], visit, tmp_path)
        for _ in range(12):  # from the top of the page with Tab alone
            seen.page.keyboard.press("Tab")
            if seen.page.evaluate("document.activeElement.shadowRoot?.activeElement?.className") == "surface":
                break
        else:
            pytest.fail("the values are out of reach of the keyboard")
        seen.page.keyboard.press("ArrowRight")
        first = number(said(seen).rpartition(": ")[2].split(" ±")[0])
        values = e.values.double().flatten()
        assert torch.isclose(values, torch.tensor(first, dtype=torch.float64), rtol=6e-3).any()
        for _ in range(2):
            seen.page.keyboard.press("Shift+ArrowRight")
        told = said(seen)
        assert "selected, sum" in told
        n = int(told.split(" ")[0])
        assert n >= 2
        if kind == "bars":  # the largest first
            order = values.abs().argsort(descending=True)[:n]
            assert number(told.split("sum ")[1].split(" ")[0]) == pytest.approx(float(values[order].sum()), rel=6e-3)
        seen.page.keyboard.press("Escape")
        assert "selected" not in said(seen)
        seen.quiet()


def test_zoom_keeps_what_is_under_the_pointer_true(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    e, seen = made["map"], opened(made["map"], visit, tmp_path)
    surface = seen.page.locator(".surface")
    surface.focus()
    seen.page.keyboard.press("ArrowRight")
    for key in ("+", "+"):
        seen.page.keyboard.press(key)
    view = [float(v) for v in seen.page.locator("svg[data-kind]").first.get_attribute("viewBox").split()]
    assert view[2] < 400
    inside = surface.bounding_box()
    drawing = seen.page.locator("svg[data-kind]").first.bounding_box()
    x, y = inside["x"] + inside["width"] / 2, inside["y"] + inside["height"] / 2
    seen.page.mouse.move(x, y)
    values = seen.page.locator("image[data-layer=values]")
    image = [float(values.get_attribute(k)) for k in ("x", "y", "width", "height")]
    moved = float(values.evaluate(
        "i => i.closest('g').getAttribute('transform').match(/ (-?[0-9.]+)\\)/)[1]"))
    scale = view[2] / drawing["width"]
    c = int((view[0] + (x - drawing["x"]) * scale - image[0]) / image[2] * e.values.shape[1])
    r = int((view[1] + (y - drawing["y"]) * scale - image[1] - moved) / image[3] * e.values.shape[0])
    assert said(seen).startswith(f"row {r + 1}, column {c + 1}:")
    seen.page.keyboard.press("0")
    assert seen.page.locator("svg[data-kind]").first.get_attribute("viewBox").startswith("0 0 720")


def test_heads_are_picked_and_maps_are_laid_over_one_another(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    look, seen = made["look"], opened(made["look"], visit, tmp_path)
    layers = seen.page.locator(".lens select").first
    name, attention = list(look.attention.items())[1]
    layers.select_option(label=name)
    seen.page.locator(".lens select").nth(1).select_option(label="head 3")
    frame = seen.page.locator(".lens .frame")
    frame.focus()
    size = frame.locator("canvas").evaluate("c => c.width")
    assert size == attention.shape[-1]
    seen.page.keyboard.press("ArrowRight")
    for _ in range(4):
        seen.page.keyboard.press("ArrowRight")
    value = number(said(seen).rpartition("about ")[2])
    heads = attention.double()
    full = float(torch.quantile(heads.flatten(), 0.995))
    assert value == pytest.approx(min(float(heads[2, 0, 4]), full), abs=full / 60)
    seen.quiet()
    other = opened(made["compared"], visit, tmp_path)
    other.page.locator(".lens input[type=range]").evaluate(
        "e => { e.value = 20; e.dispatchEvent(new Event('input')); }")
    assert other.page.locator(".lens img").last.evaluate("i => i.style.clipPath") == "inset(0px 80% 0px 0px)"
    other.quiet()


@pytest.mark.parametrize("kind", ["map", "regions", "words", "bars", "look", "compared"])
def test_nothing_serious_is_found_by_axe(kind: str, made: dict[str, Any], visit: Any, axe: Path,
                                         tmp_path: Path) -> None:
    seen = opened(made[kind], visit, tmp_path, bypass=True)
    seen.page.locator("details summary").first.click()
    seen.accessible()


def test_chinese_and_dark_pages_speak_and_look_so(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = opened(made["bars"], visit, tmp_path, lang="zh", color_scheme="dark")
    assert "指向一个值" in said(seen)
    strip = seen.page.locator(".strip").evaluate("e => getComputedStyle(e).backgroundColor")
    assert sum(int(v) for v in strip.removeprefix("rgb(").removesuffix(")").split(",")) < 200
    assert seen.page.locator("html").get_attribute("lang") == "zh-Hans"


def test_both_languages_of_the_script_say_the_same_things(visit: Any, tmp_path: Path) -> None:
    place = tmp_path / "words.html"
    place.write_text("<!doctype html><html lang=en><title>x</title><script type=module>"
                     + (FOLDER / "words.js").read_text("utf-8") + "window.W = WORDS</script>", "utf-8")
    words = visit(place.as_uri()).page.evaluate("window.W")
    holes = {lang: {k: sorted(part.split("}")[0] for part in v.split("{")[1:]) for k, v in told.items()}
             for lang, told in words.items()}
    assert holes["en"] == holes["zh"]


def test_a_script_that_was_smuggled_in_does_not_run(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    place = tmp_path / "bad.html"
    page = notebook.page(made["bars"]).replace("</main>", "</main><script>window.ran = 1</script>"
                                               "<img src=x onerror='window.ran = 2'>")
    place.write_text(page, "utf-8")
    seen = visit(place.as_uri())
    seen.page.wait_for_selector(".pellucid-live")
    assert seen.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in c for c in seen.complaints)


def test_without_scripts_the_drawing_is_complete(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    place = tmp_path / "still.html"
    place.write_text(notebook.page(made["words"]), "utf-8")
    seen = visit(place.as_uri(), java_script_enabled=False)
    assert seen.page.locator("svg text").count() > 20
    assert seen.page.locator("details summary").is_visible()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A server of a folder with the policy that a workbench would have: own files only, nothing inline."""
    class Strict(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", POLICY + "; script-src 'self'")
            super().end_headers()

        def log_message(self, *told: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Strict, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_servers_page_without_inline_scripts_is_live_too(made: dict[str, Any], visit: Any,
                                                           served: tuple[Path, str]) -> None:
    folder, address = served
    (folder / "live.js").write_text(module(), "utf-8")
    (folder / "start.js").write_text("import { enhance } from './live.js'; enhance(document);", "utf-8")
    (folder / "index.html").write_text(
        "<!doctype html><html lang=en><head><meta charset=utf-8><link rel=icon href='data:,'><title>x</title></head>"
        f"<body>{made['bars'].svg()}<script type=module src=start.js></script></body></html>", "utf-8")
    seen = visit(address, local=(address, "data:"))
    seen.page.wait_for_selector(".pellucid-live")
    seen.page.locator(".surface").focus()
    seen.page.keyboard.press("ArrowRight")
    largest = float(made["bars"].values[made["bars"].values.abs().argmax()])
    assert number(said(seen).rpartition(": ")[2].split(" ±")[0]) == pytest.approx(largest, rel=6e-3)
    seen.quiet()


def test_in_a_narrow_window_a_report_s_drawings_answer_as_well(made: dict[str, Any], visit: Any, tmp_path: Path
                                                               ) -> None:
    place = pellucid.report([made["map"], made["regions"], made["words"], made["bars"]], tmp_path / "narrow.html")
    seen = visit(place.as_uri())
    seen.page.set_viewport_size({"width": 375, "height": 800})
    for entry, name in enumerate(("map", "regions", "words", "bars"), 1):
        drawing = seen.page.locator(f"#e{entry} svg.small")
        drawing.scroll_into_view_if_needed()
        live = seen.page.locator(f"#e{entry} .pellucid-live").filter(has=seen.page.locator(".surface:visible"))
        live.locator(".surface").focus()
        seen.page.keyboard.press("ArrowRight")
        told = live.locator("output").inner_text().rpartition(": ")[2].split(" ±")[0]
        values = made[name].values.flatten()
        at = int(values.abs().argmax()) if name == "bars" else 0  # bars stand in their order
        error = made[name].error
        place = 1e-9 if error is None else 0.06 * 1.96 * float(error.flatten()[at])
        assert number(told) == pytest.approx(float(values[at]), rel=6e-3, abs=place)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 375
    seen.quiet()


def test_what_is_kept_for_the_record_is_folded_and_is_printed(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = visit(pellucid.report([made["map"], made["bars"]], tmp_path / "two.html").as_uri())
    summary = seen.page.locator("#e1 summary")
    digest = seen.page.locator("#e1").get_by_text("sha256:").first
    assert not digest.is_visible()
    summary.focus()
    seen.page.keyboard.press("Enter")
    assert digest.is_visible()
    seen.page.keyboard.press("Enter")
    for moment, there in (("beforeprint", True), ("afterprint", False)):
        seen.page.evaluate(f"dispatchEvent(new Event('{moment}'))")
        assert digest.is_visible() is there
    alone = visit(pellucid.report(made["map"], tmp_path / "one.html").as_uri())
    assert alone.page.locator("#e1").get_by_text("sha256:").first.is_visible()
    seen.quiet()


def test_letters_without_a_font_are_told_with_what_to_install(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    e = replace(made["bars"], target="𗀀𗀁 fine 好")  # Tangut: no machine that tests has its letters
    seen = opened(e, visit, tmp_path)
    told = seen.page.locator(".fontless").inner_text()
    assert told == "No font here shows 2 of these characters (U+17000, U+17001): install Noto Sans"
    assert "本机没有字体" in opened(e, visit, tmp_path, lang="zh").page.locator(".fontless").inner_text()
    assert opened(made["words"], visit, tmp_path, lang="zh").page.locator(".fontless").count() == 0
    seen.quiet()
