"""How far estimated Shapley values are from the exact ones, after the same number of evaluations."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import measure
from bench.row import Bound, Findings, Row
from bench.setup import Setup

COLUMNS, EVALUATIONS = 12, 416
SHAP, CAPTUM = "shap, KernelExplainer", "captum, KernelShap"


class Counted(nn.Module):
    """A table's model with interactions, which counts the rows it is asked about."""

    rows = 0

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(COLUMNS, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
        for layer in self.net[::2]:
            nn.init.normal_(layer.weight, std=2 / math.sqrt(layer.in_features))

    def forward(self, x: Tensor) -> Tensor:
        Counted.rows += len(x)  # on the class: copies of the model count together
        return self.net(x)


def exact(model: Counted, x: Tensor) -> Tensor:
    """Every feature's mean contribution over all orders, from all 4,096 coalitions in float64."""
    masks = torch.tensor(list(itertools.product((0.0, 1.0), repeat=COLUMNS)), dtype=torch.float64)
    value = model.net.double()(masks * x.double())[:, 0].detach()
    model.net.float()
    size, number = masks.sum(1), (masks * 2.0 ** torch.arange(COLUMNS - 1, -1, -1)).sum(1).long()
    at = torch.empty_like(value)
    at[number] = value
    share = torch.tensor([math.factorial(s) * math.factorial(COLUMNS - s - 1) / math.factorial(COLUMNS)
                          for s in range(COLUMNS)], dtype=torch.float64)
    found = torch.zeros(COLUMNS, dtype=torch.float64)
    for i in range(COLUMNS):
        without = masks[:, i] == 0
        gain = at[number[without] + 2 ** (COLUMNS - 1 - i)] - at[number[without]]
        found[i] = (share[size[without].long()] * gain).sum()
    return found


def estimates(model: Counted, x: Tensor, seed: int) -> dict[str, Any]:
    """Each side's values after the same evaluations of coalitions; captum's cost is counted in its own way."""
    import shap
    from captum.attr import KernelShap

    import pellucid

    def ours() -> Tensor:
        return pellucid.explain(model, x, "kernel_shap", samples=EVALUATIONS, tolerance=0, seed=seed).values

    def by_shap(**rest: Any) -> Tensor:
        np.random.seed(seed)
        peer = shap.KernelExplainer(lambda rows: model(torch.from_numpy(rows).float())[:, 0].detach().numpy(),
                                    np.zeros((1, COLUMNS)))
        return torch.as_tensor(peer.shap_values(x.numpy(), nsamples=EVALUATIONS, silent=True, **rest)).flatten()

    def captum() -> Tensor:
        torch.manual_seed(seed)
        return KernelShap(model).attribute(x, n_samples=EVALUATIONS, perturbations_per_eval=64).flatten()

    return {"pellucid": ours, SHAP: lambda: by_shap(l1_reg=False), "shap with its default l1_reg": by_shap,
            CAPTUM: captum}


def build(setup: Setup) -> Findings:
    wrong: dict[str, list[float]] = {}
    asked: dict[str, int] = {}
    for seed in range(4 if setup.quick else 24):
        model = Counted(seed).eval()
        x = torch.randn(1, COLUMNS)
        right = exact(model, x)
        for name, estimate in estimates(model, x, seed).items():
            Counted.rows = 0
            found = estimate().double()
            wrong.setdefault(name, []).append(float((found - right).norm() / right.norm()))
            asked[f"{name}, rows asked"] = Counted.rows
    found = Findings(figures=dict(asked), errors={name: sum(e) / len(e) for name, e in wrong.items()})
    for name in list(wrong)[1:]:
        found.put("error", "pellucid", name, measure.ratio(wrong["pellucid"], wrong[name]))
    return found


ROWS = [
    Row("shapley_error", f"Error of KernelSHAP after {EVALUATIONS} evaluations, {COLUMNS} columns, 24 networks, "
        "against the exact values", build, [Bound("error", SHAP, 0.8), Bound("error", CAPTUM, 0.4)]),
]
