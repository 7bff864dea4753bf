"""Time, measured by turns: A B A B in one process, and what is made of it."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.row import Spread

Clock = Callable[[Callable[[], Any]], float]


def wall(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def cuda(call: Callable[[], Any]) -> float:
    """Seconds of one call on the current GPU, from event to event: its waiting for Python counts."""
    import torch

    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    first.record()
    call()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1000


def clock_of(device: str) -> Clock:
    return cuda if device.startswith("cuda") else wall


def alternate(
    sides: Mapping[str, Callable[[], Any]], seconds: float, clock: Clock = wall, least: int = 5, most: int = 60
) -> dict[str, list[float]]:
    """Times of every side, one per round; rounds go on until the time is spent or there are enough.

    Two calls of each come first, uncounted: the first builds what is kept between calls, the second is
    the usual one. Every other round runs backwards, so that a drift of the machine weighs on no side.
    """
    for _ in range(2):
        for call in sides.values():
            call()
    times: dict[str, list[float]] = {name: [] for name in sides}
    began, rounds = time.perf_counter(), 0
    while rounds < most:
        spent = time.perf_counter() - began
        if rounds >= least and spent >= seconds:
            break
        if rounds >= min(3, least) and spent >= 3 * seconds:
            break  # a row that is far slower than was thought
        gc.collect()
        for name in list(sides) if rounds % 2 == 0 else list(reversed(sides)):
            times[name].append(clock(sides[name]))
        rounds += 1
    return times


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The spread of the ratios of what was measured in the same round."""
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} and {len(theirs)} times do not make pairs")
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles, linear between neighbours."""
    ordered = sorted(values)
    return Spread(_quantile(ordered, 0.5), _quantile(ordered, 0.25), _quantile(ordered, 0.75), len(ordered))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def fastest(candidates: Mapping[Any, Callable[[], Any]], clock: Clock = wall) -> Any:
    """The setting with which a peer (or the model alone) is quickest in one of two rounds."""
    rounds = [{setting: clock(call) for setting, call in candidates.items()} for _ in range(2)]
    return min(candidates, key=lambda setting: min(taken[setting] for taken in rounds))
