"""A histogram whose bins are the same for every layer, every step and every model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOW, HIGH, PER_DECADE = -3, 3, 4

SIZES: tuple[float, ...] = tuple(10 ** (k / PER_DECADE) for k in range(LOW * PER_DECADE, HIGH * PER_DECADE + 1))
"""Sizes from a thousandth to a thousand, four to a decade."""

EDGES: tuple[float, ...] = (*(-s for s in reversed(SIZES)), *SIZES)
"""Where one bin ends and the next begins; the bin around zero is followed by one for zeros alone."""

BINS = len(EDGES) + 2
"""One bin more than edges, and one for exact zeros, which stands in the middle's place plus one."""

MIDDLE = len(EDGES) // 2
"""The bin of what is below a thousandth in size; zeros are at BINS - 1."""

MOST = 65_536
"""Values of a row that are counted, evenly spaced: shares do not gain by more."""


@dataclass(frozen=True)
class Histogram:
    """How many of a row's values lie in each bin: values (rows, *shape) → (rows, BINS), in float32.

    A value on an edge belongs to the bin above it; what is not finite is counted nowhere.
    """

    most: int = MOST

    def __call__(self, values: Tensor) -> Tensor:
        v = thinned(values.flatten(1), self.most).float().contiguous()
        edges = torch.tensor(EDGES, dtype=torch.float32, device=v.device)
        place = torch.bucketize(v, edges, right=True)
        place = torch.where(v == 0, BINS - 1, place)
        counts = torch.zeros(len(v), BINS, device=v.device)
        return counts.scatter_add_(1, place, torch.isfinite(v).float())


def thinned(flat: Tensor, most: int) -> Tensor:
    """At most so many of the last axis's values, evenly spaced, by an odd step: most layouts are even."""
    n = flat.shape[-1]
    if n <= most:
        return flat
    step = -(-n // most)
    return flat[..., :: step + (step % 2 == 0)]


def ordered(counts: list[int] | tuple[int, ...]) -> list[int]:
    """The counts from the most negative bin to the most positive; zeros are in the middle bin."""
    found = list(counts[: BINS - 1])
    found[MIDDLE] += counts[BINS - 1]
    return found
