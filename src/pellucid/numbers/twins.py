"""Channels that say the same: correlations over inputs and places, from sketches that no set outgrows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import torch
from torch import Tensor

from pellucid.numbers.activity import channels_first
from pellucid.numbers.ranking import lots

WIDTH, BUCKETS = 16, 32
"""Numbers that a row's places become, and how many such rows a sketch holds apart."""

MOST = 4096
"""Channels up to which each is compared with every other: of more the table of pairs is too large."""

SAME, NULL = 0.999, 0.99
"""Correlation from which two channels are called one; and one below which they are not, however it was measured."""


FEW = 20
"""Independent inputs below which only channels that are equal but for rounding are called one."""

EQUAL = 1e-5
"""How far from 1 the correlation of a channel with its copy may be for rounding."""

EXACT = 1e-9
"""How far it is for a copy whose values are not far from zero on their own scale: half the square of what rounding
leaves of them."""


@dataclass(frozen=True)
class Projected:
    """WIDTH random sums over places of every channel, and of a channel of ones: (rows, channels + 1, WIDTH)."""

    axis: int

    def __call__(self, values: Tensor) -> Tensor:
        v = channels_first(values, self.axis).float()
        weights = _weights(v.shape[2]).to(v.device)
        return torch.cat([v @ weights, weights.sum(0).expand(len(v), 1, WIDTH)], 1)


@lru_cache(maxsize=64)
def _weights(places: int) -> Tensor:
    return torch.randn(places, WIDTH, generator=lots(places, 41))


class Sketch:
    """Random sums over a whole set by channel: their products are in the mean those of all values.

    Every row's projection gets random signs and is added to one of BUCKETS. The correlation of two channels that is
    read off differs from the true r by about (1 - r²) over the root of WIDTH · BUCKETS: nothing where they are
    the same.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.sums = torch.zeros(0)

    def add(self, projected: Tensor) -> None:
        """One more row's (channels + 1, WIDTH)."""
        p = projected.detach().cpu().double()
        if not self.rows:
            self.sums = torch.zeros(len(p), BUCKETS, WIDTH, dtype=torch.float64)
        sign = torch.randint(0, 2, (WIDTH,), generator=lots(self.rows, 43)).double() * 2 - 1
        self.sums[:, self.rows % BUCKETS] += p * sign
        self.rows += 1

    def correlations(self, means: Tensor) -> Tensor:
        """Of all pairs of channels whose means are these: (channels, channels), NaN for one that never changes."""
        flat = self.sums.flatten(1)
        apart = flat[:-1] - means[:, None] * flat[-1]
        size = apart.norm(dim=1, keepdim=True)
        apart = torch.where(size > 1e-5 * flat[:-1].norm(dim=1, keepdim=True), apart / size, torch.nan)
        return (apart @ apart.T).clamp(-1, 1)


def groups(correlation: Tensor, counted: Tensor, level: float = 0.05) -> list[tuple[int, ...]]:
    """Channels that say the same up to scale and offset, in groups, the first channel of each the lowest.

    Two are one where |r| is SAME or more, and where a true |r| of NULL would give as much in at most a share `level`
    of layers like this: by Fisher's transform, with `counted` (channels,) independent inputs, over all pairs.
    """
    n = len(correlation)
    pairs = max(n * (n - 1) // 2, 1)
    wanted = NormalDist().inv_cdf(1 - min(level / pairs, 0.5))
    found: list[tuple[int, ...]] = []
    taken: set[int] = set()
    near = (correlation.abs() >= SAME).triu(1)
    for a in near.any(1).nonzero().flatten().tolist():
        if a in taken:
            continue
        group = [a]
        for b in near[a].nonzero().flatten().tolist():
            r, inputs = min(abs(float(correlation[a, b])), 1 - 1e-12), float(min(counted[a], counted[b]))
            enough = inputs > 3.5 and (inputs >= FEW or r >= 1 - EQUAL)
            if b not in taken and enough and (math.atanh(r) - math.atanh(NULL)) * math.sqrt(inputs - 3) > wanted:
                group.append(b)
        if len(group) > 1:
            found.append(tuple(group))
            taken |= set(group)
    return found


def chance(correlation: Tensor, live: Tensor) -> float:
    """How likely so many channels of `live` ones are to repeat another, where nothing was copied.

    A layer that says little (two classes, say) has channels close to each other that nobody copied. So the distance
    1 - |r| of each from its nearest is looked at: among channels that take D directions at random the share of those
    below t goes as t^((D-1)/2), from a half at the median. D is 1 / mean r² over pairs; the power is kept between 1/2
    and 1, which tells too many rather than too few. Distances up to 1 - SAME are counted against that, and
    those that are none but for rounding, much of it or little; the smallest probability of the three is told, tripled.
    """
    r = correlation[live][:, live].abs()
    n = len(r)
    if n < 3:
        return 1.0
    every = r[torch.ones(n, n, dtype=torch.bool).triu(1)]
    some = every[every < 1 - EQUAL]
    directions = 1 / max(float(some.square().mean()), 1 / n) if len(some) else 1.0
    power = min(max((directions - 1) / 2, 0.5), 1.0)
    apart = 1 - r.fill_diagonal_(0).amax(1)
    middle = float(apart.median())
    least = 1.0
    for t in (1 - SAME, EQUAL, EXACT):
        repeats = int((r >= 1 - t).triu(1).any(0).sum())  # of a group all but the first
        if repeats and middle <= t:
            return 0.0 if t <= EQUAL else 1.0  # half of the channels are so close: this is how the layer is
        least = min(least, _poisson(repeats, 0.5 * n * (t / middle) ** power if repeats else 0.0))
    return min(1.0, 3 * least)


def _poisson(count: int, expected: float) -> float:
    """How likely `count` or more are."""
    if count <= 0:
        return 1.0
    if expected > 700:
        return 1.0 if count <= expected else 0.5 * math.erfc((count - expected) / math.sqrt(2 * expected))
    term = total = math.exp(-expected)
    for k in range(1, count):
        term *= expected / k
        total += term
    return max(0.0, 1 - total) if total < 0.999 else min(expected, 1.0) ** count / math.factorial(min(count, 150))
