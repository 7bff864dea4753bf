"""A method of somebody else's, in a file outside the package: on image, text and table, in shell and report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import pellucid
from pellucid.words.method import KNOWN

METHOD = '''"""A method of about twenty lines."""

import torch

import pellucid
from pellucid.words.points import LeaveOneOut


@pellucid.method(asks="score", coarse=True, baseline=True)
async def first_and_last(case, *, share: float = 0.5):
    """What a feature brings when it comes first, and when it comes last, mixed by `share`."""
    alone = torch.eye(case.features.n, dtype=torch.bool)
    everything, nothing, first, last = await pellucid.together(
        case.score(case.here), case.score(case.there),
        case.score(case.keep(alone)), case.score(case.keep(LeaveOneOut(case.features.n))))
    return share * (first - nothing) + (1 - share) * (everything - last)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder on the path in which a package announces its method."""
    (tmp_path / "own_methods.py").write_text(METHOD)
    about = tmp_path / "own_methods-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-methods\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pellucid.methods]\nfirst_and_last = own_methods:first_and_last\n")
    return tmp_path


def shell(package: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pellucid.cli.main", *words], capture_output=True, text=True,
                          input=given, timeout=200, check=False, env={**os.environ, "PYTHONPATH": str(package)})


def test_an_announced_method_is_in_the_shell_with_its_options_and_in_a_report(package: Path) -> None:
    listed = json.loads(shell(package, "methods", "--json").stdout)
    mine = next(m for m in listed["methods"] if m["name"] == "first_and_last")
    assert mine["options"] == {"share": {"default": 0.5, "takes": "float"}}
    text = "The soup was cold but the waiter was lovely."
    told = shell(package, "explain", "demo:reviews", "-", "--method", "first_and_last", "--share", "0.25", "--json",
                 "--no-progress", given=text)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["method"], found["recipe"]["share"]) == ("first_and_last", 0.25)
    page = package / "why.html"
    made = shell(package, "explain", "demo:reviews", "-", "--method", "first_and_last", "--out", str(page),
                 "--no-progress", given=text)
    assert made.returncode == 0, made.stderr
    assert "first_and_last" in page.read_text(encoding="utf-8")


@pytest.fixture
def mine() -> Any:
    names: dict[str, Any] = {}
    exec(METHOD, names)
    yield names["first_and_last"]
    KNOWN.pop("first_and_last", None)


@pytest.mark.parametrize("name", ["digits", "reviews", "recommender"])
def test_passed_as_it_is_it_works_on_every_kind_of_input(name: str, mine: Any, tmp_path: Path) -> None:
    subject, x = pellucid.load(f"demo:{name}"), pellucid.samples(name)[0]
    e = pellucid.explain(subject, x, mine, share=1.0)
    first = pellucid.explain(subject, x, mine, share=0.0)
    lost = pellucid.explain(subject, x, "ablation")
    assert torch.allclose(first.values, lost.values, atol=1e-5)
    assert not torch.allclose(e.values, first.values, atol=1e-3)
    assert "<svg" in e.svg()
    e.save(tmp_path / "why.pellucid")
    assert torch.equal(pellucid.open(tmp_path / "why.pellucid").values, e.values)
    pellucid.report([e], tmp_path / "why.html")


def test_a_bare_coroutine_is_a_method_too() -> None:
    async def squared(case: Any, *, scale: float = 1.0) -> Tensor:
        """The squared gradient."""
        return scale * (await case.gradient(case.here))[0] ** 2

    net = torch.nn.Linear(3, 2)
    e = pellucid.explain(net, torch.ones(1, 3), squared, target=1, scale=2.0)
    assert torch.allclose(e.values, 2 * net.weight[1].detach() ** 2)
    assert e.method == "squared"
    assert e.recipe["scale"] == 2.0
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(net, torch.ones(1, 3), lambda case: case)
    assert error.value.code == "method.unknown"
