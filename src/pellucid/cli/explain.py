"""`pellucid explain MODEL INPUT`: why did the model say that?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import flags, output, writing
from pellucid.languages.sentences import translated

if TYPE_CHECKING:
    from pellucid.models.subject import Subject



def _choice(metavar: str, help: str, *names: str) -> Any:
    """A flag for what is chosen, and named in the answer, if it is left out."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel="Choices (made and named if left out)")


def _running(help: str, *names: str, **more: Any) -> Any:
    """A flag for how the run goes; the answer does not depend on it."""
    return typer.Option(*names, help=help, rich_help_panel="Running", **more)


Model = Annotated[str, typer.Argument(
    metavar="MODEL",
    help="demo:NAME, torchvision:NAME, timm:NAME, hf:PATH_OR_ID, file:FILE.pt2 or python:module:function.")]
Input = Annotated[str, typer.Argument(
    metavar="INPUT", help="A picture, .txt, .csv or .npy file, the text itself, or - for standard input.")]
Methods = Annotated[list[str] | None, _choice(
    "NAME", "How to explain, such as grad_cam or 'smooth(saliency)'; give several to compare.", "--method", "-m")]
Target = Annotated[str | None, _choice(
    "T", "A class number, a label, 'A - B', 'layer\\[unit]', 'region:x0,y0,x1,y1:A' or 'box:x0,y0,x1,y1:A'; "
         "the predicted class if left out.")]
Layer = Annotated[str | None, _choice("L", "The layer of methods that look at one; several as a,b for maps.")]
Features = Annotated[str | None, _choice(
    "F", "What carries a value: pixels, patches:8, superpixels, tokens, words, columns.")]
Baseline = Annotated[list[str] | None, _choice(
    "B", "What 'switched off' means: mean, blur, black, mask, zero, data:0, …; several are averaged.")]
Seed = Annotated[int, _choice("N", "Makes random draws repeatable.")]
Row = Annotated[int | None, typer.Option(metavar="N", help="Only this row of a CSV file, counted from 1.")]
Column = Annotated[str | None, typer.Option(metavar="NAME", help="The column of a CSV file that holds the text.")]
Keep = Annotated[bool, typer.Option("--keep-input", help="Store the input itself in the .pellucid file.")]
Trust = Annotated[bool, _running(
    "Load files that can run commands of their author (.pt2, pickled weights).", "--trust")]
Device = Annotated[str | None, _running("cpu, cuda, cuda:1, mps, …", metavar="D")]
Budget = Annotated[str | None, _running("Memory of a pass, such as 2GB.", metavar="SIZE")]
Chunk = Annotated[int | None, _running("Rows in a pass.", metavar="N", min=1)]
Profile = Annotated[bool, _running("Say where the time went, and the energy where the machine tells.", "--profile")]
Strict = Annotated[bool, _running("Results equal bit for bit, whatever shares the passes.", "--strict")]
Precision = Annotated[str, _running(
    "exact: the model's own layers; auto: large questions by a copy proved to compute the same, rounded differently; "
    "fast: always, and in bfloat16 where that was found harmless.", metavar="P")]


def explain(
    ctx: typer.Context,
    model: Model,
    input: Input,
    method: Methods = None,
    target: Target = None,
    layer: Layer = None,
    features: Features = None,
    baseline: Baseline = None,
    seed: Seed = 0,
    row: Row = None,
    column: Column = None,
    out: writing.OutStored = None,
    keep_input: Keep = False,
    json: output.Json = False,
    lang: output.Lang = "en",
    trust: Trust = False,
    device: Device = None,
    budget: Budget = None,
    chunk: Chunk = None,
    strict: Strict = False,
    precision: Precision = "auto",
    profile: Profile = False,
    no_progress: output.Quiet = False,
) -> int:
    """Why did the model say that?

    Every option of a method is a flag as well, such as --steps 64 or --samples 500: see pellucid methods.
    """
    lang = output.language(lang)
    from pellucid.cli import inputs
    from pellucid.words.size import size

    places = [writing.check(path, writing.STORED) for path in out or []]
    methods = method or []
    options = flags.read(ctx.meta.get(flags.KEY, {}), methods)
    flags.known(methods)  # an unknown method is said before a model is loaded
    bytes_ = None if budget is None else size(budget)
    if layer is not None:
        options["layer"] = layer
    from pellucid.explain import explain as explained
    from pellucid.models.sources import load

    with output.progress("loading the model", no_progress, lang):
        subject = load(model, trust=trust, device=device)
    subject, wanted = in_language(subject, target, lang)
    raw = inputs.read(subject, input, row=row, column=column)
    writing.check_count(places, max(len(methods), 1) * (len(raw) if isinstance(raw, list) else 1))
    chosen, options, base = bound(methods, options, baseline or [])
    with output.progress("explaining", no_progress, lang) as report:
        answers = explained(subject, raw, chosen, target=wanted, features=features, baseline=base, seed=seed,
                            budget=bytes_, chunk=chunk, strict=strict, precision=precision, profile=profile,
                            progress=report, **options)
    title = f"{model} · {inputs.name_of(input)}"
    return told(answers, places, json=json, lang=lang, keep_input=keep_input, title=title, profile=profile)


def told(answers: Any, places: Sequence[Any], *, json: bool, lang: str, keep_input: bool, title: str,
         profile: bool = False) -> int:
    """Print and write what was found; the answer is the exit code."""
    from pellucid.words.errors import PellucidError

    found = flat(answers, "en" if json else lang)
    good = [e for _, e in found if not isinstance(e, PellucidError)]
    if json:
        made = [{"of": where, "error": e.as_dict()} if isinstance(e, PellucidError) else output.as_dict(e)
                for where, e in found]
        output.say_json(made[0] if len(made) == 1 else made)
    elif not places:
        drawn = [(where, e.text(lang=lang, width=output.width())) for where, e in found
                 if not isinstance(e, PellucidError)]
        output.say("\n".join(_heading(where) + text if len(found) > 1 else text for where, text in drawn))
    for place in places if good else []:
        writing.write(good, place, lang=lang, title=title, keep_input=keep_input)
        if not json:
            output.wrote([place], lang)
    if profile and not json:
        from pellucid.views import cost

        for where, e in found:
            if not isinstance(e, PellucidError):
                output.say("\n" + (_heading(where) if len(found) > 1 else "") + cost.text(e, lang))
    wrong = [(where, e) for where, e in found if isinstance(e, PellucidError)]
    same = len({str(e) for _, e in wrong}) == 1 and not good
    for where, error in wrong[:1] if same else wrong:
        output.complain(error, "" if same else where, lang)
    if wrong:
        return max(output.code_of(e) for _, e in wrong)
    return output.FINDING if any(e.verdict.status == "fail" for e in good) else output.FINE


def bound(methods: list[str], options: dict[str, Any], baselines: list[str]) -> tuple[Any, dict[str, Any], Any]:
    """Methods, options and baseline for `explain`: of several methods, each takes the options that it has."""
    base: Any = baselines[0] if len(baselines) == 1 else list(baselines) or None
    if len(methods) < 2:
        _layer_fits(methods, options)
        return (methods[0] if methods else None), options, base
    from dataclasses import replace

    from pellucid import catalog

    made: list[Any] = []
    for name in methods:
        found = catalog.find(name)
        found = replace(found, defaults={**found.defaults, **{k: v for k, v in options.items() if k in found.defaults}})
        if isinstance(base, list):
            found = catalog.compositions()["averaged"](found)
            found = replace(found, defaults={**found.defaults, "baselines": base})
        made.append(found)
    if "layer" in options and all("layer" not in m.defaults for m in made):
        _layer_fits(methods, options)
    return made, {}, None if isinstance(base, list) else base


def _layer_fits(methods: list[str], options: dict[str, Any]) -> None:
    """A layer for a method that has none can be had: say how."""
    from pellucid import catalog
    from pellucid.words.errors import OptionError

    if "layer" in options and methods and "layer" not in catalog.find(methods[0]).defaults:
        raise OptionError("option.unknown", f"option 'layer' for {methods[0]}", "a method that looks at a layer",
                          f"write --method 'inside({methods[0]})' to explain at that layer, or --method grad_cam")


def in_language(subject: Subject, target: str | None, lang: str) -> tuple[Subject, str | None]:
    """The subject with its labels in the language, and the target that was written with either label."""
    from dataclasses import replace

    theirs = subject.spelled((lang,))
    if theirs is subject.labels or len(theirs) != len(subject.labels):
        return subject, target
    pairs = dict(zip(subject.labels, theirs, strict=True))
    if target is not None:
        target = " - ".join(_with_label(part.strip(), pairs) for part in target.split(" - "))
    return replace(subject, labels=theirs), target


def _with_label(part: str, pairs: dict[str, str]) -> str:
    """A class, or what ends with one (`region:…:A`), with its label in the language asked for."""
    where, colon, label = part.rpartition(":")
    name, at, how = label.partition("@")
    return pairs.get(part) or (f"{where}{colon}{pairs[name]}{at}{how}" if colon and name in pairs else part)


def flat(answers: Any, lang: str = "en") -> list[tuple[str, Any]]:
    """Every answer with the method and row that it is for."""
    by_method = answers if isinstance(answers, dict) else {"": answers}
    found: list[tuple[str, Any]] = []
    for name, answer in by_method.items():
        rows = answer if isinstance(answer, list) else [answer]
        for i, e in enumerate(rows):
            row = translated("shell", f"row {i + 1}", lang) if isinstance(answer, list) else ""
            found.append((", ".join(filter(None, (str(name), row))), e))
    return found


def _heading(where: str) -> str:
    return f"── {where} " + "─" * max(output.width() - len(where) - 4, 2) + "\n"
