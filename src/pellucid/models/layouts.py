"""Layouts by name (`patches:8`) or by map: what a user writes as `features=`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.words.errors import OptionError, nearest
from pellucid.words.features import Features, patches, pixels, segments

Layout = str | Tensor | np.ndarray[Any, Any] | Features | None


def settled(layout: Layout, usual: Layout, coarse: bool) -> tuple[Layout, bool]:
    """What was asked for, else the reader's usual layout, else None; `fine` and `coarse` ask for the usual one."""
    if isinstance(layout, str) and layout in ("fine", "coarse"):
        return usual, layout == "coarse"
    return (usual if layout is None else layout), coarse


def spelled(layout: str, known: Sequence[str]) -> tuple[str, int | None]:
    """The name and the number of `name` or `name:number`; unknown names raise."""
    name, colon, number = layout.strip().lower().partition(":")
    if name not in known:
        raise OptionError("features.unknown", repr(layout), ", ".join(known), nearest(name, known))
    if not colon:
        return name, None
    if not (number.isascii() and number.isdigit() and len(number) < 10 and int(number) > 0):
        raise OptionError("features.unreadable", repr(layout), f"{name}:N with a whole number N from 1",
                          f"write for example '{name}:8'")
    return name, int(number)


def about_eight(height: int, width: int) -> int:
    """The patch size that cuts a picture into about eight by eight."""
    return max(1, round(min(height, width) / 8))


def over_picture(name: str, number: int | None, height: int, width: int) -> Features:
    """Pixels, or patches of `number` pixels; the picture's axes are the last two."""
    return pixels(height, width) if name == "pixels" else patches(height, width, number or about_eight(height, width))


def given(layout: Any, shape: Sequence[int], places: Sequence[tuple[int, ...]], names: Sequence[str] = ()) -> Features:
    """Features from a user's own map of whole numbers, laid over the first of `places` that it fits.

    `places` are tuples of axes of a value of this `shape`. Features made elsewhere are checked and kept.
    """
    if isinstance(layout, Features):
        rank = len(shape)
        if tuple(layout.index.shape) != tuple(shape[a % rank] for a in layout.axes if -rank <= a < rank):
            raise _unfit(tuple(layout.index.shape), shape, places)
        return layout
    index = torch.as_tensor(np.array(layout) if isinstance(layout, np.ndarray) else layout).detach().clone().cpu()
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise OptionError("features.type", f"a map of {str(index.dtype).removeprefix('torch.')}",
                          "whole numbers, one per position", "call .astype(int) or .long() on the map")
    for axes in places:
        if tuple(index.shape) == tuple(shape[a] for a in axes):
            break
    else:
        raise _unfit(tuple(index.shape), shape, places)
    index = index.to(torch.int64)
    if not bool((index >= 0).any()):
        raise OptionError("features.empty", "a map of negative numbers only", "at least one feature, numbered from 0",
                          "mark with -1 only what is never switched off")
    return segments(index, axes)


def layout_name(layout: Layout, usual: str) -> str:
    """The name a recipe writes down; a map is recorded as `segments`."""
    if layout is None:
        return usual
    if isinstance(layout, str):
        return layout.strip().lower()
    return layout.name if isinstance(layout, Features) else "segments"


def _unfit(found: tuple[int, ...], shape: Sequence[int], places: Sequence[tuple[int, ...]]) -> OptionError:
    fits = " or ".join(dict.fromkeys(str(tuple(shape[a] for a in axes)) for axes in places))
    return OptionError("features.shape", f"a map of shape {found}", f"{fits}",
                       "make the map at the size that the model sees")
