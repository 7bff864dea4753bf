"""The mean score over the random masks that kept a feature, and how far off it may be."""

from __future__ import annotations

import torch
from torch import Tensor


class Kept:
    """Σ f M / Σ M for every feature, M in [0, 1], from masks that come in blocks; less Σ f / n if `centred`.

    Scores are all known before: their mean is taken off first, so that sums of squares do not cancel.
    """

    def __init__(self, scores: Tensor, features: int, centred: bool) -> None:
        self.n, self.centred = len(scores), centred
        self.middle = float(scores.mean())
        self.f = scores - self.middle
        self.mass = torch.zeros(features, dtype=torch.float64)
        self.hit, self.square = self.mass.repeat(2, 1), self.mass.repeat(3, 1)

    def add(self, first: int, masks: Tensor) -> None:
        """Masks from number `first` on: (m, features) in float64."""
        f = self.f[first : first + len(masks)]
        self.mass += masks.sum(0)
        self.hit += torch.stack([f, f**2]) @ masks
        self.square += torch.stack([torch.ones_like(f), f, f**2]) @ masks**2

    def values(self) -> Tensor:
        """The mean per feature; one that no mask kept gets the mean of all."""
        return self._mean() + (0.0 if self.centred else self.middle)

    def _mean(self) -> Tensor:
        return self.hit[0] / self.mass.clamp(min=1e-12)

    def error(self) -> Tensor | None:
        """One standard error each, of the ratio linearised; None where some feature was hardly ever kept."""
        if self.n < 4 or bool((self.mass < 2).any()):
            return None
        mean, rate = self._mean(), self.mass / self.n
        ones, f, ff = self.square
        # Σ ((f - mean) M / rate)², and with the mean of all taken off Σ ((f - mean) M / rate - f)²
        total = (ff - 2 * mean * f + mean**2 * ones) / rate**2
        if self.centred:
            total = total - 2 * (self.hit[1] - mean * self.hit[0]) / rate + (self.f**2).sum()
        return (total.clamp(min=0) / (self.n * (self.n - 1))).sqrt()
