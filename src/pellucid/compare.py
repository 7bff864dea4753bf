"""The verb: compare(model, x, methods), where explanations agree or contradict, what each is worth and costs."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid import catalog, checks, judge, laying
from pellucid.choices.places import usual
from pellucid.differences import Found, baseline_reasons, contradictions, method_reasons
from pellucid.engine import interrupt, memory
from pellucid.engine.probe import device_of
from pellucid.engine.run import run
from pellucid.engine.settings import Settings, Tally
from pellucid.engine.shadow import versions
from pellucid.evaluate import bound, named, settled, told
from pellucid.explain import Result, explained, means_of, record, wrapped
from pellucid.judging import CONTROLS, REPLICATES, Judge, Judged, asking, judged
from pellucid.models.subject import Example, Subject
from pellucid.numbers import agreement
from pellucid.plan import Plan, Shared, case_of, planned
from pellucid.words.ask import Ask, together
from pellucid.words.case import Case
from pellucid.words.comparison import Comparison, Cost
from pellucid.words.errors import InputError, OptionError, PellucidError, nearest
from pellucid.words.evaluation import Evaluation
from pellucid.words.explanation import Evidence, Explanation, Verdict
from pellucid.words.features import Features
from pellucid.words.method import Method
from pellucid.words.metric import Metric
from pellucid.words.size import size

METRICS = ("deletion", "insertion")
"""What each explanation is measured by if nothing is asked for."""

USUAL = {
    "image": ("grad_cam", "integrated_gradients", "occlusion", "kernel_shap"),
    "text": ("integrated_gradients", "input_x_gradient", "ablation", "kernel_shap"),
}
"""Methods of different kinds by task: by gradient at the input, at a layer, by switching off."""

OTHERS = ("integrated_gradients", "input_x_gradient", "ablation", "kernel_shap")

BASELINES = {
    "image": ("mean", "black", "blur", "noise"), "text": ("mask", "pad", "unk", "zero"),
    "table": ("mean", "median", "zero"), "tensor": ("zero", "mean", "blur"),
}
"""Baselines by task; a table's background adds rows of its own, and what a model has no such thing of is left out."""

ROWS = 2
"""Rows of a table's background among the usual baselines."""

GRADIENT = 3
"""A row with a gradient takes about three times a row without: once forward, and back to values and weights."""


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to compare the explanations")
def compare(
    subject: Subject | nn.Module,
    x: Any,
    methods: Any = None,
    *,
    baselines: Any = None,
    metrics: Any = METRICS,
    target: Any = None,
    features: str | Tensor | Features | None = None,
    baseline: Any = None,
    controls: int = CONTROLS,
    replicates: int = REPLICATES,
    level: float = 0.95,
    seed: int = 0,
    budget: int | str | None = None,
    chunk: int | None = None,
    strict: bool = False,
    precision: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Comparison:
    """Where do several methods agree about one input, where do they contradict, and what is each worth?

    `methods` is a list of what `explain` takes as a method; some that differ in kind if left out. All values are
    laid over the same features: the model's coarse layout (patches, words, columns) unless `features` says another.
    All are judged by the same `metrics` (names, `Metric`s, or `()` for none) over these, with the same `baseline`,
    and beside `controls` that know nothing; methods and metrics share their passes. A method that does not fit is
    told in `errors`; the others are compared.

    With `baselines`, one method is compared with itself instead, from each of these: `"usual"`, a list of what
    `explain` takes as a baseline (and, of pictures, other pictures), or a dictionary with a name for each. What
    changes its sign between them is a statement about the baseline, not about the input.

    `target`, `seed` and the options from `budget` on are as in `explain`, `replicates` and `level` as in `evaluate`.
    All others are options of the methods, and what no method has of the metrics; each goes to those that have it.

    Raises a PellucidError for wrong use, and where nothing could be explained.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    if controls < 0 or replicates < 2 or not 0 < level < 1:
        raise OptionError("option.value", f"controls={controls}, replicates={replicates}, level={level}",
                          "controls from 0, replicates from 2, a level between 0 and 1", "leave them out")
    many = subject.split(x)
    if many is not None and len(many) != 1:
        raise InputError("compare.inputs", f"{len(many)} inputs", "one input", "compare them one by one")
    began = time.perf_counter()
    example = subject.read(x if many is None else many[0])
    reading = time.perf_counter() - began
    chosen = _methods(methods, subject, example, baselines is not None)
    measures = named(metrics) if metrics is None or len(metrics) else []
    theirs, rest = _shared(chosen, measures, options)
    asked = bound(measures, rest) if measures else []
    plans: dict[str, Plan | PellucidError] = {}

    def plan(name: str, method: Method, own: Any) -> None:
        given = {k: v for k, v in theirs.items() if k in method.defaults}
        try:
            plans[name] = planned(subject, example, method, target, features, own, seed, given, 0, reading)
        except PellucidError as error:
            plans[name] = error

    if baselines is None:
        for name, method in chosen.items():
            if isinstance(method, PellucidError):
                plans[name] = method
            else:
                plan(name, method, baseline)
    else:
        (method,) = chosen.values()
        if isinstance(method, PellucidError):
            raise method
        if not (method.card.baseline or "baselines" in method.defaults):
            raise OptionError("compare.baseline", f"baselines for {method.name}, which has none",
                              "a method that compares with a baseline", "choose integrated_gradients or kernel_shap")
        for name, own in _baselines(baselines, subject, example, seed).items():
            plan(name, method, [own] if "baselines" in method.defaults else own)
        if baselines == "usual":  # what this model has no such baseline of was not asked for by name
            plans = {n: p for n, p in plans.items() if isinstance(p, Plan) and _exists(p)}
    settings = Settings(None if budget is None else size(budget), chunk, strict, progress, False, precision)
    layout = subject.reader.features(example, features, True)
    return _carried_out(subject, plans, layout, baseline, asked, controls, replicates, level, seed, settings,
                        baselines is not None)


def _methods(methods: Any, subject: Subject, example: Example, one: bool) -> dict[str, Method | PellucidError]:
    """The methods by name, each once; one that does not exist is its error where others do."""
    given: list[Any] = [methods] if methods is not None and not isinstance(methods, list | tuple) else list(
        methods or ())
    if methods is None:
        given = ["integrated_gradients"] if one else list(USUAL.get(subject.task, OTHERS))
        if "grad_cam" in given and usual(subject, example) is None:
            given.remove("grad_cam")
    if one and len(given) != 1:
        raise OptionError("compare.baselines", f"{len(given)} methods from several baselines", "one method",
                          "compare the methods first, then one of them over baselines")
    found: dict[str, Method | PellucidError] = {}
    for name in given:
        try:
            method: Method | PellucidError = catalog.find(name, subject.module)
        except PellucidError as error:
            method = error
        key = str(getattr(method, "name", name)) if isinstance(method, Method) else str(name)
        if key in found:
            raise OptionError("method.repeated", f"{key} twice", "each method once",
                              "ask a second time to compare two settings of one method")
        found[key] = method
    if not found:
        raise OptionError("compare.methods", "no method", "at least one", "leave methods out for the usual ones")
    wrong = [m for m in found.values() if isinstance(m, PellucidError)]
    if len(wrong) == len(found):
        raise wrong[0]
    return found


def _shared(methods: Mapping[str, Method | PellucidError], metrics: Sequence[Metric], options: Mapping[str, Any]
            ) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the methods, and those that only metrics have."""
    ours = {name for m in methods.values() if isinstance(m, Method) for name in m.defaults}
    other = {name for m in metrics for name in m.defaults}
    for name in options:
        if name not in ours | other:
            asked = ", ".join([*methods, *(m.name for m in metrics)])
            raise OptionError("option.unknown", f"option {name!r} for {asked}",
                              ", ".join(sorted(ours | other)) or "no options", nearest(name, ours | other))
    return {k: v for k, v in options.items() if k in ours}, {k: v for k, v in options.items() if k not in ours}


def _baselines(given: Any, subject: Subject, example: Example, seed: int) -> dict[str, Any]:
    """Baselines by name."""
    if isinstance(given, str) and given == "usual":
        names = list(BASELINES.get(subject.task, ("zero",)))
        draws = getattr(subject.reader, "draws", None)
        if draws is not None and getattr(subject.reader, "background", None) is not None:
            names += draws(ROWS, seed)
        return {n: n for n in names}
    several = given if isinstance(given, list) else [given]
    pairs = list(given.items()) if isinstance(given, Mapping) else [
        (b if isinstance(b, str) else f"{i + 1}", b) for i, b in enumerate(several)]
    found = {str(name): _another(own, subject, example) for name, own in pairs}
    if len(found) < 2 or len(found) < len(pairs):
        raise OptionError("compare.baselines", f"{len(found)} different baselines",
                          "two or more, each with its own name", "write baselines='usual', or a list of them")
    return found


def _another(given: Any, subject: Subject, example: Example) -> Any:
    """A baseline as it is, or another picture as the model sees it."""
    plain = given is None or isinstance(given, str | tuple | int | float)
    if subject.task != "image" or plain or (isinstance(given, Tensor) and given.is_floating_point()):
        return given
    other = subject.read(given).x
    if other is None or example.x is None or other.shape != example.x.shape:
        raise OptionError("baseline.shape", f"a picture that becomes {None if other is None else tuple(other.shape)}",
                          f"{None if example.x is None else tuple(example.x.shape)}", "give one of the same shape")
    return other


def _exists(plan: Plan) -> bool:
    try:
        for spec in plan.options.get("baselines") or [plan.baseline]:
            plan.subject.reader.baseline(plan.example, spec)
    except OptionError as error:
        if error.code != "baseline.unknown":
            raise
        return False
    return True


@dataclass(eq=False)
class Counted:
    """A conversation whose questions are counted on their way; equal ones of a round count once."""

    conversation: Awaitable[Any]
    rows: int = 0
    gradients: int = 0
    rounds: int = 0
    own: float = 0.0
    result: Any = field(default=None, repr=False)

    def __await__(self) -> Generator[tuple[Ask, ...], list[Any], Any]:
        job, answers = self.conversation.__await__(), None
        try:
            while True:
                began = time.perf_counter()
                try:
                    asks = job.send(answers)
                except StopIteration as done:
                    return done.value
                finally:
                    self.own += time.perf_counter() - began
                different = {_mark(a): a for a in asks}
                self.rounds += 1
                self.rows += sum(a.points.n for a in different.values())
                self.gradients += sum(a.points.n for a in different.values() if a.kind == "gradient")
                answers = yield asks
        finally:
            job.close()

    @property
    def weight(self) -> int:
        return self.rows + (GRADIENT - 1) * self.gradients


def _mark(ask: Ask) -> Any:
    """Questions with equal marks are about the same rows and come from the same pass."""
    case = ask.case
    return (ask.points.key, case.site, case.noise, id(case.origin), id(case.baseline), case.change,
            ask.kind == "gradient")


@dataclass(frozen=True, eq=False)
class Answer:
    """What one conversation found: the method's result, its values over the common layout, and what metrics say."""

    result: Result
    values: Tensor
    error: Tensor | None
    there: float
    judged: Judged


async def _answered(plan: Plan, counted: Counted, shared: Shared, layout: Features, baseline: Any, asked: Judge
                    ) -> Answer:
    """The method's conversation, then its metrics' over the common layout, in one."""
    result: Result = await counted
    case, found = result.case, result.found
    values, place, elements = laying.found(found, case, plan.method)
    over = laying.laid(values, place, elements, layout)
    if not bool(torch.isfinite(over).all()):
        raise OptionError("metric.unfit", f"values of {plan.method.name} that are not finite", "finite numbers",
                          "see its explanation's verdict")
    parts = judge.errors_of(found, place, values, result.rounding if result.half else judge.Rounding(),
                            plan.method.card.asks)
    error = judge.combined(parts, values)
    kept = error.detach().cpu().double().flatten() if error is not None and error.numel() == layout.n else None
    ground = await case_of(replace(plan, layout=layout, baseline=baseline,
                                   options={k: v for k, v in plan.options.items() if k != "baselines"}), shared)
    about: Case = replace(case, change=None, features=layout, origin=ground.origin, baseline=ground.baseline,
                          alternatives=())
    (there,), verdicts = await together(
        case.score(case.there), judged(about, over, kept, asking(plan.method, plan.options, case, layout),
                                       means_of(plan), asked))
    return Answer(result, over, kept, float(there), verdicts)


def _carried_out(subject: Subject, plans: Mapping[str, Plan | PellucidError], layout: Features, baseline: Any,
                 asked: Sequence[tuple[Metric, dict[str, Any]]], controls: int, replicates: int, level: float,
                 seed: int, settings: Settings, over_baselines: bool) -> Comparison:
    """All conversations in one loop, and what is read off their answers."""
    shared: Shared = {"device": device_of(subject.module, [])}
    half = checks.half_of(subject.module)
    good = {name: p for name, p in plans.items() if isinstance(p, Plan)}
    counters = {name: Counted(explained(p, shared, half)) for name, p in good.items()}
    jobs = [_answered(p, counters[name], shared, layout, baseline,
                      Judge([(m, settled(m, o, p)) for m, o in asked], controls, replicates, level, seed))
            for name, p in good.items()]
    results, tally = run(subject.module, jobs, facts=subject.facts, settings=settings)
    now = versions(subject.module)
    errors = {name: p for name, p in plans.items() if isinstance(p, PellucidError)}
    found: dict[str, Found] = {}
    evaluations: dict[str, Evaluation] = {}
    for (name, plan), answer, seconds in zip(good.items(), results, tally.methods, strict=True):
        if isinstance(answer, PellucidError):
            errors[name] = answer
            continue
        e = record(plan, answer.result, tally, settings, len(good), now, seconds)
        found[name] = Found(e, answer.values, answer.error, answer.there)
        evaluations[name] = told(e, answer.judged, subject.name)
    if not found:
        raise next(iter(errors.values()))
    return _compared(found, layout, evaluations, _costs(counters, found, tally), errors, tally, subject.name,
                     over_baselines)


def _costs(counters: Mapping[str, Counted], found: Mapping[str, Found], tally: Tally) -> dict[str, Cost]:
    """Each method's own cost; the model's seconds by its share of all rows, metrics' among them."""
    spent, rows = sum(tally.modelled.values()), max(tally.rows, 1)
    gradients = sum(c.gradients for c in counters.values())
    per_row = spent / (rows + (GRADIENT - 1) * min(gradients, rows))
    return {n: Cost(c.rows, c.gradients, c.rounds, c.own + per_row * c.weight) for n, c in counters.items()
            if n in found}


def _compared(found: Mapping[str, Found], layout: Features, evaluations: Mapping[str, Evaluation],
              cost: Mapping[str, Cost], errors: Mapping[str, PellucidError], tally: Tally, model: str,
              over_baselines: bool) -> Comparison:
    """The frozen record."""
    values = {name: f.values for name, f in found.items()}
    lists, effect = list(values.values()), {n: f for n, f in found.items() if f.e.means == "effect"}
    signed = [n in effect for n in found]
    k = agreement.few(layout.n)
    rank = agreement.matrix(lists, agreement.rank)
    sizes = agreement.matrix([v.abs() for v in lists], agreement.rank)
    both = torch.tensor(signed)[:, None] & torch.tensor(signed)[None, :]
    matrices = {"rank": torch.where(both, rank, sizes),
                "sign": torch.where(both, agreement.matrix(lists, agreement.sign), math.nan),
                "top": agreement.matrix(lists, lambda a, b: agreement.top(a, b, k))}
    consensus, spread = agreement.together([f.values for f in effect.values()]) if effect else (None, None)
    contrary = contradictions(effect, layout)
    evidence = Evidence(
        passes=tally.passes, forwards=tally.forwards, rows=tally.rows, seconds=tally.seconds, peak_bytes=tally.peak,
        chunk=tally.chunk, isolation=tally.isolation, twin=tally.twin, agreement=dict(tally.agreement),
        shared_by=len(found))
    e: dict[str, Explanation] = {name: f.e for name, f in found.items()}
    made = Comparison(
        e, layout, values, matrices, k, consensus, spread, agreement.prominence(lists), contrary, evaluations, cost,
        errors, Verdict(), evidence, {n: f.there for n, f in found.items()} if over_baselines else {},
        torch.stack(lists).mean(0) if over_baselines else None, model)
    return replace(made, verdict=Verdict(tuple((baseline_reasons if over_baselines else method_reasons)(made))))
