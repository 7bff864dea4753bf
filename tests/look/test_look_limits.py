"""What look() may not do: show what a model wrote over afterwards, leave a mode open, or answer without a layer."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

import pellucid
from pellucid.cli.main import main
from pellucid.numbers.ranking import lots
from pellucid.words.errors import PellucidError


class Attend(nn.Module):
    """Attention whose probabilities are halved in place before they weigh values, as some dropouts do."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.qkv, self.fails = nn.Linear(8, 24), fails

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        if self.fails and bool(x[0, 0, 0] > 100):
            raise RuntimeError("the middle of an attention")
        found = (q @ k.transpose(-2, -1) / 2).softmax(-1).mul_(0.5)
        return (found @ v).transpose(1, 2).flatten(2)


class Net(nn.Module):
    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.attend, self.head = Attend(fails), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attend(x).mean(1))


def net(fails: bool = False) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net(fails).eval()


def test_probabilities_are_seen_as_they_were_before_the_model_wrote_over_them() -> None:
    model, x = net(), torch.randn(1, 5, 8, generator=lots(0))
    seen = pellucid.look(model, x, "attention")
    (found,) = seen.attention.values()
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 5))
    assert seen.agreement is not None
    assert seen.agreement < 1e-6  # and the model went on with its halves


def test_no_mode_stays_open_behind_a_pass_that_ends_early_or_fails() -> None:
    x = torch.randn(1, 5, 8, generator=lots(0))
    model = net(fails=True)
    pellucid.look(model, x, "attention", beside=False)  # nothing behind the attention is run
    assert _get_current_function_mode_stack() == []
    with pytest.raises(PellucidError) as caught:  # what the model computes is known by now: the pass itself fails
        pellucid.look(model, x + 200, "attention", beside=False)
    assert caught.value.code == "model.failed"
    assert _get_current_function_mode_stack() == []


@pytest.mark.parametrize(("layer", "code", "told"), [
    ("boddy", "layer.unknown", "body"), ("spare", "layer.not_reached", "body"), ("says", "layer.no_tensor", "tensor"),
])
def test_a_shell_that_asks_for_a_layer_without_a_value_is_told_so(
        layer: str, code: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd_net.py").write_text(
        "from torch import nn\n"
        "class Says(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return 2.0\n"
        "class Odd(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.body, self.spare, self.says = nn.Linear(4, 2), nn.Linear(4, 2), Says()\n"
        "    def forward(self, x):\n"
        "        return self.body(x * self.says(x))\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_net", raising=False)
    np.save("x.npy", np.ones((1, 4), np.float32))
    assert main(["look", "python:odd_net:Odd", "x.npy", "-l", layer, "--no-progress"]) == 2
    said = capsys.readouterr().err
    assert code in said
    assert told in said
