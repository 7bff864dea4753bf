"""`pellucid look MODEL INPUT`: what did the network see, layer by layer?"""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import output, writing
from pellucid.cli.explain import Budget, Chunk, Column, Device, Input, Model, Row, Trust

Layers = Annotated[list[str] | None, typer.Option(
    "--layers", "-l", metavar="L", help="stages, attention, or a layer's name; give several. The stages if left out.")]
Rank = Annotated[str, typer.Option(
    metavar="BY", help="Which channels come first: activation, variance or attribution.")]
Target = Annotated[str | None, typer.Option(
    metavar="T", help="What attribution is for; the predicted class if left out.")]
Top = Annotated[int, typer.Option(metavar="N", min=1, help="Channels that are shown of each layer.")]


def look(
    model: Model,
    input: Input,
    layers: Layers = None,
    rank: Rank = "activation",
    target: Target = None,
    top: Top = 12,
    row: Row = None,
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
    """What did the network see, layer by layer?

    Feature maps, the figures of every layer, and attention, in one pass.
    """
    lang = output.language(lang)
    from pellucid.cli import inputs
    from pellucid.look import look as looked
    from pellucid.models.sources import load

    named = [name for one in layers or [] for part in one.split(",") if (name := part.strip())]
    places = [writing.check(path) for path in out or []]
    with output.progress("loading the model", no_progress, lang):
        subject = load(model, trust=trust, device=device)
    raw = inputs.read(subject, input, row=row, column=column)
    with output.progress("looking", no_progress, lang) as report:
        seen = looked(subject, raw, named or "stages", rank=rank, target=target, budget=budget, chunk=chunk,
                      progress=report)
    made = {"model": model, "inputs": seen.inputs, "layers": [
        {"name": s.name, "kind": s.kind, "shape": list(s.shape), "channels": list(s.order[:top]), **s.profile}
        for s in seen.values()], "findings": [
            {"code": f.code, "layer": f.layer, "channels": list(f.channels), "reason": f.reason, "do": f.do}
            for f in seen.findings], "attention": {
            name: {"heads": value.shape[-3], "queries": value.shape[-2], "keys": value.shape[-1],
                   "agrees": seen.agreed.get(name)} for name, value in seen.attention.items()}}
    for place in places:
        writing.write_drawn([seen], place, made, lang=lang, top=top)
    if json:
        output.say_json(made)
    elif not places:
        output.say(seen.text(lang=lang, width=output.width()))
    else:
        output.wrote(places, lang)
    return output.FINE
