"""What can happen in a training, in words: kept in `pellucid.languages`."""

from __future__ import annotations

from pellucid.languages.events import EVENTS, told

__all__ = ["EVENTS", "told"]
