"""Concept activation vectors: the direction in which a layer tells one set of examples from another.

A vector is a weighted sum of the examples' own activations, v = Σ α_i a_i. So everything that is asked of it (on which
side an example lies, which way a score changes along it, how far two vectors agree) comes from the examples' products
with each other, and thousands of vectors over a layer of millions of units cost no more than over one of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

    gram (sets, m, m) → α (sets, m), which sums to zero, and b (sets,). `ridge` is least squares on y, `logistic` the
    likeliest logits, both with `penalty` · s · ‖v‖² where s is the mean square distance from the mean; `mean`
    is the difference of the two means, cut halfway.
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
    return _logistic(gram, y.to(gram).expand(len(gram), m), scale / m)


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
        alpha, b = _weighted(gram, penalty[:, None] * y.shape[1] / w, f + ((y > 0).to(f) - p) / w)
        before, f = f, torch.einsum("smn,sn->sm", gram, alpha) + b[:, None]
        if float((f - before).abs().amax()) < 1e-6:
            break
    return alpha, b


@dataclass(frozen=True, eq=False)
class Told:
    """What the vectors of one concept say under every labelling, the true one first.

    `scores` (labellings, counters) are shares of examples whose score grows along the vector, `slopes` the mean change
    of the score along a vector of length one, `accuracy` the share of held-out examples told apart (both sides
    weigh the same), `stability` (labellings,) the mean cosine between the vectors of different counter-sets.
    `alpha` (counters, members) are the true labelling's weights, over `members` (counters, members).
    """

    scores: Tensor
    slopes: Tensor
    accuracy: Tensor
    stability: Tensor
    alpha: Tensor
    members: Tensor


@dataclass(frozen=True, eq=False)
class Cut:
    """Which of all examples are the concept's, which make up each counter-set, and which of them are held out.

    `concept` (n,), `counters` (k, m) and the held-out `places` among concept and counter (k, t) are numbers; a
    labelling permutes what they mean.
    """

    members: Tensor
    positive: int
    held: Tensor
    learnt: Tensor

    @classmethod
    def of(cls, concept: int, counters: Tensor, seed: int, share: float = 1 / 3) -> Cut:
        """Examples 0 to `concept` - 1 are the concept's; of each side a `share` is held out, drawn by lot."""
        k, m = counters.shape
        members = torch.cat([torch.arange(concept).expand(k, -1), counters], 1)
        generator, held, learnt = lots(seed, 62), list[Tensor](), list[Tensor]()
        out = [min(max(round(n * share), 1), n - 1) for n in (concept, m)]
        for _ in range(k):
            a, b = torch.randperm(concept, generator=generator), concept + torch.randperm(m, generator=generator)
            held.append(torch.cat([a[: out[0]], b[: out[1]]]))
            learnt.append(torch.cat([a[out[0] :], b[out[1] :]]))
        return cls(members, concept, torch.stack(held), torch.stack(learnt))


def told(gram: Tensor, slopes: Tensor, cut: Cut, orders: Tensor, kind: str, penalty: float = PENALTY) -> Told:
    """Every labelling's vectors, and what they say.

    gram (n, n) are the products of all examples' activations, slopes (inputs, n) those of the score's gradients with
    them, orders (labellings, n) which example stands at which place.
    """
    found = [_told(gram, slopes, cut, some, kind, penalty) for some in _lots(orders, cut, len(slopes))]
    first = found[0]
    alpha, members = first[4][0], cut.members[:, :]
    return Told(*(torch.cat([f[i] for f in found]) for i in range(4)), alpha, orders[0].to(gram.device)[
        members.to(gram.device)])  # pyright: ignore[reportCallIssue]


def _lots(orders: Tensor, cut: Cut, inputs: int) -> Iterator[Tensor]:
    k, m = cut.members.shape
    yield from orders.split(max(1, HELD // (k * m * max(m, inputs))))


def _told(gram: Tensor, slopes: Tensor, cut: Cut, orders: Tensor, kind: str, penalty: float
          ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    b, (k, m) = len(orders), cut.members.shape
    at = orders.to(gram.device)[:, cut.members.to(gram.device)].flatten(0, 1)
    y = torch.where(torch.arange(m, device=gram.device) < cut.positive, 1.0, -1.0).to(gram)
    inner = gram[at[:, :, None], at[:, None, :]]
    alpha, _ = fitted(inner, y, kind, penalty)
    lengths = torch.einsum("sm,smn,sn->s", alpha, inner, alpha).clamp(min=1e-300).sqrt()
    along = torch.einsum("ism,sm->si", slopes[:, at], alpha)
    accuracy = _accuracy(inner.unflatten(0, (b, k)), y, cut, kind, penalty)
    cosines = _cosines(gram, at.unflatten(0, (b, k)), (alpha / lengths[:, None]).unflatten(0, (b, k)))
    return ((along > 0).double().mean(1).unflatten(0, (b, k)).cpu(),
            (along.mean(1) / lengths).unflatten(0, (b, k)).cpu(), accuracy.cpu(), cosines.cpu(),
            alpha.unflatten(0, (b, k)))
