"""A report is one file that says everything, fetches nothing and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pellucid.report import live
from pellucid.report.page import POLICY, Section, page, report
from pellucid.words.errors import FileError, OptionError

sys.path.insert(0, str(Path(__file__).parent))
import samples
from hostile import HOSTILE

VOID = {"meta", "br", "hr", "col", "img"}


class Reader(HTMLParser):
    """Tags, attributes and text of a page; tags must close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes = list[str](), list[str](), list[tuple[str, str, str]]()
        self.headings, self.words, self.scripts = list[int](), list[str](), list[str]()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, k, v or "") for k, v in attrs]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().lower() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def parts() -> list[object]:
    beside = Section("Two methods, one picture", "The first paragraph.\n\nThe second.",
                     [samples.cam(), samples.patched()], side_by_side=True)
    return [samples.digit(), beside, samples.sentence(), samples.row(verdict=samples.WARN)]


def only_our_script(read: Reader) -> bool:
    """One script, the package's own word for word, and the digest of it in the policy."""
    digest = base64.b64encode(hashlib.sha256("".join(read.scripts).encode()).digest()).decode()
    policy = ("meta", "content", f"{POLICY}; script-src 'sha256-{digest}'")
    return read.tags.count("script") == 1 and policy in read.attributes and "".join(read.scripts) == live.source()


def test_the_page_fetches_nothing_runs_its_own_script_and_says_so_to_the_browser() -> None:
    read = Reader(page(parts(), title="Demo"))
    assert only_our_script(read)
    assert POLICY.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not {"iframe", "object", "embed", "link", "base", "form"} & set(read.tags)
    for _, name, value in read.attributes:
        assert not name.startswith("on")
        if name in ("href", "src", "srcset", "action"):
            assert value.startswith(("#", "data:image/png;base64,"))


def test_links_ids_headings_and_language_are_in_order() -> None:
    for lang, said in (("en", "en"), ("zh", "zh-Hans")):
        read = Reader(page(parts(), lang=lang))
        ids = [v for _, k, v in read.attributes if k == "id"]
        assert len(ids) == len(set(ids))
        assert {v[1:] for t, k, v in read.attributes if t == "a" and k == "href"} <= set(ids)
        assert ("html", "lang", said) in read.attributes
        assert read.headings[0] == 1
        assert read.headings.count(1) == 1
        assert all(b - a <= 1 for a, b in zip(read.headings, read.headings[1:], strict=False))


def test_the_page_tells_the_reader_in_a_hurry_and_the_auditor() -> None:
    read = Reader(page(parts(), title="Four answers", notes="Made for the board."))
    for part in (
        "Four answers", "Made for the board.", "This page embeds the inputs it draws", "In a hurry", "Contents",
        "‘positive’ scored 3.42 (baseline −0.2): raised most by wonder (+1.3), not (+0.62); lowered most by bad (−0.9)",
        "Use with care", "What to do: raise", "error.above_tolerance", "arXiv:1703.01365", "+0.900 ± 0.098",
        "tolerance", "0.01", "rows asked", "65", "shadow", "sha256:4c1e…", "These options repeat the explanation.",
        "The first paragraph.",
    ):  # fmt: skip
        assert part in read.text, part
    assert read.text.index("embeds the inputs") < read.text.index("In a hurry")
    assert "grid-template-columns:repeat(2" in page(parts())
    assert "class=\"side\"" in page(parts())


def test_a_single_explanation_needs_no_contents_and_an_unshown_input_no_warning() -> None:
    alone = Reader(page(samples.row(shown=None)))
    assert "Contents" not in alone.text
    assert "embeds the inputs" not in alone.text


def test_chinese_pages_speak_chinese() -> None:
    read = Reader(page([samples.chinese(), samples.row()], lang="zh"))
    for part in ("速览", "目录", "最大的值", "配方", "依据", "来源", "检查通过", "本页面内嵌所绘的输入"):
        assert part in read.text
    assert "Evidence" not in read.text


@pytest.mark.parametrize("bad", HOSTILE)
def test_hostile_words_stay_words(bad: str) -> None:
    e = samples.row(target=bad, method=bad or "m", summary=bad, paper=bad, provenance={bad: bad},
                    labels=(bad,))
    read = Reader(page([e, Section(bad, bad, [e])], title=bad or "t", notes=bad))
    assert only_our_script(read)
    assert not [k for _, k, _ in read.attributes if k.startswith("on")]
    assert not re.search("[\u202a-\u202e\u200b-\u200f\ufeff\x00-\x08\x1b]", read.text)


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = report([samples.row()], tmp_path / "why.html")
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["why.html"]
    with pytest.raises(FileError) as refused:
        report([samples.row()], tmp_path / "nowhere" / "why.html")
    assert refused.value.code == "file.unwritable"


@pytest.mark.parametrize(("name", "do"), [("why.docx", "ending in .html"), ("why", ".pdf")])
def test_other_formats_are_refused_with_a_way_out(tmp_path: Path, name: str, do: str) -> None:
    with pytest.raises(OptionError) as refused:
        report([samples.row()], tmp_path / name)
    assert refused.value.code == "report.format"
    assert do in refused.value.do
    with pytest.raises(OptionError):
        page(["text"])  # type: ignore[list-item]


def test_a_report_of_many_stays_small_and_shares_one_style() -> None:
    made = page([samples.sentence(ordinal=i) for i in range(40)])
    assert len(made) < 40 * 32_000 + 60_000
    assert made.count("<style") == 1  # a browser works out every style anew for each sheet it meets
    assert "content-visibility:auto" in made
