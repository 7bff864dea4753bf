"""How methods, metrics and what they say beside their values are written: kept in `pellucid.languages`."""

from __future__ import annotations

from pellucid.languages.names import DETAILS, METHODS, METRICS

__all__ = ["DETAILS", "METHODS", "METRICS"]
