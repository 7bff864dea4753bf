"""Complexity: how few features say it all. The model is not asked."""

from __future__ import annotations

import torch

from pellucid.words.case import Case
from pellucid.words.metric import Attribution, Measured, metric


@metric(
    kind="complexity", asks="nothing", better="", paper="arXiv:1810.06583", control=False, place=False,
    formula="Gini index of |φ|: Σ_i (2 i − n − 1) |φ|_(i) / (n Σ |φ|), values in ascending order", cost="no rows",
    use="how much of the values a few features hold: 0 where all are equal, 1 − 1/n where one holds all",
    avoid="as a sign of truth: a wrong explanation can be as sparse as one likes",
)
async def sparseness(case: Case, shown: Attribution) -> Measured:
    """How unequal the sizes of the values are: 0 where all are equal, 1 - 1/n where one feature holds everything."""
    sizes: torch.Tensor = shown.values.abs().sort().values
    n, total = len(sizes), float(sizes.sum())
    if total == 0:
        return Measured(0.0, notes=("values.all_zero",))
    place = torch.arange(1, n + 1, dtype=torch.float64)
    return Measured(float(((2 * place - n - 1) * sizes).sum()) / (n * total))
