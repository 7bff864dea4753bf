"""What a model returns, taken apart: every tensor of a structured output by its path."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def parts(value: Any, path: str = "") -> dict[str, Tensor]:
    """All tensors of a structured output by their path."""
    if isinstance(value, Tensor):
        return {path: value}
    found: dict[str, Tensor] = {}
    for key, inner in _items(value):
        found |= parts(inner, f"{path}.{key}" if path else str(key))
    return found


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    return []
