"""The command line, as a user meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid.cli.main import VERBS, main
from pellucid.models.demo import FOLDER
from pellucid.words.explanation import Finding, Verdict

ROWS = FOLDER / "recommender" / "samples.csv"
TUMOURS = FOLDER / "tumours" / "samples.csv"

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Run the command line; the answer is exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(a) for a in args])
        found = capsys.readouterr()
        return code, found.out, found.err

    return run


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of one's own in the working folder: a small picture model, and one of plain tensors."""
    (tmp_path / "mine.py").write_text(
        "import torch, pellucid\n"
        "from torch import nn\n"
        "def eyes():\n"
        "    torch.manual_seed(0)\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(),\n"
        "                        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)).eval()\n"
        "    return pellucid.wrap(net, pellucid.ImagePreprocess((16, 16)), labels=['cat', 'dog', 'owl'],\n"
        "                         labels_zh=['猫', '狗', '猫头鹰'])\n"
        "def plain():\n"
        "    torch.manual_seed(0)\n"
        "    return nn.Linear(4, 2)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Image.fromarray((np.indices((16, 16)).sum(0) * 8).astype(np.uint8)).save(tmp_path / "ramp.png")
    return "python:mine:eyes"


def test_help_is_there_for_every_verb_and_imports_no_torch() -> None:
    script = (
        "import sys\n"
        "from pellucid.cli.main import VERBS, main\n"
        "assert main(['--help']) == 0 and main(['--version']) == 0\n"
        "assert all(main([verb, '--help']) == 0 for verb in VERBS)\n"
        "print('heavy:', sorted({'torch', 'numpy', 'PIL', 'transformers'} & set(sys.modules)))\n")
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    assert "heavy: []" in told.stdout
    for word in (*VERBS, "--method", "--target", "--baseline", "--trust", "PELLUCID_LANG"):
        assert word in told.stdout


def test_a_file_and_standard_input_give_the_same_numbers(say: Said) -> None:
    _, from_file, _ = say("explain", "demo:recommender", ROWS, "--row", "3", "--json")
    _, piped, _ = say("explain", "demo:recommender", "-", "--row", "3", "--json", stdin=ROWS.read_bytes())
    assert json.loads(from_file)["values"] == json.loads(piped)["values"]


def test_a_picture_comes_by_name_or_by_standard_input(say: Said, toys: str, tmp_path: Path) -> None:
    code, named, err = say("explain", toys, "ramp.png", "--json")
    assert (code, err) == (0, "")
    _, piped, _ = say("explain", toys, "-", "--json", stdin=(tmp_path / "ramp.png").read_bytes())
    assert json.loads(named)["values"] == json.loads(piped)["values"]
    assert json.loads(named)["method"] == "grad_cam"


def test_json_is_whole_and_its_values_sum_to_the_change_of_the_score(say: Said) -> None:
    code, out, err = say("explain", "demo:recommender", ROWS, "--row", "2", "--method", "kernel_shap", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert sum(found["values"]) == pytest.approx(found["score"] - found["baseline_score"], abs=1e-5)
    assert found["residual"] == pytest.approx(0, abs=1e-5)
    assert len(found["names"]) == len(found["values"]) == len(found["error"]) == 9
    assert found["verdict"]["status"] == "pass"
    assert found["provenance"]["weights"].startswith("sha256:")
    assert found["recipe"]["method"] == "kernel_shap"
    assert found["evidence"]["rows"] > 0


def test_precision_is_a_flag_and_the_answer_says_who_answered(say: Said, toys: str) -> None:
    ask = ("explain", toys, "ramp.png", "--trust", "--method", "occlusion", "--features", "patches:4", "--no-progress")
    code, out, err = say(*ask, "--precision", "fast", "--json")
    found = json.loads(out)["evidence"]
    assert (code, found["precision"]) == (0, "fast"), err
    assert "channels-last" in found["twin"]
    assert found["agreement"]["structure"] < 1e-12
    said = " ".join(say(*ask, "--precision", "fast")[1].split())
    assert "answered by: a faster copy of the model (channels-last" in said
    assert json.loads(say(*ask, "--precision", "exact", "--json")[1])["evidence"]["twin"] is None
    code, _, err = say(*ask, "--precision", "fats")
    assert code == 2
    assert "option.value" in err
    assert "fast" in err


def test_options_of_a_method_are_flags(say: Said) -> None:
    _, out, _ = say("explain", "--steps", "9", "demo:tumours", TUMOURS, "--row", "2", "-m", "integrated_gradients",
                    "--tolerance=0.5", "--json")
    recipe = json.loads(out)["recipe"]
    assert (recipe["steps"], recipe["tolerance"]) == (9, 0.5)
    _, out, _ = say("explain", "demo:tumours", TUMOURS, "--row", "2", "-m", "saliency", "--no-absolute", "--json")
    assert json.loads(out)["recipe"]["absolute"] is False
    assert min(json.loads(out)["values"]) < 0


def test_several_methods_share_a_run_and_each_takes_its_own_options(say: Said) -> None:
    code, out, _ = say("explain", "demo:tumours", TUMOURS, "--row", "1", "-m", "saliency", "-m",
                       "integrated_gradients", "--steps", "16", "--json")
    one, two = json.loads(out)
    assert code == 0
    assert (one["method"], two["method"]) == ("saliency", "integrated_gradients")
    assert two["recipe"]["steps"] == 16
    assert "steps" not in one["recipe"]
    assert two["evidence"]["shared_by"] == 2


def test_several_baselines_are_averaged(say: Said) -> None:
    args = ("explain", "demo:recommender", ROWS, "--row", "1", "-m", "ablation", "--json")
    single = [json.loads(say(*args, "--baseline", b)[1])["values"] for b in ("mean", "data:3")]
    _, out, _ = say(*args, "--baseline", "mean", "--baseline", "data:3")
    assert np.allclose(json.loads(out)["values"], np.mean(single, 0), atol=1e-6)


def test_every_row_is_explained_if_none_is_chosen(say: Said) -> None:
    _, out, _ = say("explain", "demo:tumours", TUMOURS, "-m", "input_x_gradient", "--json")
    _, third, _ = say("explain", "demo:tumours", TUMOURS, "-m", "input_x_gradient", "--row", "3", "--json")
    found = json.loads(out)
    assert len(found) == len(TUMOURS.read_text().splitlines()) - 1
    assert np.allclose(found[2]["values"], json.loads(third)["values"], atol=1e-5)


def test_a_bad_row_leaves_the_others_their_explanations(say: Said, tmp_path: Path) -> None:
    head, first, second, *_ = ROWS.read_text().splitlines()
    table = tmp_path / "rows.csv"
    table.write_text("\n".join((head, first, second.replace("desktop", "television"))))
    code, out, err = say("explain", "demo:recommender", table, "--json")
    good, bad = json.loads(out)
    assert code == 2
    assert good["values"]
    assert bad["error"]["code"] == "csv.unknown_category"
    assert "television" in err


def test_a_stored_explanation_is_shown_and_reported(say: Said, tmp_path: Path) -> None:
    why, page, drawing = tmp_path / "why.pellucid", tmp_path / "why.html", tmp_path / "why.svg"
    code, out, err = say("explain", "demo:recommender", ROWS, "--row", "1", "--out", why)
    assert (code, err) == (0, "")
    assert str(why) in out
    direct = json.loads(say("explain", "demo:recommender", ROWS, "--row", "1", "--json")[1])
    stored = json.loads(say("show", why, "--json")[1])
    for key in ("values", "names", "target", "score", "residual", "error", "recipe", "verdict", "provenance"):
        assert stored[key] == direct[key], key
    assert "minutes_viewed" in say("show", why)[1]
    assert say("show", why, "--out", drawing)[0] == 0
    assert drawing.read_text().startswith("<svg")
    assert say("report", why, why, "--out", page, "--title", "Two of a kind")[0] == 0
    text = page.read_text()
    assert "Two of a kind" in text
    assert text.count("<script") == 1
    assert "18.8" not in say("show", why)[1], "a cell was stored without --keep-input"
    say("explain", "demo:recommender", ROWS, "--row", "1", "--out", why, "--keep-input")
    assert "18.8" in say("show", why)[1]


@pytest.mark.parametrize("ending", ["html", "svg", "txt", "json"])
def test_out_writes_what_its_name_says(say: Said, tmp_path: Path, ending: str) -> None:
    place = tmp_path / f"why.{ending}"
    code, out, _ = say("explain", "demo:recommender", ROWS, "--row", "1", "--out", place)
    assert (code, out) == (0, f"wrote {place}\n")
    text = place.read_text()
    assert "minutes_viewed" in text
    assert {"html": "<!doctype html>", "svg": "<svg", "txt": "Why", "json": '"method": "kernel_shap"'}[ending] in text


def test_labels_speak_the_language_that_was_asked_for(say: Said, toys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = say("explain", toys, "ramp.png", "--lang", "zh", "--target", "owl")
    assert "猫头鹰" in out
    monkeypatch.setenv("PELLUCID_LANG", "zh")
    _, out, _ = say("explain", toys, "ramp.png", "--target", "cat - owl", "--json")
    assert "猫" in json.loads(out)["target"]


def test_the_terminal_drawing_fits_eighty_columns(say: Said, toys: str) -> None:
    for args in (("explain", "demo:tumours", TUMOURS, "--row", "2"), ("methods", "demo:tumours"),
                 ("explain", toys, "ramp.png", "-m", "occlusion", "-m", "grad_cam")):
        code, out, err = say(*args)
        assert (code, err) == (0, "")
        assert max(len(line) for line in out.splitlines()) <= 80
        assert all(line == line.rstrip() for line in out.splitlines())
        assert "\x1b" not in out


def test_a_failed_verdict_is_a_finding(say: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Verdict((Finding("complete.not", "fail", "far off"),))
    monkeypatch.setattr("pellucid.judge.verdict", lambda *given, **more: failed)
    assert say("explain", "demo:tumours", TUMOURS, "--row", "2")[0] == 1


def test_methods_lists_options_and_what_is_chosen(say: Said, toys: str) -> None:
    _, out, _ = say("methods", "--json")
    found = json.loads(out)
    names = [m["name"] for m in found["methods"]]
    assert {"saliency", "integrated_gradients", "grad_cam", "kernel_shap"} <= set(names)
    gradients = found["methods"][names.index("integrated_gradients")]
    assert gradients["complete"] is True
    assert gradients["options"]["steps"]["default"] is None
    assert {"inside(METHOD)", "smooth(METHOD)"} <= {c["name"] for c in found["compositions"]}
    _, out, _ = say("methods", toys, "--json")
    chosen = json.loads(out)["model"]
    assert (chosen["task"], chosen["method"]) == ("image", "grad_cam")
    assert chosen["layer"]


def test_a_plain_array_is_read_without_pickles(say: Said, toys: str, tmp_path: Path) -> None:
    np.save("x.npy", np.ones((1, 4), np.float32))
    code, out, _ = say("explain", "python:mine:plain", "x.npy", "-m", "input_x_gradient", "--json")
    assert code == 0
    assert len(json.loads(out)["values"]) == 4
    np.save("bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert say("explain", "python:mine:plain", "bad.npy")[0] == 2


ROW = ("explain", "demo:recommender", ROWS, "--row", "3")

WRONG: list[tuple[str, tuple[Any, ...], str, str]] = [
    ("a verb", ("explian",), "verb.unknown", "explain"),
    ("no input", ("explain", "demo:recommender"), "argument.missing", "INPUT"),
    ("a model", ("explain", "demo:recomender", ROWS), "demo.unknown", "'recommender'"),
    ("a scheme", ("explain", "dmeo:digits", ROWS), "source.unknown", "'demo'"),
    ("a file", ("explain", "demo:recommender", "none.csv"), "file.missing", "none.csv"),
    ("a method", (*ROW, "--method", "salency"), "method.unknown", "'saliency'"),
    ("a method within", (*ROW, "--method", "smoth(saliency)"), "method.unknown", "'smooth'"),
    ("a label", (*ROW, "--target", "will by"), "target.unknown", "'will buy'"),
    ("a class", (*ROW, "--target", "7"), "target.out_of_range", "0 to 1"),
    ("a layer", (*ROW, "-m", "inside(saliency)", "--layer", "body.9"), "layer.unknown", "body."),
    ("a layer for a method without", (*ROW, "-m", "saliency", "--layer", "body.0"), "option.unknown",
     "inside(saliency)"),
    ("an option", (*ROW, "-m", "integrated_gradients", "--stepps", "3"), "option.unknown", "--steps"),
    ("another method's option", (*ROW, "-m", "saliency", "--steps", "3"), "option.unknown", "integrated_gradients"),
    ("an option's value", (*ROW, "-m", "integrated_gradients", "--steps", "many"), "option.value", "whole number"),
    ("an option without value", (*ROW, "-m", "integrated_gradients", "--steps"), "option.value", "--steps"),
    ("a short flag", (*ROW, "-q"), "option.unknown", "-q"),
    ("a number", (*ROW, "--chunk", "few"), "argument.unfit", "--chunk"),
    ("a budget", (*ROW, "--budget", "lots"), "option.value", "2GB"),
    ("a baseline", (*ROW, "--baseline", "meen"), "baseline.unknown", "mean"),
    ("a layout", (*ROW, "--features", "colums"), "features.unknown", "columns"),
    ("a row", ("explain", "demo:recommender", ROWS, "--row", "99"), "row.out_of_range", "1 to 20"),
    ("a column", (*ROW, "--column", "age"), "option.unfit", "--column"),
    ("a language", (*ROW, "--lang", "fr"), "option.lang", "zh"),
    ("an ending", (*ROW, "--out", "why.docx"), "out.format", ".html"),
    ("a folder", (*ROW, "--out", "nowhere/why.html"), "file.unwritable", "nowhere"),
    ("one file for many", ("explain", "demo:recommender", ROWS, "--out", "why.svg"), "out.several", ".html"),
    ("nothing piped", ("explain", "demo:recommender", "-"), "input.empty", "standard input"),
    ("no explanation", ("show", ROWS), "file.not_pellucid", "pellucid"),
    ("no file to show", ("show", "none.pellucid"), "file.missing", "none.pellucid"),
    ("a report's ending", ("report", ROWS, "--out", "x.svg"), "out.format", ".html"),
    ("a file with code", ("explain", "file:model.pt2", ROWS), "file.missing", "model.pt2"),
    ("a folder for the demo", ("demo", "--out", str(ROWS)), "file.unwritable", "--out"),
]


@pytest.mark.parametrize(("args", "code", "hint"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_use_is_found_expected_and_do_this(say: Said, args: tuple[Any, ...], code: str, hint: str) -> None:
    exit_code, out, err = say(*args)
    assert exit_code == 2
    assert out == ""
    found, expected, do = err.splitlines()
    assert found.startswith("found ")
    assert found.endswith(f"[{code}]")
    assert expected.startswith("expected ")
    assert do.startswith("do this ")
    assert hint in err
    assert "Traceback" not in err


def test_wrong_use_is_an_object_for_machines(say: Said) -> None:
    code, out, err = say(*ROW, "--method", "salency", "--json")
    error = json.loads(out)["error"]
    assert code == 2
    assert error["code"] == "method.unknown"
    assert set(error) == {"code", "found", "expected", "do"}
    assert "Traceback" not in err


def test_too_little_memory_says_try_again(say: Said) -> None:
    code, _, err = say(*ROW, "--budget", "10")
    assert code == 75
    assert "budget.too_small" in err


def test_debug_shows_where_an_error_comes_from(say: Said) -> None:
    code, _, err = say(*ROW, "--method", "salency", "--debug")
    assert code == 2
    assert "Traceback" in err


def test_interruption_is_quiet(say: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.models.sources.load", stop)
    assert say(*ROW) == (130, "", "")


def test_a_fault_of_ours_is_no_traceback_either(say: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("pellucid.models.sources.load", fall)
    code, _, err = say(*ROW)
    assert code == 70
    assert "Traceback" not in err
    assert "--debug" in err


def test_what_a_file_says_cannot_paint_the_terminal(say: Said, tmp_path: Path) -> None:
    head, first, *_ = ROWS.read_text().splitlines()
    table = tmp_path / "rows.csv"
    table.write_text(f"{head}\n{first.replace('desktop', chr(27) + '[31mred')}\n")
    code, _, err = say("explain", "demo:recommender", table)
    assert code == 2
    assert "\x1b" not in err


@pytest.mark.parametrize(("lang", "words"), [
    ("en", ("Where the time went", "the model", "rows through the model", "energy")),
    ("zh", ("时间去向", "模型", "能耗"))])
def test_profile_says_where_the_time_went(say: Said, lang: str, words: tuple[str, ...]) -> None:
    code, out, _ = say("explain", "demo:reviews", "good but slow", "-m", "saliency", "--profile", "--lang", lang)
    assert code == 0
    assert all(word in out for word in words)
