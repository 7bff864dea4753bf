"""Small convolutional networks, each with one thing that a fold must see, and the twin it allows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class Net(nn.Module):
    """Convolution, BatchNorm, GELU (no kinks), mean, classes; subclasses change what lies between."""

    def __init__(self, conv: nn.Module | None = None, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = conv or nn.Conv2d(3, 6, 3, padding=1)
        self.norm = norm or nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 3)

    def body(self, x: Tensor) -> Tensor:
        return F.gelu(self.norm(self.conv(x)))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.body(x).flatten(2).mean(2))


class ReadTwice(Net):
    def body(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.gelu(self.norm(x)) + 0.1 * x


class CalledTwice(Net):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.head = nn.Linear(3, 3)

    def body(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(F.gelu(self.conv(x))))


class SharedWeight(Net):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        self.other = nn.Conv2d(3, 3, 3, padding=1)
        self.other.weight, self.head = self.conv.weight, nn.Linear(3, 3)

    def body(self, x: Tensor) -> Tensor:
        return F.gelu(self.norm(self.conv(x))) + self.other(x)


class WeightReadElsewhere(Net):
    def body(self, x: Tensor) -> Tensor:
        return super().body(x) * self.conv.weight.mean()


class Returned(Net):
    def forward(self, x: Tensor) -> Any:
        raw = self.conv(x)
        return {"logits": self.head(F.gelu(self.norm(raw)).mean((2, 3))), "raw": raw}


class Viewing(Net):
    """Its `view` refuses other layouts."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.head(x.view(len(x), -1).unflatten(1, (6, -1)).mean(2))


class Listed(Net):
    """Calls its layers through a list beside the registered modules."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [self.conv, self.norm]

    def body(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return F.gelu(x)


class Activated(nn.BatchNorm2d):
    """A BatchNorm that does more."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.tanh(super().forward(input))


class Standardised(nn.Conv2d):
    """Computes with another weight than its own."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(input, weight, self.bias, padding=1)


class Padded(nn.Conv2d):
    """Pads before it convolves with its own weight."""

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(F.pad(input, (1, 1, 1, 1)), self.weight, self.bias)


class LinearNorm(nn.Module):
    """Linear and BatchNorm over units, or over the second axis where there is another behind it."""

    def __init__(self, axes: int, bias: bool = True) -> None:
        super().__init__()
        self.axes = axes
        self.linear, self.norm, self.head = nn.Linear(6, 6, bias=bias), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[:, :6]
        x = self.norm(self.linear(x if self.axes == 2 else x[:, None] * torch.linspace(0.5, 1, 6)[:, None]))
        return self.head(F.gelu(x if self.axes == 2 else x.mean(2)))


def _hooked() -> Net:
    net = Net()
    net.conv.register_forward_hook(lambda module, args, output: 1.5 * output)
    return net


def _old_weight_norm() -> Net:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        return Net(nn.utils.weight_norm(nn.Conv2d(3, 6, 3, padding=1)))


def _spectral() -> Net:
    return Net(parametrizations.spectral_norm(nn.Conv2d(3, 6, 3, padding=1)))


class Volume(Net):
    def __init__(self, n: int) -> None:
        conv, norm = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv3d, nn.BatchNorm3d))[n]
        super().__init__(conv(3, 6, 3, padding=1), norm(6))
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(2) if self.n == 0 else x.unflatten(3, (3, 4)))


C = nn.Conv2d
FOLDS: dict[str, tuple[Callable[[], nn.Module], str | None]] = {
    "plain": (Net, "folded 1, channels-last"),
    "no bias": (lambda: Net(C(3, 6, 3, padding=1, bias=False)), "folded 1, channels-last"),
    "grouped": (lambda: Net(C(3, 6, 3, padding=1, groups=3)), "folded 1, channels-last"),
    "dilated, strided": (lambda: Net(C(3, 6, 3, 2, dilation=2)), "folded 1, channels-last"),
    "circular padding": (lambda: Net(C(3, 6, 3, padding=1, padding_mode="circular")), "folded 1, channels-last"),
    "transposed": (lambda: Net(nn.ConvTranspose2d(3, 6, 3)), "folded 1, channels-last"),
    "transposed in groups": (lambda: Net(nn.ConvTranspose2d(3, 6, 3, groups=3)), "folded 1, channels-last"),
    "one dimension": (lambda: Volume(0), "folded 1"),
    "three dimensions": (lambda: Volume(1), "folded 1"),
    "no affine": (lambda: Net(norm=nn.BatchNorm2d(6, affine=False)), "folded 1, channels-last"),
    "no running statistics": (lambda: Net(norm=nn.BatchNorm2d(6, track_running_stats=False)), "channels-last"),
    "a norm that does more": (lambda: Net(norm=Activated(6)), "folded 1, channels-last"),
    "pads by itself": (lambda: Net(Padded(3, 6, 3)), "folded 1, channels-last"),
    "another weight": (lambda: Net(Standardised(3, 6, 3, padding=1)), "channels-last"),
    "spectral norm": (_spectral, None),
    "weight norm": (lambda: Net(parametrizations.weight_norm(C(3, 6, 3, padding=1))), None),
    "old weight norm": (_old_weight_norm, None),
    "hook on the convolution": (_hooked, "channels-last"),
    "read twice": (ReadTwice, "channels-last"),
    "called twice": (CalledTwice, "channels-last"),
    "shared weight": (SharedWeight, "channels-last"),
    "weight read elsewhere": (WeightReadElsewhere, "channels-last"),
    "returned as well": (Returned, "channels-last"),
    "view": (Viewing, "folded 1"),
    "layers in a list": (Listed, "folded 1, channels-last"),
    "linear": (lambda: LinearNorm(2), "folded 1"),
    "linear without bias": (lambda: LinearNorm(2, bias=False), "folded 1"),
    "linear over a second axis": (lambda: LinearNorm(3), None),
    "two in a row": (lambda: Net(norm=nn.Sequential(nn.BatchNorm2d(6), nn.BatchNorm2d(6))), "folded 1, channels-last"),
    "in a block of its own": (lambda: Net(nn.Sequential(C(3, 6, 3, padding=1))), "folded 1, channels-last"),
}




def net(name: str) -> nn.Module:
    """A fresh network by name, with statistics in its BatchNorms; in training mode, as it was left."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        made = FOLDS[name][0]()
        for module in made.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
                module.running_mean.normal_(0.0, 0.3)
                module.running_var.uniform_(0.5, 1.5)  # pyright: ignore[reportOptionalMemberAccess]
    return made


def picture(k: int = 0) -> Tensor:
    return torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(k))


