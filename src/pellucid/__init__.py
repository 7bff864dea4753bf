"""Pellucid: see why a PyTorch model said what it said, and how far the answer can be trusted."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pellucid.version import __version__

if TYPE_CHECKING:
    from pellucid.activity import activity
    from pellucid.compare import compare
    from pellucid.concepts import tcav
    from pellucid.craft import craft
    from pellucid.doctor import doctor
    from pellucid.evaluate import evaluate
    from pellucid.explain import explain
    from pellucid.export import export
    from pellucid.heads import heads
    from pellucid.look import look
    from pellucid.models.demo import samples
    from pellucid.models.image import ImagePreprocess
    from pellucid.models.module import wrap
    from pellucid.models.sources import load
    from pellucid.models.subject import Subject
    from pellucid.pruning import prune
    from pellucid.report.page import Section, report
    from pellucid.store.file import open_ as open
    from pellucid.visualise import visualise
    from pellucid.watch import watch
    from pellucid.words.activity import Activity
    from pellucid.words.ask import together
    from pellucid.words.case import Case
    from pellucid.words.comparison import Comparison
    from pellucid.words.concepts import Concepts
    from pellucid.words.craft import Craft
    from pellucid.words.errors import PellucidError
    from pellucid.words.evaluation import Evaluation
    from pellucid.words.explanation import Explanation
    from pellucid.words.heads import Heads
    from pellucid.words.look import Look
    from pellucid.words.method import Law, method
    from pellucid.words.metric import Attribution, Measured, metric
    from pellucid.words.multiples import Multiples, multiples
    from pellucid.words.regions import box, region, similar
    from pellucid.words.visualised import Visualised
    from pellucid.words.watch import Training

_PLACES = {
    "Activity": "pellucid.words.activity",
    "Attribution": "pellucid.words.metric",
    "Case": "pellucid.words.case",
    "Comparison": "pellucid.words.comparison",
    "Concepts": "pellucid.words.concepts",
    "Craft": "pellucid.words.craft",
    "Evaluation": "pellucid.words.evaluation",
    "Explanation": "pellucid.words.explanation",
    "Heads": "pellucid.words.heads",
    "ImagePreprocess": "pellucid.models.image",
    "Law": "pellucid.words.method",
    "Measured": "pellucid.words.metric",
    "PellucidError": "pellucid.words.errors",
    "Section": "pellucid.report.page",
    "Subject": "pellucid.models.subject",
    "Training": "pellucid.words.watch",
    "activity": "pellucid.activity",
    "Visualised": "pellucid.words.visualised",
    "box": "pellucid.words.regions",
    "compare": "pellucid.compare",
    "craft": "pellucid.craft",
    "doctor": "pellucid.doctor",
    "evaluate": "pellucid.evaluate",
    "explain": "pellucid.explain",
    "export": "pellucid.export",
    "heads": "pellucid.heads",
    "load": "pellucid.models.sources",
    "look": "pellucid.look",
    "Look": "pellucid.words.look",
    "method": "pellucid.words.method",
    "metric": "pellucid.words.metric",
    "Multiples": "pellucid.words.multiples",
    "multiples": "pellucid.words.multiples",
    "open": "pellucid.store.file",
    "prune": "pellucid.pruning",
    "region": "pellucid.words.regions",
    "report": "pellucid.report.page",
    "samples": "pellucid.models.demo",
    "similar": "pellucid.words.regions",
    "tcav": "pellucid.concepts",
    "together": "pellucid.words.ask",
    "visualise": "pellucid.visualise",
    "watch": "pellucid.watch",
    "wrap": "pellucid.models.module",
}
_RENAMED = {"open": "open_"}

__all__ = ["__version__", *sorted(_PLACES)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Nothing heavy is imported before it is used: `import pellucid` does not import torch."""
    if name not in _PLACES:
        raise AttributeError(f"module 'pellucid' has no attribute {name!r}")
    found = getattr(importlib.import_module(_PLACES[name]), _RENAMED.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)


class _Face(ModuleType):
    """Keeps `pellucid.explain` the function: importing the submodule would put the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
