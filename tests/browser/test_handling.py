"""How a drawing is handled: keys, fingers, zoom, paper, and what is told of a selection."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import pellucid
from pellucid import notebook
from pellucid.views.script import module

PHONE = {"has_touch": True, "is_mobile": True}
SIGHT = """(() => {
  for (const host of document.querySelectorAll(".pellucid-live")) {
    if (host.hidden) continue;
    const [c, o] = [".cursor", "output"].map((s) => host.shadowRoot.querySelector(s).getBoundingClientRect());
    return {cursor: [c.top, c.bottom], told: [o.top, o.bottom], window: innerHeight};
  }
})()"""


@pytest.fixture(scope="module")
def made(vision: bool) -> dict[str, Any]:
    digits, picture = pellucid.load("demo:digits"), pellucid.samples("digits")[0]
    reviews, text = pellucid.load("demo:reviews"), next(s for s in pellucid.samples("reviews") if s.isascii())
    tumours, row = pellucid.load("demo:tumours"), pellucid.samples("tumours")[0]
    return {
        "map": pellucid.explain(digits, picture, "integrated_gradients"),
        "words": pellucid.explain(reviews, text, "integrated_gradients"),
        "long": pellucid.explain(reviews, " ".join([text] * 5), "saliency"),
        "bars": pellucid.explain(tumours, row, "shapley_sampling", samples=60),
        "compared": pellucid.compare(digits, picture, ["saliency", "grad_cam"], metrics=[]),
    }


def opened(item: Any, visit: Any, tmp_path: Path, **options: Any) -> Any:
    place = tmp_path / "alone.html"
    phone = '<meta name="viewport" content="width=device-width, initial-scale=1"><title>'
    place.write_text(notebook.page(item, lang=options.pop("lang", None)).replace("<title>", phone, 1), "utf-8")
    seen = visit(place.as_uri(), **options)
    if "is_mobile" in options:
        seen.page.set_viewport_size({"width": 375, "height": 812})
    seen.page.wait_for_selector(".pellucid-live")
    seen.page.wait_for_timeout(100)
    return seen


def scripted(tmp_path: Path, body: str, last: str) -> str:
    """The address of a page that runs the script and then something of its own."""
    script, place = re.sub(r"^export .*$", "", module(), flags=re.MULTILINE), tmp_path / "scripted.html"
    place.write_text("<!doctype html><html lang=en><meta charset=utf-8><title>x</title>"
                     f"<body>{body}<script type=module>{script};{last}</script>", "utf-8")
    return place.as_uri()


def said(seen: Any) -> str:
    return seen.page.locator(".pellucid-live:visible output").inner_text()


def view(seen: Any) -> list[float]:
    return [float(v) for v in seen.page.locator("svg[data-kind]").first.get_attribute("viewBox").split()]


def places(seen: Any, e: Any, *cells: tuple[int, int]) -> list[tuple[float, float]]:
    """Where cells of a map lie on the screen."""
    box, (rows, columns) = seen.page.locator(".surface:visible").bounding_box(), e.values.shape
    wide, tall = box["width"] / columns, box["height"] / rows
    return [(box["x"] + (c + 0.5) * wide, box["y"] + (r + 0.5) * tall) for r, c in cells]


def stroke(seen: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A finger goes from one place to another."""
    hand = seen.page.context.new_cdp_session(seen.page)
    (x, y), (to, low) = start, end
    path = [{"x": x + (to - x) * k / 8, "y": y + (low - y) * k / 8} for k in range(9)]
    hand.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": path[:1]})
    for point in path[1:]:
        hand.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        seen.page.wait_for_timeout(20)
    hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    seen.page.wait_for_timeout(100)


def test_keys_held_with_ctrl_alt_or_meta_are_the_browsers(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = opened(made["map"], visit, tmp_path)
    seen.page.locator(".surface").focus()
    seen.page.keyboard.press("ArrowRight")
    whole, told = view(seen), said(seen)
    for key in ("=", "-", "0", "ArrowLeft", "ArrowDown", "Home", "Enter", " "):
        for held in ("ctrlKey", "altKey", "metaKey"):
            prevented = seen.page.locator(".surface").evaluate(
                "(e, [key, held]) => !e.dispatchEvent(new KeyboardEvent('keydown', "
                "{key, [held]: true, cancelable: true, bubbles: true}))", [key, held])
            assert not prevented
    assert (view(seen), said(seen)) == (whole, told)


def test_a_finger_selects_and_moves_in_any_direction_once_it_is_told_to(made: dict[str, Any], visit: Any,
                                                                        tmp_path: Path) -> None:
    e, seen = made["map"], opened(made["map"], visit, tmp_path, **PHONE)
    for lang, names in (("en", ("Drag to move", "Drag to select")), ("zh", ("拖动以移动", "拖动以选择"))):
        other = seen if lang == "en" else opened(e, visit, tmp_path, lang=lang)
        for name in names:
            assert other.page.get_by_role("button", name=name, exact=True).get_attribute("aria-pressed") == "false"
    select = seen.page.get_by_role("button", name="Drag to select")
    select.focus()
    seen.page.keyboard.press("Enter")
    assert select.get_attribute("aria-pressed") == "true"
    seen.page.locator(".surface").evaluate("e => e.scrollIntoView({block: 'start'})")
    before = seen.page.evaluate("scrollY")
    stroke(seen, *places(seen, e, (5, 30), (40, 34)))
    assert said(seen).startswith(f"{36 * 5} selected, sum ")
    assert seen.page.evaluate("scrollY") == before
    seen.page.get_by_role("button", name="Zoom in").click()
    seen.page.get_by_role("button", name="Drag to move").click()
    assert select.get_attribute("aria-pressed") == "false"
    seen.page.locator(".surface").evaluate("e => e.scrollIntoView({block: 'start'})")
    before, (x, y, w, _) = seen.page.evaluate("scrollY"), view(seen)
    box = seen.page.locator(".surface").bounding_box()
    start = box["x"] + box["width"] / 2, box["y"] + 40
    stroke(seen, start, (start[0] + 30, start[1] + 60))
    scale = w / seen.page.locator("svg[data-kind]").bounding_box()["width"]
    assert view(seen)[:2] == pytest.approx([max(x - 30 * scale, 0), max(y - 60 * scale, 0)], abs=scale)
    assert view(seen)[1] < y - 20
    assert seen.page.evaluate("scrollY") == before
    assert said(seen).startswith(f"{36 * 5} selected, sum ")


def test_with_the_select_button_arrows_alone_select(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = opened(made["bars"], visit, tmp_path)
    seen.page.get_by_role("button", name="Drag to select").click()
    seen.page.locator(".surface").focus()
    for _ in range(3):
        seen.page.keyboard.press("ArrowDown")
    assert said(seen).startswith("3 selected, sum ")


@pytest.mark.parametrize("phone", [False, True])
def test_the_cursor_and_what_is_told_stay_in_sight(phone: bool, made: dict[str, Any], visit: Any,
                                                   tmp_path: Path) -> None:
    seen = visit(pellucid.report(made["long"], tmp_path / "long.html").as_uri(), **(PHONE if phone else {}))
    seen.page.set_viewport_size({"width": 375, "height": 667} if phone else {"width": 1100, "height": 300})
    surface = seen.page.locator(".surface:visible")
    surface.wait_for()
    assert surface.bounding_box()["height"] > seen.page.evaluate("innerHeight")
    surface.focus()
    seen.page.keyboard.press("ArrowRight")
    for key in ["ArrowDown"] * 9 + ["ArrowUp"] * 4 + ["End", "Home", "End"]:
        seen.page.keyboard.press(key)
        seen.page.wait_for_timeout(20)
        sight = seen.page.evaluate(SIGHT)
        assert 0 <= sight["told"][0] < sight["told"][1] <= sight["window"]
        assert 0 <= sight["cursor"][0] < sight["cursor"][1] <= sight["told"][0]
    seen.page.locator(".facts").first.evaluate("e => e.scrollIntoView({block: 'end'})")
    seen.page.wait_for_timeout(50)
    drawn, strip = (seen.page.locator(s).first.bounding_box() for s in ("svg[data-kind]:visible", ".strip:visible"))
    assert strip["y"] >= drawn["y"] + drawn["height"] - 1  # further down nothing of the drawing is covered
    assert strip["y"] + strip["height"] <= seen.page.evaluate("innerHeight")
    seen.quiet()


def test_a_tall_strip_covers_with_its_first_line_alone(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = opened(made["compared"], visit, tmp_path, **PHONE)
    seen.page.set_viewport_size({"width": 375, "height": 420})
    seen.page.wait_for_timeout(50)
    strip = seen.page.locator(".strip").bounding_box()
    assert strip["height"] > 300
    assert 420 - 110 < strip["y"] < 420 - 20


def test_the_view_follows_the_keyboard(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = opened(made["map"], visit, tmp_path)
    seen.page.locator(".surface").focus()
    seen.page.keyboard.press("ArrowRight")
    for _ in range(4):
        seen.page.keyboard.press("+")
    for key, times in (("ArrowDown", 50), ("ArrowRight", 40), ("ArrowUp", 30)):
        for _ in range(times):
            seen.page.keyboard.press(key)
        inside = seen.page.locator(".marks").evaluate("""m => {
          const [c, b] = [m.querySelector(".cursor"), m].map((e) => e.getBoundingClientRect());
          return c.left >= b.left && c.right <= b.right && c.top >= b.top && c.bottom <= b.bottom; }""")
        assert inside
    assert said(seen).startswith("row 21, column 41:")


def test_a_drawing_without_values_to_point_at_moves_as_well(visit: Any, tmp_path: Path) -> None:
    svg = ('<svg xmlns="http://www.w3.org/2000/svg" id="p" lang="en" data-kind="plain" width="400" height="300" '
           'viewBox="0 0 400 300"><title>Plain</title><circle cx="200" cy="150" r="90"/></svg>')
    seen = visit(scripted(tmp_path, svg, "enhance(document)"))
    move = seen.page.get_by_role("button", name="Drag to move")
    move.focus()
    seen.page.keyboard.press("ArrowRight")
    assert view(seen) == [0, 0, 400, 300]
    for _ in range(2):
        seen.page.get_by_role("button", name="Zoom in").click()
    x, y, w, h = view(seen)
    move.focus()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("ArrowUp")
    assert view(seen) == pytest.approx([x + w / 8, y - h / 8, w, h])
    move.click()
    box, (x, y, w, h) = seen.page.locator("svg[data-kind]").bounding_box(), view(seen)
    seen.page.mouse.move(box["x"] + 150, box["y"] + 150)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + 120, box["y"] + 130, steps=5)
    seen.page.mouse.up()
    assert view(seen) == pytest.approx([x + 30 * w / box["width"], y + 20 * w / box["width"], w, h], abs=0.5)
    seen.quiet()


def test_paper_shows_the_whole_drawing_whatever_is_set(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = opened(made["map"], visit, tmp_path)
    slide = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
    seen.page.locator("input[name=opacity]").evaluate(slide, 0.25)
    seen.page.locator("input[name=threshold]").evaluate(slide, 0.5)
    seen.page.locator("clipPath path").wait_for(state="attached")
    seen.page.get_by_role("button", name="Zoom in").click()

    def state() -> list[Any]:
        return [view(seen), *seen.page.locator("image[data-layer=values]").evaluate(
            "e => [getComputedStyle(e).opacity, e.getAttribute('clip-path')]")]

    before = state()
    seen.page.evaluate("addEventListener('beforeprint', () => { window.paper = document.querySelector("
                       "'svg[data-kind]').getAttribute('viewBox'); })")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    svg = seen.page.locator("svg[data-kind]").first
    assert state() == [[0, 0, float(svg.get_attribute("width")), float(svg.get_attribute("height"))], "1", None]
    seen.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert state() == before
    seen.page.pdf(path=tmp_path / "out.pdf")
    assert seen.page.evaluate("window.paper").startswith("0 0 7")
    assert state() == before
    bars = opened(made["bars"], visit, tmp_path)
    bars.page.locator("input[name=threshold]").evaluate(slide, 0.9)
    hidden = "es => es.filter(e => getComputedStyle(e).visibility === 'hidden').length"
    for moment, some in (("beforeprint", False), ("afterprint", True)):
        bars.page.evaluate(f"dispatchEvent(new Event('{moment}'))")
        assert (bars.page.locator("rect[data-bar]").evaluate_all(hidden) > 0) is some


def widget(svg: str, visit: Any, tmp_path: Path) -> Any:
    """The drawing as a notebook's widget; what Python is told is in `told`."""
    seen = visit(scripted(tmp_path, "<div id=a style='width:760px'></div>", f"""
      window.told = []; const svg = {json.dumps(svg)}, el = document.getElementById("a");
      render({{model: {{get: () => svg, set: (_, v) => told.push(v), save_changes() {{}}, on() {{}}}}, el}});"""))
    seen.page.wait_for_selector(".pellucid-live")
    return seen


def test_python_is_told_once_a_choice_is_made(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    e = made["map"]
    seen, columns = widget(e.svg(), visit, tmp_path), e.values.shape[1]
    a, b, c = places(seen, e, (2, 4), (40, 50), (9, 9))
    seen.page.mouse.move(*a)
    seen.page.mouse.down()
    seen.page.mouse.move(*b, steps=40)
    assert said(seen).startswith(f"{39 * 47} selected")
    assert seen.page.evaluate("told.length") == 0
    seen.page.mouse.up()
    assert seen.page.evaluate("told.map(t => t.length)") == [39 * 47]
    seen.page.mouse.click(*c)
    assert seen.page.evaluate("told.at(-1)") == [9 * columns + 9]
    assert said(seen).startswith("row 10, column 10: ")
    seen.page.keyboard.press("Escape")
    assert seen.page.evaluate("told.at(-1)") == []
    assert seen.page.evaluate("told.length") == 3
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.evaluate("told.length") == 3
    for column, key in enumerate(("Enter", "Space"), 10):
        seen.page.keyboard.press(key)
        assert seen.page.evaluate("told.at(-1)") == [9 * columns + column]
        assert said(seen).startswith(f"row 10, column {column + 1}: ")
        seen.page.keyboard.press("ArrowRight")
    seen.quiet()


def test_a_drag_back_to_its_start_selects_one_value(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    e, seen = made["map"], opened(made["map"], visit, tmp_path)
    a, b = places(seen, e, (12, 12), (20, 20))
    seen.page.mouse.move(*a)
    seen.page.mouse.down()
    seen.page.mouse.move(*b, steps=3)
    assert said(seen).startswith("81 selected")
    seen.page.mouse.move(*a, steps=3)
    seen.page.mouse.up()
    assert said(seen).startswith("row 13, column 13: ")
    width, cell = seen.page.locator(".marks .edge").evaluate("e => e.getBoundingClientRect().width"), b[0] - a[0]
    assert width == pytest.approx(cell / 8, abs=2)


def test_a_large_selection_is_seen_whole(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    e, seen = made["map"], opened(made["map"], visit, tmp_path)
    rows, columns = e.values.shape
    box = seen.page.locator(".surface").bounding_box()
    seen.page.mouse.move(box["x"] + 2, box["y"] + 2)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=3)
    seen.page.mouse.up()
    assert said(seen).startswith(f"{rows * columns} selected")
    chosen = seen.page.locator(".marks .chosen")
    assert chosen.count() == 1
    assert chosen.get_attribute("d").count("M") == 1
    assert list(chosen.bounding_box().values()) == pytest.approx(list(box.values()), abs=2)


def test_the_edge_of_a_selection_leaves_out_what_two_boxes_share(visit: Any, tmp_path: Path) -> None:
    page = visit(scripted(tmp_path, "", "window.edged = edged; window.merged = merged")).page
    # a square on a wide box: the line between them is inside
    found = page.evaluate("edged([{x: 0, y: 0, w: 1, h: 1}, {x: 0, y: 1, w: 3, h: 1}])")
    length = sum(abs(float(b) - float(a)) for a, b in re.findall(r"M(\S+) \S+H([\d.]+)", found))
    length += sum(abs(float(b) - float(a)) for a, b in re.findall(r"M\S+ ([\d.]+)V([\d.]+)", found))
    assert length == 10
    assert page.evaluate("merged([{x: 0, y: 0, w: 1, h: 1}, {x: 1, y: 0, w: 2, h: 1}])") == [
        {"x": 0, "y": 0, "w": 3, "h": 1}]


@pytest.mark.parametrize(("lang", "words"), [("en", "± not known"), ("zh", "误差未知")])
def test_an_error_that_is_not_known_is_said_to_be_so(lang: str, words: str, made: dict[str, Any], visit: Any,
                                                     tmp_path: Path) -> None:
    e = made["bars"]
    error = torch.full_like(e.values, 0.01)
    error[int(e.values.abs().argmax())] = torch.nan
    seen = opened(replace(e, error=error), visit, tmp_path, lang=lang)
    seen.page.locator(".surface").focus()
    seen.page.keyboard.press("ArrowDown")
    assert said(seen).endswith(words)
    seen.page.keyboard.press("Shift+ArrowDown")
    assert said(seen).endswith(words)
    assert "2" in said(seen).split(" ")[0 if lang == "en" else 1]


def test_what_is_hidden_is_hidden_whole_below_what_is_said(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    slide = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
    seen = opened(made["bars"], visit, tmp_path)
    limit = float(seen.page.locator("svg[data-kind]").get_attribute("data-limit"))
    slider = seen.page.locator("input[name=threshold]")
    assert slider.get_attribute("aria-valuetext") == "0"
    slider.evaluate(slide, 0.3)
    told = seen.page.locator("label", has=slider).inner_text()
    assert float(slider.get_attribute("aria-valuetext")) == pytest.approx(0.3 * limit, rel=6e-3)
    assert slider.get_attribute("aria-valuetext") in told
    rows = seen.page.locator("g:has(> rect[data-bar])").evaluate_all("""gs => gs.map(g => [
      Math.abs(Number(g.querySelector("[data-bar]").getAttribute("data-bar"))),
      [...g.children].filter(c => c.tagName !== "title" && getComputedStyle(c).visibility !== "hidden").length])""")
    assert {bool(shown) for value, shown in rows if value < 0.29 * limit} == {False}
    assert {bool(shown) for value, shown in rows if value > 0.31 * limit} == {True}
    words = opened(made["words"], visit, tmp_path)
    numbers = """ts => ts.filter(t => getComputedStyle(t).visibility !== "hidden" && t.textContent[0] === "+"
      ).map(t => t.textContent)"""
    under = words.page.locator("svg[data-kind] g:has(> g > .token) > text.tab[text-anchor=middle]")
    before = under.evaluate_all(numbers)
    words.page.locator("input[name=threshold]").evaluate(slide, 0.6)
    least = 0.6 * float(words.page.locator("svg[data-kind]").get_attribute("data-limit"))
    after = under.evaluate_all(numbers)
    assert 0 < len(after) < len(before)
    assert after == [t for t in before if float(t) >= least]
    hidden = "ts => ts.filter(t => getComputedStyle(t).visibility !== 'visible').length"
    assert words.page.locator("text.token").evaluate_all(hidden) == 0


def test_each_drawing_has_a_name_of_its_own(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = visit(pellucid.report([made["words"], made["bars"]], tmp_path / "two.html").as_uri())
    names = set()
    for k in (1, 2):
        surface = seen.page.locator(f"#e{k} .surface:visible")
        seen.page.locator(f"#e{k} svg.large").scroll_into_view_if_needed()
        surface.wait_for()
        title = seen.page.locator(f"#e{k} svg.large > title").text_content()
        names.add(surface.get_attribute("aria-label"))
        assert surface.get_attribute("aria-label").startswith(f"{title} – Explore: arrow keys move")
    assert len(names) == 2


def test_a_selection_outlives_a_window_that_changes(made: dict[str, Any], visit: Any, tmp_path: Path) -> None:
    seen = visit(pellucid.report([made["bars"]], tmp_path / "one.html").as_uri())
    seen.page.wait_for_selector(".pellucid-live")
    seen.page.locator(".surface").first.focus()
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("Shift+ArrowDown")
    told = said(seen)
    assert told.startswith("2 selected")
    for wide in (400, 1100):
        seen.page.set_viewport_size({"width": wide, "height": 800})
        seen.page.wait_for_timeout(300)
        assert said(seen) == told
        assert seen.page.locator(".marks:visible .chosen").count() == 1
        seen.page.locator(".surface:visible").focus()
        seen.page.keyboard.press("Shift+ArrowDown")
        told = said(seen)
    assert told.startswith("4 selected")
    seen.quiet()
