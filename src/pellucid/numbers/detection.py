"""How sure a count is: what a channel that was never seen to fire may do, and how many such chance explains."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEVEL = 0.95


def beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (Press et al., 6.4)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny, c, d = 1e-300, 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    total = d
    for m in range(1, 1000):
        step = 1.0
        for more in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                     -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d, c = 1.0 + more * d, 1.0 + more / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            step *= d * c
            total *= d * c
        if abs(step - 1) < 1e-14:
            break
    return front * total


def at_least(k: int, n: int, p: float) -> float:
    """How likely k or more of n are, each with probability p."""
    return 1.0 if k <= 0 else 0.0 if k > n else beta(k, n - k + 1, p)


def share(k: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Between which two shares the true one lies where k of n were seen (Clopper and Pearson, doi:10.2307/2331986).

    Exact: it holds at least a share `level` of the time. Where none or all were seen the whole error stands on the
    one side that is left: none of n is then below about 3 / n at 95 %, the rule of three.
    """
    if n < 1:
        return 0.0, 1.0
    tail = (1 - level) / (1 if k in (0, n) else 2)
    return (0.0 if k == 0 else _solved(k, n, tail),
            1.0 if k == n else _solved(k + 1, n, 1 - tail))


def _solved(k: int, n: int, chance: float) -> float:
    """With which probability each of n is one, if k or more are as likely as `chance`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_least(k, n, middle) < chance else (low, middle)
    return (low + high) / 2


def silent(fired: Tensor, inputs: int) -> tuple[float, float]:
    """How likely a channel is never to fire if it is like those that do, and how likely so many are that never did.

    `fired` (channels,) counts the inputs that each fired for. The rates of those that fired are taken as a beta
    distribution that has no peak at zero; of all that explain their counts within two units of log-likelihood of the
    best, that which lets most channels be silent is taken, so that few inputs or few channels prove nothing. Fewer
    than two channels that fired tell nothing of the others: (1, 1) then, but (0, 0) from 20 inputs and 4 channels on.
    """
    k = fired[fired > 0].double()
    quiet, n = int((fired <= 0).sum()), inputs
    if not quiet:
        return 0.0, 1.0
    if len(k) < 2:
        return (0.0, 0.0) if n >= 20 and len(fired) >= 4 else (1.0, 1.0)
    values, times = k.unique(return_counts=True)
    mean = torch.sigmoid(torch.linspace(-9, 9, 55, dtype=torch.float64))[:, None]
    size = torch.logspace(-1.5, 4, 45, dtype=torch.float64)[None]
    a, b = (mean * size)[..., None], ((1 - mean) * size)[..., None]

    def log_beta(x: Tensor, y: Tensor) -> Tensor:
        return torch.lgamma(x) + torch.lgamma(y) - torch.lgamma(x + y)

    whole = log_beta(a, b)
    none = (log_beta(a, b + n) - whole)[..., 0]
    seen = log_beta(a + values, b + n - values) - whole
    # A beta that is infinite at zero has silent channels beside all others, which is what is asked about.
    shaped = a[..., 0] >= 1
    likely = (seen * times).sum(-1) - len(k) * torch.log1p(-none.exp().clamp(max=1 - 1e-15))
    likely = torch.where(shaped, likely, -torch.inf)
    chance = float(none[likely >= likely.max() - 2].max().exp())
    return chance, at_least(quiet, len(fired), chance)
