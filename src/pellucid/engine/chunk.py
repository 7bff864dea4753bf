"""How many rows go into the next pass, and which."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from pellucid.engine import memory, predict
from pellucid.engine.assemble import FEW
from pellucid.engine.memory import Forecast
from pellucid.engine.passes import Order
from pellucid.engine.share import Piece
from pellucid.words.errors import BudgetError

if TYPE_CHECKING:
    from pellucid.engine.group import Group

SCOUT_BYTES = 2 * 2**20
"""Input bytes of the first chunk, from which a row's memory is measured."""

SCOUT_ROWS = 8
"""Rows of the first chunk at most: a few kilobytes of token ids can take a hundred megabytes on the way."""



OFF = 1.1
"""A count this much above what was predicted is believed instead."""


@dataclass(eq=False)
class Known:
    """What is known of the memory of one kind of pass.

    `predicted` before any ran; `counted` bytes in the largest pass that was counted, which had `rows`.
    """

    predicted: Forecast | None = None
    tried: bool = False
    rows: int = 0
    counted: int = 0

    @property
    def how(self) -> str:
        """Where the chunk comes from: predicted, counted, or counted because the model is unpredictable."""
        return "predicted" if self.predicted else "unpredictable" if self.tried else "counted"

    @property
    def forecast(self) -> Forecast | None:
        """The prediction, raised where more was counted; else what was counted, by row."""
        if self.predicted is None:
            return Forecast(0, max(-(-self.counted // self.rows), 1)) if self.rows else None
        foretold = max(self.predicted.bytes(self.rows), 1)
        if self.counted > OFF * foretold:
            return Forecast(*(-(-part * self.counted // foretold)
                              for part in (self.predicted.fixed, self.predicted.per_row)))
        return self.predicted

    def peak(self, rows: int) -> int:
        """Counted bytes of a pass, from the count of another of its kind."""
        shape = self.predicted or Forecast(0, 1)
        return int(self.counted * shape.bytes(rows) / max(shape.bytes(self.rows), 1))


def known(group: Group, widen: bool) -> Known:
    """What is known of this group's passes so far."""
    return group.facts.setdefault((*group.key, widen), Known())


def room(group: Group, queue: Sequence[Piece]) -> int:
    """Rows that the next pass may hold; a BudgetError where not even one fits."""
    budget, wanted = group.settings.budget, sum(p.n for p in queue)
    most = min(group.settings.chunk or memory.MOST_ROWS, group.facts.get((*group.key, "most"), memory.MOST_ROWS))
    if group.interacting or group.settings.strict:
        most = 1
    wanted = min(wanted, most)
    widen = group.may_widen() and group.facts.get(group.widen) is True and queue[0].q - queue[0].p > FEW
    what = known(group, widen)
    if not what.tried and predict.matters(group, wanted):
        what.predicted, what.tried = predict.foresee(group, widen), True
    forecast = what.forecast
    if forecast is None:
        values = list(group.bundles[0].first.carrier.inputs.values())
        size = sum(v.numel() * v.element_size() for v in values if isinstance(v, Tensor)) + 1
        return 1 if budget is not None else min(most, max(SCOUT_BYTES // size, 1), SCOUT_ROWS)
    fine = min(wanted, forecast.comfortable(group.device, gradient=bool(group.gradients)))
    if budget is None and forecast.needed(fine) <= memory.LITTLE:
        return fine
    have = memory.free_bytes(group.device) if budget is None else budget
    fit = forecast.rows_within(have)
    if fit == 0 and group.spare():
        return room(group, queue)
    if fit == 0:
        raise too_small(forecast.needed(1), have)
    return min(fine, fit)


@contextmanager
def counting(group: Group, order: Order) -> Iterator[None]:
    """Count what a pass holds, if it is much larger than any of its kind before, and keep the tally."""
    what, tally = known(group, order.widen), group.loop.tally
    if not what.tried and known(group, not order.widen).predicted is not None:
        what.predicted, what.tried = predict.foresee(group, order.widen), True
    if order.n > 2 * what.rows:
        with memory.Alive() as alive:
            yield
        made = 0 if order.rows is None else order.rows.untyped_storage().nbytes()  # before the count began
        what.rows, what.counted = order.n, made + alive.peak
    else:
        yield
    peak = what.peak(order.n)
    if peak > (tally.peak or 0):
        tally.peak, tally.foretold = peak, what.how
        tally.predicted = what.predicted.bytes(order.n) if what.predicted is not None else None


def fill(group: Group, queue: deque[Piece]) -> list[Piece]:
    """Fill one pass; with a prefix run once only rows of one example go together."""
    try:
        space = room(group, queue)
    except BudgetError as error:
        works = [w for piece in queue for w in piece.works]
        queue.clear()
        group.fail(works, error)
        return []
    wanted = max(sum(p.n for p in queue), 1)
    space = -(-wanted // -(-wanted // space))  # as many passes, of even size
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


def short(group: Group) -> BudgetError:
    """The error for a single row that did not fit, with the bytes it needs as far as they are known."""
    what = known(group, False)
    if not what.tried:
        what.predicted, what.tried = predict.foresee(group, False), True
    forecast = what.forecast
    return too_small(forecast.needed(1) if forecast else 0, memory.free_bytes(group.device))


def too_small(need: int, have: int) -> BudgetError:
    return BudgetError("budget.too_small", f"{have:,} bytes for activations",
                       f"{need:,} bytes for one row" if need > have else "more for one row than was free as it ran",
                       "free memory, raise budget=, or take a smaller input")
