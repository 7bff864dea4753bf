"""A drawing without CSS looks as it does with it, and no letter is lost on paper without a word."""

from __future__ import annotations

import builtins
import io
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pypdf
import pytest
from PIL import Image

from pellucid.printing import flat, fonts, pdf, png
from pellucid.printing.slices import sliced
from pellucid.words.errors import OptionError

sys.path.insert(0, str(Path(__file__).parents[1] / "drawings"))
import samples

SHEET = """<svg xmlns="http://www.w3.org/2000/svg" id="a" width="40" height="20" viewBox="0 0 40 20" class="x">
<title>t</title><desc>d</desc><style>
#a{--ink:#111111;--deep:var(--ink);max-width:100%} @media (prefers-color-scheme:dark){#a{--ink:#eeeeee}}
@media print{#a{--ink:#222222}} @media (max-width:600px){#a rect{fill:red}}
#a rect{fill:var(--ink)} #a .b.c{fill:var(--deep);stroke:var(--none, blue)} .b{fill:green}
#a g > .only{opacity:.5;stroke-width:3px} #a .gone{display:none} #a rect:hover{fill:red} #a text{font-weight:650}
</style><rect class="b" data-v="1"/><rect class="b c"/><g><rect class="only" style="fill:url(#p)"/></g>
<rect class="gone"/><text class="b" tabindex="0">x<title>tip</title>y</text></svg>"""


def test_rules_become_attributes_as_the_cascade_has_them() -> None:
    root = ElementTree.fromstring(flat(SHEET))
    first, second, third = (e for e in root.iter() if e.tag.endswith("rect"))
    assert first.attrib == {"fill": "#222222"}  # an id wins over a class, paper over screen
    assert second.attrib == {"fill": "#222222", "stroke": "blue"}
    assert third.attrib == {"fill": "url(#p)", "opacity": ".5", "stroke-width": "3"}
    text = next(e for e in root.iter() if e.tag.endswith("text"))
    assert ("".join(text.itertext()), text.attrib) == ("xy", {"fill": "green", "font-weight": "700"})
    assert [e.text for e in root if e.tag.endswith(("title", "desc"))] == ["t", "d"]
    assert "#eeeeee" in flat(SHEET, "dark")
    assert "#111111" in flat(SHEET, "light")
    with pytest.raises(OptionError) as refused:
        flat(SHEET, "neon")
    assert refused.value.code == "option.theme"


@pytest.mark.parametrize("name", ["digit", "sentence", "chinese", "arabic", "row"])
def test_nothing_of_css_is_left_in_a_flat_drawing(name: str) -> None:
    made = flat(getattr(samples, name)().svg())
    assert not re.search(r"var\(|<style|class=|data-(?!uri)\w+=|\bpx\b", re.sub(r">[^<]*<", "><", made).replace(
        "data:image", ""))


def test_the_picture_has_the_colours_and_the_size_that_were_asked_for() -> None:
    svg = samples.row().svg(width=600)
    narrow = Image.open(io.BytesIO(png(svg, width=300)))
    fine = Image.open(io.BytesIO(png(svg, scale=1.5)))
    assert narrow.size[0] == 300
    assert fine.size[0] == 900
    seen = {c for _, c in fine.convert("RGB").getcolors(2**20) or ()}
    assert {(0xd1, 0x33, 0x06), (0x1e, 0x5e, 0xbf)} <= seen  # bars above and below zero
    assert png(svg, width=300) == png(svg, width=300)
    for options in ({"width": 0}, {"scale": 0.0}, {"width": 10**6}, {"scale": 1e9}):
        with pytest.raises(OptionError) as refused:
            png(svg, **options)
        assert refused.value.code == ("option.width" if "width" in options else "option.scale")


def test_a_picture_stays_a_grid_of_pixels_when_it_is_printed() -> None:
    """The heat map's values must not be blurred into one another."""
    made = np.asarray(Image.open(io.BytesIO(png(samples.patched().svg(width=720), scale=2))).convert("RGB"), int)
    jumps = np.abs(np.diff(made[500:900, 760:1360], axis=1)).sum(2)
    assert (jumps > 60).any(0).sum() < 60  # sharp edges, at few columns


def test_one_drawing_is_a_tagged_page_with_text_and_a_description() -> None:
    made = pdf(samples.chinese().svg(lang="zh"))
    read = pypdf.PdfReader(io.BytesIO(made))
    root: Any = read.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert str(root["/Lang"]).startswith("zh")
    assert read.metadata is not None
    assert read.metadata.title == "为什么是“好评”？"
    text = read.pages[0].extract_text()
    assert "精彩" in text
    assert "\ufffd" not in text
    assert made == pdf(samples.chinese().svg(lang="zh"))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any font but those that come with typst."""
    import typst

    few = typst.Fonts(include_system_fonts=False)
    monkeypatch.setattr(fonts, "installed", lambda: few)


@pytest.mark.usefixtures("bare")
def test_letters_without_a_font_stand_as_codes_and_a_line_says_what_to_install() -> None:
    text = pypdf.PdfReader(io.BytesIO(pdf(samples.chinese().svg()))).pages[0].extract_text()
    assert "‹U+7CBE›" in text
    line = " ".join(text.split()[-40:])
    assert "characters have no font here" in line
    assert "fonts-noto-cjk" in line
    plain = pypdf.PdfReader(io.BytesIO(pdf(samples.sentence().svg()))).pages[0].extract_text()
    assert "no font" not in plain
    assert "wonder" in plain


@pytest.mark.usefixtures("bare")
def test_a_chinese_page_is_not_written_where_no_font_is_chinese() -> None:
    for write in (png, pdf):
        with pytest.raises(OptionError) as refused:
            write(samples.row().svg(lang="zh"))
        assert refused.value.code == "font.missing"
        assert "fonts-noto-cjk" in refused.value.do


def test_characters_that_no_font_here_has_are_found_by_trying() -> None:
    assert fonts.missing("plain − ± ‘quoted’") == []
    assert fonts.missing("a\U0010fffdb\U0010fffd\U000f0000") == ["\U0010fffd", "\U000f0000"]
    told = fonts.line(["中", "😀", "\u0f40"])
    for package in ("fonts-noto-cjk", "fonts-noto-color-emoji", "fonts-noto-core"):
        assert package in told


def test_without_typst_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "typst":
            raise ImportError(name)
        return usual(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError) as refused:
        png(samples.row().svg())
    assert (refused.value.code, refused.value.do) == ("extra.pdf", 'pip install "pellucid[pdf]"')


def test_a_tall_drawing_is_cut_between_its_parts_and_nothing_is_lost() -> None:
    rows = "".join(f'<rect x="40" y="{20 + 100 * i}" width="500" height="60" fill="#000"/>' for i in range(20))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="2020" viewBox="0 0 600 2020">{rows}</svg>'
    made = sliced(svg, 450.0, 600.0)
    windows = [list(map(float, re.search(r'viewBox="([^"]+)"', part)[1].split())) for part, _ in made]  # type: ignore[index]
    assert len(made) > 1
    assert [w[1] for w in windows] == [0.0, *(w[1] + w[3] for w in windows[:-1])]
    assert windows[-1][1] + windows[-1][3] == 2020
    assert all(w[3] <= 800 for w in windows)
    assert all(not 20 < w[1] % 100 < 80 for w in windows[1:])  # between bars, never through one
    assert len(sliced(svg.replace('2020"', '900"'), 450.0, 600.0)) == 1
