"""`pellucid evaluate MODEL INPUT`: how far does an explanation say what the model does?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import flags, output, writing
from pellucid.cli.explain import (
    Baseline,
    Budget,
    Chunk,
    Column,
    Device,
    Features,
    Input,
    Layer,
    Methods,
    Model,
    Precision,
    Row,
    Seed,
    Strict,
    Target,
    Trust,
    bound,
    flat,
    in_language,
)

if TYPE_CHECKING:
    from pellucid.models.subject import Subject
    from pellucid.words.evaluation import Evaluation

Metrics = Annotated[list[str] | None, typer.Option(
    "--metric", metavar="NAME", help="What to measure, such as deletion or sensitivity_n; give several, or all. Some "
                                     "usual ones if left out.")]
Mask = Annotated[str | None, typer.Option(
    metavar="M", help="What should speak for the score: a picture, white inside; a .npy file; a box x0,y0,x1,y1; or "
                      "names of words or columns, with commas.")]
Controls = Annotated[int, typer.Option(
    metavar="N", min=0, help="Beside every metric: the same values at so many other places, which know nothing.")]


def evaluate(
    ctx: typer.Context,
    model: Model,
    input: Input,
    method: Methods = None,
    metric: Metrics = None,
    mask: Mask = None,
    controls: Controls = 20,
    target: Target = None,
    layer: Layer = None,
    features: Features = None,
    baseline: Baseline = None,
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
    """How far does an explanation say what the model does?

    Every option of a method or a metric is a flag as well, such as --samples 500; what both have is the method's.
    """
    lang = output.language(lang)
    from pellucid import catalog
    from pellucid.cli import inputs
    from pellucid.evaluate import USUAL
    from pellucid.evaluate import evaluate as evaluated
    from pellucid.explain import explain as explained
    from pellucid.models.sources import load
    from pellucid.words.errors import PellucidError
    from pellucid.words.size import size

    places = [writing.check(path) for path in out or []]
    methods = method or []
    asked: Any = "all" if metric == ["all"] else list(metric or USUAL)
    if mask is not None and not metric:
        asked += ["pointing_game", "relevance_mass", "relevance_rank", "mask_auc"]
    measures = list(catalog.metrics()) if asked == "all" else asked
    options = flags.read(ctx.meta.get(flags.KEY, {}), methods, measures)
    ours, theirs = split(options, methods, measures)
    if layer is not None:
        ours["layer"] = layer
    bytes_ = None if budget is None else size(budget)
    with output.progress("loading the model", no_progress, lang):
        subject = load(model, trust=trust, device=device)
    subject, wanted = in_language(subject, target, lang)
    raw = inputs.read(subject, input, row=row, column=column)
    writing.check_count(places, max(len(methods), 1) * (len(raw) if isinstance(raw, list) else 1))
    if mask is not None:
        theirs["mask"] = read_mask(mask, subject)
    chosen, ours, base = bound(methods, ours, baseline or [])
    with output.progress("explaining", no_progress, lang) as report:
        answers = explained(subject, raw, chosen, target=wanted, features=features, baseline=base, seed=seed,
                            budget=bytes_, chunk=chunk, strict=strict, precision=precision, progress=report, **ours)
    with output.progress("evaluating", no_progress, lang) as report:
        found = evaluated(answers, metrics=asked, controls=controls, seed=seed, budget=bytes_, chunk=chunk,
                          strict=strict, precision=precision, progress=report, **theirs)
    explanations = dict(flat(answers))
    results = list(flat(found))
    good = [(where, v) for where, v in results if not isinstance(v, PellucidError)]
    made = [{"of": where, "error": v.as_dict()} if isinstance(v, PellucidError) else as_dict(v)
            for where, v in results]
    told: Any = made[0] if len(made) == 1 else made
    for place in places if good else []:
        items = [i for where, v in good for i in ([explanations[where], v] if place.suffix in writing.PAGES else [v])]
        writing.write_drawn(items, place, told, lang=lang, title=f"{model} · {inputs.name_of(input)}")
    if json:
        output.say_json(told)
    elif places:
        output.wrote(places if good else [], lang)
    else:
        output.say("\n".join(v.text(lang=lang, width=output.width()) for _, v in good))
    wrong = [(where, v) for where, v in results if isinstance(v, PellucidError)]
    for where, error in wrong:
        output.complain(error, where, lang)
    if wrong:
        return max(output.code_of(error) for _, error in wrong)
    return output.FINDING if any(v.verdict.status == "fail" for _, v in good) else output.FINE


def split(options: dict[str, Any], methods: list[str], metrics: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the methods, and those that are the metrics'."""
    from pellucid import catalog

    ours = {name for m in methods for name in catalog.find(m).defaults}
    theirs = {name for m in metrics for name in catalog.find_metric(m).defaults}
    mine = {k: v for k, v in options.items() if k in ours or k not in theirs}
    return mine, {k: v for k, v in options.items() if k not in mine}


def read_mask(given: str, subject: Subject) -> Any:
    """A mask as the metrics take it; a picture is cut and made smaller as the model's inputs are."""
    from pathlib import Path

    import numpy as np

    parts = [p.strip() for p in given.split(",")]
    if len(parts) == 4 and all(p.isascii() and p.isdigit() for p in parts):
        return tuple(int(p) for p in parts)
    if given.lower().endswith(".npy"):
        from pellucid.cli.inputs import tensor

        return tensor(given)
    if subject.task == "image" and Path(given).suffix:
        from pellucid.models.image_file import read_picture
        from pellucid.models.local_file import check_file

        image, _ = read_picture(str(check_file(given)))
        cut = getattr(getattr(subject.reader, "preprocess", None), "cut", None)
        pixels = np.asarray(image if cut is None else cut(image))
        return pixels.reshape(*pixels.shape[:2], -1).mean(-1) > 127
    return parts


def as_dict(v: Evaluation) -> dict[str, Any]:
    """Everything an evaluation knows, for machines."""
    return {
        "verdict": {"status": v.verdict.status, "findings": [vars(f) for f in v.verdict.findings]},
        "method": v.method, "target": v.target, "model": v.model,
        "metrics": {m.name: {
            "value": m.value, "error": m.error, "interval": m.interval, "level": m.level, "better": m.better,
            "kind": m.kind, "controls": list(m.controls), "p": m.p, "curve": [list(p) for p in m.curve],
            "axes": list(m.axes), "options": dict(m.options), "details": dict(m.details), "paper": m.paper,
        } for m in v.values()},
        "unfit": {name: vars(f) for name, f in v.unfit.items()}, "evidence": vars(v.evidence),
    }
