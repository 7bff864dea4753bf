"""How far a twin's answers lie from the model's own, and how far they may."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.engine import passes
from pellucid.numbers.sequential import widened
from pellucid.words.case import Case

SCORE, HALF_SCORE = 1e-3, 2e-2
"""Largest deviation of a score, relative to the scores and the output; in bfloat16 relative to how far
the scores lie apart, since differences between them are what is explained."""

COSINE, HALF_COSINE = 0.995, 0.99
"""Smallest cosine between gradients of a row. Rounding may put a ReLU on its other side: 2.6 % were seen
between the model and itself in another batch."""

READING, HALF_READING = 1e-3, 5e-2
"""Largest deviation of a layer's value, relative to its norm."""


def half_on(device: torch.device) -> str:
    """The kind of device where it computes in bfloat16 by instructions of its own, else nothing."""
    if device.type == "cuda":
        return "cuda" if torch.cuda.is_bf16_supported(including_emulation=False) else ""
    has = [getattr(torch.cpu, f"_is_{name}_supported", lambda: False)() for name in ("avx512_bf16", "amx_tile")]
    return "cpu" if device.type == "cpu" and any(has) else ""


def first(order: passes.Order, half: str, *, one: bool = False) -> passes.Order:
    """The first rows of a pass, for the shadow: as few as tell."""
    k = min(order.n, 1 if one else 8 if half else 1 if order.gradients else 2)
    inputs = order.inputs if order.widen else {
        key: v[:k] if isinstance(v, Tensor) and v.dim() else v for key, v in order.inputs.items()}
    return replace(order, n=k, inputs=inputs, rows=None if order.rows is None else order.rows[:k],
                   graded=None if order.graded is None else order.graded[:k], copy=True, half="", pads=())


def measured(twin: passes.Outcome, plain: passes.Outcome, n: int, scale: float) -> dict[str, float]:
    """Deviations of the first n rows: `score`, `gradient` (and the smallest `cosine`), `reading`, `spread`.

    A number that is finite on one side only counts as infinitely far.
    """
    found: dict[str, float] = {}
    if plain.scores is not None and twin.scores is not None:
        a, b = twin.scores[:, :n].double(), plain.scores[:, :n].double()
        apart = _apart(a, b)
        found["score"] = apart / max(float(b.abs().nan_to_num(0, 0, 0).max()), 1e-3 * scale, 1e-12)
        spread = float((b.amax(1) - b.amin(1)).nan_to_num(0, 0, 0).max()) if n > 2 else 0.0
        found["spread"] = apart / spread if spread else found["score"]
    for site, value in plain.gradients.items():
        a, b = (t.double().flatten(1) for t in (twin.gradients[site][:n], value))
        norms = a.norm(dim=1) * b.norm(dim=1)
        some = torch.isfinite(norms) & (norms > 0)
        cosine = float(((a * b).sum(1)[some] / norms[some]).min()) if bool(some.any()) else 1.0
        if not torch.equal(torch.isfinite(a), torch.isfinite(b)):
            cosine = -1.0
        found["cosine"] = min(found.get("cosine", 1.0), cosine)
        found["gradient"] = max(found.get("gradient", 0.0), _relative(a, b))
    for site, value in plain.readings.items():
        found["reading"] = max(found.get("reading", 0.0), _relative(twin.readings[site][:n], value))
    return found


def rounding(twin: passes.Outcome, plain: passes.Outcome, n: int, case: Case) -> dict[str, float]:
    """What bfloat16 does to what is made of the answers: the `noise` of the first n scores, in their own unit, and
    how far the first row's gradient is apart after it is `summed` over the case's features, as it is and times the
    distance from the baseline."""
    found: dict[str, float] = {}
    if plain.scores is not None and twin.scores is not None:
        off = (twin.scores[:, :n].double() - plain.scores[:, :n].double()).nan_to_num(0, 0, 0)
        found["noise"] = max(noise(row) for row in off)
    true, said = (of.gradients.get(case.site) for of in (plain, twin))
    if true is not None and said is not None and true.shape[1:] == case.origin.shape:
        for weight in (1.0, case.difference.double()):
            a, b = (case.features.gather((weight * g[0].double()).nan_to_num(0, 0, 0)) for g in (said, true))
            found["summed"] = max(found.get("summed", 0.0), _relative(a, b) if bool(b.any()) else 0.0)
    return found


def noise(off: Tensor) -> float:
    """How far scores (n,) are off beyond what they share, widened for their number; the first is compared with all.

    Of two or fewer the larger.
    """
    if len(off) < 3:
        return float(off.abs().max())
    spread, mine = float(off.std()), abs(float(off[0] - off.mean()))
    return float(widened(off.new_tensor(math.hypot(spread, max(spread, mine)) / math.sqrt(2)), len(off)) or 0.0)


def _apart(a: Tensor, b: Tensor) -> float:
    if not torch.equal(torch.isfinite(a), torch.isfinite(b)):
        return float("inf")
    return float((a - b).abs().nan_to_num(0, 0, 0).max()) if a.numel() else 0.0


def _relative(a: Tensor, b: Tensor) -> float:
    a, b = a.double(), b.double()
    apart = _apart(a, b)
    if apart in (0.0, float("inf")):
        return apart
    return float((a - b).nan_to_num(0, 0, 0).norm()) / max(float(b.nan_to_num(0, 0, 0).norm()), 1e-30)


def refused(found: Mapping[str, float], half: bool) -> str:
    """Why these deviations are too large; nothing where they are not.

    Of a pass with gradients the score is only told, of one without it is what is explained.
    """
    score = found.get("spread" if half and "cosine" not in found else "score", 0.0)
    what = "bfloat16" if half else "the twin"
    if not score <= (HALF_SCORE if half else SCORE):
        return f"{what} moved the scores by {score:.1e}"
    cosine = found.get("cosine", 1.0)
    if not cosine >= (HALF_COSINE if half else COSINE):
        return f"{what} turned the gradients (cosine {cosine:.4f})"
    if not found.get("reading", 0.0) <= (HALF_READING if half else READING):
        return f"{what} moved a layer's values by {found['reading']:.1e}"
    return ""
