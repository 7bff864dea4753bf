"""A torchvision that was built for another torch must not take text models along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_a_text_model_is_explained_beside_a_torchvision_that_cannot_be_imported(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    code = ("import pellucid; s = pellucid.load('demo:reviews'); "
            "print(pellucid.explain(s, 'The soup was cold and the waiter rude.', 'saliency').method)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "saliency"
