"""Every verb that answers writes the same kinds of files, and each file is what its name says."""

from __future__ import annotations

import csv
import io
import json
from html import escape
from pathlib import Path
from typing import Any

import pytest

from pellucid.cli.main import main
from pellucid.cli.writing import ENDINGS, STORED
from pellucid.languages.marks import visible
from pellucid.models.demo import FOLDER

BEGINS = {
    ".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF", ".tex": b"% needs", ".html": b"<!doctype html>",
    ".json": b"{", ".parquet": b"PAR1", ".csv": b'"',
}
ROWS = str(FOLDER / "recommender" / "samples.csv")


def outs(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path], list[str]]:
    places = [folder / f"x{ending}" for ending in endings if ending != ".tex"] + [folder / "figure.tex"]
    return places, [word for place in places for word in ("--out", str(place))]


def begin(places: list[Path]) -> None:
    for place in places:
        assert place.read_bytes().startswith(BEGINS.get(place.suffix, b"")), place.name
        assert place.stat().st_size > 60


def test_an_explanation_is_written_in_every_way_and_again_from_its_file(tmp_path: Path,
                                                                        capsys: pytest.CaptureFixture[str]) -> None:
    places, args = outs(tmp_path, STORED)
    assert main(["explain", "demo:recommender", ROWS, "--row", "1", "-m", "saliency", *args]) == 0
    begin(places)
    assert (tmp_path / "figure-figure.pdf").is_file()
    told = json.loads((tmp_path / "x.json").read_text("utf-8"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text("utf-8"))))
    assert [float(r["value"]) for r in rows] == [r["value"] for r in told["tables"]["values"]["rows"]] == told["values"]
    again = tmp_path / "again"
    again.mkdir()
    places, args = outs(again, ENDINGS)
    assert main(["show", str(tmp_path / "x.pellucid"), *args]) == 0
    begin(places)
    assert (again / "x.csv").read_text("utf-8").count("\n") == len(rows) + 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("args", [
    ["look", "demo:recommender", ROWS, "--row", "1"],
    ["evaluate", "demo:recommender", ROWS, "--row", "1", "-m", "saliency", "--metric", "sparseness"],
    ["compare", "demo:recommender", ROWS, "--row", "1", "-m", "saliency", "-m", "input_x_gradient", "--metric",
     "sparseness"],
    ["activity", "demo:recommender", ROWS],
], ids=lambda a: a[0])
def test_other_answers_are_written_in_every_way(args: list[str], tmp_path: Path) -> None:
    places, more = outs(tmp_path, ENDINGS)
    assert main([*args, *more]) in (0, 1)
    begin(places)


@pytest.mark.parametrize("ending", [e for e in STORED if e not in (".html", ".pdf", ".txt", ".json")])
def test_several_answers_do_not_go_into_a_file_for_one(ending: str, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    made: Any = main(["explain", "demo:recommender", ROWS, "-m", "saliency", "--out", str(tmp_path / f"x{ending}")])
    assert made == 2
    assert "out.several" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a\u202egnp", "=cmd|calc", "{{7*7}} #x $(y)", "-"])
def test_the_name_of_a_file_is_only_a_name(name: str, tmp_path: Path) -> None:
    rows = tmp_path / f"{name}.csv"
    rows.write_bytes(Path(ROWS).read_bytes())
    page, figure = tmp_path / f"{name}.html", tmp_path / f"{name}.tex"
    assert main(["explain", "demo:recommender", str(rows), "--row", "1", "-m", "saliency", "--out", str(page), "--out",
                 str(figure)]) == 0
    text = page.read_text("utf-8")
    assert f"<h1>demo:recommender · {escape(visible(name))}" in text
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".csv", ".html", ".pdf", ".tex"]
