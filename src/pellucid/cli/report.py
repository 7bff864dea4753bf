"""`pellucid report FILE.pellucid...`: stored explanations in one self-contained page."""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import output


def report(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files that `pellucid explain` wrote with "
                                                                       "--out why.pellucid.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE.html", help="The page to write.")] = "report.html",
    title: Annotated[str, typer.Option(help="The title of the page.")] = "",
    lang: output.Lang = "en",
    json: output.Json = False,
) -> int:
    """Put stored explanations into one page that needs no network."""
    lang = output.language(lang)
    from pellucid.cli import writing
    from pellucid.store.file import open_

    place = writing.check(out, (".html",))
    found = [open_(file) for file in files]
    writing.write(found, place, lang=lang, title=title)
    if json:
        output.say_json({"report": str(place), "explanations": len(found)})
    else:
        output.say(f"wrote {place}")
    return output.FINE
