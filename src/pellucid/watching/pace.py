"""When to look: so seldom that looking takes no more than a stated share of the training's time."""

from __future__ import annotations

import time

from pellucid.words.watch import Cost

STEPS = 20
"""Steps of which the typical time is taken."""


class Pace:
    """A clock that tells training from looking, and says which step is the next to look at.

    With `every` steps are looked at whose number it divides. Otherwise a step is looked at as soon as the training
    since the look before has paid for that look, and the whole training for the looks so far, this one and a last one
    at the end: `share` of its time. Setting up is counted apart: it is paid once.
    """

    def __init__(self, every: int | None, share: float) -> None:
        self.every, self.share = every, share
        self.seconds = self.setup = self.training = 0.0
        self.looks = 0
        self.recent: list[float] = []
        self.steps: list[float] = []
        self.between = self.since = 0.0
        self.left = self.entered = time.perf_counter()

    def enter(self) -> None:
        """The loop has called: what passed since it was left is training."""
        self.entered = time.perf_counter()
        self.between += self.entered - self.left
        self.training += self.entered - self.left

    def leave(self) -> None:
        """Back to the loop: what passed since it called is the price of watching."""
        self.left = time.perf_counter()
        self.seconds += self.left - self.entered

    def counted(self, seconds: float) -> None:
        """A look was made, which took so long."""
        self.looks += 1
        self.since = 0.0
        self.recent = [*self.recent[-1:], seconds]

    def stepped(self) -> None:
        """A step of the training is over."""
        self.steps = [*self.steps[1 - STEPS :], self.between]
        self.since += self.between
        self.between = 0.0

    def began(self, look: float) -> None:
        """All up to here was setting up; a look is expected to take so long."""
        now = time.perf_counter()
        self.recent = [look]
        self.setup += now - self.left
        self.left = now

    def due(self, step: int) -> bool:
        """Whether that coming step is one to look at."""
        if self.every is not None:
            return step % self.every == 0
        next_ = sorted(self.steps)[len(self.steps) // 2] if self.steps else 0.0
        look = min(self.recent)  # of two: one may have been held up by something else
        return (look <= self.share * (self.since + next_)
                and self.seconds + 2 * look <= self.share * (self.training + next_))

    @property
    def cost(self) -> Cost:
        return Cost(self.looks, self.seconds, self.setup, self.training)
