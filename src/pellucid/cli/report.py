"""`pellucid report FILE.pellucid...`: stored explanations and watched trainings in one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli import output


def report(
    files: Annotated[list[str], typer.Argument(
        metavar="FILE...", help="Files that `pellucid explain` wrote with --out why.pellucid, and folders that a "
                                "watched training wrote.")],
    out: Annotated[str, typer.Option(
        "--out", "-o", metavar="FILE", help="The .html or .pdf to write.")] = "report.html",
    title: Annotated[str, typer.Option(help="The title of the report.")] = "",
    notes: Annotated[str, typer.Option(help="Words of your own, below the title.")] = "",
    template: Annotated[str, typer.Option(
        metavar="NAME", help="What the report is for, which orders it: prediction, methods, models, audit or training; "
                             "told by what it holds if left out.")] = "",
    logo: Annotated[str, typer.Option(metavar="FILE", help="A PNG, JPEG or SVG to stand above the title.")] = "",
    lang: output.Lang = "en",
    json: output.Json = False,
) -> int:
    """Put stored explanations into one report that needs no network."""
    lang = output.language(lang)
    from pellucid.cli import writing
    from pellucid.store.file import open_
    from pellucid.words.watch import Training

    place = writing.check(out, writing.PAGES)
    found = [Training.open(file) if Path(file).is_dir() else open_(file) for file in files]
    writing.write(found, place, lang=lang, title=title, notes=notes, template=template, logo=logo)
    if json:
        output.say_json({"report": str(place), "explanations": sum(f.drawn == "explanation" for f in found)})
    else:
        output.wrote([place], lang)
    return output.FINE
