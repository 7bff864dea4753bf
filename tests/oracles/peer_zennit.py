"""Zennit's relevance for the same rules, with BatchNorms merged and the score as relevance to begin with."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

TINY = 1e-14
"""Zennit's own stabiliser outside the epsilon rule; ours needs none."""


def relevance(net: nn.Module, x: Tensor, target: int, *, convolution: str, dense: str = "epsilon", first: str = "",
              **numbers: Any) -> Tensor:
    """Relevance of x, by Zennit 0.5.1 on a copy (it moves hooks and parameters about)."""
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import SpecialFirstLayerMapComposite, layer_map_base
    from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, WSquare, ZBox, ZPlus
    from zennit.types import Convolution, Linear

    alpha = numbers.get("alpha", 2.0)
    rules = {
        "epsilon": Epsilon(numbers.get("epsilon", 1e-6)), "z_plus": ZPlus(TINY),
        "gamma": Gamma(numbers.get("gamma", 0.25), TINY), "alpha_beta": AlphaBeta(alpha, alpha - 1, TINY),
        "flat": Flat(TINY), "w_square": WSquare(TINY, zero_params="bias"),
        "box": ZBox(numbers.get("low", 0.0), numbers.get("high", 1.0), TINY),
    }
    composite = SpecialFirstLayerMapComposite(
        [*layer_map_base(TINY), (Convolution, rules[convolution]), (nn.Linear, rules[dense])],
        [(Linear, rules[first])] if first else [], canonizers=[SequentialMergeBatchNorm()])

    def start(output: Tensor) -> Tensor:
        return torch.zeros_like(output).index_fill_(1, torch.tensor([target]), 1.0) * output

    with Gradient(model=copy.deepcopy(net), composite=composite) as attributor:
        return attributor(x.clone(), start)[1].detach()
