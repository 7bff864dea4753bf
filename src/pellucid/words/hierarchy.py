"""Which features belong together, and which of these groups: derived from a layout, or said by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from pellucid.numbers.nested import Tree, members, tidy
from pellucid.words.errors import OptionError, nearest
from pellucid.words.features import Features

SENTENCE = ".!?…。！？"
"""Marks that end a sentence."""

PART = ",;:—–)]" + "，、；：）】」』"
"""Marks that end a part of one."""


def hierarchy(features: Features, groups: Any = None) -> Tree:
    """The tree of features: as the user groups them, otherwise as they lie.

    Words and tokens are cut into sentences, and these into parts, behind punctuation. Pixels and patches
    are the grid, halved along its longer side again and again; superpixels likewise, by where their
    centres lie. All other features stand side by side.
    """
    if groups is not None:
        return tidy(_given(features, groups))
    if features.kind == "tokens" and features.names:
        return tidy(_spoken(features.names))
    if features.kind == "image" and len(features.shape) == 2:
        return tidy(_halved(*features.shape))
    if features.kind == "image" and features.index.dim() == 2:
        return tidy(_nearby(_centres(features), torch.arange(features.n)))
    return tidy(tuple(range(features.n)))


def _spoken(names: Sequence[str]) -> Tree:
    """Sentences of parts of words."""
    sentences: list[list[list[int]]] = [[[]]]
    for i, name in enumerate(names):
        word = name.strip()
        # Several marks in a row end one part, not several.
        mark = all(c in SENTENCE + PART for c in word)
        if not mark and _ends(names, i - 1, SENTENCE):
            sentences.append([[]])
        elif not mark and _ends(names, i - 1, PART):
            sentences[-1].append([])
        sentences[-1][-1].append(i)
    return tuple(tuple(tuple(part) for part in sentence) for sentence in sentences)


def _ends(names: Sequence[str], i: int, marks: str) -> bool:
    return i >= 0 and names[i].strip()[-1:] in set(marks)


@lru_cache(maxsize=16)
def _halved(rows: int, columns: int) -> Tree:
    """A grid in halves of halves, numbered row by row."""

    def cut(top: int, left: int, height: int, width: int) -> Tree:
        if height * width == 1:
            return top * columns + left
        if height > width:
            half = height // 2
            return cut(top, left, half, width), cut(top + half, left, height - half, width)
        half = width // 2
        return cut(top, left, height, half), cut(top, left + half, height, width - half)

    return cut(0, 0, rows, columns)


def _centres(features: Features) -> Tensor:
    """The mean row and column of each feature: (n, 2)."""
    places = torch.stack(torch.meshgrid(*map(torch.arange, features.index.shape), indexing="ij")).double()
    slots = torch.where(features.index < 0, features.n, features.index).flatten()
    sums = torch.zeros(2, features.n + 1, dtype=torch.float64).index_add(1, slots, places.flatten(1))
    return (sums[:, :-1] / features.sizes.clamp(min=1)).T


def _nearby(centres: Tensor, which: Tensor) -> Tree:
    """Features in halves of halves along the axis on which they are further apart."""
    if len(which) == 1:
        return int(which)
    own = centres[which]
    spread = own.amax(0) - own.amin(0)
    order = which[own[:, int(spread.argmax())].argsort(stable=True)]
    half = len(which) // 2
    return _nearby(centres, order[:half]), _nearby(centres, order[half:])


def _given(features: Features, groups: Any) -> Tree:
    """What a user wrote; features that he did not name stand by themselves."""
    if isinstance(groups, str):
        groups = [[name.strip() for name in part.split(",") if name.strip()] for part in groups.split(";")]
    if isinstance(groups, Mapping):
        apart: dict[Any, list[Any]] = {}
        for feature, group in cast("Mapping[Any, Any]", groups).items():
            apart.setdefault(group, []).append(feature)
        groups = list(apart.values())
    if not isinstance(groups, list | tuple):
        raise _unreadable(f"a {type(groups).__name__}")
    tree = _read(features, cast("Sequence[Any]", groups))
    named = set[int]()
    for i in members(tree):
        if i in named:
            raise OptionError("groups.twice", f"feature {_called(features, i)} in two places of groups=",
                              "each feature once", "leave it in the group where it belongs")
        named.add(i)
    return (*cast("tuple[Tree, ...]", tree), *(i for i in range(features.n) if i not in named))


def _read(features: Features, written: Any) -> Tree:
    if isinstance(written, list | tuple):
        return tuple(_read(features, child) for child in cast("Sequence[Any]", written))
    if isinstance(written, str) and features.kind != "tokens" and written in features.names:
        if features.names.count(written) > 1:
            raise _unreadable(f"{written!r}, which is the name of several features")
        return features.names.index(written)
    number = int(written) if isinstance(written, str) and written.isascii() and written.isdigit() else written
    if isinstance(number, int) and not isinstance(number, bool):
        if not 0 <= number < features.n:
            raise OptionError("groups.unknown", f"feature number {number}", f"0 to {features.n - 1}",
                              "count features from 0")
        return number
    if isinstance(written, str) and features.kind != "tokens" and features.names:
        raise OptionError("groups.unknown", f"a feature {written[:40]!r}", "a feature's name or number",
                          nearest(written, features.names))
    # Words are no names: they come twice, and a recipe that is saved is not to hold the text.
    raise _unreadable(f"a {type(written).__name__} in groups=")


def _called(features: Features, i: int) -> str:
    return repr(features.names[i]) if features.names and features.kind != "tokens" else f"number {i}"


def _unreadable(found: str) -> OptionError:
    return OptionError(
        "groups.unreadable", found, "a nested list of features by name or number, or a mapping from feature to group",
        "write for example groups=[['age', 'income'], ['red', 'green']]; words and patches go by their number")
