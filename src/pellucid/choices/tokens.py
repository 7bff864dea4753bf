"""Whether a layer's tokens follow a picture's patches: seen by changing single patches, and who moves with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.engine.run import run
from pellucid.engine.settings import Settings
from pellucid.models.subject import Example, Subject
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import BudgetError, PellucidError
from pellucid.words.features import units
from pellucid.words.points import draw
from pellucid.words.target import Predicted

LOOKED_AT = 12
"""So many layers are watched while single patches are changed: attention follows soon, and mixes them."""

SURE = 0.9
"""How well the places that react must follow those that were changed (a cosine), where single tokens do not tell."""


def followed(subject: Subject, example: Example, layers: Sequence[str], grid: tuple[int, ...], before: int) -> float:
    """In how many of these layers the tokens follow the patches, before the first in which they do not.

    The layers come in the order in which they speak and have as many tokens each: `before` of another kind, then
    one for each patch of a `grid` of rows and columns. Infinite where none gives cause for doubt.
    """
    x = example.x
    if x is None or x.dim() != 3 or not layers:
        return 0
    (rows, columns), (height, width) = grid, x.shape[1:]
    probes = list(dict.fromkeys([(0, 0), (0, columns - 1), (rows - 1, 0), (rows // 2, columns // 3)]))
    changed = x.repeat(len(probes) + 1, 1, 1, 1)
    noise = draw(tuple(x.shape), 0, 0).to(x) * (x.std() + 0.1)
    for k, (r, c) in enumerate(probes, 1):
        patch = (slice(None), slice(r * height // rows, -(-(r + 1) * height // rows)),
                 slice(c * width // columns, -(-(c + 1) * width // columns)))
        changed[k][patch] += noise[patch]
    moved = [(v[1:] - v[:1]).abs().double().sum(-1) for v in _read(subject, example, x, layers, changed)]
    return follow([(m[:, :before].sum(1), m[:, before:].unflatten(1, grid)) for m in moved], probes)


def _read(subject: Subject, example: Example, x: Tensor, layers: Sequence[str], rows: Tensor) -> list[Tensor]:
    """What layers say of these rows; nothing where they cannot be asked.

    What fails by chance does not fail twice, and memory that ran out is an error of this call: the answer is kept.
    """
    start = Case(example.carrier, x, torch.zeros_like(x), units(tuple(x.shape)), Predicted(), example.site)
    points = start.given(rows)

    async def reading() -> Any:
        return await together(*(start.reading(points, of=layer) for layer in layers))

    for _ in range(2):
        (found,), _ = run(subject.module, [reading()], facts=subject.facts, settings=Settings(precision="exact"))
        if not isinstance(found, PellucidError):
            return found
        if isinstance(found, BudgetError):
            raise found
    return []


def follow(moved: list[tuple[Tensor, Tensor]], probes: list[tuple[int, int]]) -> float:
    """In how many layers the tokens that moved are those of the patches that were changed; infinite if in all.

    `moved` is how much, of the tokens before (probes,) and of the patches' (probes, rows, columns), for one layer after
    the other. In the first, where nearly all of it is in one token, that must be the patch's own; where a convolution
    spread it, the middles of what moved must lie to one another as the patches do. In the layers that follow the
    same tokens must have moved, until attention has mixed them: nothing puts them in another order after that.
    """
    first: Tensor | None = None
    for k, (before, here) in enumerate(moved):
        flat = here.flatten(1).cpu()
        total = flat.sum(1)
        some = flat > 1e-4 * flat.amax(1, keepdim=True)
        if first is None:
            if not bool((total > 0).all()) or bool((before.cpu() > 0.1 * total).any()):
                return 0
            own = torch.tensor([r * here.shape[2] + c for r, c in probes])
            single = bool((flat.amax(1) > SURE * total).all())
            if not (bool((flat.argmax(1) == own).all()) if single
                    else _alike(flat / total[:, None], here.shape, probes)):
                return 0
            first = some
        elif int(some.sum()) > 2 * int(first.sum()):
            return math.inf
        elif int((some & first).sum()) < min(int(some.sum()), int(first.sum())) / 2:
            return k
    return math.inf if moved else 0


def _alike(shares: Tensor, shape: Sequence[int], probes: list[tuple[int, int]]) -> bool:
    """True where the middles of what moved (probes, tokens) lie to one another as the patches that were changed."""
    places = torch.cartesian_prod(*(torch.arange(s, dtype=torch.float64) for s in shape[1:]))
    a, b = (v - v.mean(0) for v in (shares @ places, torch.tensor(probes, dtype=torch.float64)))
    return float((a * b).sum()) > SURE * float(a.norm() * b.norm()) > 0
