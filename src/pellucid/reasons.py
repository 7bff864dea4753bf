"""The reasons of a verdict: every doubt about an explanation with its stable code, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.quadrature import FIRST
from pellucid.numbers.sequential import WIDTH
from pellucid.numbers.significance import settled
from pellucid.words.explanation import Evidence, Finding
from pellucid.words.features import Features

COMPLETE = 1e-3
"""Relative completeness residual that exact methods keep in float32."""

ROUNDED = 1e-6
"""Share of the scores themselves by which their difference may be rounded."""

SURE = 0.9
"""Probability of its class from which a model is confident at the baseline."""

ENDS = 1e-3
"""How near to 0 or 1 a probability has hardly a slope left: its own is p (1 - p)."""

RANKED, STEADY = 3, 2 / 3
"""So many features come first (of many, a tenth of them); this share of those that may come first must be those."""

MEND = {
    "rules.hooked": "it has rules for some modules only, each used once: choose integrated_gradients, which needs none",
    "sum.layer": "choose a layer that everything passes through, or more steps or samples",
    "sum.score": "biases take a part, and layers without a fitting rule make one up: choose our lrp",
}
"""What to do where values miss their sum, by what the method said of it; else more steps or samples."""


@dataclass(frozen=True, eq=False)
class Found:
    """All that reasons are told from.

    `errors` are the error's parts, None where unknown; `probable` says that the score is a probability, `sure`
    how probable the likeliest class is at the baseline, None where that was not asked; `vanished` that the gradient
    at x is next to nothing although the score is not where the baseline is; `chosen` that the class is the one that
    the model says of several; `strange` names features whose baseline is beyond every row of the background.
    """

    values: Tensor
    estimate: Estimate
    place: Features
    score: float
    baseline: float | None = None
    residual: float | None = None
    evidence: Evidence = field(default_factory=Evidence)
    tolerance: float | None = None
    steps: int | None = None
    means: str = "effect"
    errors: Mapping[str, Tensor] | None = None
    error: Tensor | None = None
    off: float = 0.0
    probable: bool = False
    sure: float | None = None
    vanished: bool = False
    chosen: bool = False
    strange: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return self.estimate.notes

    @property
    def asked(self) -> str:
        return "" if self.tolerance is None else f", {self.tolerance:.2%} was asked for"

    def part(self, error: Tensor | None) -> float:
        """The norm of an error over features, in units of the values' norm; infinite where it is unknown."""
        scale = float(self.values.double().norm())
        if error is None or not scale:
            return math.inf
        error = error.detach().cpu().double()
        if error.dim() == 0:
            error = error.expand(self.values.shape)
        elif error.numel() != self.values.numel():
            error = self.place.gather(error)
        return float(error.norm()) / scale


def unsettled(found: Found) -> Iterator[Finding]:
    """Integrals and samples that did not reach what was asked."""
    if "converged.not" in found.notes:
        moved = found.part(found.estimate.numerical)
        small = found.tolerance is not None and moved <= found.tolerance
        yield Finding(
            "converged.not", "warn",
            "some of the integrals that were averaged did not settle" if small
            else f"the integral still moved by {moved:.2%} of the values{found.asked}",
            "raise limit=, or read the error bars")
    if found.steps is not None and found.steps < FIRST and found.estimate.numerical is None:
        yield Finding(
            "steps.few", "warn", f"{found.steps} steps do not tell how far off they are, and may be right by luck",
            f"leave steps out: the integral then works to a tolerance from {FIRST} points on")
    if "interval.wide" in found.notes:
        wide = WIDTH * found.part(found.estimate.sampling)
        fold = (wide / found.tolerance) * (wide / found.tolerance) if found.tolerance else math.inf
        more = f" about {math.ceil(fold)}-fold" if math.isfinite(fold) else ""
        yield Finding(
            "interval.wide", "warn",
            f"two standard errors are {wide:.2%} of the values{found.asked}" if math.isfinite(wide)
            else f"so few samples do not tell their error{found.asked}",
            f"raise samples={more}, or read the error bars")
    if "samples.few" in found.notes:
        yield Finding(
            "samples.few", "warn", "too few samples for so many features: the values are not settled",
            f"raise samples= to at least {4 * found.values.numel()}, or take fewer features")
    if "masks.few" in found.notes:
        yield Finding("masks.few", "warn", "so few masks that some features were hardly ever kept",
                      "raise masks=, or take fewer features")


def said(found: Found) -> Iterator[Finding]:
    """What methods say of themselves."""
    details, notes = found.estimate.details, found.notes
    if "fit.poor" in notes:
        yield Finding(
            "fit.poor", "warn", f"the linear model explains {details.get('r2', 0.0):.0%} of how the score varies",
            "do not read its coefficients as the model's: take kernel_shap, or fewer and larger features")
    if "attention.alone" in notes:
        agreement = details.get("agreement")
        told = f"; its ranks agree to {agreement:+.2f} with what spoke for it" if isinstance(agreement, float) else ""
        yield Finding(
            "attention.alone", "warn", f"this says where attention went, and knows nothing of the score{told}",
            "take attention_relevance or gradient_attention for what spoke for the score")
    if "parts.apart" in notes:
        share = details.get("explained")
        yield Finding(
            "parts.apart", "warn",
            "the input's and the biases' parts " + (f"add up to {share:.1%} of the score" if share is not None
                                                    else "do not add up to the score"),
            "read the map as a picture only: the model is not piecewise linear, or adds what no layer's bias says")
    if "relevance.apart" in notes:
        kept = dict(details.get("conservation", ())).get("input", float(found.values.double().sum()))
        yield Finding(
            "relevance.apart", "fail" if abs(kept) > 10 * abs(found.score) else "warn",
            f"the relevance of the input sums to {kept:.3g}, where the score is {found.score:.3g}: biases, or "
            "contributions that cancel out, outweigh it", "see in conservation at which layer, and choose another "
            "composite")


def incomplete(found: Found) -> Iterator[Finding]:
    """Values that should sum to the score's change, and do not: relative to that change, whatever its size.

    Where it is tiny beside the scores themselves, or beside what the number format does to them, nobody can tell.
    """
    if found.residual is None or found.baseline is None:
        return
    whole, score, tolerance = "sum.score" in found.notes, found.score, found.tolerance
    change = score - found.baseline
    scale = abs(score) if whole else max(abs(change), float(found.values.double().norm()))
    allowed = max(COMPLETE, 2 * tolerance if tolerance is not None else 0.0) * scale
    allowed += ROUNDED * max(abs(score), abs(found.baseline))
    if found.errors is not None and "format" in found.errors:
        allowed += 2 * (float(found.errors["format"].double().norm()) + found.off)
    share = abs(found.residual) / abs(change) if change else math.inf
    if "sum.apart" in found.notes:
        yield Finding(
            "sum.apart", "warn",
            f"the values hold still, and miss the score's change by {found.residual:+.3g} ({share:.1%} of it): "
            "that much went round this layer",
            "choose a layer that everything passes through, or read the values as this layer's part")
    elif abs(found.residual) > allowed:
        bad = abs(found.residual) > (1.0 if whole else 0.2) * scale and "sum.layer" not in found.notes
        do = next((MEND[n] for n in found.notes if n in MEND), "ask for more steps or samples, or a tolerance")
        what = "the score" if whole else "the score's change"
        yield Finding("complete.not", "fail" if bad else "warn",
                      f"the values miss {what} by {found.residual:+.3g} ({share:.1%} of it)", do)


def degenerate(found: Found) -> Iterator[Finding]:
    """Values that single nothing out: all zero, all the same, none that speaks for the score.

    Where a score is lower than at the baseline, values are negative by right: over features that is a doubt only
    where it is the score of the class that the model chose of several, which then nothing speaks for.
    """
    values, area = found.values, found.place.name == "map"
    if not bool(values.any()):
        yield Finding("values.all_zero", "warn", "every value is zero: the score does not react here",
                      "try another target, layer or baseline; a saturated score has no gradient")
        return
    if values.numel() < (2 if area else 3):  # two features may well weigh the same
        return
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        yield Finding(
            "map.constant" if area else "values.constant", "warn",
            "the map is the same everywhere: no place stands out" if area
            else "every feature has the same value: none stands out",
            "try another layer, or a score that depends on places" if area
            else "try another baseline or target, or larger features")
    elif high <= 0 and found.means == "effect" and (area or found.chosen):
        yield Finding(
            "map.all_negative" if area else "values.all_negative", "warn",
            "no place speaks for the score: the map is nowhere above zero" if area
            else "no feature speaks for the score: no value is above zero",
            "read it as what speaks against the score, or try another layer or target" if area
            else "read it as what speaks against the score, or try another target or baseline")


def unranked(found: Found) -> Iterator[Finding]:
    """Differences within the error: which features come first may be chance."""
    values, error = found.values.flatten(), found.error
    n = values.numel()
    if error is None or n < 2 or not bool((error > 0).any()) or not bool(values.any()):
        return
    k = min(max(RANKED, n // 10), n - 1)
    share = settled(values, error.flatten(), k)
    if share < STEADY:
        first = f"the first {k} of {n} features are" if k > 1 else "the first feature is"
        yield Finding(
            "rank.unsettled", "warn",
            f"{first} not settled: of what may come first within the error, {share:.0%} does here",
            "read sizes with their error, not ranks: ask for more steps or samples, or take larger features")


def scored(found: Found) -> Iterator[Finding]:
    """Scores that hardly move, or that other classes move."""
    if found.probable:
        yield Finding(
            "target.probability", "warn", "the score is a probability: it saturates, and answers for the other "
            "classes too", "explain the logit: give the model without its last softmax or sigmoid")
    end = found.probable and min(abs(found.score), abs(1 - found.score)) < ENDS
    if found.vanished or end:
        where = (f"the score of {found.score:.6g} is at the end of its range" if end
                 else "the score has no slope left here, though it is far from the baseline's")
        yield Finding(
            "score.saturated", "warn", f"{where}: near the input next to nothing changes it",
            "explain what comes before the saturation (the logit, a layer's unit), or take integrated_gradients")


def measured(found: Found) -> Iterator[Finding]:
    """Baselines that are no neutral point."""
    if found.strange:
        more = f" and {len(found.strange) - 3} more" if len(found.strange) > 3 else ""
        listed = ", ".join(found.strange[:3]) + more
        yield Finding("baseline.unusual", "warn", f"no row of the background goes as far as the baseline in {listed}",
                      "take baseline='mean', or average over rows: baseline='draws:20'")
    elif found.sure is not None and found.sure > SURE:
        yield Finding("baseline.unusual", "warn",
                      f"the model is {found.sure:.1%} sure of a class at the baseline: that is no neutral point",
                      "compare several baselines, or average over them: baseline=[…]")
    score, baseline = found.score, found.baseline
    if baseline is not None and abs(score - baseline) <= 1e-6 * max(abs(score), abs(baseline), 1e-12):
        yield Finding("baseline.same_score", "warn", "the baseline scores the same as the input",
                      "choose another baseline: there is no change to explain")


def computed(found: Found) -> Iterator[Finding]:
    """How the model was used."""
    if found.evidence.rows_interact:
        yield Finding(
            "rows.interact", "warn", "the model's rows look at each other: each was asked about alone",
            "check for batch statistics or a softmax over the batch in the forward")
    if found.evidence.isolation == "guard":
        yield Finding(
            "isolation.guard", "warn", "the model could not be copied and was used itself, under guard",
            "do not use the model from another thread meanwhile")


ALL: tuple[Callable[[Found], Iterator[Finding]], ...] = (
    unsettled, said, incomplete, degenerate, scored, measured, unranked, computed)
