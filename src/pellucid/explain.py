"""The verb: explain(model, x) and everything that is chosen, asked and said on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from pellucid import catalog, choose, fitness, judge
from pellucid.engine import memory
from pellucid.engine.probe import device_of
from pellucid.engine.run import run
from pellucid.engine.settings import Settings, Tally
from pellucid.engine.shadow import Versions, versions
from pellucid.models.module import wrap
from pellucid.models.subject import Example, Subject
from pellucid.numbers.estimate import Estimate
from pellucid.provenance import Provenance
from pellucid.words import target as targets
from pellucid.words.ask import together
from pellucid.words.case import Carrier, Case
from pellucid.words.errors import OptionError, PellucidError, TargetError
from pellucid.words.explanation import Evidence, Explanation, Finding, Recipe, Verdict
from pellucid.words.features import Features
from pellucid.words.method import Method
from pellucid.words.size import size
from pellucid.words.target import Class, Predicted, Target

Answer = Explanation | PellucidError


@dataclass(frozen=True, eq=False)
class _Plan:
    """One explanation to be made: an example, a method, and every choice."""

    subject: Subject
    example: Example
    method: Method
    options: dict[str, Any]
    why: dict[str, str]
    target: Target
    spec: Any
    layout: str | Tensor | Features | None
    baseline: Any
    seed: int
    ordinal: int
    reading: float


@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to read the input or to write the answer")
def explain(
    subject: Subject | nn.Module,
    x: Any,
    method: str | Method | list[str | Method] | None = None,
    *,
    target: Any = None,
    features: str | Tensor | Features | None = None,
    baseline: Any = None,
    seed: int = 0,
    budget: int | str | None = None,
    chunk: int | None = None,
    strict: bool = False,
    precision: str = "auto",
    profile: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Any:
    """Why did the model say that?

    `x` is one input (an image, a text, a row, a tensor with its batch axis first) or a list of inputs;
    one input gives an `Explanation`, several give a list in which an input that cannot be explained is
    its error. A list of methods gives a dictionary by method, whose questions share passes.

    Shared by all methods: `target` is what is explained: None for the predicted class, a class number,
    a label, a pair (A, B) for A rather than B, `"layer[unit]"` for a neuron, a function of the whole
    output with one score per row, or a list with one of these per input. `features` is what carries a
    value: a layout's name (`pixels`, `patches:8`, `superpixels`, `tokens`, `words`, `columns`) or a
    segmentation. `baseline` is what stands for "switched off": a name, a colour, a value, a list to
    average over, or `draws:20` to average over rows of a table's background. `seed` makes random draws
    repeatable. `budget` (bytes, or "2GB") bounds the memory of a pass, `chunk` its rows; `strict` makes
    results equal bit for bit whatever shares the passes; `profile` waits for a GPU after each pass, so that
    `evidence.time` is exact there too; `progress` is called with the rows answered and the rows asked
    for so far. `precision` says who may answer: `exact` the model's own layers, `auto` for large questions
    a copy that was proved to compute the same faster (and rounds differently), `fast` that copy always, in
    bfloat16 where that was found harmless. All others are options of the method.

    Raises a PellucidError for a single input; its code says what to mend.
    """
    subject = subject if isinstance(subject, Subject) else _wrapped(subject)
    many = subject.split(x)
    inputs = [x] if many is None else many
    names: list[str | Method | None] = list(method) if isinstance(method, list) else [method]
    if len({str(getattr(n, "name", n)) for n in names}) < len(names):
        raise OptionError("method.repeated", "a method that is named twice", "each method once",
                          "ask a second time to compare two settings of one method")
    if not inputs or not names:
        raise OptionError("input.empty", "nothing to explain", "at least one input and one method", "give one")
    wanted = _per_input(target, len(inputs), many is not None)
    room = None if budget is None else size(budget)
    settings = Settings(room, chunk, strict, progress, profile, precision)
    alone = many is None and not isinstance(method, list)
    examples: list[Any] = []
    reading: list[float] = []
    for raw in inputs:
        began = time.perf_counter()
        examples.append(_tried(subject.read, raw, alone))
        reading.append(time.perf_counter() - began)
    plans: list[_Plan | PellucidError] = []
    for name in names:
        for k, example in enumerate(examples):
            plans.append(example if isinstance(example, PellucidError) else _tried(
                lambda e, name=name, k=k: _planned(subject, e, name, wanted[k], features, baseline, seed, options, k,
                                               reading[k]),
                example, alone))
    answers = _carried_out(subject, plans, settings)
    if isinstance(method, list):
        keys = [p.method.name if isinstance(p, _Plan) else str(getattr(n, "name", n))
                for n, p in zip(names, plans[:: len(inputs)], strict=True)]
        cut = [answers[k * len(inputs) : (k + 1) * len(inputs)] for k in range(len(names))]
        return {key: a if many is not None else a[0] for key, a in zip(keys, cut, strict=True)}
    if many is not None:
        return answers
    if isinstance(answers[0], PellucidError):
        raise answers[0]
    return answers[0]


_FACTS = WeakIdKeyDictionary()
"""What was learnt about bare modules, for as long as they live."""


def _wrapped(module: nn.Module) -> Subject:
    subject = wrap(module)
    if subject.module not in _FACTS:
        _FACTS[subject.module] = subject.facts
    subject.facts = _FACTS[subject.module]
    return subject


def _tried(step: Callable[[Any], Any], given: Any, alone: bool) -> Any:
    """A step's result, or its error in its place where other inputs must not suffer."""
    try:
        return step(given)
    except PellucidError as error:
        if alone:
            raise
        return error


def _per_input(target: Any, count: int, many: bool) -> list[Any]:
    if not (many and isinstance(target, list)):
        return [target] * count
    if len(target) != count:
        raise TargetError("target.count", f"{len(target)} targets", f"{count}, one per input",
                          "give one target for all, or a list as long as the inputs")
    return list(target)


def _planned(subject: Subject, example: Example, name: str | Method | None, target: Any, features: Any, baseline: Any,
             seed: int, options: Mapping[str, Any], ordinal: int, reading: float) -> _Plan:
    """Settle every choice; whatever does not exist is said here, before a pass."""
    found = targets.read(target, subject.labels)
    given = catalog.find(name) if name is not None else None
    why: dict[str, str] = {}
    if given is None:
        chosen, why["method"] = choose.method_for(subject, example)
        given = catalog.find(chosen)
    if isinstance(baseline, str) and baseline.partition(":")[0] == "draws":
        baseline = _drawn(subject, baseline, seed)
    if isinstance(baseline, list) and not baseline:
        raise OptionError("baseline.empty", "an empty list of baselines", "at least one baseline",
                          "leave baseline out for the usual one")
    if isinstance(baseline, list):
        # A method that goes through several baselines itself takes them; any other is averaged over them.
        given = given if "baselines" in given.defaults else catalog.find(f"averaged({given.name})")
        options = {**options, "baselines": list[Any](baseline)}
        baseline = None
    settled, reasons = choose.settle(given, options, subject, example)
    return _Plan(subject, example, given, settled, {**why, **reasons}, found, target, features, baseline,
                 seed, ordinal, reading)


def _drawn(subject: Subject, spec: str, seed: int) -> list[str]:
    """The background rows that `draws:20` stands for; the recipe names each."""
    draws, number = getattr(subject.reader, "draws", None), spec.partition(":")[2] or "20"
    if draws is None or not number.isdigit() or int(number) < 1:
        raise OptionError("baseline.draws", repr(spec), "draws:K on a model with background rows",
                          "give a list of baselines to average over, or a whole number K from 1")
    return draws(int(number), seed)


def _carried_out(subject: Subject, plans: list[_Plan | PellucidError], settings: Settings) -> list[Answer]:
    """All conversations in one loop; each plan's explanation, or its error in its place."""
    good = [p for p in plans if isinstance(p, _Plan)]
    shared: Shared = {"device": device_of(subject.module, [])}
    results, tally = run(subject.module, [_explained(p, shared) for p in good], facts=subject.facts, settings=settings)
    pairs, now = iter(zip(good, results, tally.methods, strict=True)), versions(subject.module)
    answers: list[Answer] = []
    for plan in plans:
        if isinstance(plan, PellucidError):
            answers.append(plan)
            continue
        mine, result, seconds = next(pairs)
        answers.append(result if isinstance(result, PellucidError) else _told(
            mine, result, tally, settings, len(good), now, seconds))
    return answers


Shared = dict[Any, Any]
"""x, baselines and layouts by example: several methods hold the same objects, so that rows are shared.

`device` is where the model computes."""


@dataclass(frozen=True, eq=False)
class _Result:
    case: Case
    found: Estimate
    score: float
    baseline: float | None
    fit: tuple[Finding, ...] = ()


async def _explained(plan: _Plan, shared: Shared) -> _Result:
    """The conversation around a method's: read x and baseline, ask the scores, let the method speak."""
    case = await _case_of(plan, shared)
    case = plan.method.prepare(case, plan.options)
    fit = await fitness.examined(plan.method, case, plan.subject, plan.example)
    jobs: list[Any] = [plan.method.run(case, **plan.options), case.score(case.here)]
    over = [case.from_baseline(b) for b in case.alternatives] or [case]
    if plan.method.card.complete:
        jobs += [c.score(c.there) for c in over]
    found, here, *there = await together(*jobs)
    baseline = sum(float(t) for t in there) / len(there) if there else None
    return _Result(case, Estimate.of(found), float(here), baseline, fit)


async def _case_of(plan: _Plan, shared: Shared) -> Case:
    """The example as a case; values that only the model can say (a word's embedding) are asked for."""
    example, reader, coarse, mine = plan.example, plan.subject.reader, plan.method.card.coarse, id(plan.example)
    layout = shared.setdefault((mine, "layout", _name(reader.layout_of(plan.layout, coarse), plan.layout)),
                               reader.features(example, plan.layout, coarse))
    start = Case(example.carrier, torch.zeros(()), torch.zeros(()), layout, plan.target, example.site, plan.seed)
    x = example.x
    if x is None:
        x = (await start.own())[0]
    # Values are kept in at least float32, whatever the model computes in, and where it computes.
    dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    x = shared.setdefault((mine, "x"), x.to(shared["device"], dtype))
    values: list[Tensor] = []
    for spec in plan.options.get("baselines") or [plan.baseline]:
        value = reader.baseline(example, spec)
        if isinstance(value, Carrier):
            value = (await replace(start, reference=value).own(baseline=True))[0]
        # What is never switched off stays, whatever the baseline says of it.
        value = value.to(x).expand_as(x)
        if layout.fixed:
            value = torch.where(layout.movable(x.dim()).to(x.device), value, x)
        name = (mine, "baseline", _name(reader.baseline_of(spec), spec), id(layout))
        values.append(shared.setdefault(name, value))
    case = replace(start, origin=x, baseline=values[0])
    return replace(case, alternatives=tuple(values)) if plan.options.get("baselines") else case


def _name(written: Any, given: Any) -> Any:
    """A choice by name where it has one, by identity where it is a value."""
    return written if isinstance(written, str | int | float) else id(given)


def _told(plan: _Plan, result: _Result, tally: Tally, settings: Settings, sharing: int, now: Versions,
          seconds: float) -> Explanation:
    """The frozen record of what was found."""
    case, found = result.case, result.found
    target = tally.target_of(case)
    place, elements = found.place, None
    value = found.value.detach().cpu()
    if place is None:
        place = case.features
        if value.shape == case.origin.shape and plan.method.card.gives == "elements":
            elements, value = value, place.gather(value)
    elif value.shape != place.shape and value.dim() == len(place.index.shape):
        elements, value = value, place.gather(value)
    values = value.reshape(place.shape)
    error = judge.error_of(found, place, values)
    residual = None
    if result.baseline is not None:
        residual = float(values.double().sum()) - (result.score - result.baseline)
    evidence = Evidence(
        passes=tally.passes, forwards=tally.forwards, rows=tally.asked.get(case.carrier, 0), seconds=tally.seconds,
        peak_bytes=tally.peak, predicted_bytes=tally.predicted, memory=tally.foretold, chunk=tally.chunk,
        dtype=str(case.origin.dtype).removeprefix("torch."), device=str(case.origin.device),
        isolation=tally.isolation, strict=settings.strict, shared_by=sharing, prefix_once=tally.widened,
        padded=tally.padded, recomputed=tally.recomputed, rows_interact=tally.interact, retries=tally.retries,
        time={"reading": plan.reading, **tally.spent(case.carrier, seconds, sharing)}, joules=tally.joules,
        chosen=plan.why,
        precision="exact" if settings.exact else settings.precision, twin=tally.twin, agreement=dict(tally.agreement),
        untuned="; ".join(tally.untuned))
    verdict = judge.verdict(values, found, place, result.score, result.baseline, residual, evidence,
                            plan.options.get("tolerance"))
    return Explanation(
        values, place, plan.method.name, target.describe(plan.subject.labels), result.score, elements, error,
        result.baseline, residual, plan.subject.labels, {}, Verdict((*result.fit, *verdict.findings)), evidence,
        _recipe(plan, target, settings),
        Provenance(plan.subject, plan.seed, now), plan.method.card.paper, plan.method.summary, plan.example.shown,
        plan.ordinal, dict(found.details))


def _recipe(plan: _Plan, found: Target, settings: Settings) -> Recipe:
    """Every choice as a visible value."""
    reader, target = plan.subject.reader, plan.spec
    if isinstance(plan.target, Predicted) and isinstance(found, Class):
        target = found.index
    replayable = target is None or isinstance(target, int | str) or (
        isinstance(target, tuple | list) and all(isinstance(t, int | str) for t in target))
    card = plan.method.card
    choices: dict[str, Any] = {"method": plan.method.name, "target": target}
    if card.gives not in ("map", "units"):
        choices["features"] = reader.layout_of(plan.layout, card.coarse)
    if card.baseline and not plan.options.get("baselines"):
        choices["baseline"] = reader.baseline_of(plan.baseline)
    choices |= {"seed": plan.seed, "precision": settings.precision, "strict": settings.strict, **plan.options}
    try:
        json.dumps({k: v for k, v in choices.items() if k != "target"})
    except TypeError:
        replayable = False
    return Recipe(choices, replayable)
