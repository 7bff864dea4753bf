"""Small trainings to be watched, healthy ones and planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pellucid
from pellucid.numbers.ranking import lots
from pellucid.words.watch import Training


def rows(n: int = 256, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Ten numbers; which of the first three is the largest."""
    x = torch.randn(n, 10, generator=lots(seed))
    return x, x[:, :3].argmax(1)


def pictures(n: int = 96, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise with a bright square in one of four corners."""
    g = lots(seed)
    x, y = 0.5 * torch.randn(n, 1, 12, 12, generator=g), torch.randint(4, (n,), generator=g)
    for k, corner in enumerate(y.tolist()):
        top, left = 6 * (corner // 2), 6 * (corner % 2)
        x[k, 0, top + 1 : top + 5, left + 1 : left + 5] += 2
    return x, y


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def dense(seed: int = 0) -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3)),
                  seed)


def convolutions(seed: int = 0) -> nn.Module:
    return seeded(lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2, padding=1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 4)), seed)


class Attending(nn.Module):
    """Ten numbers as ten tokens, attention over them, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(1, 16), nn.Parameter(torch.randn(10, 16))
        self.attn, self.norm = nn.MultiheadAttention(16, 2, batch_first=True), nn.LayerNorm(16)
        self.head = nn.Linear(160, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.unsqueeze(-1)) + self.place
        return self.head(self.norm(tokens + self.attn(tokens, tokens, tokens)[0]).flatten(1))


def attending(seed: int = 0) -> nn.Module:
    return seeded(Attending, seed)


def trained(net: nn.Module, data: tuple[Tensor, Tensor], steps: int, watcher: Any, *, rate: float = 1e-2,
            plant: Callable[[int, nn.Module, torch.optim.Optimizer], None] | None = None, seed: int = 0,
            parameters: Any = None) -> Training:
    """A usual training loop, watched; `plant` is called before every step."""
    x, y = data
    g = lots(seed + 1)
    optimizer = torch.optim.Adam(list(net.parameters()) if parameters is None else parameters, rate)
    net.train()
    with watcher:
        for k in range(1, steps + 1):
            if plant is not None:
                plant(k, net, optimizer)
            some = torch.randint(len(x), (32,), generator=g)
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[some]), y[some])
            loss.backward()
            optimizer.step()
            watcher.step(loss=loss)
    return watcher.training


def watched(net: nn.Module, data: tuple[Tensor, Tensor], steps: int = 60, every: int = 10, n: int = 8, to: Any = (),
            plant: Any = None, rate: float = 1e-2, seed: int = 0, parameters: Any = None, **options: Any) -> Training:
    """The same, with a probe of the first inputs and their true classes."""
    x, y = data
    options = {"method": "saliency", **options}
    watcher = pellucid.watch(net, to=list(to) if isinstance(to, tuple) else to, probe=x[:n], target=y[:n].tolist(),
                             every=every, **options)
    return trained(net, data, steps, watcher, rate=rate, plant=plant, seed=seed, parameters=parameters)
