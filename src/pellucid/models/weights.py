"""Weights from files without running what they contain, and loading them strictly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from pellucid.models import quarantine
from pellucid.models.local_file import check_file
from pellucid.words.errors import FileError, ModelError

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".ckpt")
SECONDS = 600


def read_weights(path: str | os.PathLike[str], *, trust: bool = False) -> dict[str, Tensor]:
    """The tensors of a safetensors file; with `trust` also of a pickled state dict, read in a child process."""
    place = check_file(path)
    if place.suffix == ".safetensors":
        return _safetensors(place)
    if place.suffix not in PICKLES:
        raise FileError("weights.unknown_kind", f"weights ending in {place.suffix or 'nothing'}", ".safetensors",
                        "save them with safetensors.torch.save_file")
    if not trust:
        raise untrusted(place.suffix)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.safetensors"
        # -I: neither the working folder nor the environment chooses what the child imports.
        command = [sys.executable, "-I", quarantine.__file__, str(place.resolve()), str(copy)]
        try:
            child = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            said = json.loads(child.stdout)
        except (ValueError, subprocess.TimeoutExpired):
            said = {"problem": "something that ended the process which read it"}
        if "tensors" not in said:
            raise FileError("weights.unreadable", f"a pickle with {said['problem']}", "a state dict of dense tensors",
                            "save it again: torch.save(model.state_dict(), path), or better as safetensors")
        return _safetensors(copy)


def untrusted(suffix: str) -> ModelError:
    """Pickles can run any command when they are opened."""
    return ModelError("source.untrusted", f"a {suffix} file, which can run commands when it is opened",
                      "safetensors, or your word that you trust it",
                      "save the weights as safetensors, or say trust=True (--trust) if it is your own")


def load_strictly(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a module; every name and every shape must fit."""
    state = module.state_dict()
    missing, extra = sorted(state.keys() - weights.keys()), sorted(weights.keys() - state.keys())
    bent = sorted(k for k in state.keys() & weights.keys() if state[k].shape != weights[k].shape)
    if missing or extra or bent:
        parts = [f"{len(names)} {what} ({_few(names)})"
                 for what, names in (("missing", missing), ("unexpected", extra), ("of another shape", bent)) if names]
        prefixed = bool(extra) and all(k.startswith(("module.", "_orig_mod.")) for k in extra)
        do = ("take off the prefix that DataParallel or torch.compile put before each name" if prefixed else
              "use the function and the arguments that the weights were trained with")
        raise ModelError("weights.mismatch", "weights with " + ", ".join(parts),
                         f"the {len(state)} names of the module", do)
    module.load_state_dict(dict(weights), strict=True)


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise FileError("weights.unreadable", "a damaged safetensors file", "a complete one",
                        "copy or download it again") from error


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
