"""Changes that can be written by name."""

from __future__ import annotations

import importlib
from typing import Any

from pellucid.words.change import Change
from pellucid.words.errors import OptionError, nearest

NAMED: dict[str, tuple[str, str]] = {
    "guided": ("pellucid.changes.gates", "GUIDED"),
    "deconvnet": ("pellucid.changes.gates", "DECONVNET"),
}
"""Where each stands, by module and attribute; looked up when first used."""


def change(written: Any) -> Change:
    """The change of a name, or the Change that is given itself."""
    if isinstance(written, str):
        if written not in NAMED:
            raise OptionError("change.unknown", f"the change {written!r}", ", ".join(NAMED), nearest(written, NAMED))
        module, name = NAMED[written]
        return getattr(importlib.import_module(module), name)
    if not all(hasattr(written, part) for part in ("name", "twin", "on")):
        raise OptionError("change.unknown", f"a {type(written).__name__} as change",
                          f"one of {', '.join(NAMED)}, or a Change (pellucid.words.change)",
                          "write for example change='guided'")
    return written
