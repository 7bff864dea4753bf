"""Shapley values: a feature's mean contribution over all orders in which features can appear."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from pellucid.numbers import games
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.regression import SummedRegression
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features
from pellucid.words.method import Law, method
from pellucid.words.points import BLOCK

ROUND = 1024
"""Coalitions asked about at a time, so that memory does not grow with the samples."""

GROUPS = 16


@dataclass(frozen=True)
class Every:
    """Coalitions number `first` to `first + n` of all, the empty and the full one left out."""

    players: int
    first: int
    n: int

    @property
    def key(self) -> Hashable:
        return ("every coalition", self.players, self.first, self.n)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        return games.bits(torch.arange(self.first + start, self.first + stop) + 1, self.players)


@dataclass(frozen=True)
class Paired:
    """Random coalitions with their complements, in blocks that each have their own seed."""

    players: int
    seed: int
    first: int
    n: int

    @property
    def key(self) -> Hashable:
        return ("paired coalitions", self.players, self.seed, self.first, self.n)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        start, stop = start + self.first, stop + self.first
        drawn = [_drawn(self.players, self.seed, b) for b in range(start // BLOCK, -(-stop // BLOCK))]
        at = start // BLOCK * BLOCK
        return torch.cat(drawn)[start - at : stop - at]


@lru_cache(maxsize=256)
def _drawn(players: int, seed: int, block: int) -> Tensor:
    return games.paired_coalitions(players, BLOCK // 2, (seed * 1_000_003 + block) % (1 << 62))


@method(asks="score", paper="arXiv:1705.07874", laws=[Law.COMPLETE, Law.DUMMY, Law.SYMMETRIC, Law.LINEAR], coarse=True)
async def kernel_shap(case: Case, *, samples: int = 2048) -> Estimate:
    """Each feature's Shapley value: its mean contribution over all orders of switching features on.

    Weighted least squares over coalitions of features with the Shapley kernel, the sum held at
    f(x) - f(b). Where `samples` allow for all 2^n - 2 coalitions the values are exact; otherwise
    coalitions are drawn in complementary pairs and the error is their jackknife over 16 groups.
    """
    n, all_ = case.features.n, 2 ** min(case.features.n, 62) - 2
    if not isinstance(samples, int) or samples < 2:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("option.value", f"samples={samples!r}", "a whole number from 2", "ask for at least one pair")
    here, there = await together(case.score(case.here), case.score(case.there))
    total = float(here - there)
    if n == 1:
        return Estimate.exact(here - there)
    exact = all_ <= samples
    count = all_ if exact else samples + samples % 2
    sums = SummedRegression(n, 1 if exact or n > 512 else GROUPS)
    for first in range(0, count, ROUND):
        size = min(ROUND, count - first)
        masks = Every(n, first, size) if exact else Paired(n, case.seed, first, size)
        y = (await case.score(case.keep(masks)) - there).double().cpu()
        z = masks.block(case.features, 0, size)
        weights = games.kernel(z.sum(1), n) if exact else torch.ones(size, dtype=torch.float64)
        if exact or n > 512:
            sums.add(z, y, weights)
            continue
        # Pairs are independent of each other, so that every group gets its share however few there are.
        pair = (first + torch.arange(size)) // 2 % GROUPS
        for group in range(GROUPS):
            rows = pair == group
            sums.add(z[rows], y[rows], weights[rows], group)
    phi, error = sums.solve(total).to(here), sums.error(total)
    zero = torch.zeros_like(phi)
    # A pair adds one equation: with few pairs for the features the solution is one of many.
    notes = () if exact or count >= 4 * n else ("samples.few",)
    return Estimate(phi, zero, zero if exact else None if error is None else error.to(here), notes)
