"""Shapley values from a sample of complementary pairs, with their standard errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.numbers.coalitions import Pairs, masses, pairs_of
from pellucid.numbers.guess import Guess

ROWS = 32
"""Pairs that are held at a time: they are drawn anew each time they are needed."""

BAND = 8
"""Neighbouring sizes are one stratum until it holds so many pairs: with fewer a variance means little."""

LARGEST = 512
"""With more features the error is not computed: it takes matrices of n by n."""


@dataclass(eq=False)
class _Strata:
    """Per pair: its weight, which share of its stratum was asked, and which stratum that is."""

    weight: Tensor
    asked: Tensor
    stratum: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, pairs: Pairs, shares: list[float]) -> _Strata:
        k = pairs.sizes
        seen = torch.bincount(k, minlength=len(shares) + 1)[1:].double()
        have = torch.tensor([float(pairs_of(pairs.n, j + 1)) for j in range(len(shares))], dtype=torch.float64)
        wanted = torch.maximum(torch.tensor(shares, dtype=torch.float64), 1e-9 * have)
        mass = torch.tensor(masses(pairs.n), dtype=torch.float64)
        band, open_ = torch.zeros(len(shares), dtype=torch.int64), 0.0
        for j in range(1, len(shares)):
            # A size that was asked in full stands alone: it has no sampling error.
            open_ += float(seen[j - 1])
            closes = seen[j] >= have[j] or seen[j - 1] >= have[j - 1] or (open_ >= BAND and seen[j:].sum() >= BAND)
            band[j] = band[j - 1] + int(closes)
            open_ = 0.0 if closes else open_
        bands = int(band[-1]) + 1
        got, meant = (torch.zeros(bands, dtype=torch.float64).index_add(0, band, v) for v in (seen, wanted))
        # Within a stratum a pair weighs as much as it was unlikely; each stratum keeps its mass.
        weight = mass / wanted * (meant / got.clamp(min=1))[band]
        full = seen >= have
        weight, share = torch.where(full, mass / have, weight), torch.where(full, 1.0, seen / have)
        return cls(weight[k - 1], share[k - 1], band[k - 1], torch.bincount(band[k - 1], minlength=bands).double())


def shapley(pairs: Pairs, y: Tensor, total: float, shares: list[float]) -> tuple[Tensor, Tensor | None]:
    """The values (n,) of least squares over all pairs, estimated, and one standard error each.

    y holds v(S) - v(not S) per pair, `total` is v(all) - v(none); shares as they were wanted. For few
    features a `Guess` learnt from the other pairs takes what it foresees out of the noise. The error is
    the stratified sandwich with finite population corrections; None where the pairs are too few to tell.
    """
    strata = _Strata.of(pairs, shares)
    phi, inverse = _least_squares(pairs, y, total, strata.weight)
    left = y - torch.cat([_signs(masks) @ phi for _, masks in _blocks(pairs)])
    noise = left
    worth = float((strata.weight * left**2).sum()) > 1e-24 * float((strata.weight * y**2).sum())
    guess = Guess.learn(pairs, left, strata.weight) if worth else None
    if guess is not None:
        seen, unseen = guess.foreseen
        noise = left - unseen
        rest = strata.asked * (left - seen) + (1 - strata.asked) * noise
        more, _ = _least_squares(pairs, rest, -guess.total, strata.weight)
        phi = phi + guess.values + more
    if pairs.n > LARGEST or len(pairs) < pairs.n + 4:
        return phi, None
    return phi, _error(pairs, noise, strata, inverse)


def _blocks(pairs: Pairs) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, len(pairs), ROWS):
        stop = min(start + ROWS, len(pairs))
        yield slice(start, stop), pairs.block(start, stop)


def _signs(masks: Tensor) -> Tensor:
    return 2 * masks.double() - 1


def _least_squares(pairs: Pairs, y: Tensor, total: float, weight: Tensor) -> tuple[Tensor, Tensor]:
    """min Σ w (y - s·phi)² with sum(phi) = total, and the inverse of its matrix on vectors of sum 0."""
    n = pairs.n
    square, right = torch.zeros(n, n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    for at, masks in _blocks(pairs):
        signs = _signs(masks)
        flat = signs - signs.mean(1, keepdim=True)
        square += flat.T @ (weight[at, None] * flat)
        right += flat.T @ (weight[at] * (y[at] - total / n * signs.sum(1)))
    # The matrix knows nothing of the direction (1, …, 1); given some weight there it is regular.
    inverse = torch.linalg.pinv(square + square.diagonal().mean() / n, hermitian=True)
    phi = inverse @ right
    return phi - phi.mean() + total / n, inverse


def _error(pairs: Pairs, noise: Tensor, strata: _Strata, inverse: Tensor) -> Tensor:
    n, bands = pairs.n, len(strata.sizes)
    sums, spread = torch.zeros(bands, n, dtype=torch.float64), torch.zeros(n, n, dtype=torch.float64)
    scale = strata.weight * (1 - strata.asked).clamp(min=0).sqrt()
    lost = (strata.sizes / (strata.sizes - 1).clamp(min=1)).sqrt()
    scale = scale * lost[strata.stratum]
    for at, masks in _blocks(pairs):
        signs = _signs(masks)
        say = (signs - signs.mean(1, keepdim=True)) * (noise[at] * scale[at])[:, None]
        spread += say.T @ say
        sums.index_add_(0, strata.stratum[at], say)
    spread -= (sums / strata.sizes.clamp(min=1).sqrt()[:, None]).T @ (sums / strata.sizes.clamp(min=1).sqrt()[:, None])
    free = len(pairs) / (len(pairs) - n)
    return (free * (inverse @ spread @ inverse).diagonal().clamp(min=0)).sqrt()
