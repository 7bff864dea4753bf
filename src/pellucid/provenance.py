"""Where an explanation comes from: versions, device, seed, weights and input by digest, worked out when read."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from pellucid.engine.shadow import Versions, versions
from pellucid.models.subject import Subject
from pellucid.version import __version__


class Provenance(Mapping[str, Any]):
    """Facts by name. `weights` hashes every parameter and buffer, `input` all that the model was given, so they wait
    until somebody reads them."""

    def __init__(self, subject: Subject, seed: int | None = None, now: Versions | None = None,
                 given: Mapping[Any, Any] | None = None) -> None:
        # The model is held until its digest was read: whoever explains in one line drops it at once.
        self._model, self._facts = subject.module, subject.facts
        self._versions = versions(subject.module) if now is None else now
        self._known: dict[str, Any] = {
            "model": subject.name, "pellucid": __version__, "torch": torch.__version__, "numpy": np.__version__,
            "python": platform.python_version(), "machine": platform.machine(), "threads": torch.get_num_threads(),
            "seed": seed, "weights": None,
        }
        if seed is None:
            del self._known["seed"]
        self._given = given
        if given is not None:
            self._known["input"] = None

    def __getitem__(self, key: str) -> Any:
        if key == "weights" and self._known[key] is None:
            self._known[key] = self._weights()
        elif key == "input" and self._known.get(key, "") is None:
            named = sorted(((str(k), v) for k, v in (self._given or {}).items()), key=lambda pair: pair[0])
            self._known[key], self._given = hashed(named), None
        return self._known[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def _weights(self) -> str:
        model, self._model = self._model, None
        if model is None or versions(model) != self._versions:
            return "unknown: the model was changed before its digest was read"
        key = ("digest", self._versions)
        if key not in self._facts:
            self._facts[key] = digest(model)
        return self._facts[key]


def digest(model: nn.Module) -> str:
    """sha-256 over names, types, shapes and bytes of all parameters and buffers."""
    return hashed(sorted((*model.named_parameters(), *model.named_buffers()), key=lambda pair: pair[0]))


def hashed(named: Iterable[tuple[str, Any]]) -> str:
    """sha-256 over names, types, shapes and bytes; of what is no tensor, over how it is written."""
    found = hashlib.sha256()
    for name, tensor in named:
        if not isinstance(tensor, torch.Tensor):
            found.update(f"{name}|{tensor!r}|".encode("utf-8", "surrogatepass"))
            continue
        found.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        found.update(flat.view(torch.uint8).numpy().tobytes())
    return "sha256:" + found.hexdigest()
