"""Missing places of a picture from those around them: each becomes the weighted mean of its eight neighbours.

(D - W) u = W x on the missing places, with the weights W of the neighbours and their sum D: symmetric and positive
as soon as one place is known. It is solved by conjugate gradients, with one V-cycle over ever coarser pictures as
the preconditioner: what is wrong over a wide hole is put right where the hole is narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BESIDE, DIAGONAL = 1 / 6, 1 / 12
"""The weights of the four neighbours that share an edge, and of the four that share a corner."""

ROUNDS = 200
"""More are never taken; about ten are."""

NEAR = {torch.float64: 1e-10}
CLOSE = 5e-6
"""How near the solution is, in units of the picture's range, by the type it is computed in."""


def inpainted(x: Tensor, known: Tensor) -> Tensor:
    """Pictures x (m, channels, height, width) with what is not known, (m, 1, height, width), put in.

    A neighbour outside the picture does not count. Places that are known stay; at least one in each picture is.
    """
    gone = (~known).to(x)
    low = torch.where(known, x, torch.inf).amin((-2, -1), keepdim=True)
    high = torch.where(known, x, -torch.inf).amax((-2, -1), keepdim=True)
    middle, near = (low + high) / 2, NEAR.get(x.dtype, CLOSE) * (high - low)
    rest = torch.where(known, x - middle, 0.0)  # an even picture is solved before it begins
    found = _solved(_levels(gone), gone * _around(rest), near)
    return torch.where(known, x, found + middle)


@dataclass(frozen=True, eq=False)
class _Level:
    """A picture at one coarseness: what is gone, the weight of the neighbours, and the way to the next coarser."""

    gone: Tensor
    weight: Tensor
    down: Tensor
    across: Tensor

    def applied(self, u: Tensor) -> Tensor:
        """(D - W) u for u that is zero where nothing is gone."""
        return self.gone * (self.weight * u - _around(u))


def _levels(gone: Tensor) -> list[_Level]:
    """From the picture itself to one of two rows or columns, or one with nothing left to find."""
    levels: list[_Level] = []
    while True:
        height, width = gone.shape[-2:]
        weight = _around(gone.new_ones(1, 1, height, width)).clamp(min=BESIDE)
        levels.append(_Level(gone, weight, _interpolation(height, gone), _interpolation(width, gone)))
        if min(height, width) <= 2 or not bool(gone.any()):
            return levels
        # A coarse place is gone where all its four are: the edge of a hole must not move outwards.
        gone = 1 - F.max_pool2d(1 - gone, 2, ceil_mode=True)


def _interpolation(length: int, like: Tensor) -> Tensor:
    """How much each of `length` places takes of each of half as many: (length, half)."""
    half = -(-length // 2)
    at = ((torch.arange(length) + 0.5) / 2 - 0.5).clamp(0, half - 1)
    return (1 - (at[:, None] - torch.arange(half)).abs()).clamp(min=0).to(like)


def _around(u: Tensor) -> Tensor:
    """The weighted sum over every place's neighbours; what lies outside is zero."""
    wide = F.pad(u, (1, 1, 1, 1))
    pairs = wide[..., :-2] + wide[..., 2:]  # slices take a quarter of the time of a convolution
    beside = pairs[..., 1:-1, :] + wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1]
    return beside.mul_(BESIDE).add_(pairs[..., :-2, :] + pairs[..., 2:, :], alpha=DIAGONAL)


def _cycle(levels: list[_Level], right: Tensor) -> Tensor:
    """About the u with (D - W) u = right: a step of Jacobi's before and after the same on a coarser picture.

    Jacobi's step, undamped, leaves a third of what changes from place to place; the weights are such that the
    coarser system has the same form.
    """
    level, *coarser = levels
    u = right / level.weight
    if coarser:
        left = level.down.mT @ (right - level.applied(u)) @ level.across
        u = u + level.gone * (level.down @ _cycle(coarser, coarser[0].gone * left) @ level.across.mT)
        return u + (right - level.applied(u)) / level.weight
    for _ in range(8):
        u = u + (right - level.applied(u)) / level.weight
    return u


def _solved(levels: list[_Level], right: Tensor, near: Tensor) -> Tensor:
    """Conjugate gradients for each picture and channel by itself; one that is near enough stays as it is."""
    u, left = torch.zeros_like(right), right
    step = along = _cycle(levels, left)
    power = _dot(left, step)
    for _ in range(ROUNDS):
        open_ = (step.abs().amax((-2, -1), keepdim=True) > near) & (power > 0)
        if not bool(open_.any()):
            break
        pushed = levels[0].applied(along)
        size = torch.where(open_, power / _dot(along, pushed), 0.0)
        u, left = u + size * along, left - size * pushed
        step = torch.where(open_, _cycle(levels, left), step)
        before, power = power, torch.where(open_, _dot(left, step), power)
        along = step + torch.where(open_, power / before, 0.0) * along
    return u


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((-2, -1), keepdim=True)
