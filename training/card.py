"""Writes what a subject's folder holds: half-precision weights and the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

DATA = Path(__file__).parent.parent / "src" / "pellucid" / "models" / "demo_data"


@torch.no_grad()
def halve(net: nn.Module) -> dict[str, Tensor]:
    """Round the network's values to half precision in place and return them.

    Rounding comes before measuring, so that the card's figures are those of the file.
    """
    stored = {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in stored.items()})
    return {k: v.contiguous() for k, v in stored.items()}


def write_weights(net: nn.Module, file: Path) -> None:
    """Round to half precision, in place and on disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(halve(net), file, metadata={"format": "pt"})
    # safetensors writes for the owner alone; an installed package is read by everyone.
    file.chmod(0o644)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write card.json with its figures rounded to four digits."""
    folder.mkdir(parents=True, exist_ok=True)
    card = {**card, "accuracy": {k: round(v, 4) for k, v in card["accuracy"].items()}}
    (folder / "card.json").write_text(json.dumps(card, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
