"""Boxes and masks: how they are written down, how they overlap, which places of a line they take in."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.words.errors import TargetError

Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1: to the right and downwards, the far edges left out."""


def overlaps(boxes: Tensor, one: Tensor) -> Tensor:
    """Intersection over union of boxes (…, 4) with one (4,), all as x0, y0, x1, y1."""
    low, high = torch.maximum(boxes[..., :2], one[:2]), torch.minimum(boxes[..., 2:], one[2:])
    shared = (high - low).clamp(min=0).prod(-1)
    both = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1) + (one[2:] - one[:2]).prod()
    return shared / (both - shared).clamp(min=1e-12)


def inside(low: float, high: float, size: int) -> Tensor:
    """Which share of each of `size` places in a line lies between low and high."""
    start = torch.arange(size, dtype=torch.float64)
    return ((start + 1).clamp(max=float(high)) - start.clamp(min=float(low))).clamp(0, 1)


def corners(where: Any, code: str, *, shares: bool = False) -> Corners:
    """A box with its far corner beyond its near one."""
    found = where.tolist() if hasattr(where, "tolist") else where
    fine = isinstance(found, tuple | list) and len(found) == 4 and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in found)
    if fine:
        x0, y0, x1, y1 = found
        fractions = any(isinstance(v, float) for v in found)
        fine = x0 < x1 and y0 < y1 and not (shares and (min(x0, y0) < 0 or (fractions and max(x1, y1) > 1)))
    if not fine:
        raise TargetError(code, f"{where!r}"[:80], "(x0, y0, x1, y1) with x0 < x1 and y0 < y1"
                          + (", whole numbers, or shares up to 1" if shares else ""),
                          "write for example (10, 20, 80, 90)")
    values = [float(v) if not shares or any(isinstance(v, float) for v in found) else v for v in found]
    return (values[0], values[1], values[2], values[3])


def runs(mask: Tensor) -> tuple[int, ...]:
    """Height, width, then how many places are out, in, out, … row by row."""
    flat = mask.flatten().to(torch.int8)
    ends = (flat.diff() != 0).nonzero()[:, 0] + 1
    lengths: list[int] = torch.cat([ends, torch.tensor([len(flat)])]).diff(prepend=torch.tensor([0])).tolist()
    return (*mask.shape, *([0] if bool(flat[0]) else []), *lengths)


def unrun(runs: Sequence[int]) -> Tensor:
    """The mask (height, width) of its runs."""
    lengths = torch.tensor(list(runs[2:]))
    return torch.repeat_interleave(torch.arange(len(lengths)) % 2 == 1, lengths).reshape(runs[0], runs[1])


def numbers(text: str, wrong: TargetError) -> list[int | float]:
    """Numbers with commas between them; what has no point is a whole number."""
    try:
        return [int(t) if re.fullmatch(r"\s*\d+\s*", t) else float(t) for t in text.split(",")]
    except ValueError:
        raise wrong from None


def comma(values: Sequence[float]) -> str:
    return ",".join(repr(v) for v in values)
