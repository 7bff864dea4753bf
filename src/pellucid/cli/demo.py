"""`pellucid demo`: five small real models, each asked why, and a report."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import output

if TYPE_CHECKING:
    from pellucid.demo import Chapter, Skipped


Folder = Annotated[str, typer.Option("--out", "-o", metavar="FOLDER", help="Where the report and the inputs go.")]


def demo(
    out: Folder = "out/demo",
    lang: output.Lang = "en",
    json: output.Json = False,
    no_progress: output.Quiet = False,
) -> int:
    """Explain a picture, a sentence, a table row, and write a report.

    Takes under a minute and needs no network.
    """
    lang = output.language(lang)
    began = time.perf_counter()
    from pellucid.demo import Chapter
    from pellucid.demo import demo as tell

    skipped: list[Skipped] = []

    def told(chapter: Chapter | Skipped) -> None:
        if not isinstance(chapter, Chapter):
            skipped.append(chapter)
        if not json:
            output.say(_lines(chapter, lang))

    with output.progress("asking five models why", no_progress or json, lang):
        path, chapters = tell(out, lang=lang, told=told)
    if json:
        output.say_json({
            "report": str(path), "seconds": time.perf_counter() - began,
            "chapters": [{"name": c.name, "title": c.section.title, "facts": c.facts} for c in chapters],
            "skipped": [{"name": s.name, "title": s.title, "error": s.error.as_dict()} for s in skipped]})
        return output.FINE
    report, again = {"en": ("Report", "Now ask yourself"), "zh": ("报告", "现在自己问问看")}[lang]
    output.say(f"{report}: {path}  ({time.perf_counter() - began:.0f} s)")
    if any("tumours.csv" in c.inputs for c in chapters):
        output.say(f"{again}: pellucid explain demo:tumours {path.parent / 'inputs' / 'tumours.csv'} --row 2")
    return output.FINE


def _lines(chapter: Chapter | Skipped, lang: str = "en") -> str:
    """A chapter in a few lines."""
    from pellucid.demo import Chapter
    from pellucid.views.writing import columns, wrap

    width = output.width()
    if not isinstance(chapter, Chapter):
        seen, _, do = chapter.error.told(lang)
        told = [f"已跳过：{seen}。", f"如需此章：{do}"] if lang == "zh" else [f"Skipped: {seen}.", f"To have it: {do}"]
        lines = [line for t in told
                 for line in textwrap.wrap(t, width - 2, break_on_hyphens=False, break_long_words=False)]
        return "\n  ".join([chapter.title, *lines]) + "\n\n"
    lines = [chapter.section.title]
    for paragraph in chapter.section.text.split("\n\n"):
        lines += ["  " + line for line in wrap(paragraph, width - 2, columns)]
    return "\n".join(lines) + "\n\n"
