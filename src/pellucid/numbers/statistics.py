"""Running means and variances by Welford's update."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.numbers.estimate import Estimate


class Welford:
    """Mean and variance of tensors that come one after the other, in float64."""

    def __init__(self) -> None:
        self.n = 0
        self.mean: Tensor | None = None
        self.squares: Tensor | None = None

    def add(self, value: Tensor) -> Tensor | None:
        """Take in one more value; the answer is what it adds to the sum of squares, None for the first.

        These increments are Helmert's: each has the variance as its mean, and they are independent for normal
        values, nearly so for others. So their own spread tells the error of the variance.
        """
        value = value.to(torch.float64)
        self.n += 1
        if self.mean is None or self.squares is None:
            self.mean, self.squares = value.clone(), torch.zeros_like(value)
            return None
        delta = value - self.mean
        self.mean += delta / self.n
        more = delta * (value - self.mean)
        self.squares += more
        return more

    @property
    def variance(self) -> Tensor:
        """The sample variance (divided by n - 1)."""
        if self.squares is None or self.n < 2:
            raise ValueError("a variance needs two values")
        return self.squares / (self.n - 1)

    def estimate(self) -> Estimate:
        """The mean with its standard error, unknown for a single value."""
        if self.mean is None:
            raise ValueError("a mean needs a value")
        sampling = (self.variance / self.n).sqrt() if self.n > 1 else None
        return Estimate(self.mean, torch.zeros_like(self.mean), sampling)
