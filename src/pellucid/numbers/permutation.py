"""Tests by relabelling: how often chance does as well, where labels could as well have been dealt out otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.numbers.ranking import lots


def relabelled(n: int, count: int, seed: int) -> Tensor:
    """(1 + count, n): the order as it is, then orders by lot."""
    generator = lots(seed, 61)
    own = torch.arange(n)[None]
    return torch.cat([own, *(torch.randperm(n, generator=generator)[None] for _ in range(count))])


def p_values(values: Tensor) -> Tensor:
    """The share of all labellings (labellings, tests), the true one first, whose value is at least the true one's.

    The true one counts too, so that p is never 0 and, where labels mean nothing, p <= a holds with a probability of
    at most a, whatever the values' distribution and however they hang together.
    """
    return (values >= values[:1]).double().mean(0)


def extremes(scores: Tensor) -> Tensor:
    """How far scores (labellings, tests) lie from their mean over all labellings, to either side.

    The mean is the same whichever labelling is the true one, so that the test stays exact.
    """
    return (scores - scores.mean(0, keepdim=True)).abs()


def yekutieli(tests: int) -> float:
    """What a level is divided by so that Benjamini and Hochberg's rule holds however tests depend on each other.

    Σ 1/i over the tests (doi:10.1214/aos/1013699998).
    """
    return sum(1 / i for i in range(1, tests + 1)) if tests else 1.0


def joint(statistics: Tensor) -> Tensor:
    """One value per labelling (labellings,) from several statistics (labellings, several), large where any is unusual.

    The smallest of their p-values, each against all labellings, with its sign turned: its own p-value (Westfall and
    Young's) counts how often chance does as well in any of them.
    """
    n = len(statistics)
    ordered = statistics.sort(0).values
    below = torch.searchsorted(ordered.mT.contiguous(), statistics.mT.contiguous()).mT
    return -((n - below).double() / n).min(1).values
