"""What is said where attention cannot be read, or not as it was asked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from refusal import refused
from torch import Tensor, nn

import pellucid


class Look(nn.Module):
    """Queries over keys, a token of which may stand for several."""

    def __init__(self, queries: int = 6, keys: int = 6) -> None:
        super().__init__()
        self.queries, self.keys, self.q = queries, keys, nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.q(x)[:, : self.queries], x[:, : self.keys]
        return nn.functional.scaled_dot_product_attention(q, k, k)


class Net(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean(1))


X = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
ENCODER = Net(Look(), Look()).eval()
SHRINKING = Net(Look(), Look(4, 4)).eval()


@pytest.mark.parametrize(("net", "method", "options", "code"), [
    (ENCODER, "attention_rollout", {"query": "cls"}, "option.value"),
    (ENCODER, "attention_rollout", {"query": -1}, "option.value"),
    (ENCODER, "attention_relevance", {"query": 6}, "option.value"),
    (ENCODER, "attention", {"query": 1.5}, "option.value"),
    (ENCODER, "attention_rollout", {"layers": ()}, "option.value"),
    (ENCODER, "attention_rollout", {"layers": 3}, "option.value"),
    (ENCODER, "attention", {"layer": "layers.0,"}, "option.value"),
    (ENCODER, "attention", {"layer": "layers.7"}, "layer.unknown"),
    (ENCODER, "attention", {"layer": "head"}, "layer.no_attention"),
    (ENCODER, "attention", {"layer": "layers"}, "layer.reused"),
    (ENCODER, "attention_rollout", {"grid": (3, 3)}, "option.value"),
    (ENCODER, "attention_relevance", {"target": lambda out: out[:, 0] * 0 + 1.0}, "attention.idle"),
    (ENCODER, "gradient_attention", {"target": "layers.0.q[0,0]"}, "attention.idle"),
    (Net(Look(), Look(6, 3)).eval(), "attention_relevance", {}, "attention.crossed"),
    (SHRINKING, "attention_rollout", {}, "attention.sizes"),
    (SHRINKING, "attention", {"layer": "layers.0"}, "attention.sizes"),
    (SHRINKING, "gradient_attention", {"layer": "layers.0,layers.1", "query": "first"}, "attention.sizes"),
    (Net(nn.Linear(8, 8)).eval(), "attention", {}, "layer.no_attention"),
    (Net(nn.Linear(8, 8)).eval(), "attention_relevance", {}, "layer.no_attention"),
])
def test_what_cannot_be_read_is_refused_by_name(net: nn.Module, method: str, options: dict[str, Any], code: str
                                                ) -> None:
    refused(code, lambda: pellucid.explain(net, X, method, **{"target": 1, **options}))


def test_a_shrinking_encoder_is_read_where_its_tokens_stay_the_same() -> None:
    assert pellucid.explain(SHRINKING, X, "attention", target=1).values.shape == (4,)
    assert pellucid.explain(SHRINKING, X, "attention_rollout", target=1, layers="layers.0").values.shape == (6,)
