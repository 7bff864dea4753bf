"""The verb: tcav(model, examples, concepts), which concepts move a score more than random ones would."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.choices import places, stages
from pellucid.choices.gathering import Gathered, gathered
from pellucid.engine import interrupt, memory
from pellucid.engine.run import run, surveyed
from pellucid.engine.settings import Settings, Tally
from pellucid.explain import wrapped
from pellucid.look import layer_of
from pellucid.methods.concepts import Place, activations, slopes
from pellucid.models.subject import Example, Subject
from pellucid.numbers import cav as cavs
from pellucid.numbers.permutation import extremes, joint, p_values, relabelled, yekutieli
from pellucid.numbers.significance import discoveries
from pellucid.provenance import Provenance
from pellucid.words.case import Case
from pellucid.words.concepts import Concepts, Tested
from pellucid.words.errors import LayerError, OptionError, PellucidError, nearest
from pellucid.words.explanation import Evidence, Finding
from pellucid.words.features import units
from pellucid.words.method import AUTO
from pellucid.words.size import size
from pellucid.words.target import Target, read

CONTROLS = ("bh", "by")
OVER = ("units", "channels")
UNSTABLE = 0.3
"""Vectors whose mean cosine is below this point in directions of their own."""


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to hold the activations of all examples")
def tcav(
    subject: Subject | nn.Module,
    examples: Any,
    concepts: Mapping[str, Any],
    counters: Any = None,
    *,
    layer: str | Sequence[str] = AUTO,
    target: Any = None,
    cav: str = "logistic",
    penalty: float = cavs.PENALTY,
    over: str = AUTO,
    sets: int = 10,
    permutations: int = 499,
    level: float = 0.05,
    control: str = "bh",
    seed: int = 0,
    budget: int | str | None = None,
    chunk: int | None = None,
    precision: str = "exact",
    progress: Callable[[int, int], None] | None = None,
) -> Concepts:
    """Which concepts move the target's score, more than random ones do?

    A concept's vector v at a layer is where a linear classifier tells its examples from counter-examples; its score is
    the share of `examples` with ∂f/∂a · v > 0, its slope the mean of ∂f/∂a · v for v of length one. Both are taken for
    `sets` counter-sets.

    `concepts` gives each name a folder of pictures, a list of inputs (texts, files, rows), a batch, or a filter over
    the counters: a function of an input, or conditions on columns (`{"age": (60, None), "sex": "f"}`; a pair is
    between, a list one of several). `counters` is a pool of inputs as the model usually gets them, from which random
    sets are drawn, or a list of such sets; a table's background if left out. `layer` is one name, several, or
    `"stages"`; the layer of class activation maps if left out, or the last stage but one. `cav` is `logistic`, `ridge`
    or `mean` (the difference of means); `penalty` is relative to the examples' mean square distance from their mean.
    `over` is `units`, as in the paper, or `channels`: activations averaged over places, for concepts that may be
    anywhere; without it units, and channels where inputs differ in length. `target`, `budget`, `chunk`, `precision`,
    `progress` and `seed` are as in `explain`.

    Tests are by relabelling: concept and counter-examples are dealt out anew `permutations` times, each deal a random
    concept with the same number of examples, counter-sets and inputs, and p says how often one lies as far from the
    usual as the true concept (in score, in slope, and in the more unusual of the two). Runs over counter-sets share the
    concept's examples and the inputs, and random sets share examples: they are no independent samples, which the
    t-test that is customary here takes them for. False discoveries are controlled over all concepts and
    layers at `level` by `control`: `bh` (Benjamini and Hochberg) or `by` (Benjamini and Yekutieli, for any dependence).
    A concept that its layer does not tell from chance is none (`concept.none`), whatever its score.

    Raises `concept.few`, `concept.counters`, `concept.folder`, `concept.unreadable`, `concept.column`, `layer.unknown`,
    `layer.not_reached`, and an input's own error.

    arXiv:1711.11279. Departs from it: the t-test (above), the slope beside the share (where the model is linear behind
    a layer all gradients agree, and random concepts score 0 or 1 too), the vectors' fit.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    _check(cav, penalty, over, sets, permutations, level, control, concepts)
    settings = Settings(None if budget is None else size(budget), chunk, False, progress, False, precision)
    every, sorted_ = gathered(subject, concepts, counters, sets, seed)
    many = subject.split(examples)
    shown = [subject.read(r) for r in ([examples] if many is None else many)]
    read_ = [subject.read(r) for r in every]
    if not shown:
        raise OptionError("input.empty", "no examples", "inputs whose score is explained", "give some")
    found = _layers(subject, shown[0], layer)
    over = _over(over, [*shown, *read_])
    goal = read(target, subject.labels)
    at = [Place(x.site, x.axis, over == "channels") for x in found]
    jobs = [*(activations(case_of(e, goal), at) for e in read_), *(slopes(case_of(e, goal), at) for e in shown)]
    answers, tally = run(subject.module, jobs, facts=subject.facts, settings=settings)
    for answer in answers:
        if isinstance(answer, PellucidError):
            raise answer
    tests: list[Tested] = []
    for k, layer_ in enumerate(found):
        value = torch.stack([a[k] for a in answers[: len(read_)]])
        slope = torch.stack([a[k] for a in answers[len(read_) :]])
        shape = layer_.shape if over == "units" else (value.shape[1],)
        tests += _tested(layer_.name, value, slope, shape, sorted_, cav, penalty, permutations, seed)
    tests = _judged(tests, level, control)
    names = list(concepts)
    tests.sort(key=lambda t: names.index(t.concept))
    return Concepts({(t.concept, t.layer): t for t in tests}, goal.describe(subject.labels), len(shown),
                    len(sorted_[0].counters), permutations, level, control, over, cav, penalty, seed, subject.name,
                    evidence_of(tally), {g.name: tuple(read_[i].shown for i in g.union[: min(g.concept, CARD)].tolist())
                                         for g in sorted_}, Provenance(subject, seed))


CARD = 6
"""Examples of a concept that its card shows."""


def case_of(example: Example, target: Target) -> Case:
    """An input as it is: nothing is put in its place."""
    x = example.x if example.x is not None else torch.zeros(())
    return Case(example.carrier, x, x, units(tuple(x.shape)), target, example.site)


def evidence_of(tally: Tally) -> Evidence:
    """What a run cost."""
    return Evidence(passes=tally.passes, forwards=tally.forwards, seconds=tally.seconds, chunk=tally.chunk,
                    isolation=tally.isolation, rows_interact=tally.interact, twin=tally.twin)


def usual(subject: Subject, example: Example) -> str:
    """The layer that is taken where none is named."""
    found = places.usual(subject, example)
    if found is not None:
        return found.layer
    names = stages.stages(subject, example)[0]
    if not names:
        raise LayerError("layer.needed", "a model without parts", "a layer to look for concepts at", "name one: layer=")
    return names[max(len(names) - 2, 0)]


def _layers(subject: Subject, example: Example, layer: str | Sequence[str]) -> list[Any]:
    names: list[str] = []
    for name in [layer] if isinstance(layer, str) else layer:
        names += stages.stages(subject, example)[0] if name == "stages" else [
            usual(subject, example) if name == AUTO else name]
    here = places.Places(subject, example)
    calls = surveyed(subject.module, example.carrier, subject.facts)
    return [layer_of(subject, here, name, calls) for name in dict.fromkeys(names)]


def _over(over: str, examples: list[Example]) -> str:
    if over != AUTO:
        return over
    return "units" if len({e.carrier.signature for e in examples}) == 1 else "channels"


def _check(cav: str, penalty: float, over: str, sets: int, permutations: int, level: float, control: str,
           concepts: Mapping[str, Any]) -> None:
    for name, value, known in (("cav", cav, cavs.KINDS), ("over", over, (*OVER, AUTO)), ("control", control, CONTROLS)):
        if value not in known:
            raise OptionError("option.value", f"{name}={value!r}", ", ".join(k for k in known if k != AUTO),
                              nearest(str(value), known))
    if not (penalty > 0 and sets >= 2 and permutations >= 19 and 0 < level < 1):
        raise OptionError("option.value", f"penalty={penalty}, sets={sets}, permutations={permutations}, level={level}",
                          "a penalty above 0, 2 sets, 19 permutations or more, a level between 0 and 1",
                          "leave them out for 0.01, 10, 499 and 0.05")
    if not concepts:
        raise OptionError("concept.few", "no concept", "a name with its examples", "give concepts={'name': […]}")


def _tested(layer: str, value: Tensor, slope: Tensor, shape: tuple[int, ...], concepts: list[Gathered], kind: str,
            penalty: float, permutations: int, seed: int) -> list[Tested]:
    """Every concept at one layer, before the table is judged as a whole."""
    centre = value.double().mean(0)
    gram, along = products(value, centre, slope)
    out: list[Tested] = []
    for k, concept in enumerate(concepts):
        at = concept.union.to(gram.device)
        cut = cavs.Cut.of(concept.concept, concept.counters, seed)
        own, toward = gram[at[:, None], at[None]], along[:, at]
        told = cavs.told(own, toward, cut, relabelled(len(at), permutations, seed * 1009 + k), kind, penalty)
        both = torch.stack([told.scores.mean(1), told.slopes.mean(1)], 1)
        unusual = extremes(both)
        score_p, slope_p = p_values(unusual).tolist()
        alpha = cavs.weights(own, cut, kind, penalty)
        vectors = torch.cat([(alpha @ (value[at[:, None], part].double() - centre[part])).float()
                             for part in _pieces(value)], 1)
        vectors = (vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-30)).cpu()
        accuracy = told.accuracy.mean(1)
        out.append(Tested(
            concept.name, layer, concept.concept, float(both[0, 0]), float(both[0, 1]), tuple(told.scores[0].tolist()),
            tuple(told.slopes[0].tolist()), float(p_values(joint(unusual)[:, None])), score_p, slope_p,
            float(accuracy[0]), float(p_values(accuracy[:, None])), float(told.stability[0]), both[1:],
            vectors.reshape(-1, *shape)))
    return out


def products(value: Tensor, centre: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Products of centred activations (n, d) with each other, and of slopes (inputs, d) with them, in float64.

    The width is gone through in pieces, so that nothing as wide as a layer is held in float64.
    """
    gram = value.new_zeros(len(value), len(value), dtype=torch.float64)
    along = value.new_zeros(len(slope), len(value), dtype=torch.float64)
    for part in _pieces(value):
        a = value[:, part].double() - centre[part]
        gram += a @ a.mT
        along += slope[:, part].double() @ a.mT
    return gram, along


def _pieces(value: Tensor) -> tuple[Tensor, ...]:
    return torch.arange(value.shape[1], device=value.device).split(1 << 14)


def _judged(tests: list[Tested], level: float, control: str) -> list[Tested]:
    """Significance over the whole table, and what is to be known of each test."""
    share = level / (yekutieli(len(tests)) if control == "by" else 1.0)
    held = discoveries(torch.tensor([t.p for t in tests], dtype=torch.float64), share)
    apart = discoveries(torch.tensor([t.accuracy_p for t in tests], dtype=torch.float64), share)
    out: list[Tested] = []
    least = 1 / (len(tests[0].null) + 1)
    for test, significant, told in zip(tests, held.tolist(), apart.tolist(), strict=True):
        findings: list[Finding] = []
        low, high = test.usual
        if not told:
            findings.append(Finding(
                "concept.none", "fail", f"held-out examples of {test.concept} are told from others with an accuracy of "
                f"{test.accuracy:.0%} at {test.layer}, which random sets reach too (p={test.accuracy_p:.2g})",
                "the layer does not hold this concept: give more or clearer examples, or look at another layer"))
        elif test.stability < UNSTABLE:
            findings.append(Finding(
                "concept.unstable", "warn", f"vectors of {test.concept} against different counter-sets hardly agree "
                f"(mean cosine {test.stability:.2f})", "give more examples and counter-examples"))
        if low < 0.02 and high > 0.98:
            findings.append(Finding(
                "concept.one_way", "pass", f"at {test.layer} random concepts score from {low:.2f} to {high:.2f}: the "
                "gradient points the same way for most inputs, and the share says little", "read the slope instead"))
        if test.p <= least > share / len(tests) and not significant:
            findings.append(Finding(
                "concept.coarse", "warn", f"{len(test.null)} random concepts cannot give a p below {least:.2g}, and "
                f"{len(tests)} tests at level {level:g} need {share / len(tests):.2g}",
                f"ask for permutations={math.ceil(len(tests) / share)}"))
        out.append(replace(test, significant=significant and told, findings=tuple(findings)))
    return out
