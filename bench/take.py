"""One row, in its own process: set up, alternate, compare with float64, measure memory."""

from __future__ import annotations

from typing import Any

from bench import measure, memory
from bench.row import DEFAULT, OURS, TUNED, Contest, Findings, Row
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
        _put("error", {k: [v] for k, v in found.errors.items() if v > 0}, contest, found)
        for side, error in found.errors.items():
            found.put("true error", side, "float64", measure.spread([error]))
    if "memory" in row.measures:
        _memory(row, contest, setup, found)
    found.notes += [f"{name}: {value}" for name, value in setup.chosen.items()]
    return found


def _time(row: Row, contest: Contest, setup: Setup, found: Findings) -> None:
    seconds, least = (row.seconds / 5, 2) if setup.quick else (row.seconds, 5)
    times = measure.alternate(contest.sides, seconds, measure.clock_of(setup.device), least)
    _put("time", times, contest, found)
    if setup.device.startswith("cuda"):
        for side, taken in times.items():
            found.figures[f"{side}, ms"] = 1000 * measure.spread(taken).median


def _memory(row: Row, contest: Contest, setup: Setup, found: Findings) -> None:
    peaks = {side: [max(memory.of(row.name, side, setup), 1.0)] for side in contest.sides}
    _put("memory", peaks, contest, found)
    for side, (taken,) in peaks.items():
        found.figures[f"{side}, peak MiB"] = taken / 2**20


def _put(what: str, taken: dict[str, list[float]], contest: Contest, found: Findings) -> None:
    """The ratios of every pair of which both were taken."""
    ours = [name for name in (OURS, TUNED, DEFAULT) if name in contest.sides]
    pairs = contest.pairs or [(mine, other) for mine in ours for other in contest.sides if other not in ours]
    for mine, other in pairs:
        if mine in taken and other in taken:
            found.put(what, mine, other, measure.ratio(taken[mine], taken[other]))


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
