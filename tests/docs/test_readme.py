"""What the README and the pages say is executed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


@pytest.mark.usefixtures("vision")
@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_every_python_block_runs(page: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


def test_every_shell_command_of_the_readme_exists() -> None:
    from typer.main import get_command

    from pellucid.cli.main import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    lines = [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]
    used = {found[1] for line in lines if (found := re.search(r"\bpellucid (\w+)", line))}
    assert used
    assert used <= known


def test_every_make_verb_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = set(re.findall(r"\bmake (\w+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert verbs
    assert verbs <= set(re.findall(r"^(\w+):", makefile, re.M))


def test_every_method_of_the_readme_exists_and_every_method_is_named() -> None:
    from pellucid import catalog

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    ours = {name for name, m in catalog.methods().items() if (m.run.__module__ or "").startswith("pellucid.methods")}
    assert {name for name in [*ours, *catalog.compositions()] if f"`{name}`" not in text} == set()


def test_pinned_versions_satisfy_the_floors() -> None:
    floors = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    for floor in floors:
        name, _, least = floor.partition(">=")
        assert tuple(map(int, pinned[name].split(".")[:2])) >= tuple(map(int, least.split(".")[:2])), floor
