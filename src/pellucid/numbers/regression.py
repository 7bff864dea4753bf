"""Weighted least squares under the constraint that the coefficients have a given sum."""

from __future__ import annotations

import torch
from torch import Tensor


class SummedRegression:
    """min sum w (y - z·phi)^2 subject to sum(phi) = total, from rows that come in blocks.

    The last feature is eliminated by the constraint; only the normal equations are kept, in `groups`
    parts, so that leaving one out gives a standard error (jackknife).
    """

    def __init__(self, n: int, groups: int = 1) -> None:
        self.n = n
        self.square = torch.zeros(groups, n - 1, n - 1, dtype=torch.float64)
        self.right = torch.zeros(groups, n - 1, dtype=torch.float64)
        self.slope = torch.zeros(groups, n - 1, dtype=torch.float64)
        self.rows = torch.zeros(groups, dtype=torch.int64)

    def add(self, masks: Tensor, y: Tensor, weights: Tensor, group: int = 0) -> None:
        """Rows of masks (m, n), their values (m,) and weights (m,)."""
        z = masks.double()
        reduced = z[:, :-1] - z[:, -1:]
        self.square[group] += reduced.T @ (weights[:, None] * reduced)
        self.right[group] += reduced.T @ (weights * y)
        self.slope[group] += reduced.T @ (weights * z[:, -1])
        self.rows[group] += len(masks)

    def _solve(self, which: Tensor, total: float) -> Tensor:
        square, right = self.square[which].sum(0), (self.right - total * self.slope)[which].sum(0)
        head = torch.linalg.lstsq(square, right[:, None], driver="gelsd").solution[:, 0]
        return torch.cat([head, (total - head.sum())[None]])

    def solve(self, total: float) -> Tensor:
        """The coefficients (n,) in float64."""
        return self._solve(self.rows >= 0, total)

    def error(self, total: float) -> Tensor | None:
        """One standard error per coefficient; None where too few rows would be left to tell."""
        used = [g for g in range(len(self.rows)) if self.rows[g] > 0]
        if len(used) < 4 or int(self.rows.sum() - self.rows.max()) < 2 * self.n:
            return None
        every = torch.zeros(len(self.rows), dtype=torch.bool)
        every[used] = True
        left = []
        for g in used:
            some = every.clone()
            some[g] = False
            left.append(self._solve(some, total))
        spread = torch.stack(left)
        return ((len(used) - 1) / len(used) * ((spread - spread.mean(0)) ** 2).sum(0)).sqrt()
