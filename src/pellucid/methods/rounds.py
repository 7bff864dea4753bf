"""Scores of coalitions, asked in rounds: none is asked twice in a round, and memory does not grow with the samples."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.features import Features
from pellucid.words.masks import FEW, Coded
from pellucid.words.points import BLOCK, Masks

ROUND = 1024
"""Coalitions asked about at a time."""


def sized(samples: int, tolerance: float, least: int = 2) -> None:
    """Refuse numbers that mean nothing."""
    if not isinstance(samples, int) or samples < least or not tolerance >= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OptionError("option.value", f"samples={samples!r}, tolerance={tolerance!r}",
                          f"a whole number of samples from {least} and a tolerance from 0",
                          "try samples=2048, tolerance=0.01; a tolerance of 0 never stops early")


def limited(features: Features, most: int, instead: str) -> None:
    """Refuse more features than a method can take."""
    if features.n > most:
        raise OptionError("features.too_many", f"{features.n} features", f"at most {most}",
                          f"take {instead}, or fewer and larger features")


async def ends(case: Case) -> tuple[Tensor, float, float]:
    """The score of x as it was answered, then that of the baseline and of x as numbers."""
    here, there = await together(case.score(case.here), case.score(case.there))
    return here, float(there), float(here)


async def asked(case: Case, masks: Masks) -> Tensor:
    """The score at every mask, (n,) in float64 on the CPU; among few features each distinct one is asked once."""
    if case.features.n > FEW:
        return (await case.score(case.keep(masks))).double().cpu()
    codes, rank = torch.zeros(masks.n, dtype=torch.int64), torch.arange(case.features.n)
    for first in range(0, masks.n, BLOCK):
        stop = min(first + BLOCK, masks.n)
        codes[first:stop] = (masks.block(case.features, first, stop).long() << rank).sum(1)
    distinct, where = codes.unique(return_inverse=True)
    return (await case.score(case.keep(Coded(case.features.n, distinct)))).double().cpu()[where]
