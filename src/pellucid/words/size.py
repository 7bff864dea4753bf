"""Sizes as people write them."""

from __future__ import annotations

import re
from typing import Any

from pellucid.words.errors import OptionError

UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
         "k": 2**10, "m": 2**20, "g": 2**30, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def size(written: Any, name: str = "budget") -> int:
    """Bytes from 2GB, "500 MB", "1.5GiB" or a plain number; at least one."""
    parts = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(written))
    wrong = isinstance(written, bool) or not isinstance(written, int | float | str)
    if wrong or parts is None or parts[2].lower() not in UNITS or float(parts[1]) * UNITS[parts[2].lower()] < 1:
        raise OptionError("option.value", f"{name} {str(written)[:40]!r}", "a size such as 500MB or 2GB",
                          "write a number of bytes, or a number and its unit")
    return int(float(parts[1]) * UNITS[parts[2].lower()])
