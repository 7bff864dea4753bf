"""What a method and a metric have in common: a coroutine with a name, options and their defaults."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from pellucid.words.errors import OptionError, nearest

PLAIN = {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "text", "None": "None"}
"""Types of options that are checked by what their annotation says; others are the coroutine's own to check."""


@dataclass(frozen=True, eq=False)
class Declared:
    """A named coroutine; its keyword-only arguments are its options."""

    name: str
    run: Callable[..., Coroutine[Any, Any, Any]]
    card: Any
    doc: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    annotations: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def settle(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options with their defaults; a name that is not one of them is an error."""
        for name in options:
            if name not in self.defaults:
                raise OptionError("option.unknown", f"option {name!r} for {self.name}",
                                  ", ".join(self.defaults) or "no options", nearest(name, self.defaults))
        return {**self.defaults, **{name: self._fitting(name, value) for name, value in options.items()}}

    def _fitting(self, name: str, value: Any) -> Any:
        """An option's value, if it is of a type that its annotation names; numpy's numbers become Python's."""
        said = self.annotations.get(name, "")
        wanted = (said.__name__ if isinstance(said, type) else str(said)).replace(" ", "").split("|")
        if not set(wanted) <= set(PLAIN):
            return value
        if not isinstance(value, bool | int | float):
            if isinstance(value, numbers.Integral):
                value = int(value)
            elif isinstance(value, numbers.Real):
                value = float(value)
        kind = "None" if value is None else type(value).__name__
        if kind in wanted or (kind == "int" and "float" in wanted):
            return value
        raise OptionError("option.value", f"{name}={value!r}", " or ".join(PLAIN[w] for w in wanted),
                          f"write for example {name}={self.defaults.get(name)!r}, which is what is taken if left out")

    @property
    def summary(self) -> str:
        """The first line of the description."""
        return self.doc.strip().partition("\n")[0]


def parts(fn: Callable[..., Coroutine[Any, Any, Any]]) -> dict[str, Any]:
    """Name, description, defaults and annotations of a coroutine function, as `Declared` holds them."""
    options = [p for p in inspect.signature(fn).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return {"name": fn.__name__, "run": fn, "doc": inspect.getdoc(fn) or "",
            "defaults": {p.name: None if p.default is p.empty else p.default for p in options},
            "annotations": {p.name: p.annotation for p in options}}
