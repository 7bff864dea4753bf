"""Class activation maps against their papers, written out slowly in float64, and against peers where they are right.

grad-cam 1.5.7 resizes, cuts off below zero and normalises, so that its maps are compared after the same has been
done to ours. Its Grad-CAM++ adds an absolute 1e-6 below the line, and torchcam 0.5.0 divides a copy of its weights:
both are shown to miss the paper's formula, which ours keeps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle_nets import Residual, ViT, cnn, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.testing.faults import LiveBytes

F64 = torch.float64
LAYERS = {"cnn": ("4", "6"), "residual": ("block1", "block2")}
NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "cnn": (lambda: cnn(seed=1, dtype=F64), (3, 12, 10)), "residual": (lambda: settled(Residual(), 1, F64), (3, 8, 9)),
}
at_every_layer = pytest.mark.parametrize(("net", "layer"), [(n, layer) for n, some in LAYERS.items() for layer in some])


def heard(net: nn.Module, x: Tensor, layer: str, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The gradient at a layer and its value (C, h, w), by plain hooks and autograd."""
    kept: list[Tensor] = []

    def hook(m: nn.Module, a: Any, out: Tensor) -> Tensor:
        kept.append(out)
        return out.clone()

    handle = net.get_submodule(layer).register_forward_hook(hook)
    score = net(x.clone().requires_grad_())[0, target]
    handle.remove()
    (slope,) = torch.autograd.grad(score, kept[0])
    return slope[0].numpy(), kept[0][0].detach().numpy()


# -- the papers' sums, one place at a time

def grad_cam(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    out = np.zeros(a.shape[1:])
    for c in range(len(a)):
        out += g[c].sum() / g[c].size * a[c]
    return out


def grad_cam_plus_plus(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    out = np.zeros(a.shape[1:])
    for c in range(len(a)):
        weight = 0.0
        for i, j in np.ndindex(*a.shape[1:]):
            if g[c, i, j] != 0:
                below = 2 * g[c, i, j] ** 2 + a[c].sum() * g[c, i, j] ** 3
                weight += g[c, i, j] ** 2 / below * max(g[c, i, j], 0.0)
        out += weight * a[c]
    return out


def xgrad_cam(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    out = np.zeros(a.shape[1:])
    for c in range(len(a)):
        if a[c].sum() != 0:
            out += sum(a[c, i, j] / a[c].sum() * g[c, i, j] for i, j in np.ndindex(*a.shape[1:])) * a[c]
    return out


def hires_cam(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    return np.array([[sum(g[:, i, j] * a[:, i, j]) for j in range(a.shape[2])] for i in range(a.shape[1])])


def layer_cam(g: np.ndarray, a: np.ndarray) -> np.ndarray:
    return np.array([[sum(np.maximum(g[:, i, j], 0) * a[:, i, j]) for j in range(a.shape[2])]
                     for i in range(a.shape[1])])


def component(values: np.ndarray) -> np.ndarray:
    """Along the first right singular vector of the centred places × channels; grows with the sum over channels."""
    rows = values.reshape(len(values), -1).T
    rows = rows - rows.mean(0)
    along = rows @ np.linalg.svd(rows, full_matrices=False)[2][0]
    return (along * np.sign(along @ rows.sum(1))).reshape(values.shape[1:])


SLOW: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "grad_cam": grad_cam, "grad_cam_plus_plus": grad_cam_plus_plus, "xgrad_cam": xgrad_cam, "hires_cam": hires_cam,
    "layer_cam": layer_cam, "eigen_cam": lambda g, a: component(a), "eigen_grad_cam": lambda g, a: component(g * a),
}


def close(found: Tensor, true: np.ndarray | Tensor, tolerance: float = 1e-10) -> None:
    true = torch.as_tensor(true)
    assert found.shape == true.shape
    assert float((found - true).abs().max()) <= tolerance * float(true.abs().max())


@at_every_layer
@pytest.mark.parametrize("method", SLOW)
def test_every_map_is_its_papers_sum(method: str, net: str, layer: str) -> None:
    model, shape = NETS[net][0](), NETS[net][1]
    x = normal(1, *shape, seed=3, dtype=F64)
    e = pellucid.explain(model, x, method, layer=layer, target=2)
    close(e.values, SLOW[method](*heard(model, x, layer, 2)))
    assert e.features.name == "map"


def test_a_map_through_a_linear_head_sums_to_the_score() -> None:
    """HiRes-CAM, XGrad-CAM and Grad-CAM agree there; the head's bias is all that is left."""
    model, x = settled(Residual(), 2, F64), normal(1, 3, 8, 8, seed=1, dtype=F64)
    for method in ("hires_cam", "xgrad_cam", "grad_cam"):
        e = pellucid.explain(model, x, method, layer="block2", target=1)
        assert float(e.values.sum()) + float(model.head.bias[1]) == pytest.approx(e.score, abs=1e-10)


def test_eigen_cam_is_the_same_for_every_class_and_says_how_much_it_holds() -> None:
    model, x = cnn(seed=1, dtype=F64), normal(1, 3, 12, 12, seed=3, dtype=F64)
    one, two = (pellucid.explain(model, x, "eigen_cam", layer="6", target=t) for t in (0, 4))
    assert torch.equal(one.values, two.values)
    values = torch.linalg.svdvals((v := torch.as_tensor(heard(model, x, "6", 0)[1]).flatten(1).T) - v.mean(0)) ** 2
    assert one.details["variance"] == pytest.approx(float(values[0] / values.sum()), abs=1e-12)


def test_more_places_than_channels_or_fewer_give_one_component() -> None:
    from pellucid.numbers.principal import principal

    for n, c in ((40, 5), (5, 40), (7, 7)):
        rows = normal(n, c, seed=n, dtype=F64)
        found, share = principal(rows)
        close(found, component(rows.T.reshape(c, n, 1).numpy())[:, 0], 1e-9)
        assert 1 / min(n, c) <= share < 1
    assert principal(torch.ones(4, 3))[1] == 0.0


# -- maps that ask for scores

def test_score_cam_is_the_softmax_over_channels_of_the_masked_scores() -> None:
    model, x, b = cnn(seed=1, dtype=F64), normal(1, 3, 12, 10, seed=3, dtype=F64), torch.full((3, 12, 10), 0.2).double()
    _, a = heard(model, x, "6", 2)
    scores = []
    for channel in torch.as_tensor(a):
        mask = F.interpolate(channel[None, None], (12, 10), mode="bilinear", align_corners=False)[0, 0]
        mask = (mask - mask.min()) / (mask.max() - mask.min()) if mask.max() > mask.min() else 0 * mask
        scores.append(float(model((b + mask * (x[0] - b))[None])[0, 2]) - float(model(b[None])[0, 2]))
    weights = np.exp(scores) / np.exp(scores).sum()
    true = sum(w * channel for w, channel in zip(weights, a, strict=True))
    for chunk in (None, 3):
        close(pellucid.explain(model, x, "score_cam", layer="6", target=2, baseline=b, chunk=chunk).values, true)


def test_the_masks_of_score_cam_are_never_all_at_full_size() -> None:
    class Wide(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, channels, 3, stride=16), nn.Linear(channels, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x).relu().mean((2, 3)))

    peaks = []
    for channels in (16, 128):
        with LiveBytes() as live:
            pellucid.explain(settled(Wide(channels)), normal(1, 1, 64, 64), "score_cam", layer="conv", target=0,
                             chunk=4)
        peaks.append(live.peak)
    # 112 more masks of 64 by 64 would be 1.8 MB more; the layer itself grows by 112 channels of 4 by 4.
    assert peaks[1] - peaks[0] < 3 * 112 * 16 * 4 * 4


@pytest.mark.parametrize("layer", ["0", "6"])
def test_ablation_cam_weighs_by_what_the_score_loses_without_a_channel(layer: str) -> None:
    model, x = cnn(seed=1, dtype=F64), normal(1, 3, 12, 12, seed=3, dtype=F64)
    _, a = heard(model, x, layer, 2)
    true, whole = np.zeros(a.shape[1:]), float(model(x)[0, 2])
    for c in range(len(a)):
        def without(m: nn.Module, args: Any, out: Tensor, c: int = c) -> Tensor:
            return out * (torch.arange(out.shape[1]) != c).reshape(1, -1, 1, 1)

        handle = model.get_submodule(layer).register_forward_hook(without)
        true += (whole - float(model(x)[0, 2])) * a[c]
        handle.remove()
    e = pellucid.explain(model, x, "ablation_cam", layer=layer, target=2)
    close(e.values, true, 1e-9)
    assert e.evidence.prefix_once


def test_a_channel_of_tokens_is_taken_from_all_of_them() -> None:
    model, x = settled(ViT(), 1, F64), normal(1, 3, 12, 12, dtype=F64)
    e = pellucid.explain(model, x, "ablation_cam", layer="blocks.1.norm1", target=2)
    kept: list[Tensor] = []
    handle = model.blocks[1].norm1.register_forward_hook(lambda m, a, out: kept.append(out[0]))
    whole = float(model(x)[0, 2])
    handle.remove()
    true = torch.zeros(3, 3, dtype=F64)
    for c in range(8):
        handle = model.blocks[1].norm1.register_forward_hook(
            lambda m, a, out, c=c: out * (torch.arange(out.shape[-1]) != c))
        true += (whole - float(model(x)[0, 2])) * kept[0][1:, c].reshape(3, 3)
        handle.remove()
    close(e.values, true, 1e-9)


# -- guided

def test_guided_grad_cam_is_guided_backpropagation_where_the_map_is_positive() -> None:
    model, x = settled(Residual(), 1, F64), normal(1, 3, 8, 8, seed=3, dtype=F64)
    e = pellucid.explain(model, x, "guided_grad_cam", layer="block1", target=2)
    coarse = torch.as_tensor(grad_cam(*heard(model, x, "block1", 2))).clamp(min=0)
    handles = [m.register_full_backward_hook(lambda m, given, got: (given[0].clamp(min=0),))
               for m in model.modules() if isinstance(m, nn.ReLU)]
    for m in model.modules():
        if isinstance(m, nn.ReLU):
            m.inplace = False
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf)[0, 2], leaf)
    for handle in handles:
        handle.remove()
    true = slope[0] * F.interpolate(coarse[None, None], (8, 8), mode="bilinear", align_corners=False)[0, 0]
    assert e.elements is not None
    close(e.elements, true)
    close(e.values, true.sum(0))
    smaller = pellucid.explain(model, x, "guided_grad_cam", layer=("stem", "block2"), target=2)
    maps = pellucid.explain(model, x, "grad_cam", layer=("stem", "block2"), target=2)
    assert smaller.elements is not None
    close(smaller.elements, slope[0] * maps.values.clamp(min=0))


# -- maps that say little

class Head(nn.Module):
    """Scores that a convolution's mean raises (0), lowers (1), or that its places share alike (2)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        nn.init.constant_(self.conv.weight, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.conv(x).mean((1, 2, 3))
        return torch.stack([mean, -mean, 0 * mean], 1)


@pytest.mark.parametrize(("target", "flat", "code"), [
    (0, False, None), (1, False, "map.all_negative"), (2, False, "values.all_zero"), (0, True, "map.constant")])
def test_a_map_without_anything_to_see_says_so(target: int, flat: bool, code: str | None) -> None:
    x = torch.ones(1, 1, 4, 4) if flat else normal(1, 1, 4, 4).abs()
    e = pellucid.explain(Head(), x, "grad_cam", layer="conv", target=target)
    assert [f.code for f in e.verdict.findings] == ([] if code is None else [code])


# -- several layers

def test_several_layers_are_divided_by_their_largest_value_resized_and_averaged() -> None:
    model, x = cnn(seed=1, dtype=F64), normal(1, 3, 12, 12, seed=3, dtype=F64)
    for method in ("grad_cam", "layer_cam", "score_cam"):
        one, two = (pellucid.explain(model, x, method, layer=layer, target=2).values for layer in ("1", "6"))
        assert one.shape == (12, 12)
        assert two.shape == (6, 6)
        finer = F.interpolate((two / two.abs().max())[None, None], (12, 12), mode="bilinear", align_corners=False)[0, 0]
        e = pellucid.explain(model, x, method, layer=("1", "6"), target=2)
        close(e.values, (one / one.abs().max() + finer) / 2)
        assert e.recipe["layer"] == ("1", "6")
        assert e.details["layers"] == (("1", float(one.abs().max())), ("6", float(two.abs().max())))
        assert torch.equal(pellucid.explain(model, x, **e.recipe).values, e.values)
        assert torch.equal(pellucid.explain(model, x, method, layer="1,6", target=2).values, e.values)


def test_layers_of_a_vision_transformer_and_of_its_patches_average_over_one_grid() -> None:
    model, x = settled(ViT(), 1, F64), normal(1, 3, 12, 12, dtype=F64)
    e = pellucid.explain(model, x, "hires_cam", layer=("patch", "blocks.0", "blocks.1.norm1"), target=1)
    alone = [pellucid.explain(model, x, "hires_cam", layer=n, target=1).values
             for n in ("patch", "blocks.0", "blocks.1.norm1")]
    close(e.values, sum(m / m.abs().max() for m in alone) / 3)
    assert e.recipe["grid"] == (None, (3, 3), (3, 3))
    assert "blocks.0: 3 by 3 tokens after 1 class token" in e.evidence.chosen["grid"]


# -- the peers

def drawn(values: Tensor, size: tuple[int, int]) -> np.ndarray:
    """As grad-cam draws: nothing below zero, from 0 to 1, resized, from 0 to 1 again."""
    def normalised(v: np.ndarray) -> np.ndarray:
        v = v - v.min()
        return v / (1e-7 + v.max())

    import cv2

    return normalised(cv2.resize(normalised(np.maximum(values.float().numpy(), 0)), (size[1], size[0])))


@pytest.fixture
def theirs(vision: bool) -> Callable[..., np.ndarray]:
    import pytorch_grad_cam as peer

    def asked(name: str, model: nn.Module, x: Tensor, layers: list[str], target: int) -> np.ndarray:
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        model = copy.deepcopy(model).requires_grad_()  # frozen, it has no gradient for them
        with getattr(peer, name)(model=model, target_layers=[model.get_submodule(n) for n in layers]) as cam:
            return cam(input_tensor=x, targets=[ClassifierOutputTarget(target)])[0]

    return asked


PEERS = {"grad_cam": "GradCAM", "hires_cam": "HiResCAM", "layer_cam": "LayerCAM", "xgrad_cam": "XGradCAM"}


@pytest.mark.parametrize("method", PEERS)
def test_equal_to_grad_cam_once_drawn_as_it_draws(method: str, theirs: Callable[..., np.ndarray]) -> None:
    model, x = settled(Residual(), 1), normal(1, 3, 16, 12, seed=3)
    for layer in ("block1", "block2"):
        ours = pellucid.explain(model, x, method, layer=layer, target=2, precision="exact")
        apart = np.abs(drawn(ours.values, (16, 12)) - theirs(PEERS[method], model, x, [layer], 2)).max()
        assert apart <= 1e-5


def test_eigen_cam_is_grad_cams_but_for_the_sign(theirs: Callable[..., np.ndarray]) -> None:
    model, x = settled(Residual(), 1), normal(1, 3, 16, 12, seed=3)
    ours = pellucid.explain(model, x, "eigen_cam", layer="block1", target=2).values
    peer = theirs("EigenCAM", model, x, ["block1"], 2)
    assert min(np.abs(drawn(sign * ours, (16, 12)) - peer).max() for sign in (1, -1)) <= 1e-5


def test_neither_peer_computes_the_papers_grad_cam_plus_plus(theirs: Callable[..., np.ndarray]) -> None:
    """Where gradients are small, grad-cam's 1e-6 outweighs g²; torchcam's weights are Σ g² ReLU(g)."""
    from torchcam import methods

    model, x = settled(Residual(), 1), normal(1, 3, 16, 12, seed=3)
    g, a = (v.astype(float) for v in heard(model, x, "block1", 2))
    with methods.GradCAMpp(copy.deepcopy(model).requires_grad_(), target_layer="block1") as extractor:
        other = extractor(2, extractor.model(x))[0][0].double()

    def shown(v: Tensor) -> Tensor:
        v = v.clamp(min=0)
        return (v - v.min()) / (v.max() - v.min())

    paper = torch.as_tensor(grad_cam_plus_plus(g, a))
    close(pellucid.explain(model, x, "grad_cam_plus_plus", layer="block1", target=2).values.double(), paper, 1e-5)
    undivided = torch.as_tensor(np.einsum("c,cij->ij", (g**2 * np.maximum(g, 0)).sum((1, 2)), a))
    assert float((shown(other) - shown(undivided)).abs().max()) < 1e-4
    assert float((shown(other) - shown(paper)).abs().max()) > 0.01
    with torch.no_grad():
        model.head.weight.mul_(1e-2)
    ours = pellucid.explain(model, x, "grad_cam_plus_plus", layer="block1", target=2)
    close(ours.values.double(), grad_cam_plus_plus(*(v.astype(float) for v in heard(model, x, "block1", 2))), 1e-5)
    peer = theirs("GradCAMPlusPlus", model, x, ["block1"], 2)
    assert np.abs(drawn(ours.values, (16, 12)) - peer).max() > 0.01
