"""`pellucid concepts MODEL INPUT`: which concepts move a score more than random ones would?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.cli import data, output, writing
from pellucid.cli.explain import Budget, Chunk, Device, Model, Trust
from pellucid.words.errors import OptionError

Inputs = Annotated[str, typer.Argument(
    metavar="INPUTS", help="What the score is asked of: a folder of pictures, a .txt file with a text on each line, "
                           "or a CSV file.")]
Concept = Annotated[list[str] | None, typer.Option(
    "--concept", "-c", metavar="NAME=WHERE",
    help="A concept's examples, given like INPUTS, or for tables a condition on the counters: NAME=column:low..high or "
         "NAME=column:value.")]
Counters = Annotated[str | None, typer.Option(
    metavar="WHERE",
    help="Inputs as the model usually gets them, given like INPUTS; a table's background if left out.")]
Layers = Annotated[list[str] | None, typer.Option(
    "--layer", "-l", metavar="L", help="A layer's name, or stages; give several. One is chosen if left out.")]
Target = Annotated[str | None, typer.Option(metavar="T", help="The class or label; the predicted one if left out.")]
Over = Annotated[str, typer.Option(metavar="O", help="units, channels, or auto.")]
Sets = Annotated[int, typer.Option(metavar="N", min=2, help="Random counter-sets.")]
Permutations = Annotated[int, typer.Option(metavar="N", min=19, help="Random concepts that the test compares with.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Makes random draws repeatable.")]


def concepts(
    model: Model,
    inputs: Inputs,
    concept: Concept = None,
    counters: Counters = None,
    layer: Layers = None,
    target: Target = None,
    over: Over = "auto",
    sets: Sets = 10,
    permutations: Permutations = 499,
    seed: Seed = 0,
    out: writing.Out = None,
    json: output.Json = False,
    lang: output.Lang = "en",
    trust: Trust = False,
    device: Device = None,
    budget: Budget = None,
    chunk: Chunk = None,
    no_progress: output.Quiet = False,
) -> int:
    """Which concepts move a score more than random ones would?

    TCAV with a test against random concepts, and control of false discoveries over all concepts and layers.
    """
    lang = output.language(lang)
    from pellucid.concepts import tcav
    from pellucid.models.sources import load
    from pellucid.words.method import AUTO

    places = [writing.check(path) for path in out or []]
    named = dict(_named(text) for text in concept or [])
    with output.progress("loading the model", no_progress, lang):
        subject = load(model, trust=trust, device=device)
    given = {name: _examples(subject, where) for name, where in named.items()}
    against = None if counters is None else _examples(subject, counters)
    with output.progress("asking the layers", no_progress, lang) as report:
        found = tcav(subject, _examples(subject, inputs), given, against, layer=layer or AUTO, target=target,
                     over=AUTO if over == "auto" else over, sets=sets, permutations=permutations, seed=seed,
                     budget=budget, chunk=chunk, progress=report)
    made = {"model": model, "target": found.target, "inputs": found.inputs, "concepts": [
        {"concept": t.concept, "layer": t.layer, "examples": t.examples, "score": t.score, "slope": t.slope, "p": t.p,
         "score_p": t.score_p, "slope_p": t.slope_p, "accuracy": t.accuracy, "accuracy_p": t.accuracy_p,
         "stability": t.stability, "significant": t.significant, "findings": [f.code for f in t.findings]}
        for t in found.values()]}
    for place in places:
        writing.write_drawn([found], place, made, lang=lang)
    if json:
        output.say_json(made)
    elif not places:
        output.say(found.text(lang=lang, width=output.width()))
    else:
        output.wrote(places, lang)
    return output.FINE


def _named(text: str) -> tuple[str, str]:
    name, equals, where = text.partition("=")
    if not (equals and name and where):
        raise OptionError("option.value", f"--concept {text!r}", "NAME=WHERE", "write for example -c stripes=stripes/")
    return name, where


def _examples(subject: Any, where: str) -> Any:
    """What stands behind INPUTS, or for tables a condition on the counters."""
    column, colon, wanted = where.partition(":")
    if subject.task == "table" and colon and not Path(where).exists():
        low, dots, high = wanted.partition("..")
        return {column: (_end(low), _end(high)) if dots else wanted}
    return data.several(subject, where)[0]


def _end(text: str) -> float | None:
    try:
        return float(text) if text.strip() else None
    except ValueError:
        raise OptionError("option.value", repr(text), "a number, or nothing", "write for example age:60..") from None
