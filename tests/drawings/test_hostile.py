"""Names that somebody else wrote stay names in every drawing, table and file: nothing runs, everything shows."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from pellucid.languages.marks import mark, visible
from pellucid.printing.latex import escaped
from pellucid.store.tabular import FORMULAS, KEPT
from pellucid.words.draw import VIEWS

sys.path.insert(0, str(Path(__file__).parent))
from hostile import HOSTILE, UNSEEN, harmless
from test_report import Reader
from wild import N, records

from pellucid.report.page import page, report


@pytest.fixture(scope="module")
def wild() -> dict[str, Any]:
    return records()


KINDS = ("columns", "tokens", "evaluation", "comparison", "multiples", "look", "activity", "heads", "concepts", "craft",
         "visualised", "training")


def test_there_are_fifty_of_them_and_every_kind_of_record_has_them(wild: dict[str, Any]) -> None:
    assert N == len(set(HOSTILE)) >= 50
    assert set(wild) == set(KINDS)
    assert {item.drawn for item in wild.values()} == set(VIEWS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawing_and_its_text_hold_names_as_text(kind: str, wild: dict[str, Any]) -> None:
    for lang in ("en", "zh"):
        harmless(wild[kind].svg(lang=lang))
        assert not re.search(UNSEEN, wild[kind].text(lang=lang))


def told(bad: str) -> str:
    """The beginning of what a reader sees of a text."""
    return "".join(visible(bad).split())[:5]


def test_everything_shows(wild: dict[str, Any]) -> None:
    """Not only that nothing runs: whatever was written can be read, with marks for what cannot be seen."""
    page_of = {k: "".join("".join(e.itertext()) for e in harmless(wild[k].svg(**more)).iter()).replace(" ", "")
               for k, more in (("columns", {"top": N}), ("activity", {}), ("concepts", {}))}
    for bad in HOSTILE:
        if bad.strip():
            for kind, text in page_of.items():
                assert told(bad) in text.replace("\u2068", "").replace("\u00a0", ""), (kind, bad)


@pytest.mark.parametrize("kind", KINDS)
def test_json_is_strict_and_holds_every_name_as_it_is(kind: str, wild: dict[str, Any], tmp_path: Path) -> None:
    raw = wild[kind].export(tmp_path / "x.json").read_bytes().decode("utf-8")
    assert not re.search(UNSEEN, raw)
    found = json.loads(raw, parse_constant=lambda c: pytest.fail(c))
    for table in wild[kind].tables():
        assert found["tables"][table.name]["rows"] == json.loads(json.dumps(list(table.records())))


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_read_back_and_starts_no_formula(kind: str, wild: dict[str, Any], tmp_path: Path) -> None:
    for table in wild[kind].tables():
        raw = wild[kind].export(tmp_path / "x.csv", table=table.name).read_bytes().decode("utf-8")
        assert not re.search(UNSEEN, raw)
        heads, *rows = list(csv.reader(io.StringIO(raw, newline=""), strict=True))
        assert heads == [c.name for c in table.columns]
        assert len(rows) == len(table.rows)
        for mine, read in zip(table.rows, rows, strict=True):
            for cell, text in zip(mine, read, strict=True):
                assert not isinstance(cell, str) or not text.startswith(FORMULAS)
                if isinstance(cell, str) and all(mark(c) is None or c in KEPT for c in cell):
                    assert text == ("'" + cell if cell.startswith(FORMULAS) else cell)


def test_parquet_holds_every_name_as_it_is(wild: dict[str, Any], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    read = parquet.read_table(wild["columns"].export(tmp_path / "x.parquet"))
    assert read["name"].to_pylist() == [n.replace("\ud800", "\\ud800") for n in HOSTILE]
    assert json.loads(read.schema.metadata[b"pellucid"])["target"] == wild["columns"].target


@pytest.mark.parametrize("bad", HOSTILE)
def test_latex_reads_no_command_of_theirs(bad: str) -> None:
    text = escaped(bad)
    ours = (r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|ldots)\{\}|\\`\{\}"
            r"|\$(-|\\(times|pm|div|le|ge|to|infty))\$|\\[{}$&#_%]|''")
    rest = re.sub(ours, "", text)
    assert not re.search(r"[\\{}$&#^_~%\"`]", rest), text
    assert not re.search(UNSEEN, text)
    assert "\n" not in text


def test_a_figure_for_latex_is_one_figure_whatever_its_name(wild: dict[str, Any], tmp_path: Path) -> None:
    for k, name in enumerate(("} \\input{x} %", "$(touch harmed)", "=1+1", "a\u202eb", "-")):
        made = wild["columns"].export(tmp_path / f"{name}.tex").read_text("utf-8")
        assert re.findall(r"\\(?:begin|end|input|write|includegraphics|label)\b.*", made)[0] == "\\begin{figure}[htbp]"
        assert made.count("\\begin{") == made.count("\\end{") == 1
        [shown] = re.findall(r"\\includegraphics\[width=\\linewidth\]\{([A-Za-z0-9-]+\.pdf)\}", made)
        assert (tmp_path / shown).is_file(), k


def test_a_report_is_a_page_without_anything_of_theirs(wild: dict[str, Any]) -> None:
    read = Reader(page(list(wild.values()), title=HOSTILE[3], notes="\n\n".join(HOSTILE)))
    assert set(read.tags) - {"html", "head", "body"} <= TAGS | {"script"}
    assert read.tags.count("script") <= 1, "our own, which the page's policy names by its digest"
    assert not [k for _, k, _ in read.attributes if k.lower().startswith("on")]
    links = [v for t, k, v in read.attributes if k in ("href", "src", "srcdoc", "action", "xlink:href")]
    assert all(v.startswith(("#", "data:image/")) for v in links)
    assert not re.search(UNSEEN, read.text)


TAGS = {"meta", "title", "style", "header", "main", "section", "nav", "article", "footer", "h1", "h2", "h3", "h4", "h5",
        "p", "ul", "ol", "li", "a", "div", "span", "strong", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th",
        "td", "figure", "br", "img", "details", "summary", "caption", "svg", "desc", "rect", "path", "text", "g",
        "defs", "lineargradient", "stop", "image", "circle"}
"""What a report is made of."""


def test_a_report_on_paper_has_no_action_and_shows_the_marks(wild: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("typst")
    pypdf = pytest.importorskip("pypdf")
    for kind in ("columns", "activity"):
        made = pypdf.PdfReader(report([wild[kind]], tmp_path / f"{kind}.pdf", title=HOSTILE[0], notes=HOSTILE[22]))
        root = made.trailer["/Root"]
        assert not {"/OpenAction", "/AA", "/AcroForm"} & set(root)
        assert not {"/JavaScript", "/EmbeddedFiles"} & set(root.get("/Names", {}))
        for page_ in made.pages:
            for link in page_.get("/Annots", []):
                assert link.get_object().get("/A", {"/S": "/GoTo"})["/S"] == "/GoTo"
    text = "".join("".join(p.extract_text().split()) for p in pypdf.PdfReader(tmp_path / "columns.pdf").pages)
    assert "root:" not in text  # typst was asked to read a file
    for shown in ("<script>alert(1)</script>", "#read(\"/etc/passwd\")", "zero‹ZWSP›width"):
        assert "".join(shown.split())[:12] in text
