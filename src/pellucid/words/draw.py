"""How an explanation reaches its drawing and its file: floor 3 registers, nobody imports upwards."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.words.evaluation import Evaluation
    from pellucid.words.explanation import Explanation

PLACES = {
    "draw": ("pellucid.views.drawing", "draw"),
    "text": ("pellucid.views.drawing", "text"),
    "plot": ("pellucid.views.figure", "plot"),
    "save": ("pellucid.store.file", "save"),
    "evaluation": ("pellucid.views.evaluation", "draw"),
    "evaluation_text": ("pellucid.views.evaluation", "text"),
    "comparison": ("pellucid.views.comparison", "draw"),
    "comparison_text": ("pellucid.views.comparison", "text"),
    "activity": ("pellucid.views.activity", "draw"),
    "activity_text": ("pellucid.views.activity", "text"),
    "heads": ("pellucid.views.heads", "draw"),
    "heads_text": ("pellucid.views.heads", "text"),
    "heads_plan": ("pellucid.pruning", "planned"),
    "heads_measure": ("pellucid.pruning", "measured"),
    "heads_apply": ("pellucid.pruning", "applied"),
    "heads_save": ("pellucid.pruning", "written"),
    "look": ("pellucid.views.look", "draw"),
    "look_text": ("pellucid.views.look", "text"),
    "concepts": ("pellucid.views.concepts", "draw"),
    "concepts_text": ("pellucid.views.concepts", "text"),
    "craft": ("pellucid.views.craft", "draw"),
    "craft_text": ("pellucid.views.craft", "text"),
    "visualised": ("pellucid.views.visualised", "draw"),
    "visualised_text": ("pellucid.views.visualised", "text"),
    "training": ("pellucid.views.training", "draw"),
    "training_text": ("pellucid.views.training", "text"),
    "training_open": ("pellucid.watching.archive", "open_"),
}
"""Which function does what, by module and name; looked up when first used."""


def call(what: str, *args: Any, **options: Any) -> Any:
    """Whatever stands under this name."""
    module, name = PLACES[what]
    return getattr(importlib.import_module(module), name)(*args, **options)


def draw(explanation: Explanation, **options: Any) -> str:
    """One SVG."""
    return call("draw", explanation, **options)


def text(explanation: Explanation, **options: Any) -> str:
    """Plain text for a terminal or a screen reader."""
    return call("text", explanation, **options)


def plot(explanation: Explanation, **options: Any) -> Any:
    """A matplotlib figure."""
    return call("plot", explanation, **options)


def save(explanation: Explanation, path: Any, *, input: bool) -> None:
    """One file."""
    call("save", explanation, path, input=input)


def evaluation(evaluated: Evaluation, **options: Any) -> str:
    """One SVG of the metrics of an explanation."""
    return call("evaluation", evaluated, **options)


def evaluation_text(evaluated: Evaluation, **options: Any) -> str:
    """The same for a terminal or a screen reader."""
    return call("evaluation_text", evaluated, **options)
