"""Every method by name: ours, what the user declared, what other packages bring, and compositions."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pellucid.words.errors import OptionError, nearest
from pellucid.words.method import KNOWN, Card, Method, of

OURS = ("gradients", "paths", "expected", "cam", "perturbation", "shapley")
GROUP = "pellucid.methods"


def methods() -> dict[str, Method]:
    """All methods of this process by name; those of other packages are loaded by entry point."""
    _load()
    return dict(KNOWN)


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


def compositions() -> dict[str, Any]:
    """The functions from method to method, by name."""
    from pellucid.methods.compose import COMPOSITIONS

    return dict(COMPOSITIONS)


def find(name: str | Method) -> Method:
    """The method of a name such as `saliency` or `smooth(inside(saliency))`."""
    if isinstance(name, Method):
        return name
    if inspect.iscoroutinefunction(name):
        return of(name, Card("gradient", ""))
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("method.unknown", f"a {type(name).__name__}", "a method or its name", "see pellucid methods")
    nested = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", name)
    if nested:
        outer = compositions()
        if nested[1] not in outer:
            raise OptionError("method.unknown", repr(nested[1]), "a composition", nearest(nested[1], outer))
        return outer[nested[1]](find(nested[2]))
    known = methods()
    if name.strip() not in known:
        raise OptionError("method.unknown", repr(name), "a method's name", nearest(name, [*known, *compositions()]))
    return known[name.strip()]
