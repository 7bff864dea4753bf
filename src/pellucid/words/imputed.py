"""Pictures with parts taken away and filled in from what is around them, so that no edge gives the place away."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from torch import Tensor

from pellucid.numbers.inpainting import inpainted
from pellucid.words.features import Features
from pellucid.words.points import Masks, draw

SOME = 1 << 17
"""Numbers that are solved for at a time, about: more fall out of the processor's cache."""


@dataclass(frozen=True)
class Imputed:
    """x where a mask keeps a feature, elsewhere the weighted mean of the neighbours and Gaussian noise of it.

    The features lie over two axes of x, rows and columns. `noise` is the standard deviation in units of x; row k
    gets number k of the noises of `stream`.
    """

    masks: Masks
    noise: float
    seed: int
    stream: int = 0

    @property
    def n(self) -> int:
        return self.masks.n

    @property
    def key(self) -> Hashable:
        return ("imputed", self.masks.key, self.noise, self.seed, self.stream)

    @property
    def uses(self) -> str:
        return "xf"

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        rows = x.new_empty(len(x), stop - start, *x.shape[1:]) if out is None else out
        rank, each = x.dim() - 1, max(1, SOME // max(1, x[0].numel()))
        for first in range(start, stop, each):
            last = min(first + each, stop)
            on = features.switches(self.masks.block(features, first, last).to(x.device), rank)
            known, place = self._pictures(on, features, rank), slice(first - start, last - start)
            for value, row in zip(x, rows[:, place], strict=True):
                pictures = self._pictures(value[None], features, rank).expand(last - first, -1, -1, -1)
                moved = self._moved(row, features, rank)
                moved.copy_(inpainted(pictures, known).reshape(moved.shape))
                if self.noise:
                    for k in range(first, last):
                        drawn = draw(value.shape, self.seed, 2 * k + self.stream).to(x)
                        row[k - first].add_(drawn.mul_(self.noise) * ~on[k - first])
        return rows

    def _moved(self, rows: Tensor, features: Features, rank: int) -> Tensor:
        """Rows (k, *shape of x) with the picture's rows and columns last."""
        return rows.movedim([1 + a % rank for a in features.axes], (-2, -1))

    def _pictures(self, rows: Tensor, features: Features, rank: int) -> Tensor:
        """The same as (k, channels, height, width)."""
        moved = self._moved(rows, features, rank)
        return moved.reshape(len(moved), -1, *moved.shape[-2:])
