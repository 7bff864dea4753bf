"""Questions that another library answers: it is handed the score as a module, over a shadow of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.engine import memory, passes, probe
from pellucid.engine.shadow import cast
from pellucid.engine.share import Slot
from pellucid.words.errors import ModelError, PellucidError

if TYPE_CHECKING:
    from pellucid.engine.run import Loop


class Score(nn.Module):
    """The score of one case as a function of the value at its site: rows (n, *shape) → (n,).

    `model` is a shadow that nobody else uses; its modules have the names that the user knows. Everything but
    the value at the site is the case's own, repeated for as many rows as are given.
    """

    def __init__(self, loop: Loop, slot: Slot) -> None:
        super().__init__()
        case = slot.ask.case
        self.model = loop.model if loop.tally.isolation == "guard" else cast(loop.model)
        self.case, self.target, self.tally = case, slot.target, loop.tally
        device = probe.device_of(self.model, list(case.carrier.inputs.values()))
        self.inputs = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in case.carrier.inputs.items()}
        sites = {s for s in (case.site, slot.target.of) if s is not None and not s.is_input}
        self.axes = {s: probe.axis_of(self.model, s, case.carrier, loop.facts) for s in sites}

    def forward(self, rows: Tensor) -> Tensor:
        self.tally.passes += 1
        self.tally.forwards += len(rows)
        self.tally.rows += len(rows)
        self.tally.chunk = max(self.tally.chunk, len(rows))
        mine = self.case.carrier
        self.tally.asked[mine] = self.tally.asked.get(mine, 0) + len(rows)
        change = self.case.change
        return passes.scored(self.model, probe.repeated(self.inputs, len(rows)), self.case.site, rows, self.target,
                             self.axes, change)


def answer(loop: Loop, slot: Slot) -> None:
    """Let the question's function answer; an error of its own is named, and ends this question only."""
    ask = slot.ask
    assert ask.foreign is not None
    try:
        with memory.named("for another library's work"), torch.enable_grad(), private(ask.case.seed), \
                loop.tally.clock.into("model"):
            slot.answer = ask.foreign(Score(loop, slot))
        loop.tally.modelled[ask.case.carrier] = (
            loop.tally.modelled.get(ask.case.carrier, 0.0) + loop.tally.clock.last)
        slot.done = True
    except PellucidError as error:
        slot.fail(error)
    except Exception as error:
        found = ModelError("foreign.failed", f"{type(error).__name__} in the other library",
                           "a method that works on this model", "see the cause below, or choose one of our own methods")
        found.__cause__ = error
        slot.fail(found)


@contextmanager
def private(seed: int) -> Iterator[None]:
    """Global random states for the time of the context: they begin at the seed and are put back."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
