"""What can be wrong inside a model, in words: kept in `pellucid.languages`."""

from __future__ import annotations

from pellucid.languages.faults import FAULTS, told

__all__ = ["FAULTS", "told"]
