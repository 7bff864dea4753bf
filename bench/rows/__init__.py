"""Every row, in the order of the table of targets: one file for each work."""

from __future__ import annotations

import importlib

from bench.row import Row

FILES = ("grad_cam", "ig_same_points", "ig_to_one_percent", "layers", "perturbation", "kernel_shap", "shapley_error",
         "five_together", "metrics", "attention", "watch", "overhead", "batch", "server", "memory_flat",
         "import_and_help", "report")

ROWS: list[Row] = [row for name in FILES for row in importlib.import_module(f"bench.rows.{name}").ROWS]


def find(name: str) -> Row:
    """The row of exactly this name."""
    return next(row for row in ROWS if row.name == name)
