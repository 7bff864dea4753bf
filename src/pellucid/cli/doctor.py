"""`pellucid doctor`: does this installation work?"""

from __future__ import annotations

from typing import Any

from pellucid.cli import output
from pellucid.languages.sentences import translated

SIGNS = {"pass": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red"), "info": ("·", "dim")}


def doctor(json: output.Json = False, lang: output.Lang = "en",
           no_progress: output.Quiet = False) -> int:
    """Check versions, devices, memory, fonts, and say what to do.

    Exit code 1 where something is broken; warnings and missing extras leave it 0.
    """
    lang = output.language(lang)
    from pellucid.doctor import doctor as look

    with output.progress("looking at this installation", no_progress, lang):
        found = look()
    if json:
        output.say_json(found.as_dict())
    else:
        _print(found, lang)
    return output.FINDING if found.status == "fail" else output.FINE


def _print(found: Any, lang: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found.checks:
        sign, colour = SIGNS[check.status]
        name, seen, do = check.told(lang)
        told = Text(seen)
        if do:
            told.append("\n→ " + do, style=colour)
        table.add_row(Text(sign, style=colour), Text(name), told)
    count = {level: sum(c.status == level for c in found.checks) for level in ("fail", "warn")}
    told = {"pass": "Everything works.", "warn": f"It works, with {count['warn']} warning(s).",
            "fail": f"{count['fail']} broken; the lines marked ✗ say what to do."}[found.status]
    output.show(table, "", Text(translated("shell", told, lang), style="bold"))
