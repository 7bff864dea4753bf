"""How records show themselves in a notebook."""

from __future__ import annotations

from typing import Any

from pellucid.words.draw import Drawn


def shown(item: Drawn) -> dict[str, Any]:
    """What a notebook chooses from: the drawing, and its text."""
    return {"text/html": item.svg(), "text/plain": repr(item)}
