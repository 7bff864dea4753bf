"""`pellucid activity MODEL INPUTS`: which parts of the model do nothing, twice the same, or too much?"""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import output, writing
from pellucid.cli.data import Inputs
from pellucid.cli.explain import Budget, Chunk, Column, Device, Model, Trust

Layers = Annotated[list[str] | None, typer.Option(
    "--layers", "-l", metavar="L", help="stages, activations, or a layer's name; give several. Both if left out.")]


def activity(
    model: Model,
    inputs: Inputs,
    layers: Layers = None,
    column: Column = None,
    out: writing.Out = None,
    json: output.Json = False,
    lang: output.Lang = "en",
    trust: Trust = False,
    device: Device = None,
    budget: Budget = None,
    chunk: Chunk = None,
    no_progress: output.Quiet = False,
) -> int:
    """Which parts of the model do nothing, twice the same, or too much?

    Dead, double and saturated channels, missing normalisation and lost detail; exit code 1 where something was found.
    """
    lang = output.language(lang)
    from pellucid.activity import activity as watched
    from pellucid.cli.data import several
    from pellucid.models.sources import load

    named = [name for one in layers or [] for part in one.split(",") if (name := part.strip())]
    places = [writing.check(path) for path in out or []]
    with output.progress("loading the model", no_progress, lang):
        subject = load(model, trust=trust, device=device)
    some, _ = several(subject, inputs, column=column)
    with output.progress("watching the channels", no_progress, lang) as report:
        found = watched(subject, some, named or ("stages", "activations"), budget=budget, chunk=chunk,
                        progress=report)
    made = {"model": model, "inputs": found.inputs, "findings": [
        {"code": f.code, "layer": f.layer, "channels": list(f.channels), "reason": f.reason, "do": f.do}
        for f in found.findings], "layers": [
            {"name": c.name, "channels": c.count, "dead": list(c.dead), "nearly_dead": list(c.nearly),
             "always_on": list(c.always), "duplicated": [list(g) for g in c.duplicated],
             "not_finite": list(c.not_finite),
             "saturated": list(c.saturated), "unseen": c.unseen, "p": c.p, "scale": c.scale, "fine": c.fine}
            for c in found.values()]}
    for place in places:
        writing.write_drawn([found], place, made, lang=lang)
    if json:
        output.say_json(made)
    elif not places:
        output.say(found.text(lang=lang, width=output.width()))
    else:
        output.wrote(places, lang)
    return output.FINDING if found.findings else output.FINE
