"""How an explanation reaches its drawing and its file: floor 3 registers, nobody imports upwards."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.words.explanation import Explanation

PLACES = {
    "draw": ("pellucid.views.drawing", "draw"),
    "text": ("pellucid.views.drawing", "text"),
    "plot": ("pellucid.views.figure", "plot"),
    "save": ("pellucid.store.file", "save"),
}
"""Which function does what, by module and name; looked up when first used."""


def _call(what: str, *args: Any, **options: Any) -> Any:
    module, name = PLACES[what]
    return getattr(importlib.import_module(module), name)(*args, **options)


def draw(explanation: Explanation, **options: Any) -> str:
    """One SVG."""
    return _call("draw", explanation, **options)


def text(explanation: Explanation, **options: Any) -> str:
    """Plain text for a terminal or a screen reader."""
    return _call("text", explanation, **options)


def plot(explanation: Explanation, **options: Any) -> Any:
    """A matplotlib figure."""
    return _call("plot", explanation, **options)


def save(explanation: Explanation, path: Any, *, input: bool) -> None:
    """One file."""
    _call("save", explanation, path, input=input)
