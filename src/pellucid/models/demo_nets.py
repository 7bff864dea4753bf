"""The small networks that the demonstrations explain, as plain PyTorch modules.

Nothing here trains or looks for data: ``training/`` at the root of the repository made the weights,
and ``build`` only puts them back into their architecture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def stage(inside: int, outside: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, rectifier."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class DigitNet(nn.Module):
    """Reads one digit on textured ground: (rows, 3, 64, 64) -> (rows, 10).

    The last stage keeps a 16 x 16 map and each of its cells sees 15 pixels, so a class activation map
    can tell a 12-pixel badge from the digit beside it.
    """

    def __init__(self, labels: int = 10) -> None:
        super().__init__()
        self.stem = stage(3, 24, stride=2)
        self.layer1 = stage(24, 64, stride=2)
        self.layer2 = stage(64, 104)
        self.layer3 = stage(104, 104, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(104, labels)

    def forward(self, image: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.stem(image))))
        return self.head(self.pool(x).flatten(1))


class Attention(nn.Module):
    """Multi-head self-attention through the fused kernel."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(rows, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(rows, tokens, width))


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DigitTransformer(nn.Module):
    """Reads one digit from an 8 x 8 grid of patches: (rows, 3, 64, 64) -> (rows, 10)."""

    def __init__(self, labels: int = 10, width: int = 64, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, kernel_size=8, stride=8)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 65, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, labels)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patch_embed(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class TableNet(nn.Module):
    """Scores standardised, one-hot-expanded columns: (rows, columns) -> (rows, 2)."""

    def __init__(self, columns: int, hidden: Sequence[int] = (64, 32), labels: int = 2) -> None:
        super().__init__()
        sizes = [columns, *hidden]
        layers: list[nn.Module] = []
        for inside, outside in pairwise(sizes):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], labels)

    def forward(self, columns: Tensor) -> Tensor:
        return self.head(self.body(columns))


def review_net(folder: Path) -> nn.Module:
    """A small BERT for two labels, from the configuration in ``folder``, with fused attention."""
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig.from_pretrained(folder, attn_implementation="sdpa"))


def build(name: str, folder: Path) -> nn.Module:
    """Return the network of the demo subject ``name`` with the weights in ``folder``, in eval mode.

    Some files hold half precision to stay small; the network computes in float32 all the same.
    """
    from safetensors.torch import load_file

    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    if name == "reviews":
        net = review_net(folder)
    elif name == "digits-vit":
        net = DigitTransformer(len(card["labels"]))
    elif name in ("digits", "digits-clean", "digits-random"):
        net = DigitNet(len(card["labels"]))
    else:
        net = TableNet(card["width"], card["hidden"], len(card["labels"]))
    file = folder / ("model.safetensors" if name == "reviews" else "weights.safetensors")
    stored = load_file(file)
    net.load_state_dict({key: v.float() if v.is_floating_point() else v for key, v in stored.items()})
    return net.eval()
