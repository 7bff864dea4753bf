"""Ranks of values, with ties broken by lot; and values that know nothing: the same ones, elsewhere."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor


def lots(seed: int, block: int = 0) -> torch.Generator:
    """A private generator keyed by (seed, block)."""
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + block * 0x85EBCA6B + 0x2545F491) % (1 << 63))


def ranks(values: Tensor, seed: int) -> Tensor:
    """The place of each value (n,) in descending order, 0 first; equal values are ordered by lot."""
    shuffled = torch.randperm(len(values), generator=lots(seed))
    order = shuffled[values[shuffled].argsort(descending=True, stable=True)]
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order))
    return places


def counts(n: int, steps: int) -> tuple[int, ...]:
    """0 to n in so many steps as equal as whole numbers can be, each at least one."""
    steps = max(1, min(steps, n))
    return tuple(round(k * n / steps) for k in range(steps + 1))


def elsewhere(values: Tensor, shape: tuple[int, ...], seed: int, block: int) -> Tensor:
    """The same values at other places: a picture's map shifted round its edges and turned, others shuffled.

    A shifted map is as smooth as the map itself: what is compared is where it lies, not how coarse it is.
    values (n,), with n the product of `shape`.
    """
    generator = lots(seed, block)
    if len(shape) == 2 and min(shape) > 1:
        return _moved(values.reshape(shape), generator).flatten()
    return values[torch.randperm(len(values), generator=generator)]


def _moved(image: Tensor, generator: torch.Generator) -> Tensor:
    """A shift by any but zero places, then one of the picture's symmetries."""
    height, width = image.shape
    shift = int(torch.randint(1, height * width, (), generator=generator))
    flips = torch.randint(0, 2, (3,), generator=generator).tolist()
    moved = image.roll((shift // width, shift % width), (0, 1))
    moved = moved.flip([axis for axis in (0, 1) if flips[axis]])
    return moved.mT if flips[2] and height == width else moved


def others(values: Tensor, shape: tuple[int, ...], seed: int, most: int) -> list[Tensor]:
    """At most so many arrangements of the values at other places, no two alike and none the values themselves.

    Of few values all arrangements are gone through: a share of them is then counted exactly. Values that are all equal
    have no other place: they are their own controls, and better than none of them.
    """
    n = len(values)
    if n <= FEW:
        every = torch.tensor(list(itertools.permutations(range(n))))[1:]
        drawn = (values[order] for order in every[torch.randperm(len(every), generator=lots(seed))])
    else:
        drawn = (elsewhere(values, shape, seed, k) for k in range(4 * most))
    known, found = {values.numpy().tobytes()}, list[Tensor]()
    for one in drawn:
        if len(found) == most:
            break
        key = one.contiguous().numpy().tobytes()
        if key not in known:
            known.add(key)
            found.append(one)
    return found or ([values] * most if n > 1 else [])


FEW = 6
"""Values of which every order is made."""


def area(x: Tensor, y: Tensor) -> float:
    """The area under a curve by the trapezoid rule, over the width of x."""
    return float(torch.trapezoid(y, x) / (x[-1] - x[0]))
