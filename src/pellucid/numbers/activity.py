"""What a layer's values are like: figures of single rows, made where the values are, and figures of a whole set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.numbers.statistics import Welford

NEAR = 0.01
"""A unit within this share of its range from an end of it is saturated."""

FIGURES = ("mean", "variance", "most", "least", "active", "zero", "end")
"""By channel and row: mean, variance over places, largest, smallest, shares above zero, at zero, at an end."""

RANKED = 2048
"""Channels up to which the effective rank of a set is told: its covariance has the square of them."""


@dataclass(frozen=True)
class Figures:
    """FIGURES of every channel over its places: values (rows, *shape) → (rows, channels, 7), in float32.

    `axis` is that of the channels in a row's shape, -1 where every element is a unit of its own. `ends` are the ends
    of the values' range, where they have any.
    """

    axis: int
    ends: tuple[float, float] | None = None

    def __call__(self, values: Tensor) -> Tensor:
        v = channels_first(values, self.axis).float()
        if self.ends is None:
            end = torch.zeros(v.shape[:2], device=v.device)
        else:
            low, high = self.ends
            near = NEAR * (high - low)
            end = ((v <= low + near) | (v >= high - near)).float().mean(2)
        return torch.stack([v.mean(2), v.var(2, correction=0), v.amax(2), v.amin(2), (v > 0).float().mean(2),
                            (v == 0).float().mean(2), end], -1)


@dataclass(frozen=True)
class Spectrum:
    """Of maps with rows and columns the share of their variance in the finer half of what they can show: (rows,).

    The finer half are frequencies above a quarter of a cycle per place, along either axis. NaN for
    maps without variance.
    """

    axis: int

    def __call__(self, values: Tensor) -> Tensor:
        v = values.float().movedim(self.axis + 1, 1)
        power = torch.fft.fft2(v).abs().square().sum(1)
        power[:, 0, 0] = 0
        fine = [torch.fft.fftfreq(s, device=v.device).abs() > 0.25 for s in v.shape[2:]]
        over = fine[0][:, None] | fine[1][None]
        return (power * over).sum((1, 2)) / power.sum((1, 2))


@dataclass(frozen=True)
class Spread:
    """How many directions a row's channels take over its places: the effective rank, (rows,).

    exp of the entropy of the covariance's eigenvalues as shares: 1 where all channels say the same, as many as there
    are channels (or places) where all say something of their own.
    """

    axis: int

    def __call__(self, values: Tensor) -> Tensor:
        v = channels_first(values, self.axis).double()
        v = v - v.mean(2, keepdim=True)
        gram = v @ v.mT if v.shape[1] <= v.shape[2] else v.mT @ v
        return torch.stack([effective_rank(torch.linalg.eigvalsh(g)) for g in gram])


@dataclass(frozen=True)
class Contribution:
    """How much a row's channels do for the score: |sum over places of gradient times value|, (rows, channels)."""

    axis: int

    def __call__(self, slope: Tensor, values: Tensor) -> Tensor:
        return channels_first(slope * values, self.axis).sum(2).abs()


def channels_first(values: Tensor, axis: int) -> Tensor:
    """Rows of values as (rows, channels, places); with axis -1 every element is a channel of one place."""
    if axis < 0:
        return values.flatten(1).unsqueeze(2)
    return values.movedim(axis + 1, 1).flatten(2)


def effective_rank(eigenvalues: Tensor) -> Tensor:
    """exp of the entropy of eigenvalues as shares (Roy and Vetterli 2007); 0 where all are zero."""
    shares = eigenvalues.clamp(min=0)
    total = shares.sum()
    if not bool(total > 0):
        return torch.zeros((), dtype=torch.float64)
    shares = shares / total
    return torch.exp(-torch.xlogy(shares, shares).sum())


class Running:
    """Figures of a set, from those of its rows as they come: nothing of a row is kept."""

    def __init__(self, places: int = 1) -> None:
        self.rows, self.places = 0, places
        self.sums = self.most = self.least = torch.zeros(0)
        self.means = Welford()
        self.products: Tensor | None = None
        self.fine: list[float] = [0.0, 0.0]
        self.rank: list[float] = [0.0, 0.0]

    def add(self, figures: Tensor, fine: Tensor | None = None, rank: Tensor | None = None) -> None:
        """One more row's figures (channels, 7), and its share of fine detail and its rank where it has them."""
        f = figures.detach().cpu().double()
        if not self.rows:
            self.sums, self.most, self.least = torch.zeros_like(f), f[:, 2].clone(), f[:, 3].clone()
            self.products = torch.zeros(len(f), len(f), dtype=torch.float64) if len(f) <= RANKED else None
        self.rows += 1
        self.sums += f
        self.most, self.least = torch.maximum(self.most, f[:, 2]), torch.minimum(self.least, f[:, 3])
        apart = f[:, 0] - (self.means.mean if self.means.mean is not None else 0.0)
        self.means.add(f[:, 0])
        if self.products is not None and self.means.mean is not None:
            self.products.addr_(apart, f[:, 0] - self.means.mean)
        for held, value in ((self.fine, fine), (self.rank, rank)):
            if value is not None and math.isfinite(float(value)):
                held[0] += float(value)
                held[1] += 1

    def column(self, name: str) -> Tensor:
        """One of FIGURES for every channel: over all rows and places."""
        if name in ("most", "least"):
            return self.most if name == "most" else self.least
        return self.sums[:, FIGURES.index(name)] / max(self.rows, 1)

    @property
    def variance(self) -> Tensor:
        """The variance of every channel over all rows and places: within rows, and between them."""
        between = self.means.squares
        return self.column("variance") + (0.0 if between is None else between / max(self.rows, 1))

    def profile(self) -> dict[str, float]:
        """The layer in a few numbers."""
        mean, whole = self.column("mean"), self.variance.mean() + self.column("mean").var(correction=0)
        told = {
            "mean": float(mean.mean()), "spread": float(whole.sqrt()),
            "least": float(self.least.min()), "most": float(self.most.max()),
            "sparsity": float(self.column("zero").mean()), "saturated": float(self.column("end").mean()),
        }
        if self.rows * self.places > 1:  # of a single value nobody can say that it never changes
            told["dead"] = float(self.dead().double().mean())
        if self.fine[1]:
            told["fine"] = self.fine[0] / self.fine[1]
        if self.rank[1]:
            told["rank"] = self.rank[0] / self.rank[1]
        if self.rows > 1 and self.products is not None:
            told["rank over inputs"] = float(effective_rank(torch.linalg.eigvalsh(self.products)))
        return told

    def dead(self) -> Tensor:
        """Channels that were the same everywhere and for every row: they tell nothing apart."""
        return self.most <= self.least


def ranked(figures: Tensor, by: str, scores: Tensor | None = None) -> list[int]:
    """Channels, the strongest first: by mean square (`activation`), by `variance`, or by scores that are given."""
    f = figures.double()
    found = scores if scores is not None else f[:, 1] + (f[:, 0].square() if by == "activation" else 0.0)
    return found.argsort(descending=True, stable=True).tolist()
