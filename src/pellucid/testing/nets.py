"""The networks behind the toys: each is small, and awkward in exactly one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Quadratic(nn.Module):
    """x·A·x + b·x for each class, so that gradients and integrals are known in closed form."""

    def __init__(self, n: int = 5, classes: int = 2) -> None:
        super().__init__()
        self.square = nn.Parameter(torch.randn(classes, n, n))
        self.slope = nn.Parameter(torch.randn(classes, n))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ri,kij,rj->rk", x, self.square, x) + x @ self.slope.T


def mlp(activation: type[nn.Module], n: int = 6, classes: int = 3) -> nn.Sequential:
    """Three linear layers with an activation between them."""
    return nn.Sequential(nn.Linear(n, 8), activation(), nn.Linear(8, 6), activation(), nn.Linear(6, classes))


class Convolutional(nn.Module):
    """Convolutions with BatchNorm and ReLUs that overwrite their input."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
                                      nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True))
        self.head = nn.Linear(8, 3)
        lived_in(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Reused(nn.Module):
    """One convolution and one ReLU, each called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(self.stem(x)))
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


class Residual(nn.Module):
    """A skip connection written as `+=`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.body = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)
        lived_in(self)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(self.norm(self.stem(x)))
        x = self.body(skip)
        x += skip
        return self.head(F.relu(x, inplace=True).mean((2, 3)))


class Block(nn.Module):
    """A transformer block around the fused attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """A vision transformer: 4 by 4 patches, a class token, two blocks."""

    def __init__(self, side: int = 12, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(0.1 * torch.randn(1, (side // 4) ** 2 + 1, width))
        self.blocks = nn.ModuleList([Block(width, 2), Block(width, 2)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class Lstm(nn.Module):
    """Ids, their embedding, an LSTM, classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(ids))[0][:, -1])


class Encoder(nn.Module):
    """nn.TransformerEncoder, whose fused fast path never calls its submodules."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


class TwoInputs(nn.Module):
    """Two inputs by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.context = nn.Linear(4, 6), nn.Linear(3, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, *, value: Tensor, context: Tensor) -> Tensor:
        return self.head(torch.tanh(self.value(value)) * torch.sigmoid(self.context(context)))


@dataclass
class Answered:
    """An output in the manner of larger libraries."""

    logits: Tensor
    hidden: Tensor


class Wrapped(nn.Module):
    """A structured output: a dictionary, or a dataclass."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.body, self.head = kind, nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Any:
        hidden = torch.tanh(self.body(x))
        if self.kind == "dict":
            return {"logits": self.head(hidden), "hidden": hidden}
        return Answered(self.head(hidden), hidden)


class Pair(nn.Module):
    """A layer that returns its value and something beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value = torch.tanh(self.linear(x))
        return value, value.mean(1)


class Tuples(nn.Module):
    """Layers whose outputs are tuples."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = Pair(), Pair(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        value, mean = self.first(x)
        value, _ = self.second(value + mean[:, None])
        return self.head(value)


class Training(nn.Module):
    """BatchNorm and dropout, meant to be left in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(8, 3)
        lived_in(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(F.gelu(self.norm(self.body(x)))))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


class InPlaceInput(nn.Module):
    """Writes into its input before it reads it; `polite` does the same on a copy."""

    def __init__(self, polite: bool) -> None:
        super().__init__()
        self.polite, self.body, self.head = polite, nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone() if self.polite else x
        x.sub_(0.5).mul_(2.0)
        return self.head(F.gelu(self.body(x)))


class NoGradInside(nn.Module):
    """Turns gradients off for its own first layers."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = nn.Sequential(nn.Linear(6, 8), nn.GELU()), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.trunk(x)
        return self.head(x)


class Interacting(nn.Module):
    """Subtracts half of the batch's mean, so that every row depends on the others."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.body(x))
        return self.head(x - 0.5 * x.mean(0, keepdim=True))


class Remembering(nn.Module):
    """Keeps its last hidden value as an attribute, which `copy.deepcopy` refuses to copy after a forward."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.last: Tensor | None = None
        lived_in(self)

    def forward(self, x: Tensor) -> Tensor:
        self.last = F.gelu(self.norm(self.body(x)))
        return self.head(self.last)


class Uncopyable(nn.Module):
    """Holds a tensor that is not a leaf, made once from a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.scale = self.body.bias * 2
        lived_in(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.gelu(self.norm(self.body(x)) * self.scale))


class WritesParameters(nn.Module):
    """Normalises its own weight in the forward."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.body.weight.mul_(0.999)
        return self.head(F.gelu(self.body(x)))


class WritesData(nn.Module):
    """Clips its weight through `.data`, which no version counter notices."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.body.weight.data.clamp_(-0.2, 0.2)
        return self.head(F.gelu(self.body(x)))


class WritesBuffers(nn.Module):
    """Counts its calls in a buffer, in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.head(F.gelu(self.body(x)))


def lived_in(model: nn.Module) -> None:
    """Give BatchNorms statistics, so that evaluation mode differs from the identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            with torch.no_grad():
                module.running_mean.normal_(0.0, 0.3)  # pyright: ignore[reportOptionalMemberAccess]
                module.running_var.uniform_(0.5, 1.5)  # pyright: ignore[reportOptionalMemberAccess]
                module.weight.uniform_(0.5, 1.5)
