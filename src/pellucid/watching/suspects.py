"""Where an explanation should not lie, and how much of it does; and its map in few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.words.errors import OptionError
from pellucid.words.explanation import Explanation

SIDE, LINE = 16, 256
"""A map is averaged down to at most so many rows and columns, or so many values in a line."""


@dataclass(frozen=True, eq=False)
class Suspect:
    """A part of an input: a box (left, top, right, bottom) in the model's pixels, a mask, or names of features."""

    box: tuple[int, int, int, int] | None = None
    mask: Tensor | None = None
    names: frozenset[str] = frozenset()

    def weights(self, e: Explanation, size: tuple[int, int] | None) -> Tensor:
        """How much of each value's place is part of it: like the values, laid flat over leading axes."""
        values = flat(e.values)
        if self.names:
            unknown = self.names - set(e.names)
            if unknown:
                raise OptionError("suspect.unknown", f"the feature {sorted(unknown)[0]!r}", "names of features",
                                  "choose from " + ", ".join(e.names[:8]))
            return torch.tensor([float(n in self.names) for n in e.names]).reshape(values.shape)
        mask = self.mask
        if self.box is not None:
            left, top, right, bottom = self.box
            if size is None or values.dim() != 2 or not (0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]):
                raise OptionError("suspect.box", f"the box {self.box} for values of shape {tuple(values.shape)}",
                                  "left < right and top < bottom, within the picture that the model is fed",
                                  "give pixels of the model's input, or a mask")
            mask = torch.zeros(size)
            mask[top:bottom, left:right] = 1
        assert mask is not None
        if mask.shape == values.shape:
            return mask.float()
        if mask.dim() != 2 or values.dim() != 2:
            raise OptionError("suspect.shape", f"a mask of shape {tuple(mask.shape)}",
                              f"the values' shape {tuple(values.shape)}",
                              "give one number per feature, or rows and columns for a picture")
        return F.interpolate(mask.float()[None, None], size=tuple(values.shape), mode="area")[0, 0]


def read(given: Any, count: int) -> list[Suspect | None]:
    """What a user may write: one part for all inputs, or a list with one, or None, for each."""
    if given is None:
        return [None] * count
    if isinstance(given, list) and len(given) == count and not all(isinstance(g, str) for g in given):
        return [None if g is None else _one(g) for g in given]
    if isinstance(given, Tensor) and given.dim() == 3 and len(given) == count:
        return [Suspect(mask=g.detach().cpu()) for g in given]
    return [_one(given)] * count


def _one(given: Any) -> Suspect:
    if isinstance(given, Tensor):
        return Suspect(mask=given.detach().cpu())
    if isinstance(given, Sequence) and not isinstance(given, str) and given:
        if all(isinstance(g, str) for g in given):
            return Suspect(names=frozenset(given))
        if len(given) == 4 and all(isinstance(g, int) for g in given):
            return Suspect(box=(given[0], given[1], given[2], given[3]))
    raise OptionError("suspect.type", f"a {type(given).__name__}",
                      "a box (left, top, right, bottom), a mask, names of features, or a list with one per probe input",
                      "say where the explanation should not lie")


def flat(values: Tensor) -> Tensor:
    """Values as they lie over the input: channels and the like summed."""
    v = values.detach().cpu().double()
    return v.flatten(0, -3).sum(0) if v.dim() > 2 else v


def shared(e: Explanation, suspect: Suspect | None, size: tuple[int, int] | None) -> tuple[float | None, float | None]:
    """The share of the explanation's positive part that lies in a part of the input, and that part's share of room."""
    if suspect is None:
        return None, None
    weights = suspect.weights(e, size).double()
    positive = flat(e.values).clamp(min=0)
    total = float(positive.sum())
    return (float((positive * weights).sum()) / total if total > 0 else None), float(weights.mean())


def small(values: Tensor) -> Tensor:
    """A map averaged down to what a record keeps, four digits each."""
    v = flat(values)
    if v.dim() == 2 and (v.shape[0] > SIDE or v.shape[1] > SIDE):
        v = F.adaptive_avg_pool2d(v[None], (min(SIDE, v.shape[0]), min(SIDE, v.shape[1])))[0]
    elif v.dim() == 1 and len(v) > LINE:
        v = F.adaptive_avg_pool1d(v[None], LINE)[0]
    return torch.tensor([float(f"{x:.4g}") for x in v.flatten().tolist()], dtype=torch.float64).reshape(v.shape)
