"""How far an explanation can be trusted: its error per feature, and the verdict with reasons."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate
from pellucid.numbers.sequential import WIDTH
from pellucid.words.explanation import Evidence, Finding, Verdict
from pellucid.words.features import Features

COMPLETE = 1e-3
"""Relative completeness residual that exact methods keep in float32."""


MEND = {
    "rules.hooked": "it has rules for some modules only, each used once: choose integrated_gradients, which needs none",
    "sum.layer": "choose a layer that everything passes through, or more steps or samples",
    "sum.score": "biases take a part, and layers without a fitting rule make one up: choose our lrp",
}
"""What to do where values miss their sum, by what the method said of it; else more steps or samples."""


def measured_from(found: Estimate, baseline: float | None) -> float | None:
    """The score from which the values are counted: the baseline's, zero, or None where no sum is promised."""
    if "sum.free" in found.notes:
        return None
    return 0.0 if "sum.score" in found.notes else baseline


def error_of(found: Estimate, place: Features, values: Tensor) -> Tensor | None:
    """One error per value: numerical (from the last two rules) and sampling (one standard error) together.

    The difference d of two rules under-covers where it happens to be small; sqrt(d² + mean d²) covered
    99 to 100 % of the true errors in trials.
    """
    numerical, sampling = found.numerical, found.sampling
    if numerical is None or sampling is None:
        return None
    if numerical.dim() == sampling.dim() == 0 and values.dim():
        return torch.zeros_like(values)  # exact
    d = _laid(numerical.detach().cpu(), place, values).double()
    s = _laid(sampling.detach().cpu(), place, values).double()
    return torch.sqrt(d**2 + (d**2).mean() + s**2).to(values.dtype)


def _part(error: Tensor | None, place: Features, values: Tensor) -> float:
    """The norm of an error over features, in units of the values' norm; infinite where it is unknown."""
    scale = float(values.double().norm())
    return math.inf if error is None or not scale else float(_laid(error.detach().cpu(), place, values).norm()) / scale


def _laid(error: Tensor, place: Features, values: Tensor) -> Tensor:
    if error.dim() == 0:
        return error.expand(values.shape)
    if error.numel() == values.numel():
        return error.reshape(values.shape)
    return place.gather(error).reshape(values.shape)


def verdict(
    values: Tensor, found: Estimate, place: Features, score: float, baseline: float | None, residual: float | None,
    evidence: Evidence, tolerance: float | None,
) -> Verdict:
    """Pass, warn or fail, each reason with a stable code and what to do."""
    reasons: list[Finding] = []
    asked = "" if tolerance is None else f", {tolerance:.2%} was asked for"
    if "converged.not" in found.notes:
        moved = _part(found.numerical, place, values)
        small = tolerance is not None and moved <= tolerance
        reasons.append(Finding(
            "converged.not", "warn",
            "some of the integrals that were averaged did not settle" if small
            else f"the integral still moved by {moved:.2%} of the values{asked}",
            "raise limit=, or read the error bars"))
    if "interval.wide" in found.notes:
        wide = WIDTH * _part(found.sampling, place, values)
        fold = (wide / tolerance) * (wide / tolerance) if tolerance else math.inf
        more = f" about {math.ceil(fold)}-fold" if math.isfinite(fold) else ""
        reasons.append(Finding(
            "interval.wide", "warn",
            (f"two standard errors are {wide:.2%} of the values{asked}" if math.isfinite(wide)
             else f"so few samples do not tell their error{asked}"),
            f"raise samples={more}, or read the error bars"))
    if "samples.few" in found.notes:
        reasons.append(Finding(
            "samples.few", "warn", "too few samples for so many features: the values are not settled",
            f"raise samples= to at least {4 * values.numel()}, or take fewer features"))
    if "masks.few" in found.notes:
        reasons.append(Finding("masks.few", "warn", "so few masks that some features were hardly ever kept",
                               "raise masks=, or take fewer features"))
    if "fit.poor" in found.notes:
        reasons.append(Finding(
            "fit.poor", "warn", f"the linear model explains {found.details.get('r2', 0.0):.0%} of how the score varies",
            "do not read its coefficients as the model's: take kernel_shap, or fewer and larger features"))
    if "attention.alone" in found.notes:
        agreement = found.details.get("agreement")
        told = f"; its ranks agree to {agreement:+.2f} with what spoke for it" if isinstance(agreement, float) else ""
        reasons.append(Finding(
            "attention.alone", "warn", f"this says where attention went, and knows nothing of the score{told}",
            "take attention_relevance or gradient_attention for what spoke for the score"))
    if "parts.apart" in found.notes:
        share = found.details.get("explained")
        reasons.append(Finding(
            "parts.apart", "warn",
            "the input's and the biases' parts " + (f"add up to {share:.1%} of the score" if share is not None
                                                    else "do not add up to the score"),
            "read the map as a picture only: the model is not piecewise linear, or adds what no layer's bias says"))
    if "relevance.apart" in found.notes:
        kept = dict(found.details.get("conservation", ())).get("input", float(values.double().sum()))
        reasons.append(Finding(
            "relevance.apart", "fail" if abs(kept) > 10 * abs(score) else "warn",
            f"the relevance of the input sums to {kept:.3g}, where the score is {score:.3g}: biases, or contributions "
            "that cancel out, outweigh it", "see in conservation at which layer, and choose another composite"))
    if residual is not None and baseline is not None:
        whole = "sum.score" in found.notes
        scale = abs(score) if whole else max(abs(score - baseline), float(values.double().norm()))
        allowed = max(COMPLETE, 2 * tolerance if tolerance is not None else 0.0) * scale + 1e-6
        share = abs(residual) / abs(score - baseline) if score != baseline else math.inf
        if "sum.apart" in found.notes:
            reasons.append(Finding(
                "sum.apart", "warn",
                f"the values hold still, and miss the score's change by {residual:+.3g} ({share:.1%} of it): "
                "that much went round this layer",
                "choose a layer that everything passes through, or read the values as this layer's part"))
        elif abs(residual) > allowed:
            bad = abs(residual) > (1.0 if whole else 0.2) * scale and "sum.layer" not in found.notes
            do = next((MEND[n] for n in found.notes if n in MEND), "ask for more steps or samples, or a tolerance")
            what = "the score" if whole else "the score's change"
            reasons.append(Finding("complete.not", "fail" if bad else "warn",
                                   f"the values miss {what} by {residual:+.3g} ({share:.1%} of it)", do))
    if place.name == "map" and values.numel() > 1 and bool(values.any()):
        if bool((values == values.flatten()[0]).all()):
            reasons.append(Finding("map.constant", "warn", "the map is the same everywhere: no place stands out",
                                   "try another layer, or a score that depends on places"))
        elif float(values.max()) <= 0:
            reasons.append(Finding(
                "map.all_negative", "warn", "no place speaks for the score: the map is nowhere above zero",
                "read it as what speaks against the score, or try another layer or target"))
    if not bool(values.any()):
        reasons.append(Finding("values.all_zero", "warn", "every value is zero: the score does not react here",
                               "try another target, layer or baseline; a saturated score has no gradient"))
    if baseline is not None and abs(score - baseline) <= 1e-6 * max(abs(score), abs(baseline), 1e-12):
        reasons.append(Finding("baseline.same_score", "warn", "the baseline scores the same as the input",
                               "choose another baseline: there is no change to explain"))
    if evidence.rows_interact:
        reasons.append(Finding(
            "rows.interact", "warn", "the model's rows look at each other: each was asked about alone",
            "check for batch statistics or a softmax over the batch in the forward"))
    if evidence.isolation == "guard":
        reasons.append(Finding(
            "isolation.guard", "warn", "the model could not be copied and was used itself, under guard",
            "do not use the model from another thread meanwhile"))
    return Verdict(tuple(reasons))
