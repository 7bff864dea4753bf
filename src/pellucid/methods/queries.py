"""Whose attention is read, and the way from those tokens back through the layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.changes.attending import ATTENTION
from pellucid.words.ask import Ask, Each, together
from pellucid.words.case import Case
from pellucid.words.errors import LayerError, OptionError
from pellucid.words.method import AUTO, Need
from pellucid.words.site import Site

KEPT = 4 * 2**20
"""Bytes of maps (queries, keys) that an explanation holds at once: so many layers are asked about in one pass."""

NAMED = (AUTO, "first", "last", "mean")
"""Queries by name."""


class Queries:
    """Which queries are read: weights over them once their number is known, and `told` in words.

    `reacting` (queries,) says how much the score reacts to each one's attention.
    """

    def __init__(self, query: str | int, reacting: Tensor | None = None) -> None:
        self.query, self.reacting, self.told = query, reacting, ""
        if query not in NAMED if isinstance(query, str) else query < 0:
            raise OptionError("option.value", f"query={query!r}", "auto, first, last, mean, or a token's number from 0",
                              "leave query out to read the tokens that the score depends on")

    def over(self, size: int) -> Tensor:
        """Weights (size,) that sum to 1."""
        which = torch.zeros(size, dtype=torch.float64)
        if self.query == AUTO:
            seen = torch.zeros(0) if self.reacting is None else self.reacting
            if len(seen) != size:
                raise LayerError("attention.sizes", f"{size} queries here, and {len(seen)} in the last attention",
                                 "the same tokens in every layer that is read",
                                 "say whose attention to read: query='first', 'last', 'mean' or a number")
            which[(seen > 0).cpu()] = 1.0
        elif self.query == "mean":
            which += 1.0
        else:
            place = 0 if self.query == "first" else size - 1 if self.query == "last" else int(self.query)
            if place >= size:
                raise OptionError("option.value", f"query={place}", f"a token from 0 to {size - 1}",
                                  "count tokens from 0, class tokens and the like included")
            which[place] = 1.0
        chosen: list[int] = which.nonzero().flatten().tolist()
        self.told = (f"token {chosen[0]} of {size}" if len(chosen) == 1
                     else f"all {size} tokens" if len(chosen) == size else f"{len(chosen)} of {size} tokens")
        return which / which.sum()

    def rows(self, attention: Tensor) -> Tensor:
        """The mean of these queries' rows of (queries, keys)."""
        weights = self.over(len(attention))
        own = weights.nonzero().flatten().to(attention.device)
        return weights.to(attention.device)[own] @ attention[own].double()


def reacting(slope: Tensor) -> Tensor:
    """By query, how much the score reacts to any of its weights."""
    return slope.abs().amax((-3, -1))


def _watch(case: Case, site: Site) -> Ask:
    return case.gradient(case.here, wrt=site, weights=Each(reacting))


async def shown(case: Case, asks: Sequence[tuple[Site, Ask]], layers: Sequence[Site], query: str | int
                ) -> tuple[list[Tensor], Queries]:
    """Maps (queries, keys), each a question about a site, and the queries that the last of `layers` tells.

    That is the last on which the score depends: of the others no query does anything for it.
    """
    left, queries = list(layers), Queries(query)
    watch = [_watch(case, s) for s in left[-1:] if query == AUTO]
    found = await together(*(ask for _, ask in asks), *watch)
    maps, seen = [f[0] for f in found[: len(asks)]], [f[0] for f in found[len(asks) :]]
    while watch and not bool(seen[0].any()):
        left.pop()
        if not left:
            raise _idle()
        seen = await _watch(case, left[-1])
    for (site, _), answer in zip(asks, maps, strict=True):
        if answer.dim() != 2:
            raise _windows(site, len(answer))
    return maps, Queries(query, seen[0]) if watch else queries


async def chained(case: Case, layers: Sequence[Site], query: str | int, ask: Callable[[Site], Ask],
                  onto: Callable[[Tensor, Tensor], Tensor], size: int, *, start: bool = True) -> tuple[Tensor, str]:
    """The mean row of the queries, taken through the layers' maps from the last to the first.

    Only a row is kept, and as many maps of about `size` tokens as one pass may bring. Without `start` what the row
    was before the first map is taken off in the end.
    """
    left, queries, first = list(layers), Queries(query), None
    row: Tensor | None = None
    while left:
        block = left[-max(KEPT // (4 * size * size), 1) :]
        watch = [_watch(case, block[-1])] if row is None and query == AUTO else []
        found = await together(*map(ask, block), *watch)
        if watch and not bool(found[-1].any()):
            left.pop()  # the score does not depend on this attention
            continue
        queries = Queries(query, found[-1][0]) if watch else queries
        for site, answer in reversed(list(zip(block, found, strict=False))):
            size = _tokens(site, answer[0], None if row is None else len(row))
            if row is None:
                row = first = queries.over(size).to(answer.device)
            row = onto(row, answer[0].double())
        del left[-len(block) :]
    if row is None or first is None:
        raise _idle()
    return row if start else row - first, queries.told


def _tokens(site: Site, found: Tensor, size: int | None) -> int:
    """How many tokens look at each other here; an error where they do not, or are not those of the other layers."""
    if found.dim() != 2:
        raise _windows(site, len(found))
    queries, keys = found.shape
    if queries != keys:
        raise crossed(str(site), f"{queries} queries over {keys} keys")
    if size is not None and queries != size:
        raise LayerError("attention.sizes", f"{site} over {queries} tokens, and {size} in the layers behind it",
                         "the same tokens in every layer", "name layers that have the same tokens: layers=…")
    return queries


def crossed(site: str, what: str) -> LayerError:
    """The error for attention to other tokens than those that look."""
    return LayerError("attention.crossed", f"{site}, with {what}", Need.SELF_ATTENTION.value,
                      "name the layers of one encoder with layers=…, or choose integrated_gradients")


def _windows(site: Site, windows: int) -> LayerError:
    return LayerError("attention.windows", f"{site}, whose tokens look at each other inside {windows} windows",
                      "attention from every token to every token",
                      "choose grad_cam or integrated_gradients, or a layer with one window")


def _idle() -> LayerError:
    return LayerError("attention.idle", "no attention on which the score depends", "a score that reacts to attention",
                      "choose another target, or say whose attention to read: query='first', 'last' or 'mean'")


def sites_named(written: Any, option: str) -> list[Site]:
    """The sites that an option names: one, several, or `a,b` from a shell; `:attention` may be left out."""
    names = written.split(",") if isinstance(written, str) else written
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) and n.strip() for n in names):
        return [Site.parse(n if n.endswith(f":{ATTENTION}") else f"{n}:{ATTENTION}") for n in map(str.strip, names)]
    raise OptionError("option.value", f"{option}={written!r}", "a layer's name, or several",
                      f"write {option}='a', {option}=('a', 'b'), or --{option} a,b")
