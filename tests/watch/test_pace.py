"""Looking takes no more than its share of the training: shown with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from pellucid.watching import pace
from pellucid.watching.pace import Pace


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(pace, "time", made)
    return iter([made]).__next__()


def trained(clock: Clock, steps: int, step: float, look: float, share: float = 0.05, every: int | None = None,
            setup: float = 1.0, idle: float = 1e-5) -> tuple[Pace, list[int]]:
    """A training of equal steps; the steps that were looked at, the last look included."""
    made = Pace(every, share)
    clock.now += setup
    made.began(look)
    looked, looking = [], made.due(1)
    for k in range(1, steps + 1):
        clock.now += step
        made.enter()
        made.stepped()
        if looking:
            clock.now += look
            made.counted(look)
            looked.append(k)
        clock.now += idle
        looking = made.due(k + 1)
        made.leave()
    if looked[-1:] != [steps]:
        made.enter()
        clock.now += look
        made.counted(look)
        made.leave()
        looked.append(steps)
    return made, looked


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(("step", "look"), [(0.1, 0.5), (0.01, 1.0), (1.0, 0.02), (0.3, 0.3)])
def test_looks_take_their_share_and_nearly_all_of_it(clock: Clock, step: float, look: float, share: float) -> None:
    steps = round(400 * look / step / share) + 400
    made, _ = trained(clock, min(steps, 60_000), step, look, share, idle=0.0)
    assert made.cost.share <= share
    assert made.cost.share > 0.6 * min(share, look / step)
    assert made.cost.setup == pytest.approx(1.0)


def test_looks_are_spread_evenly_and_not_made_in_a_row(clock: Clock) -> None:
    _, looked = trained(clock, 4000, 0.1, 0.5)
    apart = [b - a for a, b in pairwise(looked[:-1])]
    assert min(apart) >= 100
    assert max(apart) <= 103


def test_a_training_that_is_shorter_than_a_look_is_looked_at_once_at_its_end(clock: Clock) -> None:
    _, looked = trained(clock, 50, 0.01, 1.0)
    assert looked == [50]


def test_every_is_taken_at_its_word(clock: Clock) -> None:
    _, looked = trained(clock, 35, 0.1, 5.0, every=10)
    assert looked == [10, 20, 30, 35]
