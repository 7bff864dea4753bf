"""Metrics beside Quantus at the same definition."""

from __future__ import annotations

from bench.row import Bound, waiting

ROWS = [
    waiting("metrics", "Pixel flipping of 4 pictures, 224 pixels a step, beside Quantus' PixelFlipping at the same "
            "definition", [Bound("time", "Quantus", 1 / 5)], "pellucid:evaluate"),
]
