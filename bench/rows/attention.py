"""Reading attention while the fused kernels stay on."""

from __future__ import annotations

from bench.row import Bound, waiting

ROWS = [
    waiting("attention", "Attention of every layer of ViT-S/16 with fused attention on, and its rollout",
            [Bound("time", "one forward without autograd", 1.25), Bound("memory", "rollout of half the layers", 1.10)],
            "pellucid:look"),
]
