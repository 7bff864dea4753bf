"""A small linear model beside a large one: weighted ridge regression, its choice of columns, fit and errors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


class Moments:
    """Weighted sums over rows z (m, n) with values y and weights w, which come in blocks."""

    def __init__(self, n: int) -> None:
        self.rows, self.mass, self.y, self.yy = 0, 0.0, 0.0, 0.0
        self.z, self.zy = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
        self.zz = torch.zeros(n, n, dtype=torch.float64)

    def add(self, z: Tensor, y: Tensor, w: Tensor) -> None:
        """One block. Whoever takes something near their mean off all y keeps rounding errors small."""
        heavy = w[:, None] * z
        self.rows += len(z)
        self.mass += float(w.sum())
        self.y, self.yy = self.y + float(w @ y), self.yy + float(w @ y**2)
        self.z += heavy.sum(0)
        self.zy += heavy.T @ y
        self.zz += heavy.T @ z

    @property
    def gram(self) -> Tensor:
        """Σ w (z - mean)(z - mean)ᵀ."""
        return self.zz - self.z[:, None] * self.z / self.mass

    @property
    def right(self) -> Tensor:
        """Σ w (z - mean)(y - mean)."""
        return self.zy - self.z * self.y / self.mass

    @property
    def total(self) -> float:
        """Σ w (y - mean)²."""
        return max(self.yy - self.y**2 / self.mass, 0.0)


@dataclass(frozen=True, eq=False)
class Fit:
    """min Σ w (y - a - z·c)² + penalty ‖c‖² over some columns: c (n,), zero elsewhere, and a."""

    coefficients: Tensor
    intercept: float
    columns: Tensor
    inverse: Tensor
    r2: float

    @classmethod
    def of(cls, seen: Moments, penalty: float, columns: Tensor | None = None) -> Fit:
        some = torch.arange(len(seen.z)) if columns is None else columns
        gram, right = seen.gram[some][:, some], seen.right[some]
        inverse = torch.linalg.pinv(gram + penalty * torch.eye(len(some), dtype=torch.float64), hermitian=True)
        c = inverse @ right
        lost = seen.total - 2 * float(c @ right) + float(c @ gram @ c)
        flat = seen.total <= 1e-20 * max(seen.yy, 1e-300)
        found = torch.zeros_like(seen.z)
        found[some] = c
        a = (seen.y - float(found @ seen.z)) / seen.mass
        return cls(found, a, some, inverse, 1.0 if flat else 1 - lost / seen.total)


def highest(seen: Moments, k: int) -> Tensor:
    """The k columns with the largest coefficients in a fit with hardly a penalty."""
    return Fit.of(seen, 0.01).coefficients.abs().argsort(descending=True, stable=True)[:k].sort().values


def forward(seen: Moments, k: int, penalty: float) -> Tensor:
    """k columns, each chosen so that with those before it the fit is best."""
    gram, right, chosen = seen.gram, seen.right, list[int]()
    penalty = max(penalty, 1e-12 * float(gram.diagonal().mean()), 1e-300)  # equal columns leave it singular
    for size in range(1, k + 1):
        rest = [i for i in range(len(right)) if i not in chosen]
        sets = torch.tensor([[*chosen, i] for i in rest])
        g, r = gram[sets[:, :, None], sets[:, None, :]], right[sets]
        c = torch.linalg.solve(g + penalty * torch.eye(size, dtype=torch.float64), r)
        gain = 2 * (c * r).sum(1) - torch.einsum("mi,mij,mj->m", c, g, c)
        chosen.append(rest[int(gain.argmax())])
    return torch.tensor(chosen).sort().values


class Spread:
    """The errors of a fit's coefficients by the sandwich, from the same rows once more.

    A row's residual is divided by one minus its leverage, as if the fit had not seen it (HC3).
    """

    def __init__(self, fit: Fit, seen: Moments) -> None:
        self.fit, self.mean, self.mass = fit, seen.z[fit.columns] / seen.mass, seen.mass
        k = len(fit.columns)
        self.sum, self.square = torch.zeros(k, dtype=torch.float64), torch.zeros(k, k, dtype=torch.float64)
        self.rows = 0

    def add(self, z: Tensor, y: Tensor, w: Tensor) -> None:
        """One block, as `Moments` had it."""
        left = y - self.fit.intercept - z @ self.fit.coefficients
        centred = z[:, self.fit.columns] - self.mean
        leverage = w * (1 / self.mass + ((centred @ self.fit.inverse) * centred).sum(1))
        pull = centred * (w * left / (1 - leverage).clamp(min=0.1))[:, None]
        self.rows += len(z)
        self.sum += pull.sum(0)
        self.square += pull.T @ pull

    def error(self) -> Tensor | None:
        """One standard error per column, zero for those left out; None where rows are too few to tell."""
        if self.rows < len(self.fit.columns) + 4:
            return None
        inside = self.square - self.sum[:, None] * self.sum / self.rows
        found = torch.zeros_like(self.fit.coefficients)
        found[self.fit.columns] = (self.fit.inverse @ inside @ self.fit.inverse).diagonal().clamp(min=0).sqrt()
        return found
