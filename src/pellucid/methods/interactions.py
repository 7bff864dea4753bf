"""Interactions: what two features bring together, beyond what each brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pellucid.methods.rounds import ROUND, asked, ends, limited, sized
from pellucid.methods.shapley import replicas
from pellucid.numbers.estimate import Estimate
from pellucid.numbers.interactions import TaylorSum, in_orders
from pellucid.numbers.orders import Orders
from pellucid.words.case import Case
from pellucid.words.masks import Every, OneMore, ahead
from pellucid.words.method import Law, method
from pellucid.words.pairs import pairs
from pellucid.words.points import Chosen

MOST = 64
"""Features whose pairs are asked about: 2,016 pairs, 4,030 rows for an order and its reverse."""


@method(
    asks="score", paper="arXiv:1902.05622", laws=[Law.COMPLETE, Law.LINEAR], coarse=True, most=MOST,
    formula="alone: f(i) − f(b); pairs: mean over orders of f(S + i + j) − f(S + i) − f(S + j) + f(S)",
    cost="up to samples rows, n (n − 1) − 2 for an order and its reverse; 2ⁿ rows where that is fewer, then exact",
    use="whether two features matter together: negations, one-hot twins, a condition and what it switches",
    avoid="more than some tens of features, or where each one's fair share is asked for: kernel_shap",
)
async def shapley_interactions(case: Case, *, samples: int = 8192, tolerance: float = 0.05) -> Estimate:
    """What each feature brings alone, and what every pair brings beyond that (Shapley-Taylor index of order 2).

    A feature's value is f(b with it) - f(b). A pair's is the mean, over random orders, of
    f(S + i + j) - f(S + i) - f(S + j) + f(S), where S are the features that came before both; what three
    and more do together is shared by their pairs. Features and pairs sum to f(x) - f(b). (The Shapley
    interaction index of Grabisch and Roubens agrees where there are pairs only; its values do not sum to
    anything.) Where `samples` allow for all 2^n coalitions the values are exact. Otherwise pairs of an
    order and its reverse are drawn until two standard errors are within `tolerance` of the values (norms
    over features and pairs; 0 never stops), at most `samples` rows, and one such pair at least. Raises
    `features.too_many` for more than 64 features.
    """
    sized(samples, tolerance)
    limited(case.features, MOST, "kernel_shap, which needs no pairs")
    place, n = pairs(case.features), case.features.n
    here, none, full = await ends(case)
    if 2**n - 2 <= samples:
        values = await _exactly(case, none, full)
        return replace(Estimate.exact(values.to(here)), place=place)
    alone = (await case.score(case.keep(Chosen(torch.eye(n, dtype=torch.bool))))).double().cpu()
    orders, upper = Orders(n, case.seed), torch.ones(n, n).triu(1) > 0

    async def drawn(first: int, stop: int) -> Sequence[Estimate]:
        rows = OneMore(orders, 2 * first, 2 * (stop - first))
        ranks = orders.ranks(rows.first, rows.count)
        found = in_orders(await asked(case, rows), ranks, alone, none, full).unflatten(0, (-1, 2)).mean(1)
        whole = [torch.cat([alone - none, one[upper]]) for one in found]
        return [Estimate(one, torch.zeros_like(one), torch.zeros_like(one), (), place) for one in whole]

    return await replicas(case, drawn, (samples - n) // (2 * len(ahead(n))), tolerance)


async def _exactly(case: Case, none: float, full: float) -> Tensor:
    """Features and pairs from every coalition, a round at a time."""
    n = case.features.n
    total = torch.tensor([full - none], dtype=torch.float64)
    if n == 1:
        return total
    sums, alone = TaylorSum(n), torch.zeros(n, dtype=torch.float64)
    sums.add(torch.ones(1, n, dtype=torch.bool), total)
    for first in range(0, 2**n - 2, ROUND):
        rows = Every(n, first, min(ROUND, 2**n - 2 - first))
        masks = rows.block(case.features, 0, rows.n)
        v = (await case.score(case.keep(rows))).double().cpu() - none
        sums.add(masks, v)
        single = masks.sum(1) == 1
        alone += v[single] @ masks[single].double()
    return torch.cat([alone, sums.pairs[torch.ones(n, n).triu(1) > 0]])
