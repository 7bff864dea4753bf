"""The pages of a report: where lines break, what stands beside what, how much of a page is used."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pypdf
import pytest
from PIL import Image

from pellucid.printing import fonts
from pellucid.printing.foreign import faced, families
from pellucid.printing.press import pictured
from pellucid.report import paper as papers
from pellucid.report import templates
from pellucid.report.compose import document
from pellucid.report.document import Grid, Pairs
from pellucid.report.page import Section, page
from pellucid.words.errors import OptionError

sys.path.insert(0, str(Path(__file__).parents[1] / "drawings"))
import samples

Word = tuple[str, float, float]
"""A piece of text, and how far right and how high on the page it begins."""


def words(sheet: Any) -> list[Word]:
    found = list[Word]()

    def seen(text: str, cm: list[float], tm: list[float], *_: Any) -> None:
        if text.strip():
            found.append((text.strip(), tm[4] * cm[0] + cm[4], tm[5] * cm[3] + cm[5]))

    sheet.extract_text(visitor_text=seen)
    return found


def lines(sheet: Any) -> list[tuple[float, str]]:
    """The lines of a page from the top, each with its height."""
    by = dict[float, list[Word]]()
    for word in words(sheet):
        by.setdefault(round(word[2], 1), []).append(word)
    return [(y, "".join(text for text, _, _ in sorted(row, key=lambda w: w[1]))) for y, row in sorted(by.items())][::-1]


def sheets(*items: Any, **options: Any) -> list[Any]:
    return list(pypdf.PdfReader(io.BytesIO(papers.paper(*items, **options))).pages)


def place(sheet: Any, text: str) -> tuple[float, float]:
    """Where a text begins, which may be in pieces."""
    return next((x, y) for found, x, y in words(sheet) if found.startswith(text))


NAME = "mean_fractal_dimension"


@pytest.mark.parametrize("filler", range(8))
def test_chinese_breaks_where_chinese_breaks_and_names_after_their_signs(filler: int) -> None:
    told = f"这个模型的得分主要由特征提高，{NAME}，而其他特征的影响都很小，所以可以忽略不计，{NAME}，"
    notes = "文" * filler + told * 6
    shown = [line for _, line in lines(sheets(samples.row(), lang="zh", notes=notes)[0])]
    assert not [line for line in shown if line.startswith(("，", "。", "、", "”"))]
    cut = [line for line in shown if re.search("[a-z_]$", line) and "特征" in line]
    assert all(line.endswith((NAME, "mean_", "fractal_")) for line in cut), cut
    assert all(len(line) > 40 for line in shown if "所以可以忽略不计" in line and "提高" in line)


def test_a_word_that_is_wider_than_the_page_stays_on_it() -> None:
    for bad in ("a" * 300, "ж" * 300, "sha256:" + "0123456789abcdef" * 8):
        sheet = sheets(samples.row(), lang="en", notes=bad)[0]
        assert max(x for _, x, _ in words(sheet)) < 540
        assert len([1 for _, line in lines(sheet) if bad[-1] * 2 in line or "cdef" in line]) >= 2


def test_headings_of_the_first_page_stand_free_of_what_is_above() -> None:
    items = [samples.digit(method="saliency"), samples.digit(method="grad_cam")]
    shown = lines(sheets(items, lang="en", template="methods")[0])
    for heading in ("Side by side", "Contents"):
        at = next(i for i, (_, line) in enumerate(shown) if line.replace(" ", "") == heading.replace(" ", ""))
        assert shown[at - 1][0] - shown[at][0] > 26, heading


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("item", [samples.digit, samples.cam, samples.row, samples.sentence])
def test_a_report_of_one_answer_begins_on_the_first_page(item: Any, lang: str) -> None:
    made = sheets(item(), lang=lang)
    assert len(made) <= 2
    entry = document(item(), widths=(640, 640), lang=lang).entries[0]
    label = entry.label.split()[0]
    assert any(line.startswith(label) for _, line in lines(made[0])[1:])
    assert min(y for y, _ in lines(made[0])[:-1]) < 420  # more than half of the page


def test_a_drawing_that_cannot_stay_on_the_first_page_is_not_made_too_small() -> None:
    short, long = (sheets(samples.cam(), lang="en", notes="A line of notes.\n\n" * n) for n in (1, 26))
    assert not any("Explanation·" in line.replace(" ", "") for _, line in lines(long[0]))
    assert len(long) == len(short) + 1


def test_a_list_of_facts_stays_on_one_page() -> None:
    items = [samples.digit(), samples.cam(), samples.patched(), samples.sentence(), samples.row(), samples.layer(),
             samples.halves(), samples.chinese()]
    said = ["".join(re.sub(r"\s", "", text) for text, _, _ in words(sheet)) for sheet in sheets(items, lang="en")]
    listed = [part for entry in document(items, widths=(640, 640), lang="en").entries for block in entry.blocks
              if block.title == "Evidence" for part in block.parts if isinstance(part, Pairs)]
    pages = [text for text in said for _ in range(text.count("Evidence"))]
    assert len(pages) == len(listed)
    for text, part in zip(pages, listed, strict=True):
        assert all(re.sub(r"\s", "", name) in text for name, _ in part.pairs)


def test_numbers_of_a_table_stand_near_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (("one", "12", "wholly"), ("two", "7", "hardly"))
    grid = Grid(("Name", "Count", "Known"), rows, numbers=1, words=(2,))
    monkeypatch.setattr(templates, "overview", lambda *_: grid)
    sheet = sheets(samples.row(), lang="en")[0]
    name, count, known = (place(sheet, head)[0] for head in grid.heads)
    assert count - name < 90
    assert known - name < 140
    assert place(sheet, "wholly")[0] == pytest.approx(known, abs=0.5)  # words among numbers begin below their head
    assert place(sheet, "12")[0] > count + 5  # numbers end below theirs


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_comparison_is_laid_side_by_side(lang: str) -> None:
    pair = [samples.digit(provenance={"model": m}) for m in ("first", "second")]
    made = pypdf.PdfReader(io.BytesIO(papers.paper(Section("Two", "", [*pair, samples.row()], True), lang=lang)))
    heads = [(n, x, y) for n, sheet in enumerate(made.pages) for text, x, y in words(sheet)
             if text.startswith(("How far", "可信程度"))]
    assert len(heads) == 3
    left, right, _ = heads
    assert left[0] == right[0]
    assert left[2] == pytest.approx(right[2], abs=0.5)
    assert right[1] - left[1] > 200
    root: Any = made.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert b"pdfuaid" in root["/Metadata"].get_data()


def test_what_two_models_say_stands_under_their_names() -> None:
    pair = [samples.digit(provenance={"model": m}) for m in ("first", "second")]
    text = "\n".join(sheet.extract_text() for sheet in sheets(pair, lang="en"))
    assert re.search(r"1\s+Explanation · Why ‘seven’\?[^\n]*first", text)
    assert re.search(r"2\s+Explanation · Why ‘seven’\?[^\n]*second", text)


def test_of_many_the_paper_lists_what_wants_care_as_the_page_does() -> None:
    items = [samples.row() for _ in range(14)] + [samples.row(verdict=samples.WARN)]
    first = sheets(items, lang="en")[0].extract_text()
    assert "14 passed their checks" in first
    assert first.count("Checks passed:") < 3


# --- logos

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="240" height="60" viewBox="0 0 240 60">{}</svg>'
TEXT = '<text x="4" y="40" font-size="30" font-family="{}">Acme 晶 Lab</text>'


def png(size: int, cut: int = 0) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((size, size), 50).save(out, "PNG") if cut else Image.new("1", (size, size)).save(out, "PNG")
    return out.getvalue()[:-cut] if cut else out.getvalue()


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((80, 80), 50).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize(("content", "code", "found", "chinese"), [
    (b"<svg xmlns='http://www.w3.org/2000/svg'><g></svg>", "logo.kind", "a damaged SVG file", "损坏的 SVG 文件"),
    (b"<svg width='9' height='9'></svg>", "logo.kind", "an SVG without xmlns=", "没有 xmlns="),
    (png(64, 900), "logo.kind", "a damaged PNG file", "损坏的 PNG 文件"),
    (jpeg()[:-900], "logo.kind", "a damaged JPEG file", "损坏的 JPEG 文件"),
    (png(20_000), "logo.large", "a logo of too many pixels", "像素过多的徽标"),
    (png(6_000), "logo.large", "a logo of too many pixels", "像素过多的徽标"),
])
@pytest.mark.parametrize("door", [page, papers.paper])
def test_a_logo_that_cannot_be_shown_is_refused_and_told_why(door: Any, content: bytes, code: str, found: str,
                                                             chinese: str) -> None:
    with pytest.raises(OptionError) as refused:
        door(samples.row(), logo=content)
    assert refused.value.code == code
    assert refused.value.found.startswith(found)
    told = refused.value.told("zh")
    assert told[0].startswith(chinese)
    assert not any(re.search("[a-z]{4,}", re.sub("xmlns|http://www.w3.org|svg", "", part)) for part in told)


@pytest.mark.parametrize("kind", ["sans-serif", "Nowhere Sans, sans-serif", "system-ui", "'Nowhere'"])
def test_chinese_letters_of_a_logo_are_in_the_face_of_all_others(kind: str) -> None:
    wanted = pictured(SVG.format(TEXT.format(",".join(f"'{f}'" for f in fonts.faces(chinese=True)))).encode())
    assert pictured(SVG.format(TEXT.format(kind)).encode()) == wanted
    styled = TEXT.format("x").replace('font-family="x"', f'style="font-family: {kind}"')
    assert pictured(SVG.format(styled).encode()) == wanted
    ruled = f"<style>.a {{ font-family: {kind}; fill: #000 }}</style>" + TEXT.format("x").replace(
        'font-family="x"', 'class="a"')
    assert pictured(SVG.format(ruled).encode()) == wanted


def test_kinds_of_faces_become_fonts_that_are_here() -> None:
    every = families("sans-serif")
    assert every.startswith(f"'{fonts.faces()[0]}'")
    assert "sans-serif" not in every.replace(fonts.faces()[0], "")
    assert families("serif") != every or "Liberation Serif" not in fonts.installed().families()
    short = faced(SVG.format("<text style='font: bold 20px sans-serif'>A</text>").encode())
    assert f"bold 20px '{fonts.faces()[0]}'" in short
