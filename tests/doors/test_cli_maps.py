"""Maps and regions from the shell: several layers with commas, targets of dense outputs in words."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid.cli.main import main


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `explain` on a picture and a model of one's own; the answer is what it says in JSON."""
    (tmp_path / "ours.py").write_text(
        "import torch, pellucid\n"
        "from torch import nn\n"
        "def made(*tail):\n"
        "    torch.manual_seed(0)\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3, stride=2), *tail).eval()\n"
        "    return pellucid.wrap(net, pellucid.ImagePreprocess((16, 16)), labels=['cat', 'dog', 'owl'],\n"
        "                         labels_zh=['猫', '狗', '猫头鹰'])\n"
        "def eyes():\n"
        "    return made(nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
        "def dense():\n"
        "    return made()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "ours", raising=False)
    Image.fromarray((np.indices((16, 16)).sum(0) * 8).astype(np.uint8)).save(tmp_path / "ramp.png")

    def run(model: str, *args: str) -> Any:
        main(["explain", f"python:ours:{model}", "ramp.png", *args, "--json"])
        return json.loads(capsys.readouterr().out)

    return run


def test_several_layers_are_named_with_commas(asked: Any) -> None:
    found = asked("eyes", "-m", "layer_cam", "--layer", "0, 2", "--target", "owl")
    assert found["recipe"]["layer"] == ["0", "2"]
    assert len(found["values"]) == 14 * 14
    assert asked("eyes", "-m", "grad_cam", "--layer", "2", "--grid", "6x6")["recipe"]["grid"] == [6, 6]
    assert asked("eyes", "-m", "layer_cam", "--layer", "0,9")["error"]["code"] == "layer.unknown"
    parts = asked("eyes", "-m", "full_grad", "--layers", "2")["recipe"]
    assert parts["layers"] == ["2"]


def test_a_region_is_a_target_in_words_and_in_either_language(asked: Any) -> None:
    one = asked("dense", "-m", "saliency", "--target", "region:0,0,3,6:owl")
    assert one["target"] == "owl in the region 0,0,3,6"
    other = asked("dense", "-m", "saliency", "--target", "region:0,0,3,6:owl", "--lang", "zh")
    assert other["target"].startswith("猫头鹰")
    assert one["values"] == other["values"]
    both = asked("dense", "-m", "saliency", "--target", "region:0,0,3,6:owl - region:0,0,3,6:cat")
    assert both["target"] == "owl in the region 0,0,3,6 rather than cat in the region 0,0,3,6"
