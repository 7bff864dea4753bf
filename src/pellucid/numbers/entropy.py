"""How spread out attention is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionEntropy:
    """Entropy of a head's attention, mean over queries, as a share of the most there can be: (rows, heads).

    -sum over keys of p ln p, divided by ln(keys): 1 where every query looks at all keys alike, 0 where each looks
    at a single one. Probabilities (rows, heads, queries, keys), or (rows, windows, heads, queries, keys), of which
    windows are averaged. Where later keys are hidden from a query, even attention stays below 1.
    """

    def __call__(self, probabilities: Tensor) -> Tensor:
        p = probabilities.float()
        most = math.log(p.shape[-1]) if p.shape[-1] > 1 else 1.0
        found = -torch.xlogy(p, p).sum(-1).mean(-1) / most
        return found.mean(1) if found.dim() == 3 else found
