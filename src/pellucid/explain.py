"""The verb: explain(model, x) and everything that is chosen, asked and said on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from pellucid import catalog, checks, fitness, judge, laying
from pellucid.engine import interrupt, memory
from pellucid.engine.probe import device_of
from pellucid.engine.run import run
from pellucid.engine.settings import Settings, Tally
from pellucid.engine.shadow import Versions, versions
from pellucid.models.module import wrap
from pellucid.models.subject import Subject
from pellucid.numbers.estimate import Estimate
from pellucid.plan import Plan, Shared, case_of, planned, recipe
from pellucid.provenance import Provenance
from pellucid.reasons import Found
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import InputError, OptionError, PellucidError, TargetError
from pellucid.words.explanation import Evidence, Explanation, Finding, Verdict
from pellucid.words.features import Features
from pellucid.words.method import Method
from pellucid.words.size import size

Answer = Explanation | PellucidError


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to read the input or to write the answer")
def explain(
    subject: Subject | nn.Module,
    x: Any,
    method: Any = None,
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
    its error. `method` is a name (`saliency`, `smooth(grad_cam)`, `captum:DeepLift`), a `Method`, a coroutine
    over a case, a class of captum's or an object of one that was made for this model; a list of them gives a
    dictionary by method, whose questions share passes.

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
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    many = subject.split(x)
    inputs = [x] if many is None else many
    names: list[str | Method | None] = [
        n if n is None or isinstance(n, str) else catalog.find(n, subject.module)
        for n in (method if isinstance(method, list) else [method])]
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
    plans: list[Plan | PellucidError] = []
    for name in names:
        for k, example in enumerate(examples):
            plans.append(example if isinstance(example, PellucidError) else _tried(
                lambda e, name=name, k=k: planned(subject, e, name, wanted[k], features, baseline, seed, options, k,
                                               reading[k]),
                example, alone))
    answers = _carried_out(subject, plans, settings)
    if isinstance(method, list):
        keys = [p.method.name if isinstance(p, Plan) else str(getattr(n, "name", n))
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


def wrapped(module: nn.Module) -> Subject:
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


def _carried_out(subject: Subject, plans: list[Plan | PellucidError], settings: Settings) -> list[Answer]:
    """All conversations in one loop; each plan's explanation, or its error in its place."""
    good = [p for p in plans if isinstance(p, Plan)]
    shared: Shared = {"device": device_of(subject.module, [])}
    half = checks.half_of(subject.module)
    results, tally = run(subject.module, [explained(p, shared, half) for p in good], facts=subject.facts,
                         settings=settings)
    pairs, now = iter(zip(good, results, tally.methods, strict=True)), versions(subject.module)
    answers: list[Answer] = []
    for plan in plans:
        if isinstance(plan, PellucidError):
            answers.append(plan)
            continue
        mine, result, seconds = next(pairs)
        answers.append(result if isinstance(result, PellucidError) else record(
            mine, result, tally, settings, len(good), now, seconds))
    return answers


@dataclass(frozen=True, eq=False)
class Result:
    case: Case
    found: Estimate
    score: float
    baseline: float | None
    fit: tuple[Finding, ...] = ()
    sure: float | None = None
    vanished: bool = False
    half: str = ""
    rounding: judge.Rounding | None = None


async def explained(plan: Plan, shared: Shared, half: str) -> Result:
    """The conversation around a method's: read x and baseline, ask the scores, let the method speak."""
    case, method = await case_of(plan, shared), plan.method
    case = method.prepare(case, plan.options)
    fit = await fitness.examined(method, case, plan.subject, plan.example)
    jobs: list[Any] = [method.run(case, **plan.options), case.score(case.here)]
    over = [case.from_baseline(b) for b in case.alternatives] or [case]
    if method.card.complete:
        jobs += [checks.sureness(case), *(c.score(c.there) for c in over)]
    try:
        answer, here, *more = await together(*jobs)
    except InputError as error:
        raise (await checks.placed(error, case) if error.code == "output.not_finite" else error) from error.__cause__
    found, sure, there = Estimate.of(answer), more[0] if more else None, more[1:]
    await checks.finite(case, method, found)
    gone = await checks.vanished(case, method, found, float(here))
    rounding = await checks.rounding(case, method, half) if half else None
    baseline = judge.measured_from(found, sum(float(t) for t in there) / len(there) if there else None)
    return Result(case, found, float(here), baseline, fit, sure, gone, half, rounding)


def record(plan: Plan, result: Result, tally: Tally, settings: Settings, sharing: int, now: Versions,
          seconds: float) -> Explanation:
    """The frozen record of what was found."""
    case, found, card = result.case, result.found, plan.method.card
    target = tally.target_of(case)
    values, place, elements = laying.found(found, case, plan.method)
    rounding = result.rounding if result.half else judge.Rounding()
    if not result.half and "bfloat16" in (tally.twin or ""):
        rounding = checks.rounded(tally.agreement, card.asks)
    parts = judge.errors_of(found, place, values, rounding, card.asks)
    error = judge.combined(parts, values)
    residual = None
    if result.baseline is not None:
        residual = float(values.double().sum()) - (result.score - result.baseline)
    told = f"{result.half}: could not be compared with float32" if rounding is None else rounding.told
    evidence = Evidence(
        passes=tally.passes, forwards=tally.forwards, rows=tally.asked.get(case.carrier, 0), seconds=tally.seconds,
        peak_bytes=tally.peak, predicted_bytes=tally.predicted, memory=tally.foretold, chunk=tally.chunk,
        dtype=str(case.origin.dtype).removeprefix("torch."), device=str(case.origin.device),
        isolation=tally.isolation, strict=settings.strict, shared_by=sharing, prefix_once=tally.widened,
        padded=tally.padded, recomputed=tally.recomputed, rows_interact=tally.interact, retries=tally.retries,
        time={"reading": plan.reading, **tally.spent(case.carrier, seconds, sharing)}, joules=tally.joules,
        chosen=plan.why,
        precision="exact" if settings.exact else settings.precision, twin=tally.twin, agreement=dict(tally.agreement),
        untuned="; ".join(tally.untuned), format=told)
    steps, means = plan.options.get("steps"), means_of(plan)
    verdict = judge.verdict(Found(
        values, found, place, result.score, result.baseline, residual, evidence, plan.options.get("tolerance"),
        steps if isinstance(steps, int) else None, means, parts, error,
        off=0.0 if rounding is None else rounding.absolute,
        probable=not tally.probable.isdisjoint((case.target.key, target.key)),
        sure=result.sure, vanished=result.vanished, chosen=getattr(target, "among", 0) > 1,
        strange=checks.strange(case, plan.subject) if card.baseline else ()))
    return Explanation(
        values, place, plan.method.name, target.describe(plan.subject.labels), result.score, elements, error,
        result.baseline, residual, plan.subject.labels, {}, Verdict((*result.fit, *verdict.findings)), evidence,
        recipe(plan, target, settings),
        Provenance(plan.subject, plan.seed, now, case.carrier.inputs), card.paper, plan.method.summary,
        plan.example.shown, plan.ordinal, dict(found.details), means, plan.kept(tally, case.carrier), parts or {})


def means_of(plan: Plan) -> str:
    """What a value says, where options may change it: without its sign, or as a variance, it is no effect any more."""
    if plan.options.get("absolute") is True:
        return "reaction"
    varied = plan.options.get("statistic", "mean") != "mean"
    return "strength" if varied else plan.method.card.means
