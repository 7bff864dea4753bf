"""Which machine this is: processor or card, cores, versions. Neither its name nor a path."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "captum", "grad-cam", "shap", "quantus", "torchvision", "timm", "transformers",
            "scikit-learn")


def describe(device: str) -> dict[str, Any]:
    """What a figure depends on."""
    found: dict[str, Any] = {"processor": processor(), "cores": cores(), "memory_gib": memory_gib(),
                             "system": platform.system(), "python": platform.python_version()}
    if device.startswith("cuda"):
        import torch

        found["card"] = torch.cuda.get_device_name(device)
    return found


def versions() -> dict[str, str]:
    """Installed versions of ours and the peers; a package that is missing is left out."""
    found: dict[str, str] = {}
    for name in ("pellucid", *PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def revision() -> str:
    """The commit that was measured, with a mark where files differ from it; empty outside a checkout."""
    here = Path(__file__).parents[1]
    try:
        said = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=here, text=True,
                              capture_output=True, check=False)
    except OSError:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def slug(machine: dict[str, Any]) -> str:
    """The machine's file name: card or processor, and cores."""
    text = machine.get("card") or f"{machine['processor']} {machine['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return re.sub(r"\s+", " ", named) or platform.processor() or platform.machine()


def cores() -> int:
    """Physical cores this process may use: two hardware threads of a core count once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    seen: set[str] = set()
    for cpu in allowed:
        try:
            seen.add(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip())
        except OSError:
            seen.add(str(cpu))
    return max(len(seen), 1)


def memory_gib() -> int:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    except (ValueError, OSError, AttributeError):
        return 0
