"""Methods played on games in closed form: their questions are answered here, without a model or an engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid import catalog
from pellucid.numbers.estimate import Estimate
from pellucid.words.case import Carrier, Case
from pellucid.words.features import Features, units
from pellucid.words.target import Class

F64 = torch.float64
Game = Callable[[Tensor], Tensor]
"""Rows (m, n), 1 where a player is in and 0 where not (or in between), to what they are worth (m,)."""


def shap() -> Any:
    """The peer. Its kernels are compiled when first used, which takes longer than these games do without."""
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    return pytest.importorskip("shap")


@dataclass(frozen=True, eq=False)
class Played:
    """What a method found, and the rows of every question that it asked."""

    found: Estimate
    asked: list[Tensor]

    @property
    def rows(self) -> int:
        return sum(map(len, self.asked))


def play(method: str, game: Game, n: int, *, seed: int = 0, features: Features | None = None, x: Tensor | None = None,
         background: Sequence[Tensor] = (), **options: Any) -> Played:
    """The method's answer where x is all ones (or as given) and the baseline zeros; options as in `explain`."""
    chosen = catalog.find(method)
    origin = torch.ones(n, dtype=F64) if x is None else x
    case = Case(Carrier({}), origin, torch.zeros_like(origin), features or units((n,)), Class(0), seed=seed,
                alternatives=tuple(background))
    asked: list[Tensor] = []
    job, answers = chosen.run(case, **chosen.settle(options)), None
    while True:
        try:
            asks = job.send(answers)
        except StopIteration as stop:
            return Played(Estimate.of(stop.value), asked)
        rows = [a.points.rows(a.case.x[None], a.case.baseline[None], a.case.features, 0, a.points.n)[0] for a in asks]
        asked += rows
        answers = [game(r) for r in rows]


def unanimous(n: int, *terms: tuple[float, tuple[int, ...]]) -> Game:
    """A sum of terms (c, players): c where all these players are in. Such games are all games there are."""
    return lambda rows: sum((c * rows[:, list(who)].prod(1) for c, who in terms), torch.zeros(len(rows), dtype=F64))


def mixed(n: int, seed: int = 0, terms: int = 12, most: int = 5) -> list[tuple[float, tuple[int, ...]]]:
    """Terms of one to `most` players, drawn by seed."""
    g = torch.Generator().manual_seed(seed)
    found: list[tuple[float, tuple[int, ...]]] = []
    for k in range(terms):
        size = 1 + k % most
        who = tuple(sorted(torch.randperm(n, generator=g)[:size].tolist()))
        found.append((float(torch.randn((), generator=g, dtype=F64)), who))
    return found


@dataclass
class Coverage:
    """How often two standard errors cover the truth over repetitions, and whether their size is right."""

    hits: list[Tensor]
    off: list[Tensor]
    said: list[Tensor]

    @classmethod
    def of(cls, runs: Sequence[Estimate], true: Tensor) -> Coverage:
        made = cls([], [], [])
        for run in runs:
            assert run.sampling is not None
            off = run.value - true
            made.hits.append(off.abs() <= 2 * run.sampling + 1e-12)
            made.off.append(off**2)
            made.said.append(run.sampling**2)
        return made

    def check(self, low: float = 0.93, high: float = 0.975, size: float = 0.12) -> None:
        """Two standard errors cover 95.4 % of normal errors; their size is right to the share `size`."""
        covered = float(torch.stack(self.hits).double().mean())
        real, said = (float(torch.stack(v).mean(0).sum().sqrt()) for v in (self.off, self.said))
        assert low <= covered <= high, f"{covered:.1%} covered at two standard errors"
        assert abs(said / real - 1) <= size, f"the stated error is {said / real:.2f} of the true one"
