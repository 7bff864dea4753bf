"""What the peer cases share: one network in the ways in which its ReLUs can be written, and truth by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from oracle_nets import normal, settled
from torch import Tensor, nn

import pellucid

DOUBLE = torch.float64


def refused(code: str, ask: Callable[[], Any]) -> pellucid.PellucidError:
    with pytest.raises(pellucid.PellucidError) as error:
        ask()
    assert error.value.code == code
    return error.value


def slope(net: Callable[[Tensor], Tensor], x: Tensor, target: int) -> Tensor:
    """The gradient by autograd, as nobody could get it wrong."""
    x = x.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(net(x)[:, target].sum(), x)
    return found[0]


class Functional(nn.Module):
    """Two convolutions and a head, with ReLUs as a function, a method, or modules (in place or not)."""

    def __init__(self, how: str = "function", seed: int = 0) -> None:
        super().__init__()
        self.how = how
        self.one, self.two, self.head = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 6, 3), nn.Linear(6, 3)
        self.a, self.b = nn.ReLU(inplace=how == "in place"), nn.ReLU(inplace=how == "in place")
        settled(self, seed, DOUBLE)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "function":
            x = F.relu(self.two(F.relu(self.one(x))))
        elif self.how == "method":
            x = self.two(self.one(x).relu_()).relu()
        else:
            x = self.b(self.two(self.a(self.one(x))))
        return self.head(x.mean((2, 3)))


PICTURE = normal(1, 3, 9, 9, dtype=DOUBLE)


def guided_by_hand(net: Functional, x: Tensor, target: int) -> Tensor:
    """Guided backpropagation written out for this network."""
    with torch.no_grad():
        first = net.one(x)
        second = net.two(F.relu(first))
        back = (net.head.weight[target] / second[0, 0].numel())[None, :, None, None].expand_as(second)
        back = torch.where(second > 0, back.clamp(min=0), 0.0)
        back = F.conv_transpose2d(back, net.two.weight)
        back = torch.where(first > 0, back.clamp(min=0), 0.0)
        return F.conv_transpose2d(back, net.one.weight)[0]
