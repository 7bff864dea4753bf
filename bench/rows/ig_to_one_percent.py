"""Integrated gradients to 1 %: what the defaults cost, and how far each is from the true integral."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import models
from bench.row import DEFAULT, Bound, Contest, Row
from bench.setup import Setup

BEST = "captum, best chunk"
FIXED = "pellucid, 15 points"
"""0.30 of captum's points: how far is the true integral at that cost?"""


def of(make: Callable[[str], tuple[nn.Module, Tensor, Tensor]], panels: int) -> Callable[[Setup], Contest]:
    """Our defaults (to 1 %) beside captum's (50 points), both over every element of the path."""

    def build(setup: Setup) -> Contest:
        from captum.attr import IntegratedGradients

        import pellucid

        model, x, baseline = make(setup.device)
        (wanted,) = models.classes_of(model, x)
        peer = IntegratedGradients(model)

        def captum(chunk: int | None) -> Tensor:
            return peer.attribute(x, baseline, target=wanted, internal_batch_size=chunk)

        best = setup.best("captum's best internal_batch_size", {n: lambda n=n: captum(n) for n in (2, 8, 16, 50)})
        asked = {"target": wanted, "baseline": baseline[0]}
        e = pellucid.explain(model, x, "integrated_gradients", **asked)
        setup.chosen["rows asked by pellucid"] = e.evidence.rows
        ours = setup.ours(model, x, "integrated_gradients", default=True, **asked)
        fixed = setup.ours(model, x, "integrated_gradients", steps=15, **asked)["pellucid"]
        sides = {**ours, FIXED: fixed, "captum": lambda: captum(None), BEST: lambda: captum(best)}
        pairs = [(mine, other) for mine in (*ours, FIXED) for other in ("captum", BEST)]
        return Contest(sides, lambda: integral(model, x, baseline, wanted, panels), pairs)

    return build


def integral(model: nn.Module, x: Tensor, baseline: Tensor, wanted: int, panels: int, rows: int = 16) -> Tensor:
    """The true integral: float64, 16 Gauss-Legendre points in each panel, so that kinks spoil one panel each."""
    wide, (nodes, weights) = copy.deepcopy(model).double(), np.polynomial.legendre.leggauss(16)
    t = torch.from_numpy((np.arange(panels)[:, None] + (nodes + 1) / 2).ravel() / panels).to(x.device)
    w = torch.from_numpy(np.tile(weights / 2 / panels, panels)).to(x.device)
    start, gap, total = baseline.double(), (x - baseline).double(), torch.zeros_like(x, dtype=torch.float64)
    shape = (-1,) + (1,) * (x.dim() - 1)
    for part, weight in zip(t.split(rows), w.split(rows), strict=True):
        at = (start + part.reshape(shape) * gap).requires_grad_()
        slopes = torch.autograd.grad(wide(at)[:, wanted].sum(), at)[0]
        total += (weight.reshape(shape) * slopes).sum(0, keepdim=True)
    return gap * total


def _row(name: str, work: str, make: Any, panels: int, promised: bool) -> Row:
    bounds = [Bound(what, "captum", most, ours) for ours in ("pellucid", DEFAULT)
              for what, most in (("time", 0.30), ("error", 1.0))] if promised else []
    if promised:
        bounds += [Bound("time", "captum", 0.30, FIXED), Bound("true error", "float64", 0.01, FIXED, "of the norm")]
    return Row(f"ig_to_one_percent/{name}", work, of(make, panels), bounds, seconds=20)


ROWS = [
    _row("minilm", "Integrated gradients with the defaults (ours: to 1 %; captum: 50 points) on a real MiniLM, "
         "30 tokens from the mask token", models.minilm, 8, True),
    _row("bert", "The same on an encoder of BERT-base's size, random weights, 64 tokens", models.bert_base, 3, True),
    _row("relu", "The same on a small ReLU network: kinks, where more points are needed; nothing is promised",
         models.relu_net, 1024, False),
]
