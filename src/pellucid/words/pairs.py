"""Features and pairs of them, as values are laid over both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch

from pellucid.words.features import Features


def pairs(features: Features) -> Features:
    """The n features, then their n (n - 1) / 2 pairs, named a and a × b; `name` says of what kind they are."""
    names = features.names or [",".join(map(str, place)) for place in np.ndindex(*features.shape)]
    told = spelled(names)
    return Features(torch.arange(len(told)), (0,), (len(told),), "units", f"pairs of {features.kind}", told)


def spelled(names: Sequence[str]) -> tuple[str, ...]:
    """The names, then those of all pairs."""
    return (*names, *(f"{a} × {b}" for a, b in combinations(names, 2)))


def numbered(count: int, what: str) -> tuple[str, ...]:
    """Names for `count` features and pairs that tell nothing but their numbers."""
    return spelled([f"{what} {i + 1}" for i in range((math.isqrt(8 * count + 1) - 1) // 2)])
