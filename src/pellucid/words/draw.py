"""How a record reaches its drawing, its table and its file: floor 3 registers, nobody imports upwards."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pellucid.languages.choice import chosen
from pellucid.words.errors import OptionError, nearest
from pellucid.words.table import Table
from pellucid.words.table import chosen as table_of

if TYPE_CHECKING:
    from os import PathLike

VIEWS = {
    "explanation": "pellucid.views.drawing",
    "evaluation": "pellucid.views.evaluation",
    "comparison": "pellucid.views.comparison",
    "multiples": "pellucid.views.multiples",
    "activity": "pellucid.views.activity",
    "heads": "pellucid.views.heads",
    "look": "pellucid.views.look",
    "concepts": "pellucid.views.concepts",
    "craft": "pellucid.views.craft",
    "visualised": "pellucid.views.visualised",
    "training": "pellucid.views.training",
}
"""The module that draws each kind of record: it has `draw` (one SVG) and `text`."""

DEEDS = {
    "tables": ("pellucid.views.tables", "tables"),
    "plot": ("pellucid.views.figure", "plot"),
    "save": ("pellucid.store.file", "save"),
    "export": ("pellucid.export", "export"),
    "shown": ("pellucid.notebook", "shown"),
    "live": ("pellucid.notebook", "live"),
    "heads_plan": ("pellucid.pruning", "planned"),
    "heads_measure": ("pellucid.pruning", "measured"),
    "heads_apply": ("pellucid.pruning", "applied"),
    "heads_save": ("pellucid.pruning", "written"),
    "training_open": ("pellucid.watching.archive", "open_"),
}
"""What else is done to records, by module and name; looked up when first used."""


def call(what: str, *args: Any, **options: Any) -> Any:
    """Whatever stands under this name."""
    module, name = DEEDS[what]
    return getattr(importlib.import_module(module), name)(*args, **options)


WIDTHS = {"draw": (320, 2000, "320 to 2000 pixels"), "text": (24, 1000, "24 to 1000 characters")}
"""How wide a drawing, and one in characters, may be."""


def checked(view: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raises `option.unknown` for an option that a view has not, and `option.width`."""
    known = [n for n, p in inspect.signature(view).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise OptionError("option.unknown", f"the option {name!r}", ", ".join(known), nearest(name, known))
    if "width" in options and view.__name__ in WIDTHS:
        (low, high, told), width = WIDTHS[view.__name__], options["width"]
        if isinstance(width, bool) or not isinstance(width, int | float) or not low <= width <= high:
            raise OptionError("option.width", f"width={width!r}", told, "choose a width in between")


class Drawn:
    """Whatever has a drawing: one SVG, the same in characters, its numbers as tables, and files of all of these.

    A record says which of VIEWS it is: `class Look(Drawn, drawn="look")`. An option `lang` is "en" or "zh"; left out,
    the language is that of PELLUCID_LANG, else English. Raises `option.lang`.
    """

    drawn: ClassVar[str] = ""

    def __init_subclass__(cls, drawn: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if drawn:
            cls.drawn = drawn

    def svg(self, **options: Any) -> str:
        """The drawing as one SVG."""
        return self._view("draw", options)

    def text(self, **options: Any) -> str:
        """The drawing in characters, for a terminal or a screen reader."""
        return self._view("text", options)

    def tables(self, **options: Any) -> tuple[Table, ...]:
        """The numbers of the drawing, the most important table first; `lang` as for the drawing."""
        return call("tables", self, **options)

    def to_frame(self, table: str | None = None) -> Any:
        """One of the tables as a pandas DataFrame, the first if left out (pandas is imported when asked).

        Raises `export.table` for one that is not there.
        """
        return table_of(self.tables(lang="en"), table).to_frame()

    def _view(self, what: str, options: dict[str, Any]) -> Any:
        view = getattr(importlib.import_module(VIEWS[self.drawn]), what)
        checked(view, options)
        return view(self, **{**options, "lang": chosen(options.get("lang"))})

    def export(self, path: str | PathLike[str], **options: Any) -> Path:
        """Write the drawing or its numbers to a file, by its ending; options and errors as for `pellucid.export`."""
        return call("export", self, path, **options)

    def live(self, **options: Any) -> Any:
        """The drawing as a notebook's widget, whose selection Python knows (extra `notebook`)."""
        return call("live", self, **options)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return call("shown", self)

    def _repr_html_(self) -> str:
        return call("shown", self)["text/html"]
