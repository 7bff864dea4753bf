"""In a real browser: a report full of hostile names asks for nothing, runs nothing of theirs, and shows them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pellucid.report.page import report

sys.path.insert(0, str(Path(__file__).parents[1] / "drawings"))
from hostile import HOSTILE
from wild import records


def test_nothing_of_theirs_runs_and_the_page_shows_it(visit: Callable[..., Any], tmp_path: Path) -> None:
    wild = records()
    place = report([wild[k] for k in ("columns", "tokens", "evaluation", "activity", "training")],
                   tmp_path / "names.html", title=HOSTILE[0], notes="\n\n".join(HOSTILE))
    seen = visit(place.as_uri())
    asked = list[str]()
    seen.page.on("dialog", lambda d: (asked.append(d.message), d.dismiss()))
    seen.page.wait_for_timeout(300)
    for mark in seen.page.locator("figure svg [tabindex]").all()[:5]:
        mark.hover(timeout=1000)
    assert asked == []
    assert seen.page.evaluate("typeof self.harmed") == "undefined"
    assert seen.page.title() == HOSTILE[0]
    text = seen.page.inner_text("body")
    for shown in ("<script>alert(1)</script>", "{{7*7}}${x}", "a‹RLO›gnp.exe", "=cmd|' /C calc'!A0"):
        assert shown in text
    assert seen.page.locator("script").count() <= 1
    seen.quiet()


def test_a_drawing_opened_alone_runs_nothing(visit: Callable[..., Any], tmp_path: Path) -> None:
    place = records()["columns"].export(tmp_path / "names.svg")
    seen = visit(place.as_uri())
    assert seen.page.evaluate("typeof self.harmed") == "undefined"
    assert seen.page.evaluate("document.querySelectorAll('script, a, foreignObject, iframe').length") == 0
    seen.quiet()
