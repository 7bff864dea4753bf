"""The demonstration tells its story with true numbers, and says what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pellucid import demo as story
from pellucid.cli.main import main
from pellucid.demo import CHAPTERS, in_order
from pellucid.report import live
from pellucid.words.errors import ModelError


@pytest.fixture(scope="module")
def told(vision: bool, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, story.Chapter]]:
    """The whole story, told once."""
    path, chapters = story.demo(tmp_path_factory.mktemp("demo"))
    return path, {c.name: c for c in chapters}


def test_the_report_holds_every_chapter(told: tuple[Path, dict[str, story.Chapter]]) -> None:
    path, chapters = told
    page = path.read_text()
    assert list(chapters) == list(CHAPTERS)
    assert all(c.section.title in page for c in chapters.values())
    assert page.count("<article") == 4 + 1 + 2 + 1 + 1
    assert "歉" in page, "the Chinese sentence is drawn"
    assert page.count("<script") == 1  # our own, which the page's policy names by its digest
    assert live.script()[1] in page
    assert all(e.provenance["weights"].startswith("sha256:") for c in chapters.values() for e in c.section.items)
    for outside in ("src=\"http", "href=\"http", "@import", "url(http"):
        assert outside not in page


def test_the_watermark_gives_the_first_model_away_and_not_its_twin(told: tuple[Path, dict[str, story.Chapter]]) -> None:
    chapter = told[1]["shortcut"]
    facts = chapter.facts
    assert facts["cam"] > 0.5 > 0.1 > facts["clean_cam"]
    assert facts["path"] > 0.5 > 0.1 > facts["clean_path"]
    assert facts["area"] <= 0.04
    assert facts["flipped"] > facts["clean_flipped"]
    for name in ("cam", "path", "clean_cam", "clean_path"):
        assert f"{facts[name]:.0%}" in chapter.section.text


def test_both_sentences_are_called_negative(told: tuple[Path, dict[str, story.Chapter]]) -> None:
    facts = told[1]["reviews"].facts
    assert (facts["zh"], facts["en"]) == ("negative", "negative")


def test_digits_and_tumours_are_told_rightly(told: tuple[Path, dict[str, story.Chapter]]) -> None:
    assert told[1]["transformer"].facts["said"] == told[1]["transformer"].facts["digit"]
    assert told[1]["tumours"].facts["said"] == told[1]["tumours"].facts["truth"]


def test_the_inputs_lie_beside_the_report_to_be_asked_again(
    told: tuple[Path, dict[str, story.Chapter]], capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = told[0].parent / "inputs"
    assert {p.name for p in inputs.iterdir()} == {n for c in told[1].values() for n in c.inputs}
    assert main(["explain", "demo:digits", str(inputs / "watermarked.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == told[1]["shortcut"].facts["said"]


def test_the_recommender_is_ranked_as_it_was_made() -> None:
    facts = CHAPTERS["recommender"]("en").facts
    assert facts["rows"] == 100
    assert facts["right"] >= facts["pairs"] - 1
    assert facts["pairs"] == 35


def test_pairs_count_where_the_truth_differs() -> None:
    true = {"a": 2.0, "b": 1.0, "c": 0.0, "d": 0.0}
    assert in_order({"a": 9.0, "b": 8.0, "c": 1.0, "d": 2.0}, true) == (5, 5)
    assert in_order({"a": 1.0, "b": 8.0, "c": 0.0, "d": 2.0}, true) == (3, 5)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_cannot_be_told_is_named_with_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str
) -> None:
    def missing(lang: str) -> story.Chapter:
        raise ModelError("extra.missing", "no transformers", "the extra 'text'", "pip install 'pellucid[text]'")

    monkeypatch.setattr(story, "CHAPTERS", {"reviews": missing, "tumours": CHAPTERS["tumours"]})
    assert main(["demo", "--out", str(tmp_path / "new" / "demo"), "--lang", lang]) == 0
    out = capsys.readouterr().out
    report = tmp_path / "new" / "demo" / "report.html"
    assert str(report) in out
    assert "pip install 'pellucid[text]'" in out
    assert {"en": "malignant", "zh": "恶性"}[lang] in report.read_text()
    assert {"en": "malignant", "zh": "恶性"}[lang] in out


def test_an_error_of_another_kind_ends_the_story(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(lang: str) -> story.Chapter:
        raise ModelError("demo.missing", "no data for demo:digits", "the data of the package", "install it again")

    monkeypatch.setattr(story, "CHAPTERS", {"shortcut": missing})
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "demo.missing"
