"""Rules of relevance for layers that are linear but for a bias, each as a gradient that it puts in place of their own.

Relevance at a value is the value times its changed gradient, R = x · G. With z = W x + b and R_z = z · G_z, every rule
here returns the G for which x · G is the relevance that it gives to x. The three rules for a layer that reads the
input itself (box, flat, w_square) give relevance that is no multiple of x: they return the relevance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

ROOM = 2.0**24
"""In smallest normal numbers: what is smaller is nothing, lest a quotient overflow."""


@dataclass(frozen=True)
class Settings:
    """The numbers of the rules: `epsilon` in units of a layer's values, `low` and `high` in units of the input,
    one number or one per channel (the first axis of a row)."""

    epsilon: float = 1e-9
    gamma: float = 0.25
    alpha: float = 2.0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Norm:
    """A BatchNorm of fixed statistics, as a scale and a shift of channels."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float

    def line(self) -> tuple[Tensor, Tensor]:
        """The scale and the shift, in float64."""
        scale = (self.variance.double() + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight.double()
        shift = -self.mean.double() * scale
        return scale, shift if self.bias is None else shift + self.bias.double()


@dataclass(frozen=True, eq=False)
class Affine:
    """One call of a layer: `apply(x, weight, bias)` is linear in x and in weight, and adds the bias.

    `kind` is convolution or dense. `outputs` says where a weight has its output channels: "first", "grouped:G"
    (transposed convolutions: the second axis, within G groups) or "" where no BatchNorm can be merged. `norm` is
    one that will be.
    """

    apply: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    weight: Tensor
    bias: Tensor | None
    kind: str
    outputs: str = ""
    norm: Norm | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return self.apply(x, self.weight, self.bias)

    def then(self, norm: Norm) -> Affine:
        """The layer with a BatchNorm behind it, not merged yet."""
        return replace(self, norm=norm)

    def merged(self) -> Affine:
        """The layer and the BatchNorm behind it as one layer."""
        if self.norm is None:
            return self
        scale, shift = self.norm.line()
        rest, wide = [1] * (self.weight.dim() - 2), self.weight.double()
        if self.outputs == "first":
            weight = wide * scale.view(-1, 1, *rest)
        else:
            groups = int(self.outputs.removeprefix("grouped:"))
            weight = (wide.unflatten(0, (groups, -1)) * scale.view(groups, 1, -1, *rest)).flatten(0, 1)
        bias = shift if self.bias is None else self.bias.double() * scale + shift
        return replace(self, weight=weight.to(self.weight.dtype), bias=bias.to(self.weight.dtype), norm=None)

    def to(self, dtype: torch.dtype) -> Affine:
        return replace(self, weight=self.weight.to(dtype), bias=None if self.bias is None else self.bias.to(dtype))


Rule = Callable[[Affine, Tensor, Tensor, Settings, bool], Tensor]
"""(layer, x, G_z, numbers, whether x may be negative) → G_x, or the relevance of x."""


def away(value: Tensor, by: float) -> Tensor:
    """The value moved away from zero; zero itself upwards."""
    return value + by * (1.0 - 2.0 * (value < 0).to(value))


def share(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and nothing where there is nothing to share out.

    No more is needed to divide safely where the whole is a sum of parts of one sign.
    """
    nothing = whole.abs() < ROOM * torch.finfo(whole.dtype).tiny
    return torch.where(nothing, 0.0, part / torch.where(nothing, 1.0, whole))


def epsilon(layer: Affine, x: Tensor, g: Tensor, numbers: Settings, signed: bool) -> Tensor:
    """R_i = Σ_j x_i w_ij / (z_j + ε sign z_j) R_j."""
    x = x.requires_grad_()
    z = layer(x)
    held = z.detach()
    return torch.autograd.grad(z, x, share(g * held, away(held, numbers.epsilon)))[0]


class _Signed:
    """x⁺ · up + x⁻ · down + bias: `total`, and the way back to x."""

    def __init__(self, layer: Affine, x: Tensor, up: Tensor, down: Tensor, bias: Tensor | None, signed: bool) -> None:
        self.negative = x < 0 if signed else None
        self.ends = [x.clamp(min=0).requires_grad_()]
        self.sums = [layer.apply(self.ends[0], up, bias)]
        if signed:
            self.ends.append(x.clamp(max=0).requires_grad_())
            self.sums.append(layer.apply(self.ends[1], down, None))
        self.total = sum(s.detach() for s in self.sums[1:]) + self.sums[0].detach()

    def back(self, shares: Tensor) -> Tensor:
        found = torch.autograd.grad(self.sums, self.ends, [shares] * len(self.sums))
        return found[0] if self.negative is None else torch.where(self.negative, found[1], found[0])


def z_plus(layer: Affine, x: Tensor, g: Tensor, numbers: Settings, signed: bool) -> Tensor:
    """Shares by positive contributions alone: those of x⁺ with w⁺, of x⁻ with w⁻, and of b⁺."""
    return _positive(layer, x, _relevance(layer, x, g), signed)


def alpha_beta(layer: Affine, x: Tensor, g: Tensor, numbers: Settings, signed: bool) -> Tensor:
    """α times the shares by positive contributions, less (α − 1) times those by negative ones."""
    relevance, beta = _relevance(layer, x, g), numbers.alpha - 1
    found = numbers.alpha * _positive(layer, x, relevance, signed)
    if beta > 0:
        down, bias = layer.weight.clamp(max=0), None if layer.bias is None else layer.bias.clamp(max=0)
        against = _Signed(layer, x, down, layer.weight.clamp(min=0), bias, signed)
        found = found - beta * against.back(share(relevance, against.total))
    return found


def gamma(layer: Affine, x: Tensor, g: Tensor, numbers: Settings, signed: bool) -> Tensor:
    """Contributions of the output's own sign count (1 + γ) times, for inputs and outputs of both signs."""
    z, more = _plain(layer, x), numbers.gamma
    up, down = layer.weight + more * layer.weight.clamp(min=0), layer.weight + more * layer.weight.clamp(max=0)
    biases = (None, None) if layer.bias is None else (layer.bias + more * layer.bias.clamp(min=0),
                                                      layer.bias + more * layer.bias.clamp(max=0))
    above, below = (_Signed(layer, x, up, down, biases[0], signed), _Signed(layer, x, down, up, biases[1], signed))
    relevance = g * z
    return (above.back(torch.where(z > 0, share(relevance, above.total), 0.0))
            + below.back(torch.where(z < 0, share(relevance, below.total), 0.0)))


def box(layer: Affine, x: Tensor, g: Tensor, numbers: Settings, signed: bool) -> Tensor:
    """Shares by (x − l) w⁺ + (x − h) w⁻, for inputs that lie between l and h (deep Taylor decomposition)."""
    above, below = x - _laid(numbers.low, x), x - _laid(numbers.high, x)
    ends = [above.clone().requires_grad_(), below.clone().requires_grad_()]
    weights = [layer.weight.clamp(min=0), layer.weight.clamp(max=0)]
    sums = [layer.apply(e, w, None) for e, w in zip(ends, weights, strict=True)]
    shares = share(_relevance(layer, x, g), (sums[0] + sums[1]).detach())
    up, down = torch.autograd.grad(sums, ends, [shares] * 2)
    return above * up + below * down


def flat(layer: Affine, x: Tensor, g: Tensor, numbers: Settings, signed: bool) -> Tensor:
    """Relevance in equal parts to everything that an output reads."""
    return _by_weights(layer, x, g, torch.ones_like(layer.weight))


def w_square(layer: Affine, x: Tensor, g: Tensor, numbers: Settings, signed: bool) -> Tensor:
    """Relevance by squared weights, whatever x is; the bias takes none, as in the paper."""
    return _by_weights(layer, x, g, layer.weight**2)


RULES: dict[str, Rule] = {"epsilon": epsilon, "gamma": gamma, "z_plus": z_plus, "alpha_beta": alpha_beta}
"""For any weighted layer, by name."""

FIRST: dict[str, Rule] = {"box": box, "flat": flat, "w_square": w_square}
"""For the layers that read the input itself, by name."""


def _plain(layer: Affine, x: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(x)


def _relevance(layer: Affine, x: Tensor, g: Tensor) -> Tensor:
    return g * _plain(layer, x)


def _positive(layer: Affine, x: Tensor, relevance: Tensor, signed: bool) -> Tensor:
    up, bias = layer.weight.clamp(min=0), None if layer.bias is None else layer.bias.clamp(min=0)
    for_it = _Signed(layer, x, up, layer.weight.clamp(max=0), bias, signed)
    return for_it.back(share(relevance, for_it.total))


def _by_weights(layer: Affine, x: Tensor, g: Tensor, weights: Tensor) -> Tensor:
    ones = torch.ones_like(x).requires_grad_()
    total = layer.apply(ones, weights, None)
    shares = share(_relevance(layer, x, g), total.detach())
    return torch.autograd.grad(total, ones, shares)[0]


def _laid(bounds: tuple[float, ...], x: Tensor) -> Tensor:
    """A bound for every element of x (rows, ...): one for all, or one per entry of the first axis of a row."""
    value = torch.tensor(bounds, dtype=x.dtype, device=x.device)
    return (value if len(bounds) == 1 else value.view(-1, *[1] * (x.dim() - 2))).expand_as(x)
