"""Gradients of models so deep that one row does not fit: blocks run twice, and the numbers are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.testing.pristine import pristine


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    """What runs shapes alone; without it a first row is counted instead."""
    import torch._dynamo  # noqa: F401


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down, self.act = nn.Linear(width, 8 * width), nn.Linear(8 * width, width), nn.ReLU(inplace=True)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        y = self.down(self.act(self.up(x)))
        return x + (y if scale is None else y * scale)


class Tower(nn.Module):
    """Forty blocks in a list, with a keyword argument, and a head."""

    def __init__(self, block: Callable[[int], nn.Module] = Block, depth: int = 40) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(block(16) for _ in range(depth))
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, scale=torch.tensor(0.5, dtype=x.dtype))
        return self.head(x.mean(1))


def plain() -> nn.Module:
    layers = [m for _ in range(60) for m in (nn.Linear(16, 16), nn.Tanh())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 50, 3))


def staged() -> nn.Module:
    convolution = lambda: nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True))  # noqa: E731
    stages = [nn.Sequential(*(convolution() for _ in range(8))) for _ in range(3)]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], float]] = {
    "blocks in a list": (Tower, (1, 50, 16), 0.35),
    "plain layers in a row": (plain, (1, 50, 16), 0.45),
    "stages of convolutions": (staged, (1, 3, 24, 24), 0.6),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("method", "options"), [("saliency", {}), ("integrated_gradients", {"steps": 5})])
def test_less_memory_and_the_same_bits(name: str, method: str, options: Any) -> None:
    make, shape, share = NETS[name]
    net, x = settled(make()), normal(*shape)
    free = pellucid.explain(pellucid.wrap(net), x, method, target=1, chunk=1, precision="exact", **options)
    assert not free.evidence.recomputed
    budget = int(1.7 * share * free.evidence.peak_bytes)
    with pristine(net, x):
        tight = pellucid.explain(pellucid.wrap(net), x, method, target=1, budget=budget, precision="exact", **options)
    assert tight.evidence.recomputed
    assert tight.evidence.peak_bytes <= share * free.evidence.peak_bytes
    assert tight.evidence.peak_bytes <= 1.1 * tight.evidence.predicted_bytes
    assert torch.equal(tight.values, free.values)


@pytest.mark.parametrize("layer", ["blocks.3", "blocks.20.act", "blocks.20"])
def test_layers_are_read_once_also_within_a_block(layer: str) -> None:
    net, x = settled(Tower()), normal(1, 50, 16)
    ask = {"target": 1, "precision": "exact", "steps": 3, "layer": layer}
    free = pellucid.explain(pellucid.wrap(net), x, "inside(integrated_gradients)", chunk=1, **ask)
    tight = pellucid.explain(pellucid.wrap(net), x, "inside(integrated_gradients)",
                             budget=int(1.6 * free.evidence.peak_bytes), **ask)
    assert tight.evidence.recomputed
    assert torch.allclose(tight.values, free.values, atol=1e-12)


def test_a_model_that_cannot_be_predicted_is_spared_after_its_first_row() -> None:
    class Deciding(Tower):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if float(x.detach().abs().max()) > 0 else -x)

    net, x = settled(Deciding()), normal(1, 50, 16)
    free = pellucid.explain(pellucid.wrap(net), x, "integrated_gradients", target=1, steps=5, chunk=1)
    tight = pellucid.explain(pellucid.wrap(net), x, "integrated_gradients", target=1, steps=5,
                             budget=int(0.7 * free.evidence.peak_bytes))
    assert tight.evidence.memory == "unpredictable"
    assert tight.evidence.recomputed
    assert torch.allclose(tight.values, free.values, atol=1e-12)


class Writing(Block):
    """Changes its input: run again, it would see another one."""

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            x.add_(0.1)
        return super().forward(x, scale)


class Drawing(Block):
    """Says something else every time."""

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        return super().forward(x, scale) + torch.rand((), dtype=x.dtype)


@pytest.mark.parametrize("block", [Writing, Drawing])
def test_blocks_that_cannot_be_run_twice_are_refused(block: Callable[[int], nn.Module]) -> None:
    net, x = settled(Tower(block)), normal(1, 50, 16)
    free = pellucid.explain(pellucid.wrap(settled(Tower())), x, "saliency", target=1, precision="exact")
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(pellucid.wrap(net), x, "saliency", target=1, budget=int(0.7 * free.evidence.peak_bytes))
    assert error.value.code == "model.unrepeatable"
    assert "budget" in error.value.do


def test_below_that_too_the_bytes_are_named() -> None:
    net, x = settled(Tower()), normal(1, 50, 16)
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(pellucid.wrap(net), x, "saliency", target=1, budget="50kB")
    assert error.value.code == "budget.too_small"
    whole = pellucid.explain(net, x, "saliency", target=1, precision="exact").evidence.peak_bytes
    need = int(error.value.expected.partition(" bytes")[0].replace(",", ""))
    assert 50_000 < need < whole, "what is named is what a row needs when blocks run twice"
