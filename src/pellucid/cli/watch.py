"""`pellucid watch`: a training that was watched, or is watched at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import output

if TYPE_CHECKING:
    from pellucid.words.watch import Training

ENDINGS = (".html", ".pdf", ".svg", ".txt", ".json")


def watch(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A folder that pellucid.watch() wrote or is writing.")],
    out: Annotated[list[str] | None, typer.Option("--out", "-o", metavar="FILE",
                   help="Write .html, .pdf, .svg, .txt or .json instead of printing.")] = None,
    json: output.Json = False,
    lang: output.Lang = "en",
) -> int:
    """Show a training that was watched: what died, vanished, exploded or moved, and when."""
    lang = output.language(lang)
    from pellucid.cli import writing
    from pellucid.words.watch import Training

    places = [writing.check(path, ENDINGS) for path in out or []]
    found = Training.open(run)
    if json:
        output.say_json(as_dict(found))
    elif not places:
        output.say(found.text(lang=lang, width=output.width()))
    for place in places:
        _write(found, place, lang)
        if not json:
            output.wrote([place], lang)
    return output.FINDING if found.verdict.status == "fail" else output.FINE


def as_dict(found: Training) -> dict[str, Any]:
    """A training for machines: what happened, and every number of every look."""
    return {
        "run": vars(found.run), "verdict": found.verdict.status, "notes": list(found.notes),
        "events": [{"code": e.code, "level": e.level, "step": e.step, "layer": e.layer, "reason": e.reason, "do": e.do}
                   for e in found.events],
        "looks": [{"step": r.step, "seconds": r.seconds, "trained": r.trained, "notes": list(r.notes), **r.scalars()}
                  for r in found.records],
    }


def _write(found: Training, place: Any, lang: str) -> None:
    from pellucid.report.page import report
    from pellucid.store import atomic

    kind = place.suffix.lower()
    if kind in (".html", ".pdf"):
        from pellucid.views.training import title

        report([found], place, title=title(found, lang), lang=lang)
    else:
        made = (found.svg(lang=lang) if kind == ".svg" else found.text(lang=lang) if kind == ".txt"
                else output.as_text(as_dict(found)) + "\n")
        atomic.write(place, made.encode())
