"""Every string a drawing or a report shows: kept in `pellucid.languages`, at hand here for drawings."""

from __future__ import annotations

from pellucid.languages.catalogue import CATALOGUE, Phrase, detail_name, fact_name, method_name, metric_name, say
from pellucid.languages.choice import LANGUAGES, chosen

__all__ = ["CATALOGUE", "LANGUAGES", "Phrase", "chosen", "detail_name", "fact_name", "method_name", "metric_name",
           "say"]
