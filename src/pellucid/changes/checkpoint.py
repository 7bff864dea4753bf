"""Another checkpoint's weights in the place of the model's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from pellucid.changes.shuffle import put
from pellucid.words.errors import ModelError


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The same model with other weights and buffers, by name as in a state dict.

    Two are equal where their numbers are. `label` is what is told of it. Raises `weights.mismatch` where a name or
    a shape does not fit the model.
    """

    state: Mapping[str, Tensor]
    label: str = "checkpoint"

    @cached_property
    def digest(self) -> str:
        """Of every name and number."""
        found = hashlib.blake2b(digest_size=16)
        for name in sorted(self.state):
            value = self.state[name].detach().cpu().contiguous()
            found.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            found.update(value.flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b"")
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Checkpoint({self.label})"

    @property
    def name(self) -> str:
        return f"checkpoint({self.label})"

    @property
    def twin(self) -> bool:
        return False

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        self.fit(model)
        parameters = {p: _as(self.state[n], p) for n, p in model.named_parameters(remove_duplicate=False)
                      if n in self.state}
        before: list[tuple[dict[str, Tensor | None], str, Tensor | None]] = []
        other: dict[int, Tensor] = {}
        for where, module in model.named_modules():
            for name, buffer in module._buffers.items():
                if buffer is not None and (full := f"{where}.{name}" if where else name) in self.state:
                    before.append((module._buffers, name, buffer))
                    other.setdefault(id(buffer), _as(self.state[full], buffer))
        try:
            for buffers, name, buffer in before:
                buffers[name] = other[id(buffer)]
            with put(model, parameters):
                yield
        finally:
            for buffers, name, buffer in before:
                buffers[name] = buffer

    def fit(self, model: nn.Module) -> None:
        """Raise where this is no checkpoint of the model: every parameter, and nothing that it does not have."""
        own = dict(model.named_parameters(remove_duplicate=False))
        first = {p: n for n, p in reversed(own.items())}
        known: dict[str, Tensor] = {**own, **dict(model.named_buffers(remove_duplicate=False))}
        missing = sorted({first[p] for p in own.values()}
                         - {first[p] for n, p in own.items() if n in self.state})
        extra = sorted(self.state.keys() - known.keys())
        bent = sorted(n for n, v in self.state.items() if n in known and known[n].shape != v.shape)
        told = [f"{len(names)} {what} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" for what, names in
                (("missing", missing), ("unexpected", extra), ("of another shape", bent)) if names]
        if told:
            raise ModelError("weights.mismatch", f"weights ({self.label}) with " + ", ".join(told),
                             f"the {len(own)} parameters of the model",
                             "give a checkpoint of the same architecture: its state dict, file or subject")


def _as(value: Tensor, like: Tensor) -> Tensor:
    """A copy of its own in the number format and at the place of what it stands for."""
    with torch.inference_mode(like.is_inference()):
        return value.detach().to(like.device, like.dtype, copy=True)
