"""Relevance at single operations, whatever they are called: closed forms, and two ways to write the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracle_nets import normal, settled
from torch import Tensor, nn
from torch.nn import functional as F

import pellucid
from pellucid.changes.relevance import unruled
from pellucid.testing.pristine import pristine

F64 = torch.float64
X = normal(1, 6, seed=2, dtype=F64)


class Net(nn.Module):
    """A layer, an operation of the test's choice on its eight values, and a layer."""

    def __init__(self, step: Callable[[Tensor], Tensor], width: int = 8) -> None:
        super().__init__()
        self.step, self.first, self.last = step, nn.Linear(6, 8), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.step(self.first(x)))


def net(step: Callable[[Tensor], Tensor], width: int = 8) -> nn.Module:
    return settled(Net(step, width), dtype=F64)


def ours(model: nn.Module, x: Tensor = X, **options: Any) -> Tensor:
    options = {"composite": "epsilon", "epsilon": 0.0, "target": 1, "layers": (), **options}
    e = pellucid.explain(model, x, "lrp", **options)
    return e.values if e.elements is None else e.elements


def close(a: Tensor, b: Tensor, tolerance: float = 1e-11) -> None:
    assert float(b.abs().max()) > 0
    assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


def sloped(model: Any, slope: Callable[[Tensor], Tensor]) -> Tensor:
    """Relevance where the step is as if it were multiplied by a slope of its input."""
    return X[0] * ((model.last.weight[1] * slope(model.first(X))[0]) @ model.first.weight)


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu, "tanh-gelu": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "elu": F.elu, "selu": F.selu,
    "celu": F.celu, "mish": F.mish, "hardswish": F.hardswish, "relu6": F.relu6, "hardtanh": F.hardtanh,
    "softsign": F.softsign, "tanhshrink": F.tanhshrink, "softshrink": F.softshrink, "hardshrink": F.hardshrink,
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "hardsigmoid": F.hardsigmoid, "softplus": F.softplus,
    "logsigmoid": F.logsigmoid, "exp": torch.exp, "sin": torch.sin, "cos": torch.cos, "square": torch.square,
    "power": lambda x: x**3, "erf": torch.erf, "clamp": lambda x: x.clamp(-0.3, 0.4), "relu": F.relu,
    "leaky": lambda x: F.leaky_relu(x, 0.2), "prelu": lambda x: F.prelu(x, torch.tensor([0.3], dtype=F64)),
    "threshold": lambda x: F.threshold(x, 0.1, 0.0), "of a power": lambda x: 2.0**x,
}


@pytest.mark.parametrize("name", GATES)
def test_a_function_of_single_values_passes_on_what_is_above_its_value_at_zero(name: str) -> None:
    f = GATES[name]
    close(ours(net(f)), sloped(net(f), lambda z: (f(z) - f(torch.zeros_like(z))) / z), 1e-9)


@pytest.mark.parametrize(("in_place", "plain"), [
    (lambda x: F.silu(x, inplace=True), F.silu), (nn.ELU(inplace=True), F.elu), (torch.Tensor.tanh_, torch.tanh),
    (nn.Hardswish(inplace=True), F.hardswish), (nn.Hardtanh(inplace=True), F.hardtanh), (torch.sigmoid_, torch.sigmoid),
    (lambda x: (x.mul_(torch.sigmoid(x)), x)[1], F.silu), (lambda x: (F.elu(x, inplace=True), x)[1], F.elu),
    (lambda x: x.mul_(x), lambda x: x * x), (lambda x: x.clone().mul_(torch.tanh(x)), lambda x: torch.tanh(x) * x),
    (lambda x: x.clone().div_(x.norm(dim=1, keepdim=True)), lambda x: x / x.norm(dim=1, keepdim=True)),
    (lambda x: x.pow_(3), lambda x: x**3), (nn.LeakyReLU(0.1, inplace=True), lambda x: F.leaky_relu(x, 0.1)),
    (lambda x: x.add_(1).relu_(), lambda x: (x + 1).relu()),
])
def test_in_place_is_as_out_of_place(in_place: Callable[[Tensor], Tensor], plain: Callable[[Tensor], Tensor]) -> None:
    close(ours(net(in_place)), ours(net(plain)))


def test_layers_over_tokens_may_be_written_into() -> None:
    def tokens(act: nn.Module) -> nn.Module:
        layers = [nn.Linear(6, 8), act, nn.Linear(8, 8), act, nn.Flatten(), nn.Linear(24, 3)]
        return settled(nn.Sequential(*layers), dtype=F64)

    x = normal(1, 3, 6, dtype=F64)
    for kind in (nn.ReLU, nn.SiLU):
        close(ours(tokens(kind(inplace=True)), x), ours(tokens(kind()), x))


def test_close_to_zero_a_gate_keeps_its_digits_in_float32() -> None:
    wide, low = net(torch.sigmoid), settled(Net(torch.sigmoid))
    for model in (wide, low):
        model.first.weight *= 1e-4
        model.first.bias.zero_()
    close(ours(low, X.float()).double(), ours(wide), 1e-5)


def test_a_product_is_shared_out_in_halves_and_a_gate_gets_nothing() -> None:
    halves = net(lambda z: z[:, :4] * z[:, 4:], 4)
    z = halves.first(X)[0]
    share = torch.cat([z[4:], z[:4]]) / 2 * halves.last.weight[1].repeat(2)
    close(ours(halves), X[0] * (share @ halves.first.weight))
    for gate in (torch.sigmoid, F.hardsigmoid, lambda t: 0.5 * (1 + torch.tanh(t)), lambda t: 1 - torch.sigmoid(t)):
        gated = net(lambda z, gate=gate: z[:, :4] * gate(z[:, 4:]), 4)
        share = torch.cat([gate(z[4:]) * gated.last.weight[1], torch.zeros(4, dtype=F64)])
        close(ours(gated), X[0] * (share @ gated.first.weight))
        for other in (lambda z, gate=gate: gate(z[:, 4:]) * z[:, :4],
                      lambda z, gate=gate: torch.mul(z[:, :4], gate(z)[:, 4:].unsqueeze(0).squeeze(0))):
            close(ours(net(other, 4)), ours(gated))
    close(ours(net(lambda z: F.glu(z), 4)), ours(net(lambda z: z[:, :4] * torch.sigmoid(z[:, 4:]), 4)))


def test_a_signal_between_gates_is_the_one_that_may_be_negative() -> None:
    """As in the cell of an LSTM: σ(a) · tanh(b) goes to b, all of it."""
    model = net(lambda z: torch.sigmoid(z[:, :4]) * torch.tanh(z[:, 4:]), 4)
    z = model.first(X)[0]
    share = torch.cat([torch.zeros(4, dtype=F64), z[:4].sigmoid() * z[4:].tanh() / z[4:] * model.last.weight[1]])
    close(ours(model), X[0] * (share @ model.first.weight))


@pytest.mark.parametrize("step", [
    lambda z: z / z.norm(dim=1, keepdim=True), lambda z: F.normalize(z), lambda z: z * z.pow(2).mean(1, True).rsqrt(),
    lambda z: z / torch.sqrt(z.square().sum(1, True)), lambda z: z * (z * z).sum(1, True) ** -0.5,
    lambda z: z / z.std(1, keepdim=True), lambda z: F.rms_norm(z, (8,)), lambda z: z / z.abs().sum(1, True),
    lambda z: z / torch.linalg.vector_norm(z, dim=1), lambda z: z * z.norm(dim=1).reciprocal(),
])
def test_what_values_are_measured_by_is_a_constant(step: Callable[[Tensor], Tensor]) -> None:
    model = net(step)
    length = (step(model.first(X)) / model.first(X)).detach()
    close(ours(model), sloped(model, lambda z: length), 1e-9)


@pytest.mark.parametrize("kind", ["layer", "group", "instance", "by hand"])
def test_normalisation_keeps_its_mean_and_takes_its_deviation_as_constant(kind: str) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
            self.norm: Any = {"layer": nn.LayerNorm([4, 4, 4]), "group": nn.GroupNorm(2, 4), "by hand": nn.Identity(),
                              "instance": nn.InstanceNorm2d(4, affine=True)}[kind]

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            if kind == "by hand":
                y = (y - y.mean((1, 2, 3), True)) / torch.sqrt(y.var((1, 2, 3), unbiased=False, keepdim=True) + 1e-5)
            return self.last(F.relu(self.norm(y)).mean((2, 3)))

    model, x = settled(Normed(), dtype=F64), normal(1, 3, 6, 6, dtype=F64)
    y = model.conv(x)
    parts = {"group": (2, -1), "instance": (4, -1)}.get(kind, (1, -1))
    flat = y.unflatten(1, (parts[0], -1)).flatten(2)
    deviation = (flat.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt().detach()
    x_ = x.clone().requires_grad_()
    rows = model.conv(x_).unflatten(1, (parts[0], -1)).flatten(2)
    z = ((rows - rows.mean(2, keepdim=True)) / deviation).reshape(y.shape)
    weight = getattr(model.norm, "weight", torch.ones(4, dtype=F64))
    bias = getattr(model.norm, "bias", torch.zeros(4, dtype=F64))
    weight, bias = (v if v.dim() == 3 else v.view(4, 1, 1) for v in (weight, bias))
    (slope,) = torch.autograd.grad(model.last(F.relu(z * weight + bias).mean((2, 3)))[0, 1], x_)
    close(ours(model, x), (x * slope)[0], 1e-9)


@pytest.mark.parametrize("step", [
    lambda t: t, lambda t: t - 0.4, lambda t: -t, lambda t: t + torch.full((8,), -0.3, dtype=F64),
    lambda t: t.sub(t.mean()), lambda t: F.pad(t[:, :6], (1, 1), value=-0.5), lambda t: t.add(-0.2),
    lambda t: torch.cat([t[:, :4], -t[:, 4:]], 1), lambda t: t.masked_fill(t > 0.5, -0.7), lambda t: t * -1.0,
    lambda t: torch.cat([t[:, :7], torch.full((1, 1), -1.0, dtype=F64)], 1), lambda t: torch.where(t > 0.5, t, -1.0),
    lambda t: t.clone().index_fill(1, torch.tensor([2]), -0.5), lambda t: t.clone().relu_().mul(1.0).sub_(0.3),
    lambda t: _written_into(t), lambda t: F.max_pool1d(t[:, None], 3, 1, 1)[:, 0], lambda t: t.add(t, alpha=-2),
    lambda t: F.interpolate(t[None, None], size=(1, 8), mode="bicubic", align_corners=True)[0, 0],
])
@pytest.mark.parametrize("rule", ["z_plus", "gamma", "alpha_beta"])
def test_no_value_is_taken_for_positive_that_may_be_negative(step: Callable[[Tensor], Tensor], rule: str) -> None:
    """Rules leave out x⁻ behind a ReLU; a product with one, of which nothing is concluded, gives the same."""
    one, other = (net(lambda z, k=k: step(z.relu()) * 1.0 if k else step(z.relu())) for k in (0, 1))
    score = {"target": lambda out: out.sum(1)}
    close(ours(one, dense=rule, **score), ours(other, dense=rule, **score))


def _written_into(t: Tensor) -> Tensor:
    t = t.clone()
    t[:, 2:5] = -t[:, 2:5] - 0.1
    return t


def test_a_tensor_that_a_model_holds_is_a_constant_also_where_it_wants_gradients() -> None:
    held = normal(8, seed=5, dtype=F64).requires_grad_() * 2
    close(ours(net(lambda z: z * held)), ours(net(lambda z: z * held.detach())))


@pytest.mark.parametrize(("step", "same"), [
    (lambda z: z @ M, lambda z: F.linear(z, M.T)), (lambda z: torch.einsum("bi,ij->bj", z, M), lambda z: z @ M),
    (lambda z: torch.addmm(B, z, M), lambda z: z @ M + B), (lambda z: z.matmul(M), lambda z: z @ M),
    (lambda z: torch.addcmul(B, z, M[0]), lambda z: B + z * M[0]),
    (lambda z: torch.addcmul(B, z, z), lambda z: B + z * z),
    (lambda z: torch.addcmul(B, z, torch.sigmoid(z)), lambda z: B + z * torch.sigmoid(z)),
    (lambda z: torch.addcmul(B, torch.tanh(z), z.flip(1)), lambda z: B + torch.tanh(z) * z.flip(1)),
    (lambda z: torch.lerp(z, 2 * z, 0.3), lambda z: 1.3 * z),
    (lambda z: torch.baddbmm(B, z[None], M[None])[0], lambda z: z @ M + B),
    (lambda z: torch.einsum("bi,bj,ij->bi", z, z, M), lambda z: z * (z @ M.T)),
    (lambda z: torch.tensordot(z, M, 1), lambda z: z @ M), (lambda z: z.softmax(1), lambda z: torch.softmax(z, -1)),
    (lambda z: torch.stack(z.chunk(2, 1), 2).sum(2).repeat(1, 2), lambda z: (z[:, :4] + z[:, 4:]).tile(1, 2)),
    (lambda z: F.cosine_similarity(z[:, None], M, dim=-1), lambda z: z / z.norm() @ F.normalize(M).T),
    (lambda z: z.unfold(1, 2, 2).amax(2).repeat(1, 2), lambda z: F.max_pool1d(z[None], 2)[0].repeat(1, 2)),
])
def test_two_ways_to_write_the_same(step: Callable[[Tensor], Tensor], same: Callable[[Tensor], Tensor]) -> None:
    close(ours(net(step)), ours(net(same)), 1e-9)


M, B = normal(8, 8, seed=7, dtype=F64), normal(8, seed=8, dtype=F64)


def test_a_product_with_a_parameter_is_a_layer_and_one_with_a_constant_is_not() -> None:
    class Weighing(nn.Module):
        def __init__(self, weigh: bool) -> None:
            super().__init__()
            self.weight, self.bias, self.last = nn.Parameter(M.clone()), nn.Parameter(B.clone()), nn.Linear(8, 3)
            self.weigh = weigh

        def forward(self, x: Tensor) -> Tensor:
            y = torch.addmm(self.bias, x, self.weight) if self.weigh else F.linear(x, self.weight.T, self.bias)
            return self.last(y.relu())

    x = normal(1, 8, seed=9, dtype=F64)
    found = [ours(settled(Weighing(w), dtype=F64), x, dense="gamma") for w in (True, False)]
    close(*found)
    assert float((found[0] - ours(settled(Weighing(True), dtype=F64), x)).abs().max()) > 1e-2


def test_the_score_and_the_model_are_as_they_were() -> None:
    model = net(lambda z: F.layer_norm(z, (8,)).mul(torch.sigmoid(z)))
    with pristine(model, X):
        e = pellucid.explain(model, X, "lrp", target=1, composite="epsilon")
    assert e.score == float(model(X)[0, 1]) == dict(e.details["conservation"])["score"]


def test_blocks_that_run_twice_for_want_of_memory_give_the_same_bits() -> None:
    layers = [m for _ in range(24) for m in (nn.Linear(16, 16), nn.GELU(), nn.LayerNorm(16))]
    model, x = settled(nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 50, 3))), normal(1, 50, 16)
    free = pellucid.explain(pellucid.wrap(model), x, "lrp", target=1, composite="epsilon", layers=(), chunk=1)
    assert not free.evidence.recomputed
    tight = pellucid.explain(pellucid.wrap(model), x, "lrp", target=1, composite="epsilon", layers=(),
                             budget=int(0.8 * free.evidence.peak_bytes))
    assert tight.evidence.recomputed
    assert torch.equal(tight.values, free.values)


def test_operations_without_a_rule_are_known_by_all_their_names() -> None:
    known = ["linear", "aten.linear.default", "aten::addmm", "NativeLayerNormBackward0", "Convolution", "GeluBackward0",
             "__iadd__", "ScaledDotProductFlashAttentionForCpu", "NativeBatchNorm", "MaxPool2DWithIndices", "silu_",
             "AdaptiveAvgPool2D", "UpsampleBilinear2D", "SoftmaxBackward0", "CloneBackward0", "UnsafeView", "mul.Out",
             "torch::autograd::CopySlices", "torch::autograd::AccumulateGrad", "ReshapeAliasBackward0"]
    assert unruled(known) == ()
    unknown = ["lstm", "MkldnnRnnLayer", "aten.cumprod.default", "FftC2CBackward0"]
    assert unruled([*known, *unknown, "lstm"]) == tuple(unknown)
