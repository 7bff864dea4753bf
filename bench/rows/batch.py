"""A folder of pictures: decoding and writing while the model works."""

from __future__ import annotations

from bench.row import Bound, waiting

ROWS = [
    waiting("batch", "Time per picture of a folder, decoded, explained and written, beside model and method alone",
            [Bound("time", "model and method alone", 1 / 0.9)], "pellucid:batch"),
]
