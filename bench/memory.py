"""Peak memory of one call: in a fresh process on a CPU, by the allocator's own count on a GPU."""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.setup import ROOT, Setup

CLEAR = Path("/proc/self/clear_refs")


def of(row: str, side: str, setup: Setup) -> float:
    """Peak bytes of a side's call over what its process held before, measured in a fresh process."""
    command = [sys.executable, "-m", "bench.memory", row, side, json.dumps(setup.plain())]
    env = {**setup.environment(), "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is given back, not kept in holes
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"{side}: {said[-1]}")
    return float(done.stdout.strip().splitlines()[-1])


def peak(call: Callable[[], Any], device: str) -> int:
    """Peak bytes that a call takes on top of what is held before it."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # freed memory that is still resident would hide a peak
    CLEAR.write_text("5")  # sets the peak back to what is resident now
    before = _status("VmRSS")
    call()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def main(row: str, side: str, plain: str) -> None:
    """What the fresh process does: the same set-up, a small call that loads the code, then the call."""
    from bench.row import Contest
    from bench.rows import find

    setup = Setup(**json.loads(plain))
    setup.apply()
    contest = find(row).build(setup)
    assert isinstance(contest, Contest)
    setup.warm()
    print(peak(contest.sides[side], setup.device))


if __name__ == "__main__":
    main(*sys.argv[1:])
