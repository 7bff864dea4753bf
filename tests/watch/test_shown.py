"""A watched training as drawing, text, report, table, and on the command line, in both languages."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import torch

import pellucid
from pellucid.cli.main import main
from pellucid.views.chart import sparkline
from pellucid.watching.findings import events
from pellucid.words.errors import PellucidError
from pellucid.words.watch import Explained, Flow, Record, Run, Training, Watched
from tests.watch.trained import convolutions, dense, pictures, rows, watched


def dying(to: Any = ()) -> Training:
    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == 33:
            with torch.no_grad():
                net[3].bias.fill_(-1e4)

    return watched(convolutions(), pictures(), plant=plant, to=to, method="grad_cam", suspect=(0, 0, 4, 4))


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Training]:
    folder = tmp_path_factory.mktemp("run")
    return folder, dying(folder)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [360, 720])
def test_the_drawing_holds_every_event_and_every_number_within_its_frame(dead: Any, lang: str, width: int) -> None:
    training = dead[1]
    svg = training.svg(lang=lang, width=width)
    root = ET.fromstring(svg)
    spoken = "".join(root.itertext())
    assert re.search("step 40" if lang == "en" else "第 40 步", spoken, re.I)
    assert root.attrib["data-verdict"] == "fail"
    drawn = {(e.attrib["data-series"], e.attrib["data-values"]) for e in root.iter() if "data-series" in e.attrib}
    dead_shares = [v for _, v in training.series("4/dead")]
    assert ("4", "[" + ",".join(f"{v:.4g}" for v in dead_shares) + "]") in drawn
    height = float(root.attrib["height"])
    for node in root.iter():
        if node.tag.endswith("text"):
            assert 0 <= float(node.attrib["x"]) <= width
            assert 0 <= float(node.attrib["y"]) <= height
    assert ("dead" in spoken) == (lang == "en")


def test_a_training_without_events_says_so() -> None:
    training = watched(dense(), rows(), steps=20)
    assert training.events == ()
    assert training.verdict.status == "pass"
    assert "No layer died" in training.text()
    assert "没有层失活" in training.text(lang="zh")


@pytest.mark.parametrize("width", [30, 80])
def test_the_text_fits_the_terminal(dead: Any, width: int) -> None:
    from pellucid.views.writing import columns

    for lang in ("en", "zh"):
        told = dead[1].text(lang=lang, width=width)
        assert max(columns(line) for line in told.splitlines()) <= width
        assert "✗" in told


def test_names_that_would_be_markup_are_text() -> None:
    evil = "<script>alert(1)</script>\u202e"
    layers = {evil: Watched(0.0, 1.0, -1.0, 1.0, 0.0, 0.0, 0.0, 64)}
    dead = {evil: Watched(0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 64)}
    records = [Record(0, {evil: 1.0}, layers, {evil: Flow(1, 1.0)}),
               Record(1, {evil: 2.0}, dead, {evil: Flow(1, 1.0, 0.1, 0.1)}, {evil: (0.5,)},
                      Explained(evil, (evil,), ((2, 2),), ((0.0, 1.0, 2.0, 3.0),)), notes=(evil,))]
    training = Training(Run(evil, (evil,), method=evil, probes=1), records, events(records), (evil,))
    for told in (training.svg(), training.svg(lang="zh")):
        assert "<script" not in told
        assert "\u202e" not in told
    assert "\u202e" not in training.text()
    ET.fromstring(training.svg())
    assert {e.code for e in training.events} == {"layer.died", "watch.failed"}


def test_a_run_of_nothing_can_be_shown() -> None:
    empty = Training(Run("net"), [], ())
    ET.fromstring(empty.svg())
    assert "no look" in empty.text()


def test_the_report_holds_the_training_beside_explanations(dead: Any, tmp_path: Path) -> None:
    e = pellucid.explain(dense(), rows()[0][:1], "saliency", target=0)
    e = e[0] if isinstance(e, list) else e
    page = pellucid.report([dead[1], e], tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Training of Sequential" in page
    assert page.count("<svg class=") == 4
    assert page.count("<script") == 1  # the drawings' own
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_series_and_table_are_the_records_own_numbers(dead: Any) -> None:
    training = dead[1]
    assert [k for k, _ in training.series("loss")] == [10, 20, 30, 40, 50, 60]
    frame = training.to_frame()
    assert list(frame["step"]) == [0, 10, 20, 30, 40, 50, 60]
    assert frame["4/dead"].iloc[-1] == 1.0


def test_the_command_line_shows_a_run_and_its_exit_code_tells_a_failure(dead: Any, tmp_path: Path,
                                                                        capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(dead[0])
    assert main(["watch", folder]) == 1
    assert "✗ Step 40" in capsys.readouterr().out
    assert main(["watch", folder, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert ("layer.died", 40, "4") in [(e["code"], e["step"], e["layer"]) for e in told["events"]]
    assert [look["step"] for look in told["looks"]] == [0, 10, 20, 30, 40, 50, 60]
    outs = [tmp_path / f"a.{kind}" for kind in ("html", "svg", "txt", "json")]
    assert main(["watch", folder, *(a for out in outs for a in ("--out", str(out))), "--lang", "zh"]) == 1
    assert all(out.stat().st_size > 500 for out in outs)
    capsys.readouterr()
    assert main(["watch", str(tmp_path / "nowhere")]) == 2
    assert "file.missing" in capsys.readouterr().err
    watched(dense(), rows(), to=tmp_path / "fine", steps=10)
    assert main(["watch", str(tmp_path / "fine")]) == 0


@pytest.mark.parametrize("options", [{"width": 100}, {"theme": "red"}])
def test_options_of_the_drawing_are_checked(dead: Any, options: dict[str, Any]) -> None:
    with pytest.raises(PellucidError):
        dead[1].svg(**options)


def test_a_sparkline_rises_with_its_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert len(sparkline(list(range(100)), 10)) == 10
    assert sparkline([1.0, 1.0], 8) == "▁▁"
    assert sparkline([], 8) == ""
