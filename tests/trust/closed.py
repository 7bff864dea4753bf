"""Methods asked about functions in closed form: their questions are answered here, without a model or an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid import catalog
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import Ask, Sum
from pellucid.words.case import Carrier, Case
from pellucid.words.features import units
from pellucid.words.target import Class

F64 = torch.float64


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@dataclass(frozen=True, eq=False)
class Closed:
    """A score of rows (m, n) → (m,), with its gradient (m, n) where it has one."""

    score: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor] | None = None

    def answer(self, ask: Ask) -> Tensor:
        case = ask.case
        rows = ask.points.rows(case.x[None], case.baseline[None], case.features, 0, ask.points.n)[0]
        if ask.kind == "score":
            return self.score(rows)
        assert self.slope is not None
        found = self.slope(rows)
        return ask.fold.weights.to(found) @ found if isinstance(ask.fold, Sum) else found


def asked(method: str, about: Closed, x: Tensor, *, baseline: Tensor | None = None, background: Sequence[Tensor] = (),
          seed: int = 0, **options: Any) -> Estimate:
    """The method's answer; the baseline is zero if not given."""
    chosen = catalog.find(method)
    case = Case(Carrier({}), x, torch.zeros_like(x) if baseline is None else baseline, units(tuple(x.shape)), Class(0),
                seed=seed, alternatives=tuple(background))
    job, answers = chosen.run(case, **chosen.settle(options)), None
    while True:
        try:
            asks = job.send(answers)
        except StopIteration as stop:
            return Estimate.of(stop.value)
        answers = [about.answer(a) for a in asks]


def quadratic(n: int, seed: int) -> tuple[Closed, Tensor, Tensor]:
    """½ xᵀ A x + c · x with a symmetric A."""
    a, c = normal(n, n, seed=seed), normal(n, seed=seed + 1)
    a = (a + a.T) / 2
    return Closed(lambda rows: 0.5 * ((rows @ a) * rows).sum(1) + rows @ c, lambda rows: rows @ a + c), a, c


def game(n: int, seed: int, terms: int, most: int = 4) -> tuple[Closed, list[tuple[float, tuple[int, ...]]]]:
    """A sum of terms (weight, players), each worth its weight where all its players are in."""
    g = torch.Generator().manual_seed(seed)
    parts = [(float(torch.randn((), generator=g, dtype=F64)),
              tuple(sorted(torch.randperm(n, generator=g)[: 1 + k % most].tolist()))) for k in range(terms)]
    return Closed(lambda rows: sum((c * rows[:, list(who)].prod(1) for c, who in parts),
                                   torch.zeros(len(rows), dtype=F64))), parts
