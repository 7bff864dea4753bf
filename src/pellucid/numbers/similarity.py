"""How alike two attributions are: by rank, by direction, and as pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.numbers.correlation import even
from pellucid.numbers.ranks import spearman

WINDOW, K1, K2 = 7, 0.01, 0.03
"""SSIM's window and its two small constants, as they are usually taken."""


def rank(a: Tensor, b: Tensor) -> float | None:
    """Spearman's rank correlation of a and b (n,); None where all values of one are equal."""
    return spearman(even(a), even(b))


def cosine(a: Tensor, b: Tensor) -> float | None:
    """The cosine of the angle between a and b (n,); None where one is all zero."""
    a, b = a.double(), b.double()
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale else None


def ssim(a: Tensor, b: Tensor, *, span: float | None = None) -> float | None:
    """The mean structural similarity of two pictures a and b (rows, columns), whatever their scale.

    Each is divided by its largest size first; `span`, the range of values, is then that of both together. With
    `span` given, pictures are taken as they are. Means over windows of 7 by 7 (smaller for smaller pictures) that
    lie wholly inside: (2 μ_a μ_b + C1) (2 σ_ab + C2) / ((μ_a² + μ_b² + C1) (σ_a² + σ_b² + C2)), with sample
    variances, C1 = (0.01 span)², C2 = (0.03 span)² (Wang et al. 2004). None where a picture is constant, or too
    small for a window of 3.
    """
    a, b = a.double(), b.double()
    side = min(WINDOW, *a.shape)
    side -= 1 - side % 2
    if side < 3 or any(bool((m == m.flatten()[0]).all()) for m in (a, b)):
        return None
    if span is None:
        a, b = a / a.abs().max(), b / b.abs().max()
        span = float(torch.maximum(a.max(), b.max()) - torch.minimum(a.min(), b.min()))

    def mean(picture: Tensor) -> Tensor:
        return F.avg_pool2d(picture[None, None], side, stride=1)[0, 0]

    sample = side**2 / (side**2 - 1)
    x, y = mean(a), mean(b)
    xx, yy, xy = (sample * (mean(p * q) - m * n) for p, q, m, n in ((a, a, x, x), (b, b, y, y), (a, b, x, y)))
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    found = (2 * x * y + c1) * (2 * xy + c2) / ((x**2 + y**2 + c1) * (xx + yy + c2))
    return float(found.mean())
