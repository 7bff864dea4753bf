"""How far an explanation can be trusted: its error per feature by where it comes from, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid import reasons
from pellucid.numbers.estimate import Estimate
from pellucid.reasons import Found
from pellucid.words.explanation import Verdict
from pellucid.words.features import Features


@dataclass(frozen=True)
class Rounding:
    """What a number format did to answers, measured beside the same answers in float32.

    `relative` is how far gradients (or layers' values) were apart, in units of their norm over features;
    `absolute` how far scores were apart beyond what all of them shared, in units of score. `told` says so in words.
    """

    relative: float = 0.0
    absolute: float = 0.0
    told: str = ""


def measured_from(found: Estimate, baseline: float | None) -> float | None:
    """The score from which the values are counted: the baseline's, zero, or None where no sum is promised."""
    if "sum.free" in found.notes:
        return None
    return 0.0 if "sum.score" in found.notes else baseline


def errors_of(
    found: Estimate, place: Features, values: Tensor, rounding: Rounding | None, asks: str
) -> dict[str, Tensor] | None:
    """The error per value by part, each like one standard error; an exact part is left out, None where one is unknown.

    `numerical`: the difference d of two rules under-covers where it happens to be small; sqrt(d² + mean d²) covered
    99 to 100 % of the true errors in trials. `sampling`: one standard error. `format`: what the number format does,
    as it was measured. Scores are off by the same wherever they are asked, and a value is a difference of two:
    √2 · absolute. Gradients are off in proportion to their norm, wherever they are small too:
    relative · sqrt(v² + mean v²).
    """
    numerical, sampling = found.numerical, found.sampling
    if numerical is None or sampling is None or rounding is None:
        return None
    parts: dict[str, Tensor] = {}
    v = values.detach().cpu().double()
    d = laid(numerical.detach().cpu(), place, values).double()
    parts["numerical"] = torch.sqrt(d**2 + (d**2).mean())
    parts["sampling"] = laid(sampling.detach().cpu(), place, values).double()
    parts["format"] = (torch.full_like(v, math.sqrt(2) * rounding.absolute) if asks == "score"
                       else rounding.relative * torch.sqrt(v**2 + (v**2).mean()))
    return {name: part.to(values.dtype) for name, part in parts.items() if bool((part != 0).any())}


def combined(parts: Mapping[str, Tensor] | None, values: Tensor) -> Tensor | None:
    """One error per value: independent parts add in squares."""
    if parts is None:
        return None
    total = torch.zeros_like(values, dtype=torch.float64, device="cpu")
    for part in parts.values():
        total = total + part.double() ** 2
    return total.sqrt().to(values.dtype)


def laid(error: Tensor, place: Features, values: Tensor) -> Tensor:
    """An error in the shape of the values: one for all, one each, or summed over the elements of each feature."""
    if error.dim() == 0:
        return error.expand(values.shape)
    if error.numel() == values.numel():
        return error.reshape(values.shape)
    return place.gather(error).reshape(values.shape)


def verdict(found: Found) -> Verdict:
    """Pass, warn or fail, each reason with a stable code and what to do; the gravest kinds come first."""
    return Verdict(tuple(reason for told in reasons.ALL for reason in told(found)))
