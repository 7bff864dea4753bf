"""The first principal component of observations."""

from __future__ import annotations

import torch
from torch import Tensor

NOTHING = 1e-2
"""Size of the rows' sums beside the rows from which the sums say anything: those of a normalised layer are zero but for
rounding, in bfloat16 a few thousandths."""


def principal(rows: Tensor) -> tuple[Tensor, float]:
    """Scores (n,) of rows (n, c) on their first principal component, and its share of the variance; in float64.

    Rows are centred. The largest eigenvector of the smaller of the two Gram matrices, (c, c) of the covariance or
    (n, n), gives the same scores. Their sign is that in which they grow with the sum of each row; where the
    sums are next to nothing, or the two do not go together at all, the largest is positive.
    """
    x = rows.double()
    x = x - x.mean(0)
    n, c = x.shape
    size, vectors = torch.linalg.eigh(x.T @ x if c <= n else x @ x.T)
    top = size[-1].clamp(min=0)
    found = x @ vectors[:, -1] if c <= n else vectors[:, -1] * top.sqrt()
    sums, total = x.sum(1), x.square().sum()
    along = found @ sums
    if bool((sums.norm() <= NOTHING * total.sqrt()) | (along.abs() <= 1e-12 * found.norm() * sums.norm())):
        along = found[found.abs().argmax()]
    return (-found if bool(along < 0) else found), float(top / total) if bool(total > 0) else 0.0
