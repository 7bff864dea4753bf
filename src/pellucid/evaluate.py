"""The verb: evaluate(e), how good an explanation is by several metrics, beside what knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid import catalog
from pellucid.choices import weights
from pellucid.engine import interrupt, memory
from pellucid.engine.probe import device_of
from pellucid.engine.run import run
from pellucid.engine.settings import Settings, Tally
from pellucid.explain import wrapped
from pellucid.judging import CONTROLS, REPLICATES, Judge, Judged, asking, judged
from pellucid.laying import over
from pellucid.models.subject import Subject
from pellucid.plan import Asked, Plan, case_of, planned
from pellucid.words.case import Case
from pellucid.words.errors import OptionError, PellucidError, nearest
from pellucid.words.evaluation import Evaluation
from pellucid.words.explanation import Evidence, Explanation, Finding, Verdict
from pellucid.words.features import Features
from pellucid.words.method import AUTO
from pellucid.words.metric import Metric
from pellucid.words.size import size

USUAL = ("deletion", "insertion", "sparseness")
"""What is measured if nothing is asked for by name."""


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to evaluate the explanation")
def evaluate(
    e: Any,
    subject: Subject | nn.Module | None = None,
    x: Any = None,
    metrics: Any = None,
    *,
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
) -> Any:
    """How far does an explanation say what the model does?

    `e` is an Explanation, or what `explain` returned for several inputs or methods: the same list or dictionary of
    `Evaluation`s comes back, measured in shared passes, with errors where they were. `subject` and `x` are needed
    for one that was opened from a file, or whose model is gone. `metrics` is a name, a list of names or of
    `Metric`s, or `"all"`; some usual ones if left out. `features` is what is switched off: the explanation's own
    features, for a map the pixels; `baseline` what stands in its place, the explanation's own if left out.

    Beside every metric stand `controls` attributions that know nothing (the same values at other places), so that a
    number means something: its `p` is how often they do as well. Metrics that draw are run `replicates` times, and
    so are values that have an error; intervals hold at `level`. `seed` and the options from `budget` on are as in
    `explain`. All others are options of the metrics; each goes to those that have it.

    Raises a PellucidError for a metric or option that does not exist, and `evaluate.input` where the model or the
    input must be given. A metric that does not fit an explanation is told in its `unfit`; the others are measured.
    """
    if controls < 0 or replicates < 2 or not 0 < level < 1:
        raise OptionError("option.value", f"controls={controls}, replicates={replicates}, level={level}",
                          "controls from 0, replicates from 2, a level between 0 and 1", "leave them out")
    chosen, given = bound(named(metrics), options), features is not None
    many, plans = _explanations(e), list[Plan]()
    for one in many:
        plan = again(one, subject, x)
        plans.append(replace(plan, layout=features if given else plan.layout,
                             baseline=plan.baseline if baseline is None else baseline))
    settings = Settings(None if budget is None else size(budget), chunk, strict, progress, False, precision)
    made: dict[int, Any] = {}
    for model in dict.fromkeys(p.subject.module for p in plans):
        mine = [(one, p) for one, p in zip(many, plans, strict=True) if p.subject.module is model]
        shared: dict[Any, Any] = {"device": device_of(model, [])}
        jobs = [_conversation(p, one, Judge([(m, settled(m, o, p)) for m, o in chosen], controls, replicates, level,
                                            seed), given, shared) for one, p in mine]
        found, tally = run(model, jobs, facts=mine[0][1].subject.facts, settings=settings)
        for (one, plan), judged_ in zip(mine, found, strict=True):
            made[id(one)] = judged_ if isinstance(judged_, PellucidError) else told(
                one, judged_, plan.subject.name, tally)
    return _answered(e, made)


def _explanations(e: Any) -> list[Explanation]:
    """Every explanation in what `explain` returned."""
    if isinstance(e, Explanation):
        return [e]
    if isinstance(e, PellucidError):
        return []
    if isinstance(e, Mapping | list | tuple):
        return [one for part in (e.values() if isinstance(e, Mapping) else e) for one in _explanations(part)]
    raise OptionError("evaluate.explanation", f"a {type(e).__name__}", "an Explanation, or several",
                      "pass what explain() returned")


def _answered(e: Any, made: Mapping[int, Any]) -> Any:
    """The same list or dictionary with evaluations in it; a single one that failed raises."""
    if isinstance(e, Explanation):
        if isinstance(made[id(e)], PellucidError):
            raise made[id(e)]
        return made[id(e)]
    if isinstance(e, PellucidError):
        return e
    if isinstance(e, Mapping):
        return {name: _within(part, made) for name, part in e.items()}
    return [_within(part, made) for part in e]


def _within(part: Any, made: Mapping[int, Any]) -> Any:
    return made[id(part)] if isinstance(part, Explanation) else _answered(part, made)


async def _conversation(plan: Plan, e: Explanation, asked: Judge, given: bool, shared: dict[Any, Any]) -> Judged:
    case = await case_of(plan, shared)
    return await judging(case, plan, e, asked, given)


async def judging(case: Case, plan: Plan, e: Explanation, asked: Judge, given: bool = False) -> Judged:
    """The metrics' conversations about an explanation whose case this is; `given` where a layout was asked for."""
    reader = plan.subject.reader
    prepared = plan.method.prepare(case, plan.options)
    layout = prepared.features if given or e.features.index.shape != prepared.features.index.shape else e.features
    if e.features.name == "map" and not given:
        layout = reader.features(plan.example, None, False)  # a map is judged place by place
    about = replace(prepared, change=None, features=layout)
    try:
        values, error = over(e, layout), _error_over(e, layout)
    except PellucidError as unlaid:
        return await _apart(about, e, asked, unlaid)
    return await judged(about, values, error, asking(plan.method, plan.options, prepared, layout), e.means, asked,
                        e.features.name != "map")


async def _apart(case: Case, e: Explanation, asked: Judge, unlaid: PellucidError) -> Judged:
    """Values that do not lie over the input: what only reads them is still measured."""
    free = [(m, o) for m, o in asked.metrics if not m.card.place]
    about = replace(case, features=e.features)
    values = e.values.detach().cpu().double().flatten()
    found = await judged(about, values, None, None, e.means, replace(asked, metrics=free))
    others = {m.name: Finding(unlaid.code, "warn", f"{unlaid.found}; expected {unlaid.expected}", unlaid.do)
              for m, _ in asked.metrics if m.card.place}
    return replace(found, unfit={**found.unfit, **others})


def _error_over(e: Explanation, layout: Features) -> Tensor | None:
    """The values' errors where they lie over the same features; elsewhere they are not known."""
    if e.error is None or e.error.numel() != layout.n:
        return None
    return e.error.detach().cpu().double().flatten()


def again(e: Explanation, subject: Subject | nn.Module | None, x: Any) -> Plan:
    """The explanation's plan: from memory, or from its recipe for the subject and input that are given."""
    kept = e.asked.again() if isinstance(e.asked, Asked) else None
    if subject is None and x is None and kept is not None:
        return kept
    if subject is not None:
        subject = subject if isinstance(subject, Subject) else wrapped(subject)
        if x is None and isinstance(e.asked, Asked):
            return replace(e.asked.plan, subject=subject)
        if x is not None:
            return _replayed(e, subject, x)
    raise OptionError(
        "evaluate.input", "an explanation whose " + ("model is gone" if isinstance(e.asked, Asked) else "model and "
                                                     "input are not in memory"),
        "the model and the input it is about", "write evaluate(e, subject, x)")


def _replayed(e: Explanation, subject: Subject, x: Any) -> Plan:
    if not e.recipe.replayable:
        raise OptionError("evaluate.recipe", "a recipe that could not be written down",
                          "an explanation from this process", "explain again, then evaluate(e)")
    many = subject.split(x)
    example = subject.read(x if many is None else many[min(e.ordinal, len(many) - 1)])
    choices = dict(e.recipe)
    for name in ("precision", "strict"):
        choices.pop(name, None)
    own = {n: choices.pop(n, None) for n in ("method", "target", "features", "baseline")}
    seed = choices.pop("seed", 0)
    return planned(subject, example, own["method"], own["target"], own["features"], own["baseline"], seed, choices,
                   e.ordinal, 0.0)


def named(metrics: Any) -> list[Metric]:
    """The metrics that were asked for, each once."""
    if metrics is None:
        metrics = list(USUAL)
    elif metrics == "all":
        metrics = [m for m in catalog.metrics().values() if not m.card.needs]
    found = [catalog.find_metric(m) for m in (metrics if isinstance(metrics, Sequence) and not isinstance(metrics, str)
                                              else [metrics])]
    if len({m.name for m in found}) < len(found) or not found:
        raise OptionError("metric.repeated", f"{len(found)} metrics, some named twice" if found else "no metric",
                          "each metric once", "leave metrics out for the usual ones")
    return found


def bound(metrics: Sequence[Metric], options: Mapping[str, Any]) -> list[tuple[Metric, dict[str, Any]]]:
    """Every metric with those of the options that it has; an option that none has is an error."""
    every = {name for m in metrics for name in m.defaults}
    for name in options:
        if name not in every:
            raise OptionError("option.unknown", f"option {name!r} for {', '.join(m.name for m in metrics)}",
                              ", ".join(sorted(every)) or "no options", nearest(name, every))
    return [(m, m.settle({k: v for k, v in options.items() if k in m.defaults})) for m in metrics]


def settled(metric: Metric, options: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """All options of a metric, the automatic ones chosen for the model at hand."""
    chosen = dict(options)
    weights.settle(chosen, plan.subject, plan.example)
    open_ = [name for name, value in chosen.items() if isinstance(value, str) and value == AUTO]
    if open_:
        raise OptionError("option.value", f"{open_[0]}={AUTO!r} for {metric.name}", "a value of its own",
                          "nothing is known by which it could be chosen")
    return chosen


def told(e: Explanation, found: Judged, model: str, tally: Tally | None = None) -> Evaluation:
    """The frozen record of what was measured."""
    findings = (*e.verdict.findings, *verdict(found))
    evidence = Evidence() if tally is None else Evidence(
        passes=tally.passes, forwards=tally.forwards, rows=tally.rows, seconds=tally.seconds, chunk=tally.chunk,
        isolation=tally.isolation, twin=tally.twin, agreement=dict(tally.agreement))
    return Evaluation(found.measurements, e.method, e.target, model, Verdict(findings), evidence, found.unfit,
                      e.ordinal, e.provenance)


ALPHA = 0.05
"""How often what knows nothing may do as well before an explanation is not told from it."""

SAME = {"randomisation.same": "with parameters drawn by lot", "random_labels.same": "for a twin with random labels"}
"""Notes of metrics that take away what the model learnt, by what they found no difference to."""


def verdict(found: Judged) -> list[Finding]:
    """What the metrics say of the explanation."""
    reasons: list[Finding] = []
    faithful = [m for m in found.measurements.values() if m.kind == "faithfulness" and m.p is not None]
    # Of few features there are few arrangements: who is better than all of them cannot do more.
    lost = [m for m in faithful if m.p is not None and m.p > ALPHA and m.beaten < len(m.controls)]
    if lost:
        listed = ", ".join(f"{m.name} (p = {m.p:.2f})" for m in lost)
        every = len(lost) == len(faithful)
        reasons.append(Finding(
            "faithful.not", "fail" if every else "warn",
            f"{listed}: {'no' if every else 'not'} better than the same values at other places",
            "do not read it as what the model looks at: try another method, layer or baseline"))
    same = [(found.measurements[name], what) for name, notes in found.notes.items()
            for note, what in SAME.items() if note in notes]
    if same:
        listed = ", ".join(f"{m.name}: {m.value:.2f} alike {what}" for m, what in same)
        reasons.append(Finding("sanity.failed", "fail", f"much the same explanation without what was learnt ({listed})",
                               "do not read it as what the model learnt: choose another method"))
    return reasons
