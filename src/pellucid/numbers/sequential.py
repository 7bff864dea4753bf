"""When to stop drawing: the interval of two standard errors against the tolerance, looked at few times.

Who looks after every draw and stops at the first good sight stops on lucky ones: the interval then
covers less than it says. So there is a least number of draws before the first look, the sight is the norm
over all features, and the next look is where the error is expected to suffice, never closer than half as
many draws again.
"""

from __future__ import annotations

import math

from torch import Tensor

WIDTH = 2.0
"""Standard errors on each side of a value."""

GROWTH = (1.5, 4.0)
"""The next look is at so many times the draws, at least and at most."""


def excess(values: Tensor, error: Tensor | None, tolerance: float) -> float:
    """How many times wider the interval is than tolerance · ‖values‖; infinite where the error is unknown."""
    if error is None:
        return math.inf
    width, allowed = WIDTH * float(error.double().norm()), tolerance * float(values.double().norm())
    return 0.0 if width == 0 else width / allowed if allowed > 0 else math.inf


def widened(error: Tensor | None, n: int) -> Tensor | None:
    """An error from the spread of n replicates, so that two of it cover as much as two of a known one.

    It grows by Student's quantile over the normal one, by the expansion in 1 / (n - 1): 1.09 for 16, 1.4 for 5.
    """
    z, v = WIDTH, max(n - 1, 1)
    more = ((z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3))
    return None if error is None else error * (1 + more / z)


def upcoming(n: int, excess: float, most: int) -> int:
    """After n draws, how many there should be at the next look: the error falls as 1 / sqrt(n)."""
    least, largest = GROWTH
    return min(math.ceil(n * min(max(1.1 * min(excess, largest)**2, least), largest)), most)
