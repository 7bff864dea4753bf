"""Weighted least squares under the constraint that the coefficients have a given sum."""

from __future__ import annotations

import torch
from torch import Tensor


class SummedRegression:
    """min sum w (y - z·phi)^2 subject to sum(phi) = total, from rows that come in blocks.

    The last feature is eliminated by the constraint; only the normal equations are kept.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.square = torch.zeros(n - 1, n - 1, dtype=torch.float64)
        self.right = torch.zeros(n - 1, dtype=torch.float64)
        self.slope = torch.zeros(n - 1, dtype=torch.float64)

    def add(self, masks: Tensor, y: Tensor, weights: Tensor) -> None:
        """Rows of masks (m, n), their values (m,) and weights (m,)."""
        z = masks.double()
        reduced = z[:, :-1] - z[:, -1:]
        self.square += reduced.T @ (weights[:, None] * reduced)
        self.right += reduced.T @ (weights * y)
        self.slope += reduced.T @ (weights * z[:, -1])

    def solve(self, total: float) -> Tensor:
        """The coefficients (n,) in float64."""
        right = self.right - total * self.slope
        head = torch.linalg.lstsq(self.square, right[:, None], driver="gelsd").solution[:, 0]
        return torch.cat([head, (total - head.sum())[None]])
