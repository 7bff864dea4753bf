"""Reading attention while the fused kernels stay on."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from bench import models
from bench.row import Bound, Contest, Row
from bench.setup import Setup

PLAIN, OURS, FEW = "one forward without autograd", "pellucid", "rollout of half the layers"


def capture(setup: Setup) -> Contest:
    """The attention of all twelve layers, beside a forward that writes none of it down."""
    import pellucid

    model, x = models.vit(setup.device), models.pictures(1, setup.device)

    def forward() -> Any:
        with torch.no_grad():
            return model(x)

    return Contest({OURS: lambda: pellucid.look(model, x, "attention", beside=False), PLAIN: forward})


def rollout(setup: Setup) -> Contest:
    """The rollout through all layers and through half of them: a row of tokens is kept, and never all matrices."""
    import pellucid

    model, x = models.vit(setup.device), models.pictures(1, setup.device)

    def through(layers: int) -> Any:
        names = tuple(f"blocks.{k}.attn" for k in range(12 - layers, 12))
        return pellucid.explain(model, x, "attention_rollout", layers=names, target=0) and None

    return Contest({OURS: partial(through, 12), FEW: partial(through, 6)})


ROWS = [
    Row("attention/capture", "Attention of every layer of ViT-S/16 with fused attention on", capture,
        [Bound("time", PLAIN, 1.25)], measures=("time",)),
    Row("attention/rollout_memory", "Memory of attention rollout through all twelve layers of ViT-S/16, over the model",
        rollout, [Bound("memory", FEW, 1.10)], measures=("memory",)),
]
