"""Blurred points: a picture behind ever wider Gaussians, made row by row as products of two small matrices."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.words.features import Features

FLAT = math.sqrt(2 * math.log(1e3)) / math.pi
"""Standard deviation, in lengths of a side, from which on a picture's slowest wave keeps a thousandth of its height."""

EVEN = 3.0
"""In lengths of a side, from which on a reflected Gaussian is the same everywhere, to the last digit."""

SHARP = 0.02
"""In pixels, below which a Gaussian leaves a picture as it is, to the last digit."""

REACH = 9.0
"""Standard deviations beyond which a Gaussian adds nothing in float64."""


def flat(x: Tensor) -> float:
    """The standard deviation, in pixels, that leaves nothing to see of a picture (…, height, width)."""
    return FLAT * max(x.shape[-2:])


def blurred(x: Tensor, sigma: float, features: Features) -> Tensor:
    """x (…, height, width) behind a Gaussian of `sigma` pixels; what is never switched off stays as it is.

    Beyond its edges the picture goes on as its own reflection, so that its mean is kept.
    """
    if sigma < SHARP:
        return x
    down, across = (_matrices(length, sigma, x)[0] for length in x.shape[-2:])
    value = down @ x @ across.T
    return torch.where(features.movable(x.dim()).to(x.device), value, x) if features.fixed else value


def moving(x: Tensor, sigma: float, features: Features) -> Tensor:
    """How `blurred` changes per pixel of `sigma`."""
    if sigma < SHARP:
        return torch.zeros_like(x)
    (down, falling), (across, crossing) = (_matrices(length, sigma, x) for length in x.shape[-2:])
    value = falling @ x @ across.T + down @ x @ crossing.T
    return value * features.movable(x.dim()).to(value) if features.fixed else value


def _matrices(length: int, sigma: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """A Gaussian along one side, sampled at whole pixels, as a matrix whose rows sum to 1; its change with sigma.

    Both are (length, length), made in float64.
    """
    at = torch.device("cpu") if like.device.type == "mps" else like.device  # which knows no float64
    if sigma > EVEN * length:
        even = torch.full((length, length), 1 / length, dtype=like.dtype, device=like.device)
        return even, torch.zeros_like(even)
    reach = math.ceil(REACH * sigma)
    k = torch.arange(-reach, reach + 1, device=at)
    bell = torch.exp(-0.5 * (k.double() / sigma) ** 2)
    bell = bell / bell.sum()
    wider = bell * (k**2 - (bell * k**2).sum()) / sigma**3
    # The reflected picture repeats after twice its length: what is further away falls on the same places.
    turned = bell.new_zeros(2, 2 * length).index_add_(1, k % (2 * length), torch.stack([bell, wider]))
    place = torch.arange(length, device=at)
    both = turned[:, (place[:, None] - place) % (2 * length)] + turned[:, (place[:, None] + place + 1) % (2 * length)]
    plain, change = both.to(like)
    return plain, change


@dataclass(frozen=True)
class Blurred:
    """x behind a Gaussian of each of these standard deviations, in pixels along its last two axes."""

    sigmas: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.sigmas)

    @property
    def key(self) -> Hashable:
        return ("blurred", self.sigmas)

    @property
    def uses(self) -> str:
        return "xf"

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        rows = x.new_empty(len(x), stop - start, *x.shape[1:]) if out is None else out
        for k, sigma in enumerate(self.sigmas[start:stop]):
            for value, row in zip(x, rows[:, k], strict=True):
                row.copy_(blurred(value, sigma, features))
        return rows
