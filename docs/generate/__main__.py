"""Write every generated page anew."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.append("tests")
    import torchvision_repair  # pyright: ignore[reportMissingImports]

    torchvision_repair.repair()
    from docs.generate import catalogue, design, gallery, grid, metrics

    catalogue.write()
    grid.write()
    metrics.write()
    design.write()
    gallery.write()
