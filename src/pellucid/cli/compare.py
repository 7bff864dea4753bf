"""`pellucid compare MODEL INPUT`: where do explanations agree, and what is each worth?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import flags, output, writing
from pellucid.cli.evaluate import Controls, Metrics, as_dict
from pellucid.cli.explain import (
    Budget,
    Chunk,
    Column,
    Device,
    Features,
    Input,
    Layer,
    Model,
    Precision,
    Row,
    Seed,
    Strict,
    Target,
    Trust,
    in_language,
)

if TYPE_CHECKING:
    from pellucid.models.subject import Subject
    from pellucid.words.comparison import Comparison

Methods = Annotated[list[str] | None, typer.Option(
    "--method", "-m", metavar="NAME", help="What to compare; give several. Some that differ in kind if left out.")]
Baselines = Annotated[list[str] | None, typer.Option(
    "--baseline", metavar="B", help="One for all methods; or several, or 'usual', to compare one method with itself "
                                    "from each: mean, black, blur, noise, data:FILE, mask, zero, data:0, …")]


def compare(
    ctx: typer.Context,
    model: Model,
    input: Input,
    method: Methods = None,
    metric: Metrics = None,
    baseline: Baselines = None,
    controls: Controls = 20,
    target: Target = None,
    layer: Layer = None,
    features: Features = None,
    seed: Seed = 0,
    row: Row = None,
    column: Column = None,
    out: writing.Out = None,
    json: output.Json = False,
    lang: output.Lang = "en",
    trust: Trust = False,
    device: Device = None,
    budget: Budget = None,
    chunk: Chunk = None,
    strict: Strict = False,
    precision: Precision = "auto",
    no_progress: output.Quiet = False,
) -> int:
    """Where do explanations agree and contradict, and what is each worth?

    Every option of a method or a metric is a flag as well; each goes to those that have it.
    """
    lang = output.language(lang)
    from pellucid.cli import inputs
    from pellucid.compare import METRICS
    from pellucid.compare import compare as compared
    from pellucid.models.sources import load
    from pellucid.words.size import size

    places = [writing.check(path) for path in out or []]
    methods, asked = method or [], "all" if metric == ["all"] else list(metric or METRICS)
    options = flags.read(ctx.meta.get(flags.KEY, {}), methods, [] if asked == "all" else list(asked))
    if layer is not None:
        options["layer"] = layer
    bytes_ = None if budget is None else size(budget)
    with output.progress("loading the model", no_progress, lang):
        subject = load(model, trust=trust, device=device)
    subject, wanted = in_language(subject, target, lang)
    raw = inputs.read(subject, input, row=row, column=column)
    one, several = read_baselines(baseline or [], subject)
    with output.progress("comparing", no_progress, lang) as report:
        found = compared(subject, raw, methods or None, baselines=several, metrics=asked, target=wanted,
                         features=features, baseline=one, controls=controls, seed=seed, budget=bytes_, chunk=chunk,
                         strict=strict, precision=precision, progress=report, **options)
    made = told(found)
    for place in places:
        items = [found, *found.explanations.values()] if place.suffix in writing.PAGES else [found]
        writing.write_drawn(items, place, made, lang=lang, title=f"{model} · {inputs.name_of(input)}")
    if json:
        output.say_json(made)
    elif places:
        output.wrote(places, lang)
    else:
        output.say(found.text(lang=lang, width=output.width()))
    for name, error in found.errors.items():
        output.complain(error, name, lang)
    return output.FINDING if found.verdict.status == "fail" else output.FINE


def read_baselines(given: list[str], subject: Subject) -> tuple[Any, Any]:
    """The baseline that all share, and those to compare; another picture is read from its file."""
    if given == ["usual"]:
        return None, "usual"
    values = {name: _value(name, subject) for name in given}
    if len(given) > 1:
        return None, values
    return next(iter(values.values()), None), None


def _value(name: str, subject: Subject) -> Any:
    kind, _, file = name.partition(":")
    if subject.task != "image" or kind != "data":
        return name
    from pellucid.models.local_file import check_file

    return subject.read(str(check_file(file))).x


def told(c: Comparison) -> dict[str, Any]:
    """Everything a comparison knows, for machines."""
    return {
        "verdict": {"status": c.verdict.status, "findings": [vars(f) for f in c.verdict.findings]},
        "target": c.target, "score": c.score, "model": c.model, "names": list(c), "features": list(c.names),
        "layout": c.layout.name, "k": c.k,
        "values": {name: v.tolist() for name, v in c.laid.items()},
        "agreement": {what: m.tolist() for what, m in c.agreement.items()},
        "consensus": None if c.consensus is None else c.consensus.tolist(),
        "spread": None if c.spread is None else c.spread.tolist(),
        "average": None if c.average is None else c.average.tolist(),
        "contradictions": [{"at": f.at, "name": f.name, "above": list(f.above), "below": list(f.below),
                            "size": f.size} for f in c.contradictions],
        "evaluations": {name: as_dict(v) for name, v in c.evaluations.items()},
        "cost": {name: vars(v) for name, v in c.cost.items()}, "baselines": dict(c.baselines),
        "errors": {name: e.as_dict() for name, e in c.errors.items()}, "evidence": vars(c.evidence),
    }
