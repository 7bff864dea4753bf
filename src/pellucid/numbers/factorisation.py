"""Non-negative factorisation: rows of non-negative numbers as sums of a few non-negative parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.numbers.ranking import lots

TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Factors:
    """a ≈ amounts · parts: a (n, p), amounts (n, r) and parts (r, p), all non-negative; parts have length one.

    `lost` is ‖a − amounts · parts‖ / ‖a‖, `steps` how many rounds it took, `same` (r,) how far each part was found
    again from other starts: the cosine with the nearest part there, the least over starts.
    """

    amounts: Tensor
    parts: Tensor
    lost: float
    steps: int
    same: Tensor


def factorised(a: Tensor, number: int, *, seed: int = 0, starts: int = 3, steps: int = 500, tolerance: float = 1e-5
               ) -> Factors:
    """The best of several factorisations from random starts, its parts in the order of what they hold of a.

    Hierarchical alternating least squares (doi:10.1587/transfun.E92.A.708): each part, and each column of amounts, is
    the least-squares answer to the rest, cut off at zero, in turn. A start ends when the loss falls by less than
    `tolerance` of itself in a round.
    """
    found = [_from(a.double(), number, seed * 1009 + k, steps, tolerance) for k in range(starts)]
    best = min(range(starts), key=lambda k: found[k][2])
    amounts, parts, lost, took = found[best]
    others = [found[k][1] for k in range(starts) if k != best]
    same = torch.stack([(parts @ o.mT).amax(1) for o in others]).amin(0) if others else parts.new_ones(number)
    order = amounts.square().sum(0).argsort(descending=True, stable=True)
    return Factors(amounts[:, order], parts[order], lost, took, same[order])


def _from(a: Tensor, number: int, seed: int, steps: int, tolerance: float) -> tuple[Tensor, Tensor, float, int]:
    generator = lots(seed, 71)
    scale = float((a.mean() / number).clamp(min=TINY).sqrt())
    u, w = (torch.rand(*shape, generator=generator, dtype=torch.float64).to(a.device) * 2 * scale
            for shape in ((len(a), number), (number, a.shape[1])))
    norm = float(a.norm())
    before, took = float("inf"), steps
    for step in range(steps):
        _sweep(u, a @ w.mT, w @ w.mT)
        # The same for parts, seen from the other side.
        turned = w.mT.contiguous()
        _sweep(turned, a.mT @ u, u.mT @ u)
        w = turned.mT.contiguous()
        lost = float((a - u @ w).norm()) / max(norm, TINY)
        if before - lost <= tolerance * lost or lost < 1e-9:
            before, took = lost, step + 1
            break
        before = lost
    length = w.norm(dim=1).clamp(min=TINY)
    return u * length, w / length[:, None], before, took


def _sweep(u: Tensor, right: Tensor, gram: Tensor) -> None:
    """Every column of u (n, r) once, in place: right (n, r) and gram (r, r) are products with the other factor."""
    for k in range(u.shape[1]):
        step = (right[:, k] - u @ gram[:, k]) / gram[k, k].clamp(min=TINY)
        u[:, k] = (u[:, k] + step).clamp(min=0)
        if not bool(u[:, k].any()):
            u[:, k] = TINY  # a part that died could not come back


def amounts_of(a: Tensor, parts: Tensor, *, rounds: int = 200, tolerance: float = 1e-6) -> Tensor:
    """How much of each part is in new rows: non-negative least squares, a (n, p) → (n, r)."""
    right, gram = a.double() @ parts.mT, parts @ parts.mT
    u = (right / gram.diagonal().clamp(min=TINY)).clamp(min=0)
    for _ in range(rounds):
        before = u.clone()
        _sweep(u, right, gram)
        if float((u - before).norm()) <= tolerance * float(u.norm()) + TINY:
            break
    return u
