"""Every error a user can meet: what was found, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pellucid.languages.choice import spoken
from pellucid.languages.sentences import translated


class PellucidError(Exception):
    """An error with a stable `code`, and a text in three parts: found, expected, do this.

    The parts are English; `told` says them in another language, and `str()` in that of PELLUCID_LANG.
    """

    def __init__(self, code: str, found: str, expected: str, do: str) -> None:
        self.code, self.found, self.expected, self.do = code, found, expected, do
        super().__init__(f"[{code}] found {found}; expected {expected}; {do}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        return type(self), (self.code, self.found, self.expected, self.do)

    def __str__(self) -> str:
        lang = spoken()
        if lang == "en":
            return f"[{self.code}] found {self.found}; expected {self.expected}; {self.do}"
        found, expected, do = self.told(lang)
        return f"[{self.code}] 实际：{found}；应为：{expected}；建议：{do}"

    def told(self, lang: str | None = None) -> tuple[str, str, str]:
        """Found, expected and what to do, in a language; None is PELLUCID_LANG, else English. Raises `option.lang`."""
        found, expected, do = (translated(self.code, part, lang) for part in (self.found, self.expected, self.do))
        return found, expected, do

    def as_dict(self) -> dict[str, str]:
        """The same four parts for machines (`--json`)."""
        return {"code": self.code, "found": self.found, "expected": self.expected, "do": self.do}


class InputError(PellucidError):
    """The example cannot be read, or is not what the model takes."""


class TargetError(PellucidError):
    """The number to explain does not exist or was not named."""


class LayerError(PellucidError):
    """A layer is unknown, never called, called several times, or has no tensor to offer."""


class Disconnected(LayerError):
    """The score does not depend on a layer, or only through what a change takes as constant (`cut`)."""

    def __init__(self, site: str, cut: str = "") -> None:
        self.site, self.cut = site, cut
        super().__init__(
            "site.disconnected", f"a score without a gradient at {site}"
            + (f", but through {cut}, which is taken as constant" if cut else ""), "a score that depends on it",
            "choose a layer between input and score; detach() or inference_mode in the forward cut gradients"
            if not cut else "choose another layer, or let what is constant share in the relevance")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self), (self.site, self.cut)


class OptionError(PellucidError):
    """A method, an option or a value that does not exist."""


class ModelError(PellucidError):
    """The model cannot be loaded, failed on the way, or does not fit the question."""


class BudgetError(PellucidError):
    """Memory does not suffice even for one row at a time."""


class FileError(PellucidError):
    """A file is missing, damaged or not what its name says."""


class Cancelled(PellucidError):
    """The run was ended before this explanation was finished."""

    def __init__(self) -> None:
        super().__init__("run.cancelled", "a run ended on request", "a finished run", "start it again")


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """`did you mean ...` for an unknown name, or the first few known names."""
    names = sorted({str(k) for k in known})
    close = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"choose one of: {shown}" if names else "there is nothing to choose from"
