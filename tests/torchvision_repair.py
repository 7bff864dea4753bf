"""Makes a torchvision usable that was built for another torch; for tests only.

Its compiled operators are missing then, and the import fails on two of them. Their schemas are
declared, so that everything that does not call them works. `doctor` tells users how to mend it.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

SCHEMAS = [f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")]
KEPT: list[Any] = []
"""A torch Library takes its operators with it when it is collected."""


def repair() -> bool:
    """Import torchvision, declaring what is missing if the plain import failed; True if that was needed."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return False
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    else:
        return bool(KEPT)
    from torch.library import Library

    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        library.define(schema)
    KEPT.append(library)
    importlib.import_module("torchvision")
    return True
