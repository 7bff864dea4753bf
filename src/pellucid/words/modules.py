"""Modules as whoever watches a model sees them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn


def hookable(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules by their dotted names, those left out that take no hooks: what a script runs is one step to others."""
    return ((name, module) for name, module in model.named_modules() if not isinstance(module, torch.jit.ScriptModule))
