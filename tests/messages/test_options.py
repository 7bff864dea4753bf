"""Options of the wrong type are refused by name, whatever the method; numpy's numbers are numbers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from refusal import refused
from torch import nn

import pellucid

NET = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).eval()
X = torch.tensor([[0.5, -1.0, 2.0, 0.25]])


@pytest.mark.parametrize(("method", "options"), [
    ("integrated_gradients", {"tolerance": "1%"}), ("integrated_gradients", {"tolerance": None}),
    ("integrated_gradients", {"steps": 2.5}), ("integrated_gradients", {"limit": True}),
    ("smooth(saliency)", {"samples": 2.5}), ("smooth(saliency)", {"spread": [0.1]}),
    ("expected_gradients", {"samples": True}), ("kernel_shap", {"samples": "many"}), ("saliency", {"absolute": 1}),
])
def test_a_value_of_another_type_is_refused_by_name(method: str, options: dict[str, Any]) -> None:
    error = refused("option.value", lambda: pellucid.explain(NET, X, method, **options))
    assert next(iter(options)) in error.found


def test_an_empty_list_of_baselines_is_refused() -> None:
    for method in ("integrated_gradients", "expected_gradients", "occlusion"):
        refused("baseline.empty", lambda method=method: pellucid.explain(NET, X, method, baseline=[]))


def test_numbers_of_numpy_are_numbers() -> None:
    e = pellucid.explain(NET, X, "integrated_gradients", steps=np.int64(9), tolerance=np.float32(0.5))
    assert (type(e.recipe["steps"]), type(e.recipe["tolerance"])) == (int, float)
    assert e.recipe.replayable


@pytest.mark.parametrize("how", [{"precision": "fast"}, {"precision": "exact"}, {"strict": True}])
def test_the_recipe_says_how_exactly_it_was_computed(how: dict[str, Any]) -> None:
    e = pellucid.explain(NET, X, "integrated_gradients", **how)
    assert {key: e.recipe[key] for key in how} == how
    assert torch.equal(pellucid.explain(NET, X, **e.recipe).values, e.values)


def test_a_layer_that_is_a_script_is_refused_by_name() -> None:
    class Outer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = torch.jit.script(torch.nn.Linear(3, 3)), torch.nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.inner(x))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that scripting will go
        net = Outer()
        for method in ("inside(saliency)", "conductance"):
            with pytest.raises(pellucid.PellucidError) as error:
                pellucid.explain(net, torch.ones(1, 3), method, target=1, layer="inner")
            assert error.value.code == "layer.scripted"
            assert "inner" in error.value.found
