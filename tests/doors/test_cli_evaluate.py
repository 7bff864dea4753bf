"""`pellucid evaluate` and `pellucid compare`: from the shell to words, files, numbers and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pellucid
from pellucid.cli.main import main

PICTURE = str(pellucid.samples("digits")[0])
TEXT = "这家店的菜很好吃，服务也不错。"
ROW = str(Path(pellucid.samples("digits")[0]).parent.parent / "tumours" / "samples.csv")

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


DEMOS = [("demo:digits", [PICTURE]), ("demo:reviews", [TEXT]), ("demo:tumours", [ROW, "--row", "1"])]


@pytest.mark.parametrize(("model", "given"), DEMOS, ids=["picture", "text", "table"])
def test_an_explanation_is_evaluated(model: str, given: list[str], capsys: Said) -> None:
    code = main(["evaluate", model, *given, "-m", "integrated_gradients", "--no-progress", "--json"])
    made = json.loads(capsys.readouterr().out)
    assert code == (1 if made["verdict"]["status"] == "fail" else 0)
    assert set(made["metrics"]) == {"deletion", "insertion", "sparseness"}
    deletion = made["metrics"]["deletion"]
    assert len(deletion["controls"]) == 20
    assert 0 < deletion["p"] <= 1
    assert deletion["interval"][0] <= deletion["value"] <= deletion["interval"][1]


@pytest.mark.parametrize(("model", "given"), DEMOS, ids=["picture", "text", "table"])
def test_methods_are_compared(model: str, given: list[str], capsys: Said, tmp_path: Path) -> None:
    svg, numbers = tmp_path / "c.svg", tmp_path / "c.json"
    code = main(["compare", model, *given, "-m", "integrated_gradients", "-m", "input_x_gradient", "--controls", "5",
                 "--no-progress", "-o", str(svg), "-o", str(numbers)])
    assert capsys.readouterr().out.count("wrote") == 2
    made = json.loads(numbers.read_text(encoding="utf-8"))
    assert code == (1 if made["verdict"]["status"] == "fail" else 0)
    assert made["names"] == ["integrated_gradients", "input_x_gradient"]
    assert made["agreement"]["rank"][0][0] == pytest.approx(1)
    assert made["agreement"]["rank"][0][1] == made["agreement"]["rank"][1][0]
    assert len(made["values"]["input_x_gradient"]) == len(made["features"])
    assert svg.read_text(encoding="utf-8").startswith("<svg")


def test_one_method_over_baselines_in_words(capsys: Said) -> None:
    assert main(["compare", "demo:tumours", ROW, "--row", "1", "-m", "integrated_gradients", "--baseline", "mean",
                 "--baseline", "zero", "--no-progress", "--lang", "zh"]) == 0
    out = capsys.readouterr().out
    assert "取决于基线" in out
    assert "mean" in out
    assert "zero" in out


def test_another_picture_is_a_baseline(capsys: Said, tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    Image.new("RGB", (64, 64), (90, 20, 200)).save(plain)
    assert main(["compare", "demo:digits", PICTURE, "-m", "integrated_gradients", "--steps", "8", "--baseline", "black",
                 "--baseline", f"data:{plain}", "--controls", "0", "--json", "--no-progress"]) in (0, 1)
    made = json.loads(capsys.readouterr().out)
    assert made["names"] == ["black", f"data:{plain}"]
    assert len(made["average"]) == 64


def test_a_bad_explanation_ends_with_one(capsys: Said) -> None:
    wrong = ["evaluate", "demo:digits", str(pellucid.samples("digits")[2]), "-m", "grad_cam", "--layer", "layer1"]
    assert main([*wrong, "--no-progress"]) == 1
    assert "Do not rely on this" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["box", "picture", "array"])
def test_a_mask_says_what_should_speak_for_the_score(kind: str, capsys: Said, tmp_path: Path) -> None:
    corner = np.zeros((64, 64), bool)
    corner[:16, 48:] = True
    written = {"box": "48,0,64,16", "picture": str(tmp_path / "m.png"), "array": str(tmp_path / "m.npy")}[kind]
    Image.fromarray(corner.astype(np.uint8) * 255).save(tmp_path / "m.png")
    np.save(tmp_path / "m.npy", corner)
    assert main(["evaluate", "demo:digits", PICTURE, "-m", "grad_cam", "--metric", "pointing_game", "--metric",
                 "relevance_mass", "--mask", written, "--json", "--no-progress"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["metrics"]["pointing_game"]["value"] == 1
    assert made["metrics"]["relevance_mass"]["value"] > 0.5


def test_words_are_a_mask_of_a_table(capsys: Said) -> None:
    assert main(["evaluate", "demo:tumours", ROW, "--row", "1", "-m", "input_x_gradient", "--metric", "relevance_mass",
                 "--mask", "mean_texture,worst_texture", "--json", "--no-progress"]) in (0, 1)
    assert 0 <= json.loads(capsys.readouterr().out)["metrics"]["relevance_mass"]["value"] <= 1


def test_flags_of_methods_and_metrics_go_where_they_belong(capsys: Said) -> None:
    given = ["demo:tumours", ROW, "--row", "1", "--json", "--no-progress"]
    assert main(["evaluate", *given, "-m", "integrated_gradients", "--metric", "sensitivity_n", "--tolerance", "0.1",
                 "--sizes", "3"]) in (0, 1)
    made = json.loads(capsys.readouterr().out)
    assert made["metrics"]["sensitivity_n"]["options"]["sizes"] == 3
    assert main(["evaluate", *given, "-m", "saliency", "--metric", "deletion", "--stepz", "3"]) == 2
    assert "--steps" in capsys.readouterr().err


def test_a_page_holds_the_explanation_and_what_was_found_of_it(tmp_path: Path, capsys: Said) -> None:
    place = tmp_path / "e.html"
    assert main(["evaluate", "demo:tumours", ROW, "--row", "1", "-m", "saliency", "-m", "ablation", "-o", str(place),
                 "--no-progress"]) in (0, 1)
    written = place.read_text(encoding="utf-8")
    assert written.count("<article") == 4
    assert "Deletion" in written


@pytest.mark.parametrize(("wrong", "said"), [
    (["evaluate", "demo:tumours", ROW, "--row", "1", "--metric", "delection"], "deletion"),
    (["compare", "demo:tumours", ROW, "-m", "saliency"], "one input"),
    (["compare", "demo:tumours", ROW, "--row", "1", "-m", "saliency", "--baseline", "mean", "--baseline", "zero"],
     "integrated_gradients"),
    (["compare", "demo:tumours", ROW, "--row", "1", "-o", "c.pellucid"], ".html"),
])
def test_wrong_use_is_two_with_what_to_do(wrong: list[str], said: str, capsys: Said) -> None:
    assert main([*wrong, "--no-progress"]) == 2
    assert said in capsys.readouterr().err


def test_help_does_not_wait_for_torch(capsys: Said) -> None:
    import subprocess
    import sys

    probe = ("import sys; from pellucid.cli.main import main; main([sys.argv[1], '--help']); "
             "sys.exit(3 if 'torch' in sys.modules else 0)")
    for verb in ("evaluate", "compare"):
        assert subprocess.run([sys.executable, "-c", probe, verb], capture_output=True, check=False).returncode == 0
