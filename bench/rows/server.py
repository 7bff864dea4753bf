"""Many clients at once, one model."""

from __future__ import annotations

from bench.row import Bound, waiting

ROWS = [
    waiting("server", "16 clients asking for a gradient of ResNet-18, beside one request at a time",
            [Bound("time", "one request at a time", 1.0), Bound("p99 latency", "16 clients", 1.0, unit="s")],
            "pellucid.serve"),
]
