"""Shapley values: a feature's mean contribution over all orders in which features can appear."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.methods.replicates import Mean, replicated
from pellucid.methods.rounds import ROUND, asked, ends, limited, sized
from pellucid.numbers import games, paired
from pellucid.numbers.coalitions import Pairs, shares
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.orders import Orders, marginals
from pellucid.numbers.regression import SummedRegression
from pellucid.numbers.sequential import excess, upcoming
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.masks import FEW, Every, Paired, Prefixes
from pellucid.words.method import Law, method

MOST = 14
"""Features of which all coalitions are asked about: 2¹⁴ rows."""

LEAST = 128
"""Pairs before the error is looked at for the first time."""


@method(
    asks="score", paper="doi:10.1515/9781400881970-018", coarse=True, most=MOST,
    laws=[Law.COMPLETE, Law.DUMMY, Law.SYMMETRIC, Law.LINEAR],
    formula="Σ over S without i of |S|! (n − |S| − 1)! / n! · (f(S + i) − f(S))", cost="2ⁿ rows",
    use="up to 14 features: the fair shares themselves, without any sampling",
    avoid="more features: kernel_shap finds the same values from a sample, and says how far off they may be",
)
async def shapley(case: Case) -> Estimate:
    """Each feature's Shapley value, exactly: its mean contribution over all orders of switching features on.

    The sum over S without i of |S|! (n - |S| - 1)! / n! · (f(S + i) - f(S)), from all 2^n coalitions; the
    values sum to f(x) - f(b). Raises `features.too_many` for more than 14 features.
    """
    limited(case.features, MOST, "kernel_shap")
    here, none, full = await ends(case)
    return Estimate.exact((await _exactly(case, none, full)).to(here))


async def _exactly(case: Case, none: float, full: float) -> Tensor:
    """Shapley values from every coalition, a round at a time."""
    n = case.features.n
    sums = games.ShapleySum(n)
    sums.add(torch.ones(1, n, dtype=torch.bool), torch.tensor([full - none], dtype=torch.float64))
    for first in range(0, 2**n - 2, ROUND):
        masks = Every(n, first, min(ROUND, 2**n - 2 - first))
        v = (await case.score(case.keep(masks))).double().cpu() - none
        sums.add(masks.block(case.features, 0, masks.n), v)
    return sums.values


@method(
    asks="score", paper="doi:10.1016/j.cor.2008.04.004; arXiv:2104.12199", coarse=True,
    laws=[Law.COMPLETE, Law.DUMMY, Law.SYMMETRIC, Law.LINEAR],
    formula="mean over random orders, each with its reverse, of f(S + i) − f(S), S being who came before i",
    cost="up to samples rows, 2 n − 2 for an order and its reverse; 2ⁿ rows where that is fewer, then exact",
    use="hundreds of features, or as a check on kernel_shap: its error supposes nothing about the score",
    avoid="few features: shapley is exact, and kernel_shap is closer at the same cost",
)
async def shapley_sampling(case: Case, *, samples: int = 2048, tolerance: float = 0.01) -> Estimate:
    """Each feature's Shapley value: what it adds when it is switched on, averaged over random orders.

    Orders come in pairs, one and its reverse, so that what two features do together is shared exactly.
    Pairs are independent replicates: they are drawn until two standard errors of their mean are within
    `tolerance` of the values (norms over features; 0 never stops), at most `samples` rows, and one pair at
    least. A coalition that comes twice among eight pairs is asked once, x and the baseline once in all.
    Where `samples` allow for all 2^n coalitions the values are exact. In every order the values sum to
    f(x) - f(b).
    """
    return await in_orders(case, Orders(case.features.n, case.seed), samples, tolerance)


async def in_orders(case: Case, orders: Orders, samples: int, tolerance: float) -> Estimate:
    """Mean marginal contributions in pairs of orders."""
    sized(samples, tolerance)
    n = case.features.n
    here, none, full = await ends(case)
    if n == 1:
        return Estimate.exact(here - none)
    if orders.tree is None and 2 ** min(n, FEW) - 2 <= samples:
        return Estimate.exact((await _exactly(case, none, full)).to(here))

    async def pairs(first: int, stop: int) -> Sequence[Estimate]:
        rows = Prefixes(orders, 2 * first, 2 * (stop - first))
        gains = marginals(await asked(case, rows), orders.ranks(rows.first, rows.count), none, full)
        exact = gains.new_zeros(n)
        return [Estimate(pair, exact, exact, (), case.features) for pair in gains.unflatten(0, (-1, 2)).mean(1)]

    return await replicas(case, pairs, samples // (2 * (n - 1)), tolerance)


async def replicas(
    case: Case, pairs: Callable[[int, int], Awaitable[Sequence[Estimate]]], most: int, tolerance: float
) -> Estimate:
    """The mean over pairs of orders, at most so many and one at least; few of them tell their error less well."""
    found = await replicated(Mean(case), pairs, max(most, 1), tolerance)
    return replace(found, notes=(*found.notes, "samples.few")) if most < 2 else found


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
    sized(samples, tolerance)
    n, all_ = case.features.n, 2 ** min(case.features.n, 62) - 2
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
    pairs, y, most = Pairs(n, case.seed, ()), torch.zeros(0, dtype=torch.float64), samples // 2
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
