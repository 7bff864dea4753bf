"""What a run spent: seconds by what they went into, and joules where the machine counts them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")


class Clock:
    """Seconds by purpose: `model`, `checks` (probes and proofs about the model), `transfers`.

    On a GPU a pass is over for Python before it is over for the card: with `exact` the clock waits.
    """

    def __init__(self, device: torch.device | None = None, *, exact: bool = False) -> None:
        self.seconds: dict[str, float] = {"model": 0.0, "checks": 0.0, "transfers": 0.0}
        self.last = 0.0
        self.wait = exact and device is not None and device.type == "cuda"

    @contextmanager
    def into(self, purpose: str) -> Iterator[None]:
        """Count what happens inside, less what is counted there for itself; `last` is how long it took."""
        began, before = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            if self.wait:
                torch.cuda.synchronize()
            self.last = time.perf_counter() - began
            self.seconds[purpose] += self.last - (sum(self.seconds.values()) - before)


class Energy:
    """Joules since it was made: of the processor's packages (RAPL) and of the card (NVML).

    `joules()` is None where neither says anything: on many machines only root may read the counters.
    """

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
        packages = [p for p in sorted(powercap.glob("intel-rapl:*")) if p.name.count(":") == 1]
        self.packages = [(p, start) for p in packages if (start := _whole(p / "energy_uj")) is not None]
        self.card = _card(device) if device.type == "cuda" else None
        self.began = _millijoules(self.card)

    @property
    def sources(self) -> tuple[str, ...]:
        """Who counted: rapl, nvml."""
        return ("rapl",) * bool(self.packages) + ("nvml",) * (self.began is not None)

    def joules(self) -> float | None:
        """What was used by now; other programs on the same machine are counted with it."""
        if not self.sources:
            return None
        total = 0.0
        for package, start in self.packages:
            now = _whole(package / "energy_uj")
            if now is None:
                continue
            # The counter starts again at its range.
            around = 0 if now >= start else _whole(package / "max_energy_range_uj") or 0
            total += (now + around - start) / 1e6
        now = _millijoules(self.card)
        if now is not None and self.began is not None:
            total += (now - self.began) / 1e3
        return total


def _whole(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _card(device: torch.device) -> Any:
    """NVML's handle of a card, found by its identity, since the numbers may differ; None without NVML."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports]

        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    except Exception:  # no NVML, no driver, no rights: energy is then not known, and nothing else suffers
        return None


def _millijoules(card: Any) -> int | None:
    if card is None:
        return None
    try:
        import pynvml  # pyright: ignore[reportMissingImports]

        return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(card))
    except Exception:  # older cards do not count
        return None
