"""How gradients flow into a layer's parameters, and what a step makes of them: read where they lie, without a hook."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.numbers.histogram import thinned
from pellucid.words.watch import Flow

KEPT = 65_536
"""Values of a parameter that are kept from before a step; larger ones are judged by so many, evenly spaced."""


def groups(module: nn.Module, layers: Sequence[str]) -> dict[str, list[str]]:
    """Parameters by the innermost of these layers that holds them; others by the part of the model they are in."""
    found: dict[str, list[str]] = {}
    for name, _ in module.named_parameters():
        owner = name.rpartition(".")[0]
        mine = [g for g in layers if owner == g or owner.startswith(g + ".")]
        group = max(mine, key=len) if mine else name.split(".")[0]
        found.setdefault(group, []).append(name)
    return found


class Parameters:
    """The parameters of a module that is being trained, by layer."""

    def __init__(self, module: nn.Module, layers: Sequence[str]) -> None:
        self.groups = groups(module, layers)
        self.module = module
        self.before: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] | None = None

    def remember(self) -> None:
        """Keep what the next step will change: a thinned copy, until the step has been looked at."""
        self.before = {k: _thin(p) for k, p in self.module.named_parameters() if p.requires_grad}
        self.gradients = None

    def read(self) -> None:
        """Keep the norms of the gradients as they stand now."""
        self.gradients = {k: _norm(p.grad) for k, p in self.module.named_parameters() if p.grad is not None}

    def flow(self) -> dict[str, Flow]:
        """Every layer's parameters, after the step; what was kept is forgotten."""
        with torch.no_grad():
            if not self.gradients:
                self.read()
            gradients, before = self.gradients or {}, self.before
            squares = {k: g.double().square() for k, g in gradients.items()}
            weights: dict[str, Tensor] = {}
            changes: dict[str, Tensor] = {}
            for k, p in self.module.named_parameters():
                now = _thin(p, copy=False)
                scale = p.numel() / max(now.numel(), 1)
                weights[k] = now.double().square().sum() * scale
                if k in before and before[k].shape == now.shape:
                    changes[k] = (now.double() - before[k].double()).square().sum() * scale
            told = {part: _told(held) for part, held in (("g", squares), ("w", weights), ("c", changes))}
        self.before, self.gradients = {}, None
        sizes = {k: p.numel() for k, p in self.module.named_parameters()}
        return {group: _flow(names, sizes, told["g"], told["w"], told["c"]) for group, names in self.groups.items()}


def _flow(names: list[str], sizes: dict[str, int], gradients: dict[str, float], weights: dict[str, float],
          changes: dict[str, float]) -> Flow:
    graded = [gradients[k] for k in names if k in gradients]
    weight = math.sqrt(sum(weights.get(k, 0.0) for k in names))
    changed = [changes[k] for k in names if k in changes]
    update = math.sqrt(sum(changed)) / weight if changed and weight else None
    gradient = math.sqrt(sum(graded)) if graded else None
    broken = any(v is not None and not math.isfinite(v) for v in (weight, gradient, update))
    sound = [None if v is None or not math.isfinite(v) else v for v in (weight, gradient, update)]
    return Flow(sum(sizes.get(k, 0) for k in names), sound[0], sound[1], sound[2], broken)


def _thin(p: nn.Parameter, copy: bool = True) -> Tensor:
    with torch.no_grad():
        thin = thinned(p.detach().reshape(-1), KEPT)
        return thin.clone() if copy else thin


def _norm(gradient: Tensor) -> Tensor:
    values = gradient.detach()
    values = values.coalesce().values() if values.is_sparse else values
    return torch.linalg.vector_norm(values, dtype=torch.float64 if values.dtype == torch.float64 else torch.float32)


def _told(held: dict[str, Tensor]) -> dict[str, float]:
    """Numbers on whatever device, brought here at once."""
    if not held:
        return {}
    home = next(iter(held.values())).device
    values = torch.stack([v.to(home) for v in held.values()]).cpu().tolist()
    return dict(zip(held, values, strict=True))
