"""`pellucid concepts`: from folders, lines and conditions to a table, a drawing and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pellucid
from pellucid.cli.main import main

FAST = ["--permutations", "19", "--sets", "2", "--no-progress"]


def painted(folder: Path, colour: tuple[int, int, int], count: int) -> str:
    folder.mkdir()
    for k in range(count):
        noise = np.random.default_rng(k).integers(-25, 25, (64, 64, 3))
        Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(folder / f"{k:02d}.png")
    return str(folder)


def test_folders_of_pictures_to_a_drawing_and_numbers(capsys: pytest.CaptureFixture[str], tmp_path: Path,
                                                      vision: bool) -> None:
    red, grey = painted(tmp_path / "red", (220, 30, 30), 6), painted(tmp_path / "grey", (120, 120, 120), 16)
    drawing, numbers = tmp_path / "c.svg", tmp_path / "c.json"
    code = main(["concepts", "demo:digits", red, "-c", f"red={red}", "--counters", grey, "-l", "layer2", "-l", "layer3",
                 "--target", "7", *FAST, "-o", str(drawing), "-o", str(numbers)])
    assert code == 0, capsys.readouterr().err
    assert drawing.read_text(encoding="utf-8").startswith("<svg")
    told = json.loads(numbers.read_text(encoding="utf-8"))
    assert [(c["concept"], c["layer"], c["examples"]) for c in told["concepts"]] == [("red", "layer2", 6),
                                                                                    ("red", "layer3", 6)]
    assert told["concepts"][1]["accuracy"] == 1


def test_conditions_on_a_tables_columns(capsys: pytest.CaptureFixture[str]) -> None:
    subject = pellucid.load("demo:tumours")
    name = subject.reader.columns[0].name
    rows = subject.split(subject.reader.background)
    assert rows is not None
    middle = float(np.median([float(r[name]) for r in rows]))
    samples = Path(pellucid.__file__).parent / "models" / "demo_data" / "tumours" / "samples.csv"
    assert main(["concepts", "demo:tumours", str(samples), "-c", f"large={name}:{middle}..", *FAST, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["concepts"]
    assert told["examples"] == sum(float(r[name]) >= middle for r in rows)


def test_lines_of_texts_as_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path, vision: bool) -> None:
    few = [str(t) for t in pellucid.samples("reviews")]
    for file, lines in (("asked", few[:2]), ("long", [f"{a} {b}" for a in few[:2] for b in few[:2]]), ("any", few * 2)):
        (tmp_path / f"{file}.txt").write_text("\n".join(lines), encoding="utf-8")
    where = {k: str(tmp_path / f"{k}.txt") for k in ("asked", "long", "any")}
    assert main(["concepts", "demo:reviews", where["asked"], "-c", f"long={where['long']}", "--counters", where["any"],
                 "--target", "1", *FAST]) == 0
    assert "long" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["-c", "red"], [], ["-c", "red=nowhere"]])
def test_what_does_not_fit_is_wrong_use(wrong: list[str], tmp_path: Path, vision: bool,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    grey = painted(tmp_path / "grey", (120, 120, 120), 9)
    assert main(["concepts", "demo:digits", grey, "--counters", grey, *wrong, *FAST]) == 2
    assert "Traceback" not in capsys.readouterr().err
