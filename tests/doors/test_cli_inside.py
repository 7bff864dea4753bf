"""`pellucid activity` and `pellucid heads`: from the shell to findings, a table, a drawing and a pruned copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pellucid
from pellucid.cli.main import main


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    """Six texts in a file."""
    place = tmp_path / "reviews.txt"
    place.write_text("\n".join(pellucid.samples("reviews")[:6]), encoding="utf-8")
    return str(place)


def test_channels_are_told_as_a_table(capsys: pytest.CaptureFixture[str], vision: bool) -> None:
    folder = str(Path(str(pellucid.samples("digits")[0])).parent)
    code = main(["activity", "demo:digits", folder, "--no-progress", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == (1 if told["findings"] else 0)
    assert {"stem.2", "layer3.2", "head"} <= {layer["name"] for layer in told["layers"]}


def test_channels_are_drawn(tmp_path: Path, reviews: str, vision: bool) -> None:
    drawing, words = tmp_path / "a.svg", tmp_path / "a.txt"
    assert main(["activity", "demo:reviews", reviews, "--no-progress", "-l", "stages", "--lang", "zh",
                 "-o", str(drawing), "-o", str(words)]) == 0
    assert drawing.read_text(encoding="utf-8").startswith("<svg")
    assert "通道" in words.read_text(encoding="utf-8")


def test_heads_are_told_planned_and_pruned(capsys: pytest.CaptureFixture[str], tmp_path: Path, reviews: str,
                                           vision: bool) -> None:
    kept, numbers = tmp_path / "p.safetensors", tmp_path / "h.json"
    assert main(["heads", "demo:reviews", reviews, "--share", "0.25", "--save", str(kept), "--no-progress",
                 "-o", str(numbers)]) == 0
    assert "721,794 →" in capsys.readouterr().out
    told = json.loads(numbers.read_text(encoding="utf-8"))
    assert len(told["heads"]) == 12
    assert len(told["plan"]["off"]) == 3
    subject = pellucid.load("demo:reviews")
    assert sum(p.numel() for p in pellucid.prune(subject, kept).parameters()) == told["plan"]["parameters"][1]


def test_labels_come_from_a_column(capsys: pytest.CaptureFixture[str], tmp_path: Path, vision: bool) -> None:
    place = tmp_path / "r.csv"
    place.write_text("text,kind\nlovely food,1\nterrible service,0\n", encoding="utf-8")
    assert main(["heads", "demo:reviews", str(place), "--column", "text", "--label", "kind", "--no-progress"]) == 0
    assert "accuracy" in capsys.readouterr().out


def test_a_copy_needs_a_plan(capsys: pytest.CaptureFixture[str], reviews: str) -> None:
    assert main(["heads", "demo:reviews", reviews, "--save", "p.safetensors", "--no-progress"]) == 2
    assert "--share" in capsys.readouterr().err
