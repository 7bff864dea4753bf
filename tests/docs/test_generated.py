"""Pages that are made from the code say what the code says now."""

from __future__ import annotations

import pytest

from docs.generate import catalogue, metrics


@pytest.mark.parametrize("made", [catalogue, metrics], ids=["catalogue", "metrics"])
def test_a_generated_page_is_as_it_would_be_made_now(made: object) -> None:
    page, text = made.PAGE, made.page()  # type: ignore[attr-defined]
    assert page.read_text(encoding="utf-8") == text, f"{page.name}: make docs"
