"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import torchvision_repair

# Tests never reach the network; a model that is not here is a model that does not exist.
os.environ["HF_HUB_OFFLINE"] = "1"
# Small tensors gain nothing from threads, and threads that wait for each other cost most on busy cores.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def vision() -> bool:
    """torchvision, timm and transformers' model classes can be imported; True if that took a repair."""
    return torchvision_repair.repair()


@pytest.fixture(scope="session")
def child_environment(vision: bool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which a child process can import the same."""
    env = dict(os.environ)
    if vision:
        folder = tmp_path_factory.mktemp("site")
        here = str(Path(__file__).parent)
        (folder / "sitecustomize.py").write_text(
            f"import sys\nsys.path.append({here!r})\nimport torchvision_repair\ntorchvision_repair.repair()\n")
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), env.get("PYTHONPATH")]))
    return env
