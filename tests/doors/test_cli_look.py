"""`pellucid look`: from the shell to a table, a drawing and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pellucid
from pellucid.cli.main import main

PICTURE = str(pellucid.samples("digits")[0])


def test_layers_are_told_as_a_table(capsys: pytest.CaptureFixture[str], vision: bool) -> None:
    assert main(["look", "demo:digits", PICTURE, "--no-progress"]) == 0
    out = capsys.readouterr().out
    assert "layer3" in out
    assert "104 × 16 × 16" in out


def test_files_and_numbers(capsys: pytest.CaptureFixture[str], tmp_path: Path, vision: bool) -> None:
    drawing, numbers = tmp_path / "l.svg", tmp_path / "l.json"
    assert main(["look", "demo:digits-vit", PICTURE, "-l", "attention", "-l", "blocks.1", "--no-progress",
                 "-o", str(drawing), "-o", str(numbers)]) == 0
    assert drawing.read_text(encoding="utf-8").startswith("<svg")
    told = json.loads(numbers.read_text(encoding="utf-8"))
    assert [layer["name"] for layer in told["layers"]] == ["blocks.1"]
    assert told["attention"]["blocks.0.attn"]["heads"] == 4


def test_a_layer_that_is_not_there_is_wrong_use_with_the_nearest_name(capsys: pytest.CaptureFixture[str],
                                                                     vision: bool) -> None:
    assert main(["look", "demo:digits", PICTURE, "-l", "layr3", "--no-progress"]) == 2
    assert "layer3" in capsys.readouterr().err
