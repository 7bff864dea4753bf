"""One row, in its own process: set up, alternate, compare with float64, measure memory."""

from __future__ import annotations

from typing import Any

from bench import measure, memory
from bench.row import OURS, TUNED, Contest, Findings, Row
from bench.setup import Setup


def take(row: Row, setup: Setup) -> Findings:
    """Measure what the row asks for."""
    setup.apply()
    contest = row.build(setup)
    if isinstance(contest, Findings):
        return contest
    found = Findings()
    if "time" in row.measures:
        _time(row, contest, setup, found)
    if "error" in row.measures and contest.reference is not None:
        found.errors = errors(contest.sides, contest.reference())
        _pairs("error", {k: [v] for k, v in found.errors.items() if v > 0}, found)
    if "memory" in row.measures:
        _memory(row, contest, setup, found)
    found.notes += [f"{name}: {value}" for name, value in setup.chosen.items()]
    return found


def _time(row: Row, contest: Contest, setup: Setup, found: Findings) -> None:
    seconds, least = (row.seconds / 5, 2) if setup.quick else (row.seconds, 5)
    times = measure.alternate(contest.sides, seconds, measure.clock_of(setup.device), least)
    _pairs("time", times, found)
    if setup.device.startswith("cuda"):
        for side, taken in times.items():
            found.figures[f"{side}, ms"] = 1000 * measure.spread(taken).median


def _memory(row: Row, contest: Contest, setup: Setup, found: Findings) -> None:
    times = 1 if setup.quick else 3
    peaks = {side: [max(memory.of(row.name, side, setup), 1.0) for _ in range(times)] for side in contest.sides}
    _pairs("memory", peaks, found)
    for side, taken in peaks.items():
        found.figures[f"{side}, peak MiB"] = measure.spread(taken).median / 2**20


def _pairs(what: str, taken: dict[str, list[float]], found: Findings) -> None:
    """Every side of ours against every other side."""
    for ours in (OURS, TUNED):
        for other in taken:
            if ours in taken and other not in (OURS, TUNED):
                found.put(what, ours, other, measure.ratio(taken[ours], taken[other]))
    if TUNED in taken and OURS in taken:
        found.put(what, TUNED, OURS, measure.ratio(taken[TUNED], taken[OURS]))


def errors(sides: dict[str, Any], reference: Any) -> dict[str, float]:
    """‖values − reference‖ / ‖reference‖ of every side that gives values."""
    import torch

    found: dict[str, float] = {}
    for name, call in sides.items():
        right = reference.get(name) if isinstance(reference, dict) else reference
        value = call()
        if isinstance(value, torch.Tensor) and right is not None:
            value, right = value.detach().double().cpu(), right.detach().double().cpu()
            found[name] = float((value.reshape(right.shape) - right).norm() / right.norm())
    return found
