"""What heads of attention do: how much they are worth, how far they look, how alike two are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HELD = 1 << 22
"""Numbers that are compared at a time at most."""


@dataclass(frozen=True)
class Worth:
    """|sum over queries and keys of A · ∂f/∂A| of every head: (rows, heads).

    It is the size of ∂f/∂m for a factor m before what the head says, at m = 1 (Michel, Levy and Neubig,
    arXiv:1905.10650, equation 3): the sum over values is linear in A.
    """

    def __call__(self, slope: Tensor, attention: Tensor) -> Tensor:
        worth = (slope * attention).sum((-2, -1))
        return (worth.sum(1) if worth.dim() == 3 else worth).abs()


@dataclass(frozen=True)
class Reach:
    """How far a head looks, mean over queries of sum over keys of A · |place of key - place of query|: (rows, heads).

    In tokens, or in patches of a picture (rows, columns) whose tokens stand behind `before` others, which are left
    out. NaN where nothing is left.
    """

    grid: tuple[int, ...] | None = None
    before: int = 0

    def __call__(self, probabilities: Tensor) -> Tensor:
        p = probabilities.float()
        if self.grid is not None and p.shape[-1] == p.shape[-2] == self.before + self.grid[0] * self.grid[1]:
            p = p[..., self.before :, self.before :]
            places = torch.cartesian_prod(*(torch.arange(s, device=p.device) for s in self.grid)).float()
            far = torch.cdist(places, places)
            found = ((p * far).sum(-1) / p.sum(-1)).nanmean(-1)
        else:
            far = (torch.arange(p.shape[-2], device=p.device)[:, None]
                   - torch.arange(p.shape[-1], device=p.device)).abs()
            found = (p * far).sum(-1).mean(-1)
        return found.mean(1) if found.dim() == 3 else found


def by_head(attention: Tensor) -> Tensor:
    """Probabilities of one input as (heads, queries, keys); windows stand one after the other."""
    return attention if attention.dim() == 3 else attention.movedim(-3, 0).flatten(1, 2)


def correlations(heads: Sequence[Tensor]) -> Tensor:
    """Correlation of what any two heads (queries, keys) look at beyond looking at all keys alike: (n, n).

    Each query's probabilities are taken less their mean over the keys that it may see, so that a
    triangle of hidden keys is no likeness. NaN where shapes differ, or a head looks at all alike.
    """
    found = torch.full((len(heads), len(heads)), torch.nan, dtype=torch.float64)
    for mine in _alike(heads):
        p = torch.stack([heads[k] for k in mine]).double()
        seen = (p > 0).any(0)
        apart = torch.where(seen, p - p.sum(-1, keepdim=True) / seen.sum(-1, keepdim=True).clamp(min=1), 0.0)
        flat = apart.flatten(1)
        size = flat.norm(dim=1, keepdim=True)
        flat = torch.where(size > 1e-6 * p.flatten(1).norm(dim=1, keepdim=True), flat / size, torch.nan)
        found[torch.tensor(mine)[:, None], torch.tensor(mine)] = (flat @ flat.T).cpu().clamp(-1, 1)
    return found


def divergences(heads: Sequence[Tensor]) -> Tensor:
    """Jensen-Shannon distance of any two heads (queries, keys), root of the divergence in bits, mean over queries.

    0 for the same probabilities, 1 for two that share no key (Endres and Schindelin, doi:10.1109/TIT.2003.813506);
    (n, n), NaN where shapes differ.
    """
    found = torch.full((len(heads), len(heads)), torch.nan, dtype=torch.float64)
    for mine in _alike(heads):
        p = torch.stack([heads[k] for k in mine]).float()
        own = torch.xlogy(p, p).sum(-1)
        some = max(1, HELD // max(p[0].numel(), 1))
        for k, at in enumerate(mine):
            for start in range(k, len(mine), some):
                other = slice(start, min(start + some, len(mine)))
                between = (p[k] + p[other]) / 2
                both = (own[k] + own[other]) / 2 - torch.xlogy(between, between).sum(-1)
                far = (both / torch.log(torch.tensor(2.0))).clamp(0, 1).sqrt().mean(-1).double().cpu()
                there = torch.tensor(mine[other])
                found[at, there] = far
                found[there, at] = far
    return found


def _alike(heads: Sequence[Tensor]) -> list[list[int]]:
    """Heads by the shape of their probabilities."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for k, head in enumerate(heads):
        shapes.setdefault(tuple(head.shape), []).append(k)
    return list(shapes.values())
