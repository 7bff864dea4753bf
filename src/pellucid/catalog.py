"""Every method by name: ours, what the user declared, what other packages bring, captum's, and compositions."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from torch import nn

from pellucid.methods import captum
from pellucid.methods.captum_classes import NAMES, PREFIX
from pellucid.words import draw
from pellucid.words import metric as measures
from pellucid.words.errors import OptionError, nearest
from pellucid.words.method import KNOWN, Card, Method, of
from pellucid.words.metric import Metric

OURS = (
    "gradients", "paths", "expected", "cam", "cam_scores", "fullgrad", "perturbation", "shapley", "owen",
    "interactions", "surrogate", "rise", "attention", "noise", "gates", "blur", "guided_path", "neurons", "relevance",
)
GROUP = "pellucid.methods"
METRICS = ("curves", "faithfulness", "road", "robustness", "localisation", "complexity", "sanity")
METRIC_GROUP = "pellucid.metrics"

ALIASES = {"gradient_shap": "expected_gradients"}
"""Methods that have a second name."""


class Catalogue(dict[str, Method]):
    """Methods by name, which a notebook shows as a table."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return draw.call("shown", self)


def methods() -> Catalogue:
    """All methods of this process by name; those of other packages are loaded by entry point."""
    _load()
    return Catalogue(KNOWN)


@cache
def _load() -> None:
    """Import our methods and those that installed packages announce: once, it reads their metadata."""
    for name in OURS:
        importlib.import_module(f"pellucid.methods.{name}")
    for point in entry_points(group=GROUP):
        if point.name not in KNOWN:
            found = point.load()
            if isinstance(found, Method):
                KNOWN[point.name] = found


def metrics() -> dict[str, Metric]:
    """All metrics of this process by name; those of other packages are loaded by entry point."""
    _load_metrics()
    return dict(measures.KNOWN)


@cache
def _load_metrics() -> None:
    for name in METRICS:
        importlib.import_module(f"pellucid.metrics.{name}")
    for point in entry_points(group=METRIC_GROUP):
        if point.name not in measures.KNOWN:
            found = point.load()
            if isinstance(found, Metric):
                measures.KNOWN[point.name] = found


def find_metric(name: Any) -> Metric:
    """The metric of a name, or the Metric that is given itself."""
    if isinstance(name, Metric):
        return name
    known = metrics()
    if not isinstance(name, str) or name.strip() not in known:
        raise OptionError("metric.unknown", repr(name)[:60], "a metric's name", nearest(str(name), known))
    return known[name.strip()]


def compositions() -> dict[str, Any]:
    """The functions from method to method, by name."""
    from pellucid.methods.compose import COMPOSITIONS

    return dict(COMPOSITIONS)


def families() -> dict[str, tuple[str, ...]]:
    """Methods of other libraries by the library's name; each is found as `captum:NAME`."""
    return {PREFIX.removesuffix(":"): NAMES}


def find(name: Any, model: nn.Module | None = None) -> Method:
    """The method of a name such as `saliency`, `smooth(inside(saliency))` or `captum:DeepLift`.

    Also that of a coroutine over a case, or of a class of captum's; or of an object of captum's about `model`.
    """
    if isinstance(name, Method):
        return name
    if inspect.iscoroutinefunction(name):
        return of(name, Card("gradient", ""))
    if not isinstance(name, str):
        found = captum.given(name, model)
        if found is not None:
            return found
        raise OptionError("method.unknown", f"a {type(name).__name__}", "a method or its name", "see pellucid methods")
    nested = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", name)
    if nested:
        outer = compositions()
        if nested[1] not in outer:
            raise OptionError("method.unknown", repr(nested[1]), "a composition", nearest(nested[1], outer))
        return outer[nested[1]](find(nested[2]))
    known, wanted = methods(), name.strip()
    if wanted.startswith(PREFIX):
        return captum.named(wanted)
    if wanted in ALIASES:
        return replace(known[ALIASES[wanted]], name=wanted)
    if wanted not in known:
        raise OptionError("method.unknown", repr(name), "a method's name",
                          nearest(name, [*known, *ALIASES, *compositions()]))
    return known[wanted]
