"""From what was measured to a record with a verdict on every promise."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.row import DEFAULT, TUNED, Bound, Findings, Row
from bench.why import why

MET, UNMET, ABSENT, FAILED = "met", "not met", "not there yet", "failed"


def record(row: Row, found: Findings, about: dict[str, Any]) -> dict[str, Any]:
    """A row that was measured, as plain data."""
    promises = [verdict(bound, found, row.name) for bound in row.bounds]
    return {"work": row.work, "status": "measured", "reason": "", **about, "promises": promises,
            "ratios": {k: _short(asdict(s)) for k, s in found.ratios.items()},
            "errors": {k: _round(v) for k, v in found.errors.items()},
            "figures": {k: _round(v) if isinstance(v, float) else v for k, v in found.figures.items()},
            "notes": found.notes}


def missing(row: Row, status: str, reason: str, about: dict[str, Any]) -> dict[str, Any]:
    """A row that could not be measured: every promise is open, and the reason is said."""
    promises = [_promise(bound, None, status, reason) for bound in row.bounds]
    return {"work": row.work, "status": status, "reason": reason, **about, "promises": promises,
            "ratios": {}, "errors": {}, "figures": {}, "notes": []}


def verdict(bound: Bound, found: Findings, row: str = "") -> dict[str, Any]:
    """One promise beside its measurement: kept where the median is within the bound."""
    spread = found.ratios.get(f"{bound.what}|{bound.ours}|{bound.against}")
    if spread is None:
        lacking = bound.ours in (TUNED, DEFAULT)
        reason = "explain() has no precision= yet" if lacking else f"no {bound.what} against {bound.against}"
        return _promise(bound, None, ABSENT, reason)
    if spread.median <= bound.most:
        return _promise(bound, _short(asdict(spread)), MET, "")
    return _promise(bound, _short(asdict(spread)), UNMET, excuse(bound, spread.median, row))


def excuse(bound: Bound, median: float, row: str) -> str:
    """How far a promise was missed, and why where that is known."""
    reason = bound.because or why(row, bound.what, bound.ours, bound.against)
    return _distance(bound, median) + (f": {reason}" if reason else "")


def _distance(bound: Bound, median: float) -> str:
    return f"{median / bound.most:.2f} times the bound" if bound.most else "above the bound"


def _promise(bound: Bound, measured: dict[str, Any] | None, status: str, reason: str) -> dict[str, Any]:
    return {"what": bound.what, "ours": bound.ours, "against": bound.against, "most": _round(bound.most),
            "unit": bound.unit, "measured": measured, "status": status, "reason": reason}


def _short(values: dict[str, Any]) -> dict[str, Any]:
    return {k: _round(v) if isinstance(v, float) else v for k, v in values.items()}


def _round(value: float) -> float:
    """Four digits: more would be noise, and would change with every run."""
    return float(f"{value:.4g}")
