"""Floor 3: drawings for paper, and for programs that read plain SVG only."""

from pellucid.printing.flattened import flat
from pellucid.printing.press import pdf, png

__all__ = ["flat", "pdf", "png"]
