"""`pellucid watch`: a training that was watched, or is watched at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import output, writing

if TYPE_CHECKING:
    from pellucid.words.watch import Training


def watch(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A folder that pellucid.watch() wrote or is writing.")],
    out: writing.Out = None,
    json: output.Json = False,
    lang: output.Lang = "en",
) -> int:
    """Show a training that was watched: what died, vanished, exploded or moved, and when."""
    lang = output.language(lang)
    from pellucid.views.training import title
    from pellucid.words.watch import Training

    places = [writing.check(path) for path in out or []]
    found = Training.open(run)
    made = as_dict(found)
    if json:
        output.say_json(made)
    elif not places:
        output.say(found.text(lang=lang, width=output.width()))
    for place in places:
        writing.write_drawn([found], place, made, lang=lang, title=title(found, lang))
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
