"""Small networks that are healthy, trained or as they are drawn, and the faults that tests plant in them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.numbers.ranking import lots


def seeded(make: type[nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


class Convolutions(nn.Module):
    """Five convolutions, each normalised, with rectifiers; the third and fifth halve the size."""

    def __init__(self) -> None:
        super().__init__()
        wide, layers = [3, 16, 16, 24, 24, 32], list[nn.Module]()
        for k in range(5):
            layers += [nn.Conv2d(wide[k], wide[k + 1], 3, 2 if k in (2, 4) else 1, 1, bias=False),
                       nn.BatchNorm2d(wide[k + 1]), nn.ReLU()]
        self.features, self.head = nn.Sequential(*layers), nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Bare(nn.Module):
    """Convolutions without any normalisation, as they were made before there was one."""

    def __init__(self) -> None:
        super().__init__()
        wide, layers = [3, 16, 16, 24], list[nn.Module]()
        for k in range(3):
            conv = nn.Conv2d(wide[k], wide[k + 1], 3, 1, 1)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            layers += [conv, nn.ReLU()]
        self.features, self.head = nn.Sequential(*layers), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Squashing(nn.Module):
    """A dense network with bounded activations: tanh twice, a sigmoid once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.tanh = nn.Linear(48, 32), nn.Tanh()
        self.second, self.again = nn.Linear(32, 32), nn.Tanh()
        self.third, self.sigmoid, self.head = nn.Linear(32, 24), nn.Sigmoid(), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(self.second(self.tanh(self.first(x.flatten(1)[:, ::4]))))
        return self.head(self.sigmoid(self.third(x)))


class Dense(nn.Module):
    """A dense network with rectifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(192, 64), nn.ReLU(), nn.Linear(64, 48), nn.ReLU())
        self.head = nn.Linear(48, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.flatten(1)))


class Block(nn.Module):
    """A transformer's block; queries, keys and values in one layer."""

    def __init__(self, wide: int = 24, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.qkv, self.proj = nn.LayerNorm(wide), nn.Linear(wide, 3 * wide), nn.Linear(wide, wide)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(wide), nn.Linear(wide, 2 * wide), nn.Linear(2 * wide, wide)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


class Attending(nn.Module):
    """A small vision transformer over 2 by 2 patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, 24, 2, 2), nn.Parameter(torch.randn(1, 16, 24) * 0.2)
        self.blocks, self.norm, self.head = nn.Sequential(Block(), Block(), Block()), nn.LayerNorm(24), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(x)).mean(1))


def pictures(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures (n, 3, 8, 8) of four kinds: a bright quarter on coloured noise; which quarter it is."""
    generator = lots(seed, 7)
    kind = torch.randint(0, 4, (n,), generator=generator)
    x = torch.randn(n, 3, 8, 8, generator=generator) * 0.5
    for k in range(4):
        x[kind == k, :, 4 * (k // 2) : 4 * (k // 2) + 4, 4 * (k % 2) : 4 * (k % 2) + 4] += 1.0
    return x + torch.randn(n, 3, 1, 1, generator=generator) * 0.3, kind


def trained(make: type[nn.Module], seed: int, steps: int = 60) -> nn.Module:
    """A network that has learnt to tell the kinds apart; without steps only its normalisations have seen data."""
    net = seeded(make, seed).train()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(max(steps, 20)):
        x, y = pictures(64, 1000 * seed + step)
        with torch.set_grad_enabled(bool(steps)):
            loss = F.cross_entropy(net(x), y)
        if steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


HEALTHY = (Convolutions, Bare, Squashing, Dense, Attending)
