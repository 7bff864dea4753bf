"""export(): drawings at the size that was asked for, numbers that come back equal, text that stays text."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pellucid
from pellucid.export import ENDINGS
from pellucid.languages.catalogue import say
from pellucid.printing.latex import escaped
from pellucid.report.told import verdict_of
from pellucid.store.tabular import FORMULAS, even, kind_of
from pellucid.views.svg import heading
from pellucid.views.tables import KINDS
from pellucid.words.draw import VIEWS
from pellucid.words.errors import PellucidError
from pellucid.words.explanation import Recipe


@pytest.fixture(scope="module")
def records(vision: bool) -> dict[str, Any]:
    """One record of each kind that a verb gives, from real subjects."""
    digits, picture = pellucid.load("demo:digits"), pellucid.samples("digits")[0]
    reviews, text = pellucid.load("demo:reviews"), pellucid.samples("reviews")[0]
    tumours, row = pellucid.load("demo:tumours"), pellucid.samples("tumours")[0]
    e = pellucid.explain(tumours, row, "shapley_sampling", samples=200)
    return {
        "explanation": e, "evaluation": pellucid.evaluate(e, tumours, metrics=["deletion", "sparseness"]),
        "comparison": pellucid.compare(tumours, row, ["saliency", "input_x_gradient"], metrics=[]),
        "look": pellucid.look(reviews, text, ["stages", "attention"]),
        "activity": pellucid.activity(digits, pellucid.samples("digits"), "stages"),
        "heads": pellucid.heads(reviews, pellucid.samples("reviews")[:6], ablation="none"),
        "map": pellucid.explain(digits, picture, "grad_cam"),
    }


def fails(code: str, act: Any) -> str:
    with pytest.raises(PellucidError) as error:
        act()
    assert error.value.code == code
    return str(error.value)


# --- numbers

def test_every_kind_has_tables_with_heads_in_both_languages(records: dict[str, Any]) -> None:
    assert set(KINDS) == set(VIEWS)
    for item in records.values():
        for english, chinese in zip(item.tables(), item.tables(lang="zh"), strict=True):
            assert english.name == chinese.name
            assert [c.name for c in english.columns] == [c.name for c in chinese.columns]
            assert all(len(row) == len(english.columns) for row in english.rows)
            assert english.rows
            assert any("一" <= c <= "鿿" for c in "".join(h.head for h in chinese.columns))


def test_a_csv_gives_every_value_back_to_the_last_digit(records: dict[str, Any], tmp_path: Path) -> None:
    e = records["explanation"]
    text = e.export(tmp_path / "x.csv").read_bytes().decode("utf-8")
    assert text.count("\r\n") == len(e.names) + 1
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [r["name"] for r in rows] == list(e.names)
    assert [float(r["value"]) for r in rows] == e.values.double().tolist()
    low, high = e.interval()
    for r, a, b in zip(rows, low.tolist(), high.tolist(), strict=True):
        assert (float(r["low"]), float(r["high"])) == pytest.approx((a, b), rel=1e-3)


@pytest.mark.parametrize("kind", ["explanation", "evaluation", "comparison", "look", "activity", "heads"])
def test_json_is_strict_and_says_what_csv_and_parquet_say(kind: str, records: dict[str, Any], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    item = records[kind]

    def never(text: str) -> float:
        raise AssertionError(text)

    told = json.loads(item.export(tmp_path / "x.json").read_text("utf-8"), parse_constant=never)
    assert told["kind"] == item.drawn
    for table in item.tables():
        name = {"table": table.name}
        read = parquet.read_table(item.export(tmp_path / "x.parquet", **name))
        rows = read.to_pylist()
        assert len(rows) == len(table.rows) == len(told["tables"][table.name]["rows"])
        lines = list(csv.DictReader(io.StringIO(item.export(tmp_path / "x.csv", **name).read_bytes().decode())))
        for mine, stored, line, listed in zip(table.records(), rows, lines, told["tables"][table.name]["rows"],
                                              strict=True):
            for column, value in mine.items():
                if isinstance(value, float) and not math.isfinite(value):
                    assert listed[column] is None
                    continue
                assert stored[column] == listed[column] == value
                assert line[column] == ("" if value is None else str(value).lower() if isinstance(value, bool)
                                        else f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS)
                                        else value if isinstance(value, str) else repr(value))
        assert json.loads(read.schema.metadata[b"pellucid"])["kind"] == item.drawn


def test_columns_have_types_and_nan_is_null() -> None:
    for column, kind, told in (((1, 2, None), "int", [1, 2, None]), ((1, 2.5), "float", [1.0, 2.5]),
                               ((True, None), "bool", [True, None]), (("a", 1), "str", ["a", "1"])):
        assert kind_of(column) == kind
        assert even(column, kind) == told


def test_text_that_a_spreadsheet_would_run_is_text(records: dict[str, Any], tmp_path: Path,
                                                  caplog: pytest.LogCaptureFixture) -> None:
    e = records["explanation"]
    names = ("=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\tx", "plain", "a,\"b\"\nc", *e.names[7:])
    wild = replace(e, features=replace(e.features, names=names))
    with caplog.at_level("WARNING", "pellucid"):
        rows = list(csv.reader(io.StringIO(wild.export(tmp_path / "x.csv").read_bytes().decode("utf-8"))))[1:]
    assert "5 texts in x.csv" in caplog.text
    assert not any(row[0].startswith(FORMULAS) for row in rows)
    assert [r[0] for r in rows[5:7]] == ["plain", "a,\"b\"\nc"]
    assert all(float(r[1]) == v for r, v in zip(rows, e.values.tolist(), strict=True))  # a minus sign stays one


def test_the_digest_is_of_rows_recipe_and_provenance_and_every_number_has_its_unit(records: dict[str, Any],
                                                                                   tmp_path: Path) -> None:
    told = json.loads(records["explanation"].export(tmp_path / "x.json").read_text("utf-8"))
    held = [{name: t["rows"] for name, t in told["tables"].items()}, told["recipe"], told["provenance"]]
    compact = json.dumps(held, sort_keys=True, separators=(",", ":")).encode()
    assert told["digest"] == "sha256:" + hashlib.sha256(compact).hexdigest()
    assert told["provenance"]["weights"].startswith("sha256:")
    units = {c["name"]: c["unit"] for c in told["tables"]["values"]["columns"]}
    assert {units[n] for n in ("value", "error", "low", "high")} == {"score"}
    other = replace(records["explanation"], recipe=Recipe({**records["explanation"].recipe, "seed": 9}))
    assert json.loads(other.export(tmp_path / "y.json").read_text("utf-8"))["digest"] != told["digest"]


def test_every_table_is_a_frame_as_well(records: dict[str, Any]) -> None:
    pytest.importorskip("pandas")
    for item in records.values():
        for table in item.tables():
            frame = item.to_frame(table.name)
            assert list(frame.columns) == [c.name for c in table.columns]
            assert len(frame) == len(table.rows)
    first = records["evaluation"].to_frame()
    assert {"metric", "value", "low", "high", "control", "p", "better"} <= set(first.columns)
    assert "values" in fails("export.table", lambda: records["explanation"].to_frame("value"))


# --- drawings

def test_a_drawing_for_print_needs_no_style_sheet(records: dict[str, Any], tmp_path: Path) -> None:
    drawn = records["map"].export(tmp_path / "x.svg", theme="print").read_text("utf-8")
    assert "<style" not in drawn
    assert "var(--" not in drawn
    assert "var(--" in records["map"].export(tmp_path / "y.svg").read_text("utf-8")


@pytest.mark.parametrize(("target", "told"), [("seven", "% needs \\usepackage{graphicx}\n"),
                                              ("łódź ≥ 3 × “x”", "% needs \\usepackage{graphicx}\n"),
                                              ("Đakovo ę", "{graphicx} and \\usepackage[T1]{fontenc}\n"),
                                              ("a\u202eb", "{graphicx} and \\usepackage[T1]{fontenc}\n"),
                                              ("ħ", "LuaLaTeX or XeLaTeX for"),
                                              ("семь", "LuaLaTeX or XeLaTeX for"), ("七", "XeLaTeX and ctex")])
def test_a_figure_says_which_engine_its_letters_need(target: str, told: str, records: dict[str, Any],
                                                     tmp_path: Path) -> None:
    e = replace(records["explanation"], target=target)
    assert told in e.export(tmp_path / "x.tex").read_text("utf-8")


def test_a_picture_has_the_size_that_was_asked_for(records: dict[str, Any], tmp_path: Path) -> None:
    e = records["map"]
    for width, scale in ((720, 2.0), (400, 1.5)):
        image = Image.open(e.export(tmp_path / "x.png", width=width, scale=scale))
        assert image.info["dpi"] == pytest.approx((96 * scale, 96 * scale), rel=1e-3)
        assert image.width == round(width * scale)
        assert image.convert("L").getextrema() != (255, 255)
    dark = Image.open(e.export(tmp_path / "dark.png", theme="dark")).convert("RGB")
    light = Image.open(e.export(tmp_path / "light.png", theme="light")).convert("RGB")
    assert sum(dark.getpixel((30, 8))) < 200 < sum(light.getpixel((30, 8)))
    assert e.export(tmp_path / "x.svg", width=500).read_text("utf-8") == e.svg(width=500)


@pytest.mark.parametrize("kind", ["explanation", "evaluation", "comparison", "look", "activity", "heads"])
def test_every_kind_becomes_every_file(kind: str, records: dict[str, Any], tmp_path: Path) -> None:
    for ending in ENDINGS:
        made = records[kind].export(tmp_path / f"x{ending}", lang="zh")
        assert made.stat().st_size > 40
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    assert "<html" in (tmp_path / "x.html").read_text("utf-8")
    assert not list(tmp_path.glob(".*"))  # nothing half written


def test_a_figure_for_latex_escapes_what_latex_would_read(records: dict[str, Any], tmp_path: Path) -> None:
    e = replace(records["explanation"], target=r"50 % of \input{x} & $y_1$ ~ {z} #1 ^2")
    made = e.export(tmp_path / "my figure é.tex").read_text("utf-8")
    shown = re.search(r"includegraphics\[width=\\linewidth\]\{(my-figure-[0-9a-f]{8}-figure\.pdf)\}", made)
    assert shown
    assert (tmp_path / shown[1]).read_bytes().startswith(b"%PDF")
    caption = made[made.index("\\caption{") : made.index("\\label")]
    assert r"\input" not in caption
    assert escaped(r"50 % of \input{x} & $y_1$ ~ {z} #1 ^2") in caption
    for bare in ("%", "&", "#", "$", "_"):
        assert all(caption[i - 1] == "\\" for i, c in enumerate(caption) if c == bare)
    assert escaped("\\") == r"\textbackslash{}"


@pytest.mark.parametrize("kind", ["explanation", "map", "evaluation", "comparison", "look", "activity", "heads"])
def test_every_record_says_which_weights_and_versions_it_comes_from(kind: str, records: dict[str, Any], tmp_path: Path
                                                                    ) -> None:
    told = json.loads(records[kind].export(tmp_path / "x.json").read_text("utf-8"))["provenance"]
    assert told["weights"].startswith("sha256:")
    assert told["pellucid"] == pellucid.__version__
    page = records[kind].export(tmp_path / "x.html", lang="zh").read_text("utf-8")
    assert told["weights"] in page
    assert "<dt>权重</dt>" in page


def test_what_was_explained_has_a_digest(records: dict[str, Any]) -> None:
    digits, (one, other) = pellucid.load("demo:digits"), pellucid.samples("digits")[:2]
    same = pellucid.explain(pellucid.load("demo:digits-clean"), one, "saliency").provenance["input"]
    assert pellucid.explain(digits, one, "grad_cam").provenance["input"] == same
    assert pellucid.explain(digits, other, "grad_cam").provenance["input"] != same


def test_no_figure_takes_the_place_of_another_file(records: dict[str, Any], tmp_path: Path) -> None:
    e, other = records["explanation"], records["map"]
    kept = other.export(tmp_path / "why.pdf").read_bytes()
    for item, name in ((e, "why"), (e, "图一"), (other, "图二"), (e, "a b"), (other, "a_b")):
        item.export(tmp_path / f"{name}.tex")
    assert (tmp_path / "why.pdf").read_bytes() == kept
    assert len(list(tmp_path.glob("*-figure.pdf"))) == 5
    (tmp_path / "taken.tex").mkdir()
    fails("file.unwritable", lambda: e.export(tmp_path / "taken.tex"))
    assert not list(tmp_path.glob("taken-*"))


@pytest.mark.parametrize("kind", ["explanation", "evaluation", "comparison", "look", "activity", "heads"])
def test_a_caption_is_the_drawing_s_question_and_its_verdict(kind: str, records: dict[str, Any], tmp_path: Path
                                                              ) -> None:
    item = records[kind]
    told = item.export(tmp_path / "x.tex", lang="en").read_text("utf-8")
    assert escaped(heading(item.svg(lang="en"))[0].rstrip("?.")) in told
    verdict = verdict_of(item)
    assert verdict is None or say("en", verdict.status) in told
    made = json.loads(item.export(tmp_path / "x.json").read_text("utf-8"))
    assert made.get("verdict", {}).get("status") == (verdict and verdict.status)


# --- what cannot be written

def test_options_that_an_ending_has_no_use_for_are_said(records: dict[str, Any], tmp_path: Path) -> None:
    e = records["map"]
    for ending, more in ((".csv", {"width": 500}), (".html", {"theme": "dark"}), (".json", {"foo": 1}),
                         (".txt", {"top": 3}), (".svg", {"scale": 2}), (".svg", {"foo": 1}), (".png", {"opacityy": 1})):
        place = tmp_path / f"x{ending}"
        assert next(iter(more)) in fails("option.unknown", lambda p=place, m=more: e.export(p, **m))
    fails("option.width", lambda: e.export(tmp_path / "x.svg", width="720"))
    fails("option.width", lambda: e.svg(width=math.nan))
    fails("option.scale", lambda: e.export(tmp_path / "x.png", scale="2"))
    assert not list(tmp_path.iterdir())


def test_wrong_endings_tables_and_folders_are_said(records: dict[str, Any], tmp_path: Path) -> None:
    e = records["explanation"]
    assert ".png" in fails("export.format", lambda: e.export(tmp_path / "x.pgn"))
    fails("export.format", lambda: e.export(tmp_path / "x"))
    assert "values" in fails("export.table", lambda: e.export(tmp_path / "x.csv", table="value"))
    fails("option.value", lambda: e.export(tmp_path / "x.png", table="values"))
    fails("file.unwritable", lambda: e.export(tmp_path / "nowhere" / "x.csv"))
    fails("option.scale", lambda: e.export(tmp_path / "x.png", scale=0))
    fails("option.lang", lambda: e.export(tmp_path / "x.csv", lang="xx"))
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = ("import sys; sys.modules['pyarrow'] = sys.modules['typst'] = None\n"
               "import pellucid\n"
               "e = pellucid.explain(pellucid.load('demo:tumours'), pellucid.samples('tumours')[0], 'saliency')\n"
               "for ending in ('parquet', 'png', 'pdf', 'tex'):\n"
               f"    try: e.export({str(tmp_path)!r} + '/x.' + ending)\n"
               "    except pellucid.PellucidError as error: print(error.code)\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["extra.parquet", "extra.pdf", "extra.pdf", "extra.pdf"]
    assert not list(tmp_path.iterdir())
