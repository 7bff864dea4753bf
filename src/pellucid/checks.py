"""What is asked beside a method's own questions, so that doubts can be told: as a rule about rows asked anyway."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.changes.finite import OWN, Unfinite
from pellucid.changes.raised import HALVES, RAISED
from pellucid.engine.agreement import noise
from pellucid.judge import Rounding
from pellucid.models.subject import Subject
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.ranking import lots
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import InputError, PellucidError
from pellucid.words.method import Method
from pellucid.words.site import Site
from pellucid.words.target import Class, Contrast, Predicted, Target

SLIGHT = 1e-2
"""Share of the score's change below which everything that a gradient at x says together is next to nothing."""

LARGE = 1e4
"""Scores above this have no room for a probability beside them."""

COMPARED = 8
"""Coalitions at which a model in half precision is asked beside itself in single precision, besides x."""

WAY = (0.5, 1.0)
"""Places on the way from the baseline to x where its gradients are."""


@dataclass(frozen=True)
class Sureness:
    """How probable the likeliest class is; 0 where an output is no row of classes."""

    of: Site | None = None

    @property
    def key(self) -> Hashable:
        return "sureness"

    def score(self, value: Tensor) -> Tensor:
        if value.dim() != 2 or value.shape[1] < 2:
            return value.new_zeros(len(value))
        shares = bool((value >= 0).all()) and bool(((value.sum(1) - 1).abs() < 1e-3).all())
        return (value if shares else value.float().softmax(1)).amax(1).to(value.dtype)

    def describe(self, labels: Sequence[str]) -> str:
        return "the likeliest class"


async def sureness(case: Case) -> float | None:
    """How sure the model is of a class at the baseline, on the row that is asked for its score anyway.

    None where classes are not what is explained, or the baseline is one of several.
    """
    if case.alternatives or not _of_classes(case.target):
        return None
    # As a difference from the target's score, and at x as well, it waits for the prediction just as that score does:
    # so all of them are asked on the same two rows.
    beside = case.towards(Contrast(Sureness(), case.target))
    less, there, _ = await together(beside.score(case.there), case.score(case.there), beside.score(case.here))
    return None if abs(float(there)) > LARGE else float(less) + float(there)


def _of_classes(target: Target) -> bool:
    if isinstance(target, Contrast):
        return _of_classes(target.this) and _of_classes(target.that)
    return isinstance(target, Class | Predicted) and target.of is None


def strange(case: Case, subject: Subject) -> tuple[str, ...]:
    """Features in which the baseline of a table lies outside all rows of its background."""
    if not case.site.is_input or getattr(subject.reader, "background", None) is None or case.alternatives:
        return ()
    rows: Tensor | None = getattr(subject.reader, "rows", None)
    baseline = case.baseline.detach().cpu().double()
    if rows is None or rows.shape[1:] != baseline.shape:
        return ()
    low, high = rows.double().amin(0), rows.double().amax(0)
    beyond = torch.maximum(low - baseline, baseline - high)
    out = (beyond > 1e-6 * (high - low + low.abs() + high.abs())).to(torch.float64)
    which = case.features.gather(out).nonzero().flatten().tolist()
    return tuple(case.features.names[i] if case.features.names else f"feature {i + 1}" for i in which)


async def vanished(case: Case, method: Method, found: Estimate, here: float) -> bool:
    """True where the gradient at x is next to nothing although the score is not where the baseline is.

    Asked only where all that a local method says is next to nothing: two questions more, in that case alone.
    """
    card = method.card
    if card.asks not in ("gradient", "foreign") or card.complete or not here:
        return False
    gap = case.difference
    reach = float(found.value.abs().max()) * (1 + float(gap.abs().max())) * case.features.n
    if not reach < SLIGHT * abs(here):
        return False
    try:
        slope, there = await together(case.gradient(case.here), case.score(case.there))
    except PellucidError:
        return False
    return float((gap * slope[0]).abs().sum()) < SLIGHT * abs(here - float(there))


def half_of(model: nn.Module) -> str:
    """The name of the 16-bit format that a model computes in; nothing where it does not."""
    found = next((p.dtype for p in model.parameters() if p.dtype in HALVES), None)
    return "" if found is None else str(found).removeprefix("torch.")


async def rounding(case: Case, method: Method, half: str) -> Rounding | None:
    """What a model's own half precision does to the answers: one question, beside the same model in float32.

    For a method that asks scores those of x and a few coalitions of its features, widened for their number; for any
    other, gradients at x
    and halfway to the baseline, summed over features as they are and times the distance, whichever is further
    apart. None where the model does not run in float32, or has no gradient.
    """
    wide = case.under(RAISED)
    try:
        if method.card.asks == "score":
            points = case.keep(_some(case.features.n, case.seed))
            asks = [c.score(p) for c in (case, wide) for p in (c.here, points)]
            a, b, c, d = await together(*asks)
            off = (torch.cat([a, b]) - torch.cat([c, d])).double()
            absolute = noise(off)
            return Rounding(0.0, absolute, f"{half}: {len(off)} scores are {absolute:.1e} apart from float32's")
        points = case.line(torch.tensor(WAY, dtype=torch.float64))
        own, true, said, meant = await together(case.gradient(points), wide.gradient(points),
                                                case.score(points), wide.score(points))
    except PellucidError:
        return None
    relative = apart(case, own, true)
    absolute = float((said - meant).double().abs().max())
    return Rounding(relative, absolute, f"{half}: gradients at x are {relative:.1%} apart from float32's")


def _some(n: int, seed: int) -> Tensor:
    """Coalitions (COMPARED, n): the first half lack one feature, the others each with the chance of a coin."""
    generator, half = lots(seed, 511), COMPARED // 2
    near = torch.ones(half, n, dtype=torch.bool)
    near[torch.arange(half), torch.randint(0, n, (half,), generator=generator)] = False
    return torch.cat([near, torch.rand(COMPARED - half, n, generator=generator) < 0.5])


def apart(case: Case, own: Tensor, true: Tensor) -> float:
    """How far gradients (n, *shape) are apart, relative, after they are summed over features; the worst of them."""
    worst, rank = 0.0, case.origin.dim()
    for weight in (torch.ones((), dtype=torch.float64), case.difference.detach().double()):
        a, b = (case.features.gather((weight.to(g.device) * g.double()), rank) for g in (own, true))
        norm = b.flatten(1).norm(dim=1)
        far = (a - b).flatten(1).norm(dim=1)[norm > 0] / norm[norm > 0]
        worst = max(worst, float(far.max()) if far.numel() else 0.0)
    return worst


async def placed(error: InputError, case: Case) -> InputError:
    """An `output.not_finite` with the first module that says what is not finite, at x or at the baseline."""
    for name, points in (("the input", case.here), ("the baseline", case.there)):
        watch = Unfinite()
        try:
            await case.under(watch).score(points)
        except PellucidError:
            if watch.forward:
                made = InputError(error.code, f"{error.found}: at {name} the first that is none comes from "
                                  f"{watch.forward}", error.expected, error.do)
                made.__cause__ = error
                return made
    return error


async def finite(case: Case, method: Method, found: Estimate) -> None:
    """Refuse values that are no finite numbers where they come from a gradient, and name where that stops being one."""
    if method.card.asks == "score" or bool(torch.isfinite(found.value).all()):
        return
    for name, points in (("the input", case.here), ("the baseline", case.there)):
        watch = Unfinite()
        try:
            slope = await case.under(watch).gradient(points)
        except PellucidError:
            continue
        if not bool(torch.isfinite(slope).all()):
            raise InputError(
                "gradient.not_finite", f"a gradient that is not a finite number: at {name} the first that is none "
                f"comes back from {watch.backward or OWN}", "finite gradients",
                "look there for a root or a logarithm at zero, a division by zero, or overflow in half precision")
    raise InputError("gradient.not_finite", "values that are not finite numbers", "finite gradients",
                     "look for a root or a logarithm at zero on the way from the baseline to the input")


def rounded(agreement: Mapping[str, float], asks: str) -> Rounding:
    """What the bfloat16 of a twin does to answers, as it was measured on the first rows of the run."""
    if asks == "score":
        absolute = agreement.get("noise", 0.0)
        return Rounding(0.0, absolute, f"bfloat16: the first scores are {absolute:.1e} apart from float32's")
    relative = max(agreement.get(part, 0.0) for part in ("gradient", "summed", "reading"))
    return Rounding(relative, agreement.get("noise", 0.0),
                    f"bfloat16: the first gradients are {relative:.1%} apart from float32's")
