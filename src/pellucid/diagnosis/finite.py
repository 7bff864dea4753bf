"""Values that are NaN or infinite: told of the layer where they arise, not of those that hand them on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

LISTED = 12
"""Channels that a sentence names."""


def fault(layers: Iterable[tuple[str, Tensor, int, int]]
          ) -> tuple[str, str, str, tuple[int, ...], dict[str, Any]] | None:
    """What is not finite in the first of these layers that has any such value.

    Each is a name, how many inputs each of its channels was not finite for (channels,), how many any was, and how many
    there were; in the order in which they ran. Code, level, layer, channels, and what the sentence is made of.
    """
    for name, odd, hit, inputs in layers:
        channels = tuple(odd.nonzero().flatten().tolist())
        if channels:
            some = ", ".join(map(str, channels[:LISTED])) + (", …" if len(channels) > LISTED else "")
            return ("layer.not_finite", "fail", name, channels, {
                "layer": name, "n": len(channels), "of": len(odd), "share": f"{len(channels) / len(odd):.0%}",
                "hit": hit, "inputs": inputs, "list": some})
    return None
