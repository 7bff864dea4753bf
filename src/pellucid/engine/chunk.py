"""How many rows go into the next pass, and which."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from torch import Tensor

from pellucid.engine import memory
from pellucid.engine.share import Piece
from pellucid.words.errors import BudgetError

if TYPE_CHECKING:
    from pellucid.engine.group import Group

SCOUT_BYTES = 2 * 2**20
"""Input bytes of the first chunk, from which a row's memory is measured."""

SCOUT_ROWS = 8
"""Rows of the first chunk at most: a few kilobytes of token ids can take a hundred megabytes on the way."""

FEW = 3
"""Up to this many rows of an example a prefix that runs once saves nothing; other examples join them instead."""


def room(group: Group) -> int:
    """Rows that the next pass may hold; a BudgetError where not even one fits."""
    if group.interacting or group.settings.strict:
        return 1
    most = min(group.settings.chunk or memory.MOST_ROWS, group.facts.get((*group.key, "most"), memory.MOST_ROWS))
    per_row = group.facts.get(group.key)
    if per_row is None:
        values = list(group.bundles[0].first.carrier.inputs.values())
        size = sum(v.numel() * v.element_size() for v in values if isinstance(v, Tensor)) + 1
        return 1 if group.settings.budget is not None else min(most, max(SCOUT_BYTES // size, 1), SCOUT_ROWS)
    have = memory.free_bytes(group.device) if group.settings.budget is None else group.settings.budget
    fit = memory.rows_within(have, per_row, group.device)
    if fit == 0:
        raise too_small(int(memory.SAFETY * per_row), have)
    return min(most, fit)


def fill(group: Group, queue: deque[Piece]) -> list[Piece]:
    """Fill one pass; with a prefix run once only rows of one example go together."""
    try:
        space = room(group)
    except BudgetError as error:
        works = [w for piece in queue for w in piece.works]
        queue.clear()
        group.fail(works, error)
        return []
    batch: list[Piece] = []
    while queue and space > 0:
        piece = queue.popleft()
        if all(s.done for w in piece.works for s in w.slots):
            continue
        if batch and (piece.solo or batch[0].solo):
            queue.appendleft(piece)
            break
        cuts = piece.cut(space)
        single = piece.q - piece.p > FEW and group.may_widen()
        if single and len({id(w.carrier) for w in cuts[0].works}) > 1:
            cuts = [c for alone in piece.alone() for c in alone.cut(space)]
        head, rest = cuts[0], cuts[1:]
        if single and batch and batch[0].works[0].carrier is not head.works[0].carrier:
            queue.appendleft(piece)
            break
        batch.append(head)
        space -= head.n
        queue.extendleft(reversed(rest))
        if rest and rest[0].n > space:
            break
    return batch


def too_small(need: int, have: int) -> BudgetError:
    return BudgetError("budget.too_small", f"{have:,} bytes for activations", f"{need:,} bytes for one row",
                       "free memory, raise budget=, or take a smaller input")
