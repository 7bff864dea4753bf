"""Concept activation vectors: the direction in which a layer tells one set of examples from another.

A vector is a weighted sum of the examples' own activations, v = Σ α_i a_i. So everything that is asked of it (on which
side an example lies, which way a score changes along it, how far two vectors agree) comes from the examples' products
with each other, and thousands of vectors over a layer of millions of units cost no more than over one of ten.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.numbers.ranking import lots

KINDS = ("logistic", "ridge", "mean")

PENALTY = 0.01
"""Of the examples' mean square distance from their mean."""

NEWTON = 12
"""Steps at most; a logistic fit with a penalty settles in about six."""

HELD = 1 << 22
"""Products that are laid out at a time at most: 32 MB."""

BOUND = 30.0
"""Logits beyond this are as good as certain; the weights of Newton's steps stay above zero."""


def fitted(gram: Tensor, y: Tensor, kind: str, penalty: float = PENALTY) -> tuple[Tensor, Tensor]:
    """Linear classifiers f(a) = Σ α_i ⟨a_i, a⟩ + b of classes y (m,) of ±1, for many sets at once.

    gram (sets, m, m) → α (sets, m), which sums to zero, and b (sets,). `ridge` is least squares on y (mean of
    (y − f)² / 2), `logistic` the likeliest logits (mean of ln(1 + exp(−y f))), both with `penalty` · s · ‖v‖² / 2 where
    s is the mean square distance from the mean; `mean` is the difference of the two means, cut halfway.
    """
    m = len(y)
    centred = gram - gram.mean(1, keepdim=True) - gram.mean(2, keepdim=True) + gram.mean((1, 2), keepdim=True)
    scale = (centred.diagonal(dim1=1, dim2=2).mean(1) * penalty * m).clamp(min=1e-12)
    if kind == "mean":
        alpha = torch.where(y > 0, 1 / (y > 0).sum(), -1 / (y < 0).sum()).to(gram).expand(len(gram), m)
        f = torch.einsum("smn,sn->sm", gram, alpha)
        return alpha, -(f[:, y > 0].mean(1) + f[:, y < 0].mean(1)) / 2
    if kind == "ridge":
        return _weighted(gram, scale[:, None].expand(-1, m), y.to(gram).expand(len(gram), m))
    return _logistic(gram, y.to(gram).expand(len(gram), m), scale)


def _weighted(gram: Tensor, ridge: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """α and b with (gram + diag(ridge)) α + b = z and Σ α = 0: weighted least squares on z."""
    both = torch.stack([z, torch.ones_like(z)], -1)
    factor = torch.linalg.cholesky(gram + torch.diag_embed(ridge))
    solved = torch.cholesky_solve(both, factor)
    b = solved[..., 0].sum(1) / solved[..., 1].sum(1)
    return solved[..., 0] - b[:, None] * solved[..., 1], b


def _logistic(gram: Tensor, y: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Newton's method; every step is a weighted ridge regression on what the last one left."""
    f = torch.zeros_like(y)
    alpha, b = f, f[:, 0]
    for _ in range(NEWTON):
        p = torch.sigmoid(f.clamp(-BOUND, BOUND))
        w = (p * (1 - p)).clamp(min=1e-6)
        alpha, b = _weighted(gram, penalty[:, None] / w, f + ((y > 0).to(f) - p) / w)
        before, f = f, torch.einsum("smn,sn->sm", gram, alpha) + b[:, None]
        if float((f - before).abs().amax()) < 1e-6:
            break
    return alpha, b


@dataclass(frozen=True, eq=False)
class Cut:
    """Which places are the concept's, which make up each counter-set, and which are held out; no examples yet.

    `members` (counters, m) are the concept's `positive` places and then a counter-set's, `learnt` and `held` (counters,
    ·) numbers of members, the concept's first.
    """

    members: Tensor
    positive: int
    learnt: Tensor
    held: Tensor

    @classmethod
    def of(cls, concept: int, counters: Tensor, seed: int, share: float = 1 / 3) -> Cut:
        """Places 0 to `concept` - 1 are the concept's, counters (k, m) name others; of both a `share` is held out."""
        k, m = counters.shape
        generator, held, learnt = lots(seed, 62), list[Tensor](), list[Tensor]()
        out = [min(max(round(n * share), 1), n - 1) for n in (concept, m)]
        for _ in range(k):
            a, b = torch.randperm(concept, generator=generator), concept + torch.randperm(m, generator=generator)
            held.append(torch.cat([a[: out[0]], b[: out[1]]]))
            learnt.append(torch.cat([a[out[0] :], b[out[1] :]]))
        members = torch.cat([torch.arange(concept).expand(k, -1), counters], 1)
        return cls(members, concept, torch.stack(learnt), torch.stack(held))

    def to(self, device: torch.device) -> Cut:
        return Cut(self.members.to(device), self.positive, self.learnt.to(device), self.held.to(device))


@dataclass(frozen=True, eq=False)
class Told:
    """What a concept's vectors say under every labelling, the true one first.

    `scores` (labellings, counters) are shares of inputs whose score grows along the vector, `slopes` the mean change
    of the score along a vector of length one, `accuracy` the share of held-out examples that are told apart (both
    sides weigh the same), `stability` (labellings,) the mean cosine between the vectors against different counter-sets.
    """

    scores: Tensor
    slopes: Tensor
    accuracy: Tensor
    stability: Tensor


def told(gram: Tensor, slopes: Tensor, cut: Cut, orders: Tensor, kind: str, penalty: float = PENALTY) -> Told:
    """What every labelling's vectors say.

    gram (n, n) are the products of all examples' activations, slopes (inputs, n) those of the score's gradients with
    them, orders (labellings, n) which example stands at which place.
    """
    cut, orders, (k, m) = cut.to(gram.device), orders.to(gram.device), cut.members.shape
    lots_ = orders.split(max(1, HELD // (k * m * max(m, len(slopes)))))
    found = [_told(gram, slopes, cut, some, kind, penalty) for some in lots_]
    return Told(*(torch.cat([getattr(f, name) for f in found]).cpu()
                  for name in ("scores", "slopes", "accuracy", "stability")))


def weights(gram: Tensor, cut: Cut, kind: str, penalty: float = PENALTY) -> Tensor:
    """The true labelling's vectors as weights of the examples: (counters, n)."""
    cut = cut.to(gram.device)
    inner = gram[cut.members[:, :, None], cut.members[:, None, :]]
    alpha, _ = fitted(inner, _sides(cut.positive, cut.members.shape[1], gram), kind, penalty)
    return gram.new_zeros(len(alpha), len(gram)).scatter_add(1, cut.members, alpha)


def _sides(positive: int, m: int, like: Tensor) -> Tensor:
    return torch.where(torch.arange(m, device=like.device) < positive, 1.0, -1.0).to(like)


def _told(gram: Tensor, slopes: Tensor, cut: Cut, orders: Tensor, kind: str, penalty: float) -> Told:
    b, (k, m) = len(orders), cut.members.shape
    at = orders[:, cut.members].flatten(0, 1)
    y = _sides(cut.positive, m, gram)
    inner = gram[at[:, :, None], at[:, None, :]]
    alpha, _ = fitted(inner, y, kind, penalty)
    lengths = torch.einsum("sm,smn,sn->s", alpha, inner, alpha).clamp(min=1e-300).sqrt()
    along = torch.einsum("ism,sm->si", slopes[:, at], alpha)
    unit = gram.new_zeros(b, len(gram)).scatter_add(
        1, at.unflatten(0, (b, k)).flatten(1), (alpha / lengths[:, None]).unflatten(0, (b, k)).flatten(1))
    # Of k vectors of length one, the square of the sum is k and twice every cosine.
    cosine = (torch.einsum("bm,mn,bn->b", unit, gram, unit) - k) / (k * (k - 1)) if k > 1 else unit.new_ones(b)
    return Told((along > 0).double().mean(1).unflatten(0, (b, k)), (along.mean(1) / lengths).unflatten(0, (b, k)),
                _accuracy(inner.unflatten(0, (b, k)), y, cut, kind, penalty), cosine)


def _accuracy(inner: Tensor, y: Tensor, cut: Cut, kind: str, penalty: float) -> Tensor:
    """The share of each side's held-out examples that fall on their side, mean of both; (labellings, counters)."""
    every = torch.arange(len(cut.learnt), device=inner.device)[:, None, None]
    learnt, held = cut.learnt, cut.held
    small = inner[:, every, learnt[:, :, None], learnt[:, None, :]]
    alpha, b = fitted(small.flatten(0, 1), y[learnt[0]], kind, penalty)
    across = inner[:, every, held[:, :, None], learnt[:, None, :]].flatten(0, 1)
    f = torch.einsum("sml,sl->sm", across, alpha) + b[:, None]
    side = y[held[0]]
    right = torch.where(f == 0, 0.5, (f * side > 0).double())
    return ((right[:, side > 0].mean(1) + right[:, side < 0].mean(1)) / 2).unflatten(0, inner.shape[:2])
