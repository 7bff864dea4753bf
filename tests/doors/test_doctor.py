"""The doctor recognises what breaks installations, and says how to mend it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from pellucid import doctor as look
from pellucid.cli.main import main
from pellucid.doctor import EXTRAS, Check, Report, _extra, explained_on, torch_version

MODULE = sys.modules["pellucid.doctor"]
"""By this name the face has the function."""


@pytest.fixture(scope="module")
def found(vision: bool) -> Report:
    return look()


def test_this_installation_explains_exactly(found: Report) -> None:
    check = found["explains on cpu"]
    assert check.status == "pass"
    assert check.data["error"] < 1e-5
    assert found["torch"].found == torch.__version__
    assert found["memory of cpu"].data["bytes"] > 0
    assert found["torchvision beside torch"].status == "pass"


def test_a_report_fails_warns_or_passes_as_its_gravest_check() -> None:
    fine, late, broken = (Check("a", s, "seen", "mend it") for s in ("info", "warn", "fail"))
    assert Report((fine,)).status == "pass"
    assert Report((fine, late)).status == "warn"
    assert Report((late, broken, fine)).status == "fail"
    assert "mend it" in str(Report((broken,)))


@pytest.mark.parametrize(("version", "status"), [
    ("2.5.1", "fail"), ("1.13.0+cu117", "fail"), ("2.6.0", "warn"), ("2.9.1+cu128", "warn"), ("2.10.0", "pass"),
    ("2.13.0+cpu", "pass"), ("3.0.0", "pass"),
])
def test_torch_is_too_old_or_unsafe_by_its_version(version: str, status: str) -> None:
    check = torch_version(version)
    assert check.status == status
    assert ("pip install" in check.do) == (status != "pass")
    assert ("advisories" in check.do) == (status == "warn")


@pytest.mark.parametrize(("scale", "status"), [(1.0, "pass"), (1.001, "warn"), (1.1, "fail")])
def test_a_device_that_computes_wrongly_is_found(monkeypatch: pytest.MonkeyPatch, scale: float, status: str) -> None:
    exact = nn.Conv2d.forward

    def rough(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        return exact(self, x) * (1.0 if x.dtype == torch.float64 else scale)

    monkeypatch.setattr(nn.Conv2d, "forward", rough)
    assert explained_on("cpu").status == status


def test_a_device_that_does_not_answer_is_no_traceback() -> None:
    check = explained_on("meta")
    assert check.status == "fail"
    assert check.do


MISMATCH = """
import sys
sys.path.insert(0, sys.argv[1])
from pellucid.doctor import EXTRAS, _extra
checks = {c.name: c for c in _extra("vision", EXTRAS["vision"])}
check = checks["torchvision beside torch"]
print(check.status, check.code, check.found, check.do, sep="\\n")
"""


@pytest.mark.parametrize(("says", "code"), [
    ("operator torchvision::nms does not exist", "vision.mismatch"), ("libjpeg is missing", "extra.broken"),
])
def test_a_torchvision_built_for_another_torch_is_recognised(tmp_path: Path, says: str, code: str) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(f"raise RuntimeError({says!r})\n")
    about = tmp_path / "torchvision-0.99.1+cu126.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.99.1+cu126\n")
    told = subprocess.run([sys.executable, "-c", MISMATCH, str(tmp_path)], capture_output=True, text=True, timeout=120,
                          check=False)
    assert told.returncode == 0, told.stderr
    status, seen, found, do = told.stdout.splitlines()
    assert (status, seen) == ("fail", code)
    if code == "vision.mismatch":
        assert "0.99.1+cu126" in found
        assert torch.__version__ in found
        assert "pip install" in do
        assert "torchvision==0.99.1" in do


def test_missing_extras_are_named_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_version", lambda name: "" if name == "pandas" else "1.0")
    (check,) = _extra("tables", EXTRAS["tables"])
    assert check.status == "info"
    assert check.do == "pip install 'pellucid[tables]'"


@pytest.mark.parametrize(("status", "code"), [("info", 0), ("warn", 0), ("fail", 1)])
def test_the_exit_code_says_whether_something_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: str, code: int
) -> None:
    monkeypatch.setattr(MODULE, "doctor", lambda: Report((Check("torch", status, "seen", "mend it", "a.b"),)))
    assert main(["doctor"]) == code
    assert "mend it" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["checks"][0]["code"] == "a.b"
