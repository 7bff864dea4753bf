"""How many rows fit: the budget, what a row takes, and what to do when memory runs out."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.engine.modes import Watching

COMFORT = 256 * 2**20
"""Bytes of activations a CPU pass aims at: larger chunks fall out of the cache and are not faster."""

SAFETY = 1.7
"""Real peak over counted bytes; 1.34 to 1.58 were measured on convolutional networks."""

CONTROL_GROUPS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
MOST_ROWS = 4096


class Meter(Watching):
    """Counts the bytes of every tensor that operations make, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.largest = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and not tensor._is_view():
                size = tensor.numel() * tensor.element_size()
                self.total += size
                self.largest = max(self.largest, size)
        return out

    def peak(self, gradient: bool) -> int:
        """What stays alive: everything while gradients are needed, else a layer with its neighbours."""
        return self.total if gradient else min(self.total, 4 * self.largest)


def free_bytes(device: torch.device) -> int:
    """Half of the free memory of this machine or its control group, 80 % of a GPU's."""
    if device.type == "cuda":
        return int(0.8 * torch.cuda.mem_get_info(device)[0])
    free = _meminfo()
    for top, used in CONTROL_GROUPS:
        limit, now = _number(Path("/sys/fs/cgroup") / top), _number(Path("/sys/fs/cgroup") / used)
        if limit is not None and limit < 1 << 60:
            free = min(free, max(limit - (now or 0), 0))
    return free // 2


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _meminfo() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 4 * 2**30
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 4 * 2**30)


def rows_within(budget: int, per_row: int, device: torch.device) -> int:
    """The chunk: rows of `per_row` counted bytes that a budget holds; 0 where not even one fits."""
    most = int(budget // (SAFETY * max(per_row, 1)))
    if device.type == "cpu":
        most = min(most, max(COMFORT // max(per_row, 1), 1))
    return min(most, MOST_ROWS)


def is_out_of_memory(error: BaseException) -> bool:
    """torch's and Python's ways to say that memory ran out, the CPU allocator's text among them."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in str(error) or "not enough memory" in str(error) or "out of memory" in str(error)
    )


def release(device: torch.device) -> None:
    """Give back what a failed pass still holds; called outside the except block, which holds its frames."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
