"""A real Chromium, a page that remembers what went wrong on it, and the checker of accessibility."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
MUST = os.environ.get("PELLUCID_CI") == "1"
"""On the machine that decides whether a change lands nothing here may be left out."""


def absent(what: str) -> None:
    if MUST:
        pytest.fail(f"{what} is missing")
    pytest.skip(f"needs {what}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if not CHROMIUM:
        absent("Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page, with what it asked from outside and complained of."""

    page: Any
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def quiet(self) -> None:
        assert self.outside == []
        assert self.complaints == []

    def accessible(self) -> None:
        """No finding of axe-core that is serious or worse."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("axe.run().then(r => r.violations)")
        grave = [(v["id"], v["help"], [n["html"][:160] for n in v["nodes"][:3]]) for v in found
                 if v["impact"] in ("serious", "critical")]
        assert grave == []


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """Opens an address in a fresh browser; `local` are addresses that may be asked for."""
    contexts = []

    def open_(address: str, local: tuple[str, ...] = ("file:", "data:", "blob:", "about:"), **options: Any) -> Visit:
        bypass = options.pop("bypass", False)
        context = chromium.new_context(viewport={"width": 1100, "height": 1000}, bypass_csp=bypass, **options)
        contexts.append(context)
        seen = Visit(context.new_page())
        seen.page.on("request", lambda r: None if r.url.startswith(local) else seen.outside.append(r.url))
        seen.page.on("console", lambda m: seen.complaints.append(m.text) if m.type == "error" else None)
        seen.page.on("pageerror", lambda e: seen.complaints.append(str(e)))
        seen.page.goto(address)
        return seen

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def axe() -> Path:
    if not AXE.is_file():
        absent("axe-core (npm install)")
    return AXE
