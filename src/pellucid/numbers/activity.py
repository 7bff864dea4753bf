"""What a layer's values are like: figures of single rows, made where the values are, and figures of a whole set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

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
    are channels (or places) where all say something of their own. NaN where a value is not finite.
    """

    axis: int

    def __call__(self, values: Tensor) -> Tensor:
        v = channels_first(values, self.axis).double()
        v = v - v.mean(2, keepdim=True)
        gram = v @ v.mT if v.shape[1] <= v.shape[2] else v.mT @ v
        return torch.stack([rank_of(g) for g in gram])


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


def rank_of(gram: Tensor) -> Tensor:
    """The effective rank of a matrix of products; NaN where one of them is not finite."""
    if not bool(torch.isfinite(gram).all()):
        return torch.full((), math.nan, dtype=torch.float64, device=gram.device)
    return effective_rank(torch.linalg.eigvalsh(gram))


class Running:
    """Figures of a set, from those of its rows as they come: nothing of a row is kept.

    What a channel says in a row counts where all its values there are finite; `odd` (channels,) says in how many rows
    they were not, `hit` for how many rows that was so of any channel.
    """

    def __init__(self, places: int = 1) -> None:
        self.rows, self.places, self.hit = 0, places, 0
        self.sums = self.most = self.least = self.odd = torch.zeros(0)
        self.centre = self.squares = torch.zeros(0)
        self.products: Tensor | None = None
        self.fine: list[float] = [0.0, 0.0]
        self.rank: list[float] = [0.0, 0.0]

    def add(self, figures: Tensor, fine: Tensor | None = None, rank: Tensor | None = None) -> None:
        """One more row's figures (channels, 7), and its share of fine detail and its rank where it has them."""
        f = figures.detach().cpu().double()
        # NaN and infinities come through the largest and the smallest value whatever else is there.
        usable = torch.isfinite(f[:, 2]) & torch.isfinite(f[:, 3])
        if not self.rows:
            self.sums = torch.zeros_like(f)
            self.most, self.least = (torch.full_like(f[:, 0], math.nan) for _ in range(2))
            self.odd, self.centre, self.squares = (torch.zeros_like(f[:, 0]) for _ in range(3))
            self.products = torch.zeros(len(f), len(f), dtype=torch.float64) if len(f) <= RANKED else None
        self.rows += 1
        self.odd += ~usable
        self.hit += not bool(usable.all())
        self.sums += torch.where(usable[:, None], f, 0.0)
        self.most = torch.where(usable, torch.fmax(self.most, f[:, 2]), self.most)
        self.least = torch.where(usable, torch.fmin(self.least, f[:, 3]), self.least)
        before = torch.where(usable, f[:, 0] - self.centre, 0.0)  # Welford's update, channel by channel
        self.centre = self.centre + before / self.counted.clamp(min=1)
        after = torch.where(usable, f[:, 0] - self.centre, 0.0)
        self.squares = self.squares + before * after
        if self.products is not None:
            self.products.addr_(before, after)
        for held, value in ((self.fine, fine), (self.rank, rank)):
            if value is not None and math.isfinite(float(value)):
                held[0] += float(value)
                held[1] += 1

    def column(self, name: str) -> Tensor:
        """One of FIGURES for every channel: over all rows and places."""
        if name in ("most", "least"):
            return self.most if name == "most" else self.least
        return self.sums[:, FIGURES.index(name)] / self.counted  # NaN for a channel that never counted

    @property
    def counted(self) -> Tensor:
        """In how many rows each channel was finite."""
        return self.rows - self.odd

    @property
    def scale(self) -> tuple[float, float]:
        """The least and the largest finite value; zeros where there is none."""
        known = self.counted > 0
        return (float(self.least[known].min()), float(self.most[known].max())) if bool(known.any()) else (0.0, 0.0)

    @property
    def variance(self) -> Tensor:
        """The variance of every channel over all rows and places: within rows, and between them."""
        return self.column("variance") + self.squares / self.counted

    def profile(self) -> dict[str, float]:
        """The layer in a few numbers: of what is finite, and `not_finite` where something is not."""
        known = self.counted > 0
        told: dict[str, float] = {}
        if bool(known.any()):
            mean = self.column("mean")[known]
            whole = self.variance[known].mean() + mean.var(correction=0)
            told = {
                "mean": float(mean.mean()), "spread": float(whole.sqrt()), "least": self.scale[0],
                "most": self.scale[1], "sparsity": float(self.column("zero")[known].mean()),
                "saturated": float(self.column("end")[known].mean()),
            }
        if self.rows * self.places > 1:  # of a single value nobody can say that it never changes
            told["dead"] = float(self.dead().double().mean())
        if self.fine[1]:
            told["fine"] = self.fine[0] / self.fine[1]
        if self.rank[1]:
            told["rank"] = self.rank[0] / self.rank[1]
        clean = self.odd == 0
        if self.rows > 1 and self.products is not None and bool(clean.any()):
            told["rank over inputs"] = float(rank_of(self.products[clean][:, clean]))
        if bool(self.odd.any()):
            told["not_finite"] = float(self.odd.mean()) / self.rows
        return told

    def dead(self) -> Tensor:
        """Channels that were the same everywhere and for every row: they tell nothing apart."""
        return (self.most <= self.least) & (self.odd == 0)


def ranked(figures: Tensor, by: str, scores: Tensor | None = None) -> list[int]:
    """Channels, the strongest first: by mean square (`activation`), by `variance`, or by scores that are given.

    Those whose number is not finite come last.
    """
    f = figures.double()
    found = scores if scores is not None else f[:, 1] + (f[:, 0].square() if by == "activation" else 0.0)
    return torch.where(torch.isfinite(found), found, -math.inf).argsort(descending=True, stable=True).tolist()
