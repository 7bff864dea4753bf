"""What heads() and its plans cannot do is said: wrong options, models without heads, files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pellucid
from pellucid.words.errors import PellucidError
from tests.look.bred import Attending, pictures, seeded


@pytest.mark.parametrize(("wrong", "code"), [
    ({"ablation": "half"}, "option.value"), ({"compare": -1}, "option.value"), ({"labels": [1]}, "labels.count"),
    ({"labels": [9, 0]}, "labels.unknown"), ({"labels": ["cat", "dog"]}, "labels.unknown"),
    ({"layers": "head"}, "layer.no_attention"), ({"target": lambda out: out[:, 0], "labels": [0, 1, 2]},
                                                 "labels.count")])
def test_wrong_options_are_said(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(PellucidError) as error:
        pellucid.heads(seeded(Attending, 0).eval(), pictures(2)[0], **wrong)
    assert error.value.code == code


def test_a_model_without_attention_has_no_heads() -> None:
    with pytest.raises(PellucidError) as error:
        pellucid.heads(nn.Linear(3, 2), torch.randn(2, 3))
    assert error.value.code == "layer.no_attention"


@pytest.mark.parametrize("wrong", [{}, {"share": 2.0}, {"share": 0.1, "loss": 0.1}])
def test_a_plan_needs_one_aim(wrong: dict[str, float]) -> None:
    found = pellucid.heads(seeded(Attending, 0).eval(), pictures(2)[0], compare=0)
    with pytest.raises(PellucidError) as error:
        found.plan(**wrong)
    assert error.value.code == "option.value"


def test_a_model_that_cannot_be_copied_is_asked_but_not_pruned() -> None:
    net, x = seeded(Attending, 0).eval(), pictures(2)[0]
    net.kept = net(x)  # a result with its graph
    plan = pellucid.heads(net, x, compare=0).plan(share=0.25)
    assert len(plan.off) == 3
    with pytest.raises(PellucidError) as error:
        plan.apply()
    assert error.value.code == "heads.copy"


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(PellucidError) as error:
        pellucid.prune(seeded(Attending, 0), tmp_path / "x.safetensors")
    assert error.value.code == "heads.file"
