"""The scale of a drawing: how far it reaches and where its ticks stand; zero is always in the middle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

PERCENTILE = 99.5
MANY = 1000
"""From so many values on, a few outliers may not fade all the others: the percentile sets the scale."""


@dataclass(frozen=True)
class Scale:
    """Full colour at ±limit; `largest` is the value of largest size, beyond the limit where `clipped`."""

    limit: float
    largest: float = 0.0
    clipped: bool = False

    def ticks(self, most: int = 7) -> list[float]:
        """Round numbers from -limit to limit, zero among them."""
        return ticks(-self.limit, self.limit, most)


def scale_of(values: np.ndarray[Any, Any]) -> Scale:
    """The largest size, or a percentile of the sizes where there are many values."""
    finite = values[np.isfinite(values)].ravel()
    if not finite.size:
        return Scale(0.0)
    size = np.abs(finite)
    largest = float(finite[size.argmax()])
    if finite.size >= MANY:
        limit = float(np.percentile(size, PERCENTILE))
        if 0 < limit < abs(largest):
            return Scale(limit, largest, True)
    return Scale(abs(largest), largest)


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """At most `most` multiples of 1, 2 or 5 between low and high."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [0.0]
    power = 10.0 ** math.floor(math.log10(span / most))
    for step in (power * f for f in (1, 2, 5, 10, 20, 50)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [float(f"{k * step:.10g}") for k in range(first, last + 1)]
    return [0.0]
