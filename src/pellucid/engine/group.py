"""One group of questions that can share passes: choose the chunk, run it, recover, hand out."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pellucid.engine import memory, passes, probe, tuning
from pellucid.engine.assemble import assemble
from pellucid.engine.chunk import counting, fill, short
from pellucid.engine.shadow import Unwritten, Watch, patched
from pellucid.engine.share import Bundle, Piece
from pellucid.words.errors import InputError, ModelError, PellucidError
from pellucid.words.site import Site
from pellucid.words.target import is_open

if TYPE_CHECKING:
    from pellucid.engine.run import Loop

SLIGHT = 0.1
"""Share of a forward's values below which a prefix that runs once is not worth passes of its own."""


class Group:
    """Bundles whose rows can stand in one pass, and what is known about such passes."""

    def __init__(self, loop: Loop, bundles: list[Bundle]) -> None:
        self.loop, self.bundles, self.settings, self.facts = loop, bundles, loop.settings, loop.facts
        first = bundles[0].first
        graded, read = first.sites
        self.gradients = tuple(sorted(graded, key=str))
        self.readings = tuple(sorted(read, key=str))
        self.site = first.case.site
        self.change = first.case.change
        self.overrides = bundles[0].overrides
        scored = {s.target.of for b in bundles for s in b.first.slots if s.ask.kind != "reading"}
        self.output_needed = None in scored
        self.widen = ("widen", self.site, first.carrier.signature, self.gradients, self.readings, frozenset(scored))
        self.layers = {s for s in (*graded, *read, *(x for x in scored if x)) if not s.is_input}
        if self.overrides and not self.site.is_input:
            self.layers.add(self.site)
        self.shape: Hashable = first.carrier.signature
        self.alike: Hashable = first.carrier.kind
        self.kind: tuple[Hashable, ...] = ("bytes", *self.widen[1:], self.overrides, self.change)
        self.sparing = False
        self.writes: Hashable = ("writes", self.site, self.change)
        self.buffer: Tensor | None = None
        self.again = False
        self.asked: tuple[Hashable, ...] = (self.shape, self.site, self.gradients, self.readings, frozenset(scored),
                                              self.change)
        self.choice = tuning.Choice(loop.model)
        self.axes: dict[Site, int] = {}
        self.device = probe.device_of(loop.model, list(first.carrier.inputs.values()))

    def place(self) -> None:
        """Find the batch axis of every layer that is asked about."""
        for site in self.layers:
            self.axes[site] = probe.axis_of(self.loop.model, site, self.bundles[0].first.carrier, self.facts)

    def answer(self) -> None:
        """Answer every question of the group, whatever memory and single bad examples do."""
        try:
            self.place()
        except Exception as error:
            works = [w for b in self.bundles for w in b.works]
            if len(works) > 1 and not isinstance(error, PellucidError):
                for work in works:  # one bad example must not take the others along
                    Group(self.loop, [Bundle([work])]).answer()
            else:
                self.fail(works, named(error))
            return
        with self.loop.tally.clock.into("checks"):
            self.choice = tuning.chosen(self)
        queue = deque(Piece(b, 0, len(b.works), 0, b.first.points.n) for b in self.bundles)
        self.loop.tally.asked_rows += sum(p.n for p in queue)
        while queue:
            batch = fill(self, queue)
            error = self._try(batch)
            if error is None:
                continue
            if self.facts.get("guard") and self.loop.tally.isolation != "guard":
                return  # the shadow did not hold; the run starts again under guard
            queue.extendleft(reversed(self._recover(error, batch)))
        for bundle in self.bundles:
            bundle.finish()

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What the memory of a pass depends on: what is asked, and who answers how."""
        return (*self.kind, self.choice.name, self.sparing)

    def spare(self) -> bool:
        """From here on blocks are computed twice, so that a row fits; False where that is no help any more."""
        if self.sparing or not self.gradients:
            return False
        self.sparing = True
        return True

    def may_widen(self) -> bool:
        if not self.overrides or self.site.is_input or self.settings.strict:
            return False
        return self.facts.get(("prefix", self.site), 1.0) > SLIGHT and self.facts.get(self.widen, True)

    def _try(self, batch: list[Piece]) -> Exception | None:
        """Run one pass and hand out its answers; what went wrong is returned, outside its frames."""
        if not batch:
            return None
        order = None
        try:
            order, columns = assemble(self, batch)
            outcome = self._run(order)
            if outcome is None:
                return RuntimeError("the shadow did not hold")
            per_row = self.loop.tally.clock.last / order.n
            alone = order.n == 1 and (self.interacting or not self.settings.strict)
            if not alone and self._interact(order, outcome):
                return self._redo(batch)
        except Exception as error:
            full = memory.is_out_of_memory(error)
            if not full and order is not None and order.widen and self.facts.get(self.widen):
                self.facts[self.widen] = False  # what was proved for one score need not hold for another
                return self._try(batch)
            if order is not None and not order.copy and passes.was_written(error):
                self.facts[self.writes] = True
                return self._try(batch)
            if full:
                memory.without_frames(error)
            return error
        start = 0
        for piece, column in zip(batch, columns, strict=True):
            self._settle(piece, outcome, start, column)
            piece.bundle.take(piece.a, piece.b, piece.p, piece.q, outcome, start, column)
            start += piece.n
            for work in piece.works:
                asked, modelled, mine = self.loop.tally.asked, self.loop.tally.modelled, work.case.carrier
                asked[mine] = asked.get(mine, 0) + piece.q - piece.p
                modelled[mine] = modelled.get(mine, 0.0) + per_row * (piece.q - piece.p)
        tally, self.again = self.loop.tally, False
        tally.probable |= {t.key for t, so in zip(order.targets, outcome.probable, strict=True) if so}
        tally.rows += start
        tally.chunk = max(tally.chunk, start)
        tally.interact |= self.interacting
        tally.padded |= outcome.scores is not None and len({p.bundle.length for p in batch}) > 1
        if self.settings.progress is not None:
            self.settings.progress(tally.rows, tally.asked_rows)
        return None

    def _run(self, order: passes.Order) -> passes.Outcome | None:
        loop = self.loop
        if order.widen and not self._widen_holds(order):
            order = _full(order)
        loop.tally.widened |= order.widen
        loop.tally.recomputed |= order.recompute
        loop.tally.passes += 1
        loop.tally.forwards += order.n
        if tuning.unproved(self):
            order = replace(order, copy=True)  # the rows are asked again: a model may not have written into them
        escape = ("escape", patched(loop.original))
        watch = Watch(loop.original) if escape not in self.facts else None
        with ExitStack() as stack:
            if watch is not None:
                stack.enter_context(watch.watching())
                stack.enter_context(Unwritten(loop.model))
            stack.enter_context(counting(self, order))
            stack.enter_context(loop.tally.clock.into("model"))
            outcome = tuning.answered(self, order)
        if outcome is None or not tuning.agrees(self, order, outcome):
            self.choice = tuning.instead(self.choice, loop.model)
            return self._run(order)
        if outcome.wrote is not None:
            self.facts[self.writes] = outcome.wrote or self.facts.get(self.writes, False)
        if watch is not None:
            self.facts.setdefault(escape, watch.escaped)
        if self.facts.get(escape) and loop.tally.isolation != "guard":
            self.facts["guard"] = True
            return None
        return outcome

    def _widen_holds(self, order: passes.Order) -> bool:
        if self.widen not in self.facts:
            with self.loop.tally.clock.into("checks"):
                self.facts[self.widen] = probe.can_widen(self.loop.model, order, self.axes)
        return self.facts[self.widen]

    @property
    def interacting(self) -> bool:
        return self.facts.get(("interact", self.alike), False)

    def _interact(self, order: passes.Order, outcome: passes.Outcome) -> bool:
        """True where rows look at each other; only finite scores of the output settle that they do not."""
        looked = ("apart", self.alike, order.readings, frozenset(t.of for t in order.targets))
        if ("interact", self.alike) not in self.facts and looked not in self.facts:
            full = _full(order) if order.widen else order
            with self.loop.tally.clock.into("checks"):
                found = probe.rows_interact(self.choice.model, full, outcome, self.axes)
            ends = None if outcome.scores is None else outcome.scores[:, [0, -1]]
            settled = self.output_needed and ends is not None and bool(torch.isfinite(ends).all())
            self.facts[("interact", self.alike) if found or settled else looked] = found
        return self.interacting

    def _redo(self, batch: list[Piece]) -> None:
        """Rows that look at their neighbours are asked one by one."""
        for piece in batch:
            for alone in piece.cut(1):
                left = [alone]
                while left:
                    error = self._try(left)
                    left = [] if error is None else self._recover(error, left)

    def _settle(self, piece: Piece, outcome: passes.Outcome, start: int, column: dict[int, list[int]]) -> None:
        """Freeze predictions, and refuse rows whose score is no number."""
        if outcome.scores is None:
            return
        fine, span = torch.isfinite(outcome.scores), piece.q - piece.p
        every = bool(fine.all())
        if every and not any(outcome.settled):
            return
        for k, work in enumerate(piece.works):
            at = slice(start + k * span, start + (k + 1) * span)
            if not every and not bool(fine[[w for w in column[id(work)] if w >= 0]][:, at].all()):
                self.fail([work], InputError(
                    "output.not_finite", "a score that is not a finite number", "finite scores",
                    "look for overflow (half precision?) or NaN in weights and input"))
                continue
            for slot, which in zip(work.slots, column[id(work)], strict=True):
                found = outcome.settled[which] if which >= 0 else None
                if found is not None and is_open(slot.target):
                    self.loop.settle(work.case, slot.target, found[at.start])

    def _recover(self, error: Exception, batch: list[Piece]) -> list[Piece]:
        """Half the rows after memory ran out; every example on its own after any other error."""
        works = [w for piece in batch for w in piece.works]
        rows = sum(p.n for p in batch)
        if memory.is_out_of_memory(error):
            self.buffer = None
            memory.release(self.device)
            self.loop.tally.retries += 1
            if rows == 1 and not self.again:
                self.again = True  # what was freed just now may be enough
                return batch
            if rows == 1 and self.spare():
                return batch
            if rows > 1:
                self.facts[(*self.key, "most")] = rows // 2
                return [cut for piece in batch for cut in piece.cut(max(rows // 2, 1))]
            self.fail(works, short(self))
        elif len({id(w) for w in works}) > 1:
            return [replace(alone, solo=True) for piece in batch for alone in piece.alone()]
        else:
            self.fail(works, named(error))
        return []

    def fail(self, works: list[Any], error: PellucidError) -> None:
        for work in works:
            for slot in work.slots:
                slot.fail(error)


def named(error: BaseException) -> PellucidError:
    """A model's own exception under our code; the original is its cause."""
    if isinstance(error, PellucidError):
        return error
    if memory.is_out_of_memory(error):
        return memory.ran_out("to look at the model")
    found = ModelError(
        "model.failed", f"{type(error).__name__} in the model's forward", "a forward that runs on this input",
        "see the cause below; check shapes, dtype and device of the input")
    found.__cause__ = error
    return found


def _full(order: passes.Order) -> passes.Order:
    return replace(order, widen=False, inputs=probe.repeated(order.inputs, order.n))
