"""What the command line says: results on standard output, errors and progress on standard error."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.languages.choice import LANGUAGES, spoken
from pellucid.languages.marks import visible
from pellucid.languages.sentences import translated
from pellucid.words.errors import BudgetError, OptionError, PellucidError

if TYPE_CHECKING:
    from pellucid.words.explanation import Explanation

FINE, FINDING, WRONG, AGAIN, BUG, STOPPED = 0, 1, 2, 75, 70, 130
"""Exit codes: 1 a finding or failed check, 2 wrong use or input, 75 the same command may work later."""

LATER = frozenset({"file.disk_full"})
"""Errors besides memory that go away without another command."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Lang = Annotated[str, typer.Option(envvar="PELLUCID_LANG", metavar="en|zh", help="Language of drawings and reports.")]
Quiet = Annotated[bool, typer.Option("--no-progress", help="Show no progress.")]


def code_of(error: PellucidError) -> int:
    """The exit code of an error."""
    return AGAIN if isinstance(error, BudgetError) or error.code in LATER else WRONG


def language(lang: str) -> str:
    """The language, or an error before any work is done."""
    if lang not in LANGUAGES:
        raise OptionError("option.lang", f"--lang {lang}", "en or zh", "choose one of the two")
    return lang


def asked(args: Sequence[str]) -> str:
    """The language that errors are told in: that of --lang, else of the environment."""
    flags = [b for a, b in pairwise(args) if a == "--lang"] + [
        a.partition("=")[2] for a in args if a.startswith("--lang=")]
    return flags[-1] if flags and flags[-1] in LANGUAGES else spoken()


def wrote(places: Iterable[object], lang: str) -> None:
    """One line for each file that was written."""
    for place in places:
        say(translated("shell", f"wrote {place}", lang))


def say(text: str = "") -> None:
    """One piece of text on standard output, as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def say_json(found: Any) -> None:
    """Strict JSON on standard output; numbers that JSON does not have become null."""
    say(as_text(found))


def as_text(found: Any) -> str:
    """Strict JSON, indented, with lists of plain values on one line."""
    return json.dumps(_plain(found), ensure_ascii=False, allow_nan=False)


def show(*things: Any) -> None:
    """What rich draws, on standard output, without blanks at the ends of lines where there is no terminal."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width(), highlight=False)
    with console.capture() as drawn:
        for thing in things:
            console.print(thing)
    text = drawn.get()
    say(text if console.is_terminal else "\n".join(line.rstrip() for line in text.split("\n")))


def width() -> int:
    """Columns to write for: the terminal's, 80 where there is none, at most 100."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return min(max(int(columns), 40), 100)
    try:
        # Some terminals say 0 where they do not know.
        return min(max(os.get_terminal_size(sys.stdout.fileno()).columns or 80, 40), 100)
    except (OSError, ValueError, AttributeError):
        return 80


def complain(error: PellucidError, where: str = "", lang: str = "en") -> None:
    """Found, expected and what to do, one line each, on standard error."""
    found, expected, do = map(visible, error.told(lang))
    names = ("实际  ", "应为  ", "建议  ") if lang == "zh" else ("found     ", "expected  ", "do this   ")
    strong, dim, plain = ("\x1b[1;31m", "\x1b[2m", "\x1b[0m") if _coloured() else ("", "", "")
    lead = f"{visible(where)}: " if where else ""
    sys.stdout.flush()
    sys.stderr.write(
        f"{strong}{names[0]}{plain}{lead}{found}  {dim}[{error.code}]{plain}\n"
        f"{names[1]}{expected}\n{names[2]}{do}\n")


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(what: str, quiet: bool, lang: str = "en") -> Iterator[Callable[[int, int], None] | None]:
    """A counter of answered rows on standard error, where that is a terminal; None otherwise."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    console, what = Console(stderr=True), translated("shell", what, lang)
    with console.status(what) as status:
        yield lambda rows, asked: status.update(
            f"{what} · {translated('shell', f'{rows} of {asked} rows answered', lang)}")


def as_dict(e: Explanation) -> dict[str, Any]:
    """Everything an explanation knows, for machines."""
    return {
        "verdict": {"status": e.verdict.status, "findings": [vars(f) for f in e.verdict.findings]},
        "method": e.method, "target": e.target, "score": e.score, "baseline_score": e.baseline_score,
        "residual": e.residual, "shape": list(e.values.shape), "names": list(e.names),
        "values": e.values.detach().cpu().flatten().tolist(),
        "error": None if e.error is None else e.error.detach().cpu().flatten().tolist(),
        "features": {"kind": e.features.kind, "name": e.features.name, "shape": list(e.features.shape)},
        "errors": {name: part.detach().cpu().flatten().tolist() for name, part in e.errors.items()},
        "evidence": vars(e.evidence), "recipe": dict(e.recipe), "replayable": e.recipe.replayable,
        "provenance": dict(e.provenance), "paper": e.paper, "summary": e.summary,
        "notes": list(e.shown.notes) if e.shown else [],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return str(value)
