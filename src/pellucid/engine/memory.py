"""How much memory there is, how much a pass holds, and what it looks like when it runs out."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from pellucid.words.errors import BudgetError, PellucidError
from pellucid.words.modes import Watching

COMFORT = 64 * 2**20
"""Bytes of activations that a CPU pass with gradients aims at: most of them wait for the way back, and larger
chunks are not faster (a Grad-CAM of 32 pictures on a ViT-S took 1.01 of the time with half of what it held before)."""

CACHED = 20 * 2**20
"""The same for a pass without gradients, where all that is alive is at work and should stay in the cache: a small
convolutional network takes 1.4 ms a row within this, and 2.5 ms at two or three times as much."""

TOGETHER = 8
"""Rows that a pass takes in any case within three or four times as much: large layers are read for all rows at
once, and from here on a row of a transformer costs no less."""

SAFETY = 1.7
"""Real peak over counted bytes: kernels have work space and allocators gaps that no count sees."""

LITTLE = 64 * 2**20
"""Bytes up to which nobody asks how much memory is free."""

MOST_ROWS = 4096


@dataclass(frozen=True)
class Forecast:
    """What a pass holds at its peak: `fixed` bytes and `per_row` for every row."""

    fixed: int
    per_row: int

    def bytes(self, rows: int) -> int:
        return self.fixed + self.per_row * rows

    def needed(self, rows: int) -> int:
        """What must be free for so many rows."""
        return int(SAFETY * self.bytes(rows))

    def rows_within(self, budget: int) -> int:
        """Rows that a budget holds; 0 where not even one fits."""
        return max(min(self._in(budget / SAFETY), MOST_ROWS), 0)

    def comfortable(self, device: torch.device, *, gradient: bool) -> int:
        """Rows beyond which a pass is not faster, if memory does not matter; one at least."""
        if device.type != "cpu":
            return MOST_ROWS
        aim, most = (COMFORT, 4 * COMFORT) if gradient else (CACHED, 3 * CACHED)
        return max(min(max(self._in(aim), min(self._in(most), TOGETHER)), MOST_ROWS), 1)

    def _in(self, room: float) -> int:
        return int((room - self.fixed) // max(self.per_row, 1))


class Alive(Watching):
    """While open, counts the bytes of what operations made and somebody still holds: each storage once.

    Parameters, and whatever else was there before, are not counted, nor are views. Works on tensors
    with values and on fake ones. `peak` is the largest count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.now = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.is_view:
            return out
        given = {id(a) for a in args} if func._schema.is_mutable else ()
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if id(tensor) not in given:
                self.hold(tensor)
        if self.now > self.peak:
            self._held = {key: pair for key, pair in self._held.items() if not pair[0].expired()}
            self.now = sum(size for _, size in self._held.values())
            self.peak = max(self.peak, self.now)
        return out

    def hold(self, tensor: Any) -> None:
        """Count a tensor's storage, unless it is counted already."""
        if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        ref = StorageWeakRef(storage)
        if ref.cdata not in self._held or self._held[ref.cdata][0].expired():
            size = storage.nbytes()
            self._held[ref.cdata] = (ref, size)
            self.now += size


def free_bytes(device: torch.device, root: Path = Path("/")) -> int:
    """What a pass may take: half of what machine, control group and process limits leave free, 80 % of a GPU's.

    `root` is where /proc and /sys are looked for.
    """
    if device.type == "cuda":
        return int(0.8 * torch.cuda.mem_get_info(device)[0])
    return min([_available(root), *_group_room(root), *_process_room(root)]) // 2


def _available(root: Path) -> int:
    found = _table(root / "proc/meminfo").get("MemAvailable:")
    return 4 * 2**30 if found is None else found * 1024


def _group_room(root: Path) -> Iterator[int]:
    """What every control group around this process leaves, of both versions, from its own to the topmost."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        number, kinds, path = (line.split(":", 2) + ["", ""])[:3]
        if number != "0" and "memory" not in kinds.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("" if number == "0" else "memory")
        # In a container the path may be the host's, of which only the end, or nothing, is to be seen here.
        parts = [p for p in path.split("/") if p not in ("", "..")]
        for k in range(len(parts), -1, -1):
            yield from _left(top.joinpath(*parts[:k]))


def _left(group: Path) -> Iterator[int]:
    """The limit of one control group less what it uses; files kept in memory can be given up."""
    names = (("memory.max", "memory.current", "inactive_file"), ("memory.high", "memory.current", "inactive_file"),
             ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))
    for limit, usage, kept in names:
        most = _number(group / limit)
        if most is not None and most < 1 << 60:
            used = (_number(group / usage) or 0) - _table(group / "memory.stat").get(kept, 0)
            yield max(most - max(used, 0), 0)


def _process_room(root: Path) -> Iterator[int]:
    """What RLIMIT_AS and RLIMIT_DATA leave of address space and data."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    for limit, used in ((resource.RLIMIT_AS, "VmSize:"), (resource.RLIMIT_DATA, "VmData:")):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            yield max(soft - 1024 * _table(root / "proc/self/status").get(used, 0), 0)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    try:
        pairs = [line.split()[:2] for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def is_out_of_memory(error: BaseException | None) -> bool:
    """torch's and Python's ways to say that memory ran out, the CPU allocator's text among them."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, RuntimeError) and any(text in str(error) for text in SHORT):
            return True
        error = error.__cause__
    return False


SHORT = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory", "bad_alloc",
         "could not create a memory object")
"""How allocators and the libraries that call them say it."""


def without_frames(error: BaseException) -> None:
    """Let go of what the frames of an error, and of those behind it, still hold."""
    behind: BaseException | None = error
    while behind is not None:
        behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__


def ran_out(doing: str) -> BudgetError:
    """The error for memory that ran out outside any pass, where fewer rows are no help."""
    return BudgetError("budget.too_small", f"no memory left {doing}", "more of it",
                       "free memory, take a smaller input, or ask for fewer samples")


@contextmanager
def named(doing: str) -> Iterator[None]:
    """While open, memory that runs out ends in our error, without what the frames held."""
    try:
        yield
    except Exception as error:
        if isinstance(error, PellucidError) or not is_out_of_memory(error):
            raise
        without_frames(error)
    else:
        return
    gc.collect()
    raise ran_out(doing)


def release(device: torch.device) -> None:
    """Give back what a failed pass still holds; called outside the except block, which holds its frames."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
