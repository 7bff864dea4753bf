"""Relevance of dense and convolutional networks: against Zennit, captum where it is right, and closed forms."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from oracle_nets import Residual, cnn, mlp, normal, settled
from peer_zennit import relevance as zennit
from torch import Tensor, nn
from torch.nn import functional as F

import pellucid
from pellucid.engine.folding import folded

pytestmark = pytest.mark.usefixtures("vision")  # zennit imports torchvision

F64 = torch.float64
PICTURE = normal(1, 3, 12, 12, seed=3, dtype=F64)


def ours(net: nn.Module, x: Tensor, target: Any = 1, composite: str = "epsilon", **options: Any) -> Tensor:
    e = pellucid.explain(net, x, "lrp", target=target, composite=composite, **options)
    return e.values if e.elements is None else e.elements


def close(a: Tensor, b: Tensor, tolerance: float = 1e-8) -> None:
    assert float(b.abs().max()) > 0
    assert float((a.double() - b.double()).abs().max()) <= tolerance * float(b.abs().max())


def told(net: nn.Module, x: Tensor, **options: Any) -> dict[str, float]:
    return dict(pellucid.explain(net, x, "lrp", target=1, **options).details["conservation"])


def exact(net: nn.Module) -> nn.Module:
    """Zennit merges a BatchNorm and leaves one behind that divides by √(1 + eps): without eps it is the identity."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    return net


def unbiased(net: nn.Module) -> nn.Module:
    """Nothing is added on the way: biases and the shifts of BatchNorms are zero."""
    for module in net.modules():
        for name in ("bias", "running_mean"):
            if isinstance(getattr(module, name, None), Tensor):
                getattr(module, name).data.zero_()
    return net


# -- rules

RULED = [
    ("epsilon", "epsilon", ""), ("z_plus", "epsilon", ""), ("gamma", "epsilon", ""), ("alpha_beta", "epsilon", ""),
    ("z_plus", "z_plus", ""), ("gamma", "gamma", ""), ("alpha_beta", "alpha_beta", ""), ("z_plus", "epsilon", "flat"),
    ("gamma", "epsilon", "box"), ("epsilon", "epsilon", "w_square"),
]


@pytest.mark.parametrize("rules", RULED, ids="-".join)
@pytest.mark.parametrize("kind", ["dense", "convolutions and BatchNorms"])
def test_rules_are_zennits(rules: tuple[str, str, str], kind: str) -> None:
    """Inputs of both signs, biases, a BatchNorm behind each convolution; 1e-8 of the largest value, in float64."""
    if kind == "dense":
        net, x, target = mlp(dtype=F64), normal(1, 6, seed=5, dtype=F64), 2
    else:
        net, x, target = exact(cnn(dtype=F64)), PICTURE, 1
    given = dict(zip(("convolution", "dense", "first"), rules, strict=True))
    numbers = {"epsilon": 0.1, "gamma": 0.4, "alpha": 1.7, "low": -4.0, "high": 4.0}
    theirs = zennit(net, x, target, **given, **numbers)
    close(ours(net, x, target, **{**given, "first": rules[2] or None}, **numbers), theirs[0])


COMPOSITES = {
    "epsilon_plus": ("z_plus", ""), "epsilon_plus_flat": ("z_plus", "flat"), "epsilon_gamma_box": ("gamma", "box"),
    "epsilon_alpha2_beta1": ("alpha_beta", ""), "epsilon_alpha2_beta1_flat": ("alpha_beta", "flat"),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_by_name_are_zennits(name: str) -> None:
    net, box = exact(cnn(dtype=F64)), {"low": -4.0, "high": 4.0} if name.endswith("box") else {}
    convolution, first = COMPOSITES[name]
    theirs = zennit(net, PICTURE, 1, convolution=convolution, first=first, epsilon=1e-9, **box)
    close(ours(net, PICTURE, 1, name, **box), theirs[0])


def test_a_box_may_have_bounds_for_every_channel() -> None:
    net, low, high = cnn(dtype=F64), (-3.5, -4.0, -5.0), (3.5, 5.0, 4.0)
    found = ours(net, PICTURE, composite="epsilon_gamma_box", low=low, high=high)
    bounds = {"low": torch.tensor(low).view(1, 3, 1, 1), "high": torch.tensor(high).view(1, 3, 1, 1)}
    close(found, zennit(exact(net), PICTURE, 1, convolution="gamma", first="box", epsilon=1e-9, **bounds)[0], 1e-4)


def test_a_residual_network_of_torchvision_is_zennits_with_its_canonizer(vision: bool) -> None:
    """`+=`, ReLUs that are used twice and work in place, BatchNorms on both ways: nothing of it needs to be known."""
    from torchvision.models.resnet import BasicBlock, ResNet
    from zennit.attribution import Gradient
    from zennit.composites import COMPOSITES as THEIRS
    from zennit.torchvision import ResNetCanonizer

    net, x = exact(settled(ResNet(BasicBlock, [1, 1, 1, 1], num_classes=4), dtype=F64)), normal(1, 3, 33, 33, dtype=F64)
    composite = THEIRS["epsilon_plus"](epsilon=1e-9, stabilizer=1e-12, canonizers=[ResNetCanonizer()])
    with Gradient(model=copy.deepcopy(net), composite=composite) as attributor:
        theirs = attributor(x, lambda out: out * torch.tensor([0, 1, 0, 0]))[1]
    close(ours(net, x, 1, "epsilon_plus"), theirs[0], 1e-7)


@pytest.mark.parametrize(("net", "x"), [(mlp(dtype=F64), normal(1, 6, dtype=F64)), (cnn(dtype=F64), PICTURE),
                                        (settled(Residual(), dtype=F64), PICTURE)], ids=["dense", "cnn", "skips"])
def test_without_epsilon_relevance_of_a_relu_net_is_input_times_gradient(net: nn.Module, x: Tensor) -> None:
    e = pellucid.explain(net, x, "input_x_gradient", target=1)
    close(ours(net, x, epsilon=0.0), e.values if e.elements is None else e.elements, 1e-12)


def test_epsilon_is_captums_where_no_batchnorm_is() -> None:
    from captum.attr import LRP

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU())
            self.head = nn.Linear(72, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(x).flatten(1))  # captum has no rule for a module that flattens

    net = settled(Small(), dtype=F64)
    theirs = LRP(copy.deepcopy(net)).attribute(PICTURE.clone().requires_grad_(), target=1)
    close(ours(net, PICTURE), theirs[0].detach(), 1e-7)  # captum adds its epsilon in poolings, too


def test_on_a_resnet_with_batchnorms_captum_explodes_and_ours_is_kept(vision: bool) -> None:
    """captum 0.9.0 treats a BatchNorm as a layer by itself, and says nothing."""
    from captum.attr import LRP
    from torchvision.models import resnet18

    torch.manual_seed(0)
    net, x = resnet18(weights=None).eval(), normal(1, 3, 64, 64)
    score = float(net(x)[0, 1].detach())
    theirs = LRP(copy.deepcopy(net)).attribute(x.clone().requires_grad_(), target=1)
    assert abs(float(theirs.detach().sum())) > 1e6 * abs(score)
    kept = told(net, x, composite="epsilon_plus")
    assert kept["score"] == score
    assert all(0.5 < value / score < 2 for value in kept.values()), kept


# -- what is kept, layer by layer

@pytest.mark.parametrize("rule", ["epsilon", "z_plus", "gamma", "alpha_beta"])
@pytest.mark.parametrize("first", [None, "flat", "w_square", "box"])
def test_without_biases_every_stage_keeps_the_score(rule: str, first: str | None) -> None:
    net, box = unbiased(settled(Residual(), dtype=F64)), {"low": -5.0, "high": 5.0} if first == "box" else {}
    kept = told(net, PICTURE, composite="epsilon", convolution=rule, dense=rule if rule != "z_plus" else "epsilon",
                first=first, epsilon=1e-12, **box)
    assert list(kept) == ["input", "stem", "block1", "block2", "head", "score"]
    assert all(value == pytest.approx(kept["score"], rel=1e-7) for value in kept.values()), kept


def test_a_bias_and_epsilon_take_their_shares_and_no_more() -> None:
    net = settled(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), dtype=F64)
    x, epsilon = normal(1, 6, dtype=F64), 0.05
    z1 = net[0](x)
    z2 = net[2](z1.relu())[0, 1]
    from_hidden = (z2 - net[2].bias[1]) / (z2 + epsilon * z2.sign()) * z2
    r1 = z1.relu() * net[2].weight[1] / (z2 + epsilon * z2.sign()) * z2
    from_input = ((z1 - net[0].bias) / (z1 + epsilon * z1.sign()) * r1).sum()
    kept = told(net, x, composite="epsilon", epsilon=epsilon)
    assert kept["score"] == kept["2"] == pytest.approx(float(z2), abs=1e-12)
    assert kept["1"] == kept["0"] == pytest.approx(float(from_hidden), abs=1e-12)
    assert kept["input"] == pytest.approx(float(from_input), abs=1e-12)


def test_what_is_asked_for_conservation_changes_no_value() -> None:
    net = settled(Residual(), dtype=F64)
    free = ours(net, PICTURE, composite="epsilon_plus", layers=())
    asked = ("block1.conv1", "block1.norm1", "block1.relu_a")
    e = pellucid.explain(net, PICTURE, "lrp", target=1, composite="epsilon_plus", layers=asked)
    assert torch.equal(e.elements, free)
    # A convolution and its BatchNorm are one layer: there is no value between them.
    assert [name for name, _ in e.details["conservation"]] == ["input", "block1.norm1", "block1.relu_a", "score"]


def test_all_stages_are_told_from_the_same_pass() -> None:
    e = pellucid.explain(cnn(dtype=F64), PICTURE, "lrp", target=1)
    assert e.evidence.rows == 2  # one under the rules, one for the score
    assert [name for name, _ in e.details["conservation"]][1:4] == ["1", "2", "3"]


def test_a_branch_that_the_score_does_not_read_is_left_out() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.one, self.other = nn.Linear(6, 5), nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            x = self.trunk(x).relu()
            return {"logits": self.one(x), "aside": self.other(x)}

    kept = told(settled(Two(), dtype=F64), normal(1, 6, dtype=F64))
    assert list(kept) == ["input", "trunk", "one", "score"]


# -- however the model is written

class Plain(nn.Module):
    """A block with modules, each used once, and nothing in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.act1, self.act2, self.act3 = nn.ReLU(), nn.ReLU(), nn.SiLU()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.act1(self.norm(self.stem(x)))
        x = self.act2(self.conv(skip) + skip)
        return self.head(self.act3(self.conv(x)).mean((2, 3)))


class Terse(Plain):
    """The same: functions, in place, `+=`, a ReLU used twice, mean as a pooling."""

    def forward(self, x: Tensor) -> Tensor:
        n = self.norm
        skip = F.conv2d(x, self.stem.weight, self.stem.bias, padding=1)
        skip = F.batch_norm(skip, n.running_mean, n.running_var, n.weight, n.bias, eps=n.eps).relu_()
        x = self.conv(skip)
        x += skip
        x = F.relu(x, inplace=True)
        x = F.silu(self.conv(x), inplace=True)
        return F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), self.head.weight, self.head.bias)


@pytest.mark.parametrize("composite", ["epsilon_plus", "epsilon_alpha2_beta1_flat", "epsilon_gamma_box"])
@pytest.mark.parametrize("kind", ["terse", "exported", "channels last"])
@pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning")  # torch warns of itself where a graph is copied
def test_how_a_model_is_written_makes_no_difference(kind: str, composite: str) -> None:
    plain = settled(Plain(), dtype=F64)
    other = {"terse": lambda: settled(Terse(), dtype=F64), "channels last": lambda: copy.deepcopy(plain).to(
        memory_format=torch.channels_last), "exported": lambda: torch.export.export(plain, (PICTURE,)).module()}[kind]()
    box = {"low": -4.0, "high": 4.0} if composite.endswith("box") else {}
    x = PICTURE.to(memory_format=torch.channels_last) if kind == "channels last" else PICTURE
    ask = {"composite": composite, "layers": (), **box}
    close(ours(other, x, **ask), ours(plain, PICTURE, **ask), 1e-10)


MERGED = {
    "linear": (nn.Linear(6, 8), nn.BatchNorm1d(8), (1, 6)),
    "1-d": (nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), (1, 2, 9)),
    "3-d": (nn.Conv3d(2, 4, 2), nn.BatchNorm3d(4), (1, 2, 4, 4, 4)),
    "groups": (nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), (1, 4, 6, 6)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2), nn.BatchNorm2d(6), (1, 4, 4, 4)),
    "transposed in groups": (nn.ConvTranspose2d(6, 4, 3, groups=2, bias=False), nn.BatchNorm2d(4), (1, 6, 4, 4)),
    "no weights": (nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False), (1, 2, 6, 6)),
}


@pytest.mark.parametrize("kind", MERGED)
def test_a_batchnorm_is_merged_with_the_layer_before_it(kind: str) -> None:
    """Equal to the network in which weight and bias were folded by hand."""
    layer, norm, shape = MERGED[kind]
    net, x = settled(nn.Sequential(layer, norm, nn.GELU(), nn.Flatten()), dtype=F64), normal(*shape, dtype=F64)
    one = copy.deepcopy(layer)
    weight, bias = folded(layer, norm)
    one.weight, one.bias = nn.Parameter(weight), nn.Parameter(bias)
    target = int(net(x).argmax())
    rules = {"convolution": "z_plus", "dense": "z_plus"}
    close(ours(net, x, target, **rules), ours(nn.Sequential(one, nn.GELU(), nn.Flatten()), x, target, **rules), 1e-11)


def test_a_batchnorm_is_not_merged_across_what_changed_its_input() -> None:
    """Behind a convolution that was added to in place, it is a line of its own: gradients times values, here."""
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            y += x
            return self.norm(y).mean((2, 3))

    net = settled(Changed(), dtype=F64)
    e = pellucid.explain(net, PICTURE, "input_x_gradient", target=1)
    close(ours(net, PICTURE, epsilon=0.0), e.elements, 1e-12)
    plus = ours(net, PICTURE, composite="epsilon_plus")
    y = net.conv(PICTURE) + PICTURE
    scale = net.norm.weight / (net.norm.running_var + net.norm.eps).sqrt()
    g = torch.zeros_like(y)
    g[:, 1] = scale[1] / 144
    x, weight = PICTURE.clone().requires_grad_(), net.conv.weight
    positive = (F.conv2d(x.clamp(min=0), weight.clamp(min=0), net.conv.bias.clamp(min=0), padding=1)
                + F.conv2d(x.clamp(max=0), weight.clamp(max=0), padding=1))
    (slope,) = torch.autograd.grad(positive, x, g * net.conv(PICTURE) / positive.detach())
    close(plus, (PICTURE * slope + PICTURE * g)[0], 1e-11)


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_alpha2_beta1"])
def test_float32_is_float64_but_for_rounding(composite: str) -> None:
    wide = ours(settled(Residual(), dtype=F64), PICTURE, composite=composite)
    close(ours(settled(Residual()), PICTURE.float(), composite=composite), wide, 1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_that_of_the_model_and_not_of_the_rules(dtype: torch.dtype) -> None:
    low = settled(Residual(), dtype=dtype)
    wide = ours(copy.deepcopy(low).double(), PICTURE.to(dtype).double(), composite="epsilon_plus")
    found = ours(low, PICTURE.to(dtype), composite="epsilon_plus")
    assert float((found - wide).norm() / wide.norm()) < 0.05
