"""A report as PDF: tagged, whole, the same words and numbers as the page, and whatever is in a name is only text."""

from __future__ import annotations

import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pypdf
import pytest

from pellucid.printing import fonts
from pellucid.report import paper as papers
from pellucid.report import templates
from pellucid.report.compose import document
from pellucid.report.document import Grid
from pellucid.report.page import Section, page, report
from pellucid.words.errors import FileError, OptionError

sys.path.insert(0, str(Path(__file__).parents[1] / "drawings"))
import samples

HOSTILE = (
    '#import "@preview/x:1.0.0"', "$ sum_(i=1)^n $", "@label *bold* _slanted_ `raw`", "= heading \\ #panic()",
    '#read("/etc/passwd")', "<script>alert(1)</script>", "]}) #{ 1/0 }", "\\u{202e} \u202egnp.exe\u2066",
    "zero\u200bwidth\u200d\ufeff", "{page} {of} %s", "a" * 300, "Z̷̧̛̠͔͓̗͖̟̓a̸͔͒l̶͖̈́g̴̥̈ő̸̻", "/* comment */ // line",
    "'\"`]]>", "العربية <b> 中文",
)


def read(made: bytes) -> tuple[pypdf.PdfReader, str]:
    opened = pypdf.PdfReader(io.BytesIO(made))
    return opened, "\n".join(p.extract_text() for p in opened.pages)


def squeezed(text: str) -> str:
    """Without blanks: where a line breaks is of no matter."""
    return re.sub(r"\s+", "", text)


class Words(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.skip, self.words = 0, list[str]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.skip += tag in ("style", "script", "svg")

    def handle_endtag(self, tag: str) -> None:
        self.skip -= tag in ("style", "script", "svg")

    def handle_data(self, data: str) -> None:
        if not self.skip:
            self.words.append(data)


def strings(value: Any) -> list[str]:
    """Every text in there but the names of how it stands."""
    if isinstance(value, str):
        return [] if value in ("strong", "soft", "") else [value]
    return [t for inner in value for t in strings(inner)] if isinstance(value, (list, tuple)) else []


def mixed() -> list[Any]:
    beside = Section("Two methods", "The first paragraph.\n\nThe second.", [samples.cam(), samples.patched()], True)
    return [samples.digit(), beside, samples.sentence(), samples.row(verdict=samples.WARN)]


def outline(items: Any) -> list[str]:
    return [t for i in items for t in (outline(i) if isinstance(i, list) else [i.title])]


@pytest.mark.parametrize(("lang", "said", "word"), [("en", "en", "How far to trust it"), ("zh", "zh-CN", "可信程度")])
def test_the_file_is_tagged_titled_outlined_and_can_be_read_aloud(lang: str, said: str, word: str) -> None:
    opened, text = read(papers.paper([*mixed(), samples.chinese()], title="Four of 四", lang=lang, notes="For you."))
    root: Any = opened.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == said
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"pdfuaid" in root["/Metadata"].get_data()
    assert opened.metadata is not None
    assert opened.metadata.title == "Four of 四"
    assert len(outline(opened.outline)) >= 7
    found = list[Any]()

    def walk(node: Any) -> None:
        node = node.get_object() if hasattr(node, "get_object") else node
        if isinstance(node, list):
            for inner in node:
                walk(inner)
        elif isinstance(node, dict):
            if "/S" in node:
                found.append((str(node["/S"]), node.get("/Alt")))
            if "/K" in node:
                walk(node["/K"])

    walk(root["/StructTreeRoot"])
    kinds = {kind for kind, _ in found}
    assert {"/H1", "/Table", "/TH", "/TD", "/Figure", "/Link"} <= kinds
    assert all(alt for kind, alt in found if kind == "/Figure")
    assert any("raised most by" in alt or "提高" in alt for kind, alt in found if kind == "/Figure")
    for part in ("For you.", word, "精彩", "65", "arXiv:1703.01365"):
        assert part in text, part
    assert "\ufffd" not in text
    assert re.search(rf"\b1\D+{len(opened.pages)}\b", opened.pages[0].extract_text())  # page 1 of n


def test_pages_and_paper_say_the_same_words_and_numbers() -> None:
    items = mixed()
    html = squeezed(" ".join(Words(page(items, title="T")).words))
    _, text = read(papers.paper(items, title="T"))
    on_paper = squeezed(text)
    for entry in document(items, widths=(640, 640)).entries:
        for block in entry.blocks:
            for value in strings([list(vars(part).values()) for part in block.parts]):
                assert squeezed(value) in html, value
                assert squeezed(value) in on_paper, value


@pytest.mark.parametrize("bad", HOSTILE)
def test_whatever_is_in_a_name_is_text(bad: str) -> None:
    e = samples.row(target=bad, method=bad, summary=bad, paper=bad, provenance={bad: bad}, labels=(bad,))
    opened, text = read(papers.paper([e, Section(bad, bad, [e])], title=bad, notes=bad))
    html = page([e, Section(bad, bad, [e])], title=bad, notes=bad)
    assert html.count("<script") == 1
    assert not re.search("[\u202a-\u202e\u2066\u2067\u200b\u200d\ufeff]", text)
    if bad.isascii():
        for shown in (squeezed(text), squeezed(" ".join(Words(html).words))):
            assert shown.count(squeezed(bad)) >= 4
    assert len(opened.pages) < 12


def test_the_same_report_is_the_same_file() -> None:
    assert papers.paper(samples.row()) == papers.paper(samples.row())


def test_heads_of_a_table_come_again_on_the_next_page(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(("Method", "Verdict", "Score"), tuple((f"method {i}", "fine", f"{i}") for i in range(90)), numbers=2)
    monkeypatch.setattr(templates, "overview", lambda *_: grid)
    _, text = read(papers.paper(samples.sentence()))
    assert len(re.findall(r"Method\s+Verdict\s+Score", text)) >= 2
    assert all(f"method {i}" in text for i in range(90))


def test_pictures_are_kept_as_fine_as_they_are() -> None:
    opened, _ = read(papers.paper(samples.cam()))
    sizes = [i.image.size for p in opened.pages for i in p.images if i.image is not None]
    assert max(w for w, _ in sizes) >= 224


def test_letters_without_a_font_are_told_on_the_first_page(monkeypatch: pytest.MonkeyPatch) -> None:
    import typst

    few = typst.Fonts(include_system_fonts=False)
    monkeypatch.setattr(fonts, "installed", lambda: few)
    opened, text = read(papers.paper(samples.chinese(), title="好"))
    assert "fonts-noto-cjk" in opened.pages[0].extract_text()
    assert "‹U+597D›" in text
    with pytest.raises(OptionError) as refused:
        papers.paper(samples.row(), lang="zh")
    assert refused.value.code == "font.missing"


def test_the_pdf_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = report(samples.row(), tmp_path / "why.pdf")
    assert made.read_bytes().startswith(b"%PDF")
    before = made.read_bytes()

    def missing() -> Any:
        raise OptionError("extra.pdf", "no typst", "typst", 'pip install "pellucid[pdf]"')

    monkeypatch.setattr(fonts, "typst", missing)
    with pytest.raises(OptionError) as refused:
        report(samples.sentence(), made)
    assert refused.value.code == "extra.pdf"
    assert made.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["why.pdf"]
    monkeypatch.undo()
    with pytest.raises(FileError):
        report(samples.row(), tmp_path / "nowhere" / "why.pdf")


def test_many_explanations_stay_a_small_file() -> None:
    made = papers.paper([samples.sentence(ordinal=i) for i in range(12)])
    assert len(made) < 12 * 60_000 + 200_000
