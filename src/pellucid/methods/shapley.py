"""Shapley values: a feature's mean contribution over all orders in which features can appear."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.numbers import games, paired
from pellucid.numbers.coalitions import Pairs, shares
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.regression import SummedRegression
from pellucid.numbers.sequential import excess, upcoming
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features
from pellucid.words.method import Law, method

ROUND = 1024
"""Coalitions asked about at a time, so that memory does not grow with the samples."""

LEAST = 128
"""Pairs before the error is looked at for the first time."""


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
    """n coalitions of these pairs from number `first` on: one, its complement, the next, …"""

    pairs: Pairs
    first: int
    n: int

    @property
    def key(self) -> Hashable:
        return ("paired coalitions", self.pairs, self.first, self.n)

    def block(self, features: Features, start: int, stop: int) -> Tensor:
        start, stop = start + self.first, stop + self.first
        some = self.pairs.block(start // 2, -(-stop // 2))
        return torch.stack([some, ~some], 1).flatten(0, 1)[start % 2 : start % 2 + stop - start]


@method(
    asks="score", paper="arXiv:1705.07874", laws=[Law.COMPLETE, Law.DUMMY, Law.SYMMETRIC, Law.LINEAR], coarse=True,
    formula="Shapley values by least squares with weights (n − 1) / (C(n, k) k (n − k))",
    cost="up to samples rows; 2ⁿ − 2 rows where that is fewer, then exact",
    use="tables, words, superpixels: fair shares of the score's change, for any model",
    avoid="hundreds of features: take fewer and larger ones",
)
async def kernel_shap(case: Case, *, samples: int = 2048, tolerance: float = 0.01) -> Estimate:
    """Each feature's Shapley value: its mean contribution over all orders of switching features on.

    Weighted least squares over coalitions of features with the Shapley kernel, the sum held at
    f(x) - f(b). Where `samples` allow for all 2^n - 2 coalitions the values are exact. Otherwise
    coalitions are drawn in complementary pairs, by size and none twice, until two standard errors are
    within `tolerance` of the values (norms over features; 0 never stops), at most `samples`. For up to
    32 features, what the other pairs foretell of a pair is no noise.
    """
    n, all_ = case.features.n, 2 ** min(case.features.n, 62) - 2
    if not isinstance(samples, int) or samples < 2 or not tolerance >= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("option.value", f"samples={samples!r}, tolerance={tolerance!r}",
                          "a whole number of samples from 2 and a tolerance from 0", "ask for at least one pair")
    here, there = await together(case.score(case.here), case.score(case.there))
    total = float(here - there)
    if n == 1:
        return Estimate.exact(here - there)
    if all_ <= samples:
        sums = SummedRegression(n)
        for first in range(0, all_, ROUND):
            masks = Every(n, first, min(ROUND, all_ - first))
            y = (await case.score(case.keep(masks)) - there).double().cpu()
            z = masks.block(case.features, 0, masks.n)
            sums.add(z, y, games.kernel(z.sum(1), n))
        return Estimate.exact(sums.solve(total).to(here))
    pairs, y, most = Pairs(n, case.seed, ()), torch.zeros(0, dtype=torch.float64), (samples + 1) // 2
    size = min(max(LEAST, 4 * n), most) if tolerance > 0 else most
    while True:
        pairs, new = pairs.grown(size)
        for first in range(0, 2 * len(new), ROUND):
            scores = await case.score(case.keep(Paired(new, first, min(ROUND, 2 * len(new) - first))))
            y = torch.cat([y, (scores[::2] - scores[1::2]).double().cpu()])
        phi, error = paired.shapley(pairs, y, total, shares(n, size))
        far = excess(phi, error, tolerance)
        if far <= 1 or size >= most:
            break
        size = upcoming(size, far, most)
    notes = (*(["interval.wide"] if tolerance > 0 and far > 1 else []), *(["samples.few"] if size < 2 * n else []))
    return Estimate(phi.to(here), torch.zeros_like(phi).to(here), None if error is None else error.to(here), notes)
