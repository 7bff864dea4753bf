"""Complexity: how few features say it all. The model is not asked."""

from __future__ import annotations

import math

import torch

from pellucid.words.case import Case
from pellucid.words.errors import OptionError
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


@metric(
    kind="complexity", asks="nothing", better="", paper="arXiv:2005.00631", control=False, place=False,
    formula="− Σ_i p_i ln p_i, p_i = |φ_i| / Σ |φ|", cost="no rows",
    use="over how many features the values spread: 0 where one holds all, ln n where all are equal",
    avoid="as a sign of truth: a wrong explanation can be as simple as one likes",
)
async def entropy(case: Case, shown: Attribution) -> Measured:
    """The entropy of the values' sizes, in nats: the logarithm of how many features share them evenly.

    `details` holds that number of features (`features`) and the largest entropy there could be (`most`).
    """
    sizes: torch.Tensor = shown.values.abs()
    n, total = len(sizes), float(sizes.sum())
    if total == 0:
        return Measured(0.0, notes=("values.all_zero",))
    found = max(0.0, float(torch.special.entr(sizes / total).sum()))
    return Measured(found, details={"features": math.exp(found), "most": math.log(n)})


@metric(
    kind="complexity", asks="nothing", better="", paper="arXiv:2007.07584", control=False, place=False,
    formula="the least k with Σ of the k largest |φ| ≥ share · Σ |φ|", cost="no rows",
    use="how many features one has to read to have read most of it",
    avoid="as a sign of truth: a wrong explanation can be as simple as one likes",
)
async def effective_complexity(case: Case, shown: Attribution, *, share: float = 0.9) -> Measured:
    """How many features hold `share` of the values' sizes, the largest first.

    The curve is the share held over the share of features read. The paper counts the features that keep the model's
    expected loss below a bound; here the values say themselves what they hold, and the model is not asked.
    """
    if not 0 < share <= 1:
        raise OptionError("option.value", f"share={share!r}", "above 0, up to 1", "leave it out for 0.9")
    sizes: torch.Tensor = shown.values.abs().sort(descending=True).values
    n, total = len(sizes), float(sizes.sum())
    if total == 0:
        return Measured(0.0, notes=("values.all_zero",))
    held = sizes.cumsum(0) / total
    # Sums end in rounding: what falls short of the share by that alone has reached it.
    k = min(n, int((held < share * (1 - 1e-12)).sum()) + 1)
    at = sorted({round(j * (n - 1) / 99) for j in range(100)})
    return Measured(float(k), curve=((0.0, 0.0), *(((j + 1) / n, float(held[j])) for j in at)),
                    axes=("read", "held"), details={"of": n})
