"""Intervals: how many standard errors a level takes, when the error itself comes from few draws."""

from __future__ import annotations

import math
from statistics import NormalDist


def quantile(level: float, freedom: float = math.inf) -> float:
    """Student's two-sided quantile: so many standard errors on each side hold a share `level` of the time.

    By inverting the distribution function (Abramowitz and Stegun 26.7.3 and 26.7.4 for whole degrees of freedom).
    """
    if not 0 < level < 1:
        raise ValueError(f"a level of {level}: choose one between 0 and 1, such as 0.95")
    z = NormalDist().inv_cdf((1 + level) / 2)
    if math.isinf(freedom) or freedom > 1e6:
        return z
    v = max(1, round(freedom))
    low, high = z, z
    while _within(high, v) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, v) < level else (low, middle)
    return (low + high) / 2


def _within(t: float, v: int) -> float:
    """The share of Student's distribution with v degrees of freedom between -t and t."""
    theta = math.atan(t / math.sqrt(v))
    cosine, sine = math.cos(theta), math.sin(theta)
    if v == 1:
        return 2 * theta / math.pi
    term, total = (cosine, cosine) if v % 2 else (1.0, 1.0)
    for k in range(3 if v % 2 else 2, v - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    return 2 / math.pi * (theta + sine * total) if v % 2 else sine * total
