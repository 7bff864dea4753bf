"""Targets beyond classes: regions of a segmentation, boxes of a detector, likeness to an embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle_nets import cnn, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.words import regions
from pellucid.words.boxes import unrun
from pellucid.words.target import read

F64 = torch.float64


class Dense(nn.Module):
    """Scores of three classes at every other pixel; `part` wraps them as larger libraries do."""

    def __init__(self, part: str = "") -> None:
        super().__init__()
        self.part, self.a, self.b = part, nn.Conv2d(2, 5, 3, padding=1, stride=2), nn.Conv2d(5, 3, 1)

    def forward(self, x: Tensor) -> Any:
        out = self.b(torch.tanh(self.a(x)))
        return out if not self.part else {self.part: out, "aux": out * 2}


X = normal(1, 2, 8, 12, dtype=F64)


def slope(net: nn.Module, score: Callable[[Any], Tensor], x: Tensor = X) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(score(net(leaf)), leaf)[0][0]


def explained(net: nn.Module, target: Any, x: Tensor = X) -> Any:
    return pellucid.explain(net, x, "saliency", target=target, absolute=False)


def same(e: Any, net: nn.Module, score: Callable[[Any], Tensor], x: Tensor = X) -> None:
    """The target's score, and its gradient, are those of the function written out by hand."""
    assert e.score == pytest.approx(float(score(net(x))), abs=1e-12)
    torch.testing.assert_close(e.elements, slope(net, score, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("part", ["", "out", "logits"])
def test_a_region_is_the_mean_score_of_a_class_inside(part: str) -> None:
    net = settled(Dense(part), dtype=F64)
    def by_hand(out: Any) -> Tensor:
        return (out[part] if part else out)[0, 2, 1:3, 2:6].mean()
    for target in (pellucid.region((2, 1, 6, 3), 2), "region:2,1,6,3:2"):
        e = explained(net, target)
        same(e, net, by_hand)
        assert e.recipe["target"] == "region:2,1,6,3:2"
        assert e.recipe.replayable
    assert "class 2 in the region 2,1,6,3" in e.target


def test_a_region_in_shares_of_the_picture_cuts_places_by_their_area() -> None:
    net = settled(Dense(), dtype=F64)
    weight = torch.zeros(4, 6, dtype=F64)
    weight[1, 1:3], weight[2, 1:3] = torch.tensor([0.5, 1.0]), torch.tensor([0.5, 1.0])  # x 1.5 to 3, y 1 to 3
    same(explained(net, "region:0.25,0.25,0.5,0.75:1"), net, lambda o: (o[0, 1] * weight).sum() / weight.sum())
    same(explained(net, pellucid.region((0.0, 0.0, 1.0, 1.0), 1)), net, lambda o: o[0, 1].mean())


def test_a_mask_may_have_any_size_and_is_written_in_the_recipe() -> None:
    net = settled(Dense(), dtype=F64)
    mask = normal(8, 12, seed=4) > 0.3
    weight = mask.double().reshape(4, 2, 6, 2).mean((1, 3))
    e = explained(net, pellucid.region(mask, 1))
    same(e, net, lambda o: (o[0, 1] * weight).sum() / weight.sum())
    assert e.recipe["target"].startswith("region:8x12;")
    again = pellucid.explain(net, X, **e.recipe)
    assert torch.equal(again.elements, e.elements)
    same(explained(net, pellucid.region(mask.numpy()[::2, ::2], 1)), net,
         lambda o: o[0, 1][mask[::2, ::2]].mean())


@pytest.mark.parametrize("seed", range(4))
def test_runs_give_back_every_mask(seed: int) -> None:
    mask = normal(5, 7, seed=seed) > (-9, 0.0, 1.0, -1.0)[seed]
    made = pellucid.region(mask, 0)
    assert regions.spelled(made.spelled, ()) == made
    assert torch.equal(unrun(made.where), mask)


def test_regions_and_labels_can_be_contrasted() -> None:
    net = pellucid.wrap(settled(Dense(), dtype=F64), labels=("sky", "road", "tree"))
    e = explained(net, "region:0,0,6,2:road - region:0,2,6,4:sky")
    same(e, net.module, lambda o: o[0, 1, :2].mean() - o[0, 0, 2:].mean())
    pair = explained(net, (pellucid.region((0, 0, 6, 2), "road"), pellucid.region((0, 2, 6, 4), "sky")))
    assert torch.equal(pair.elements, e.elements)
    assert pair.recipe["target"] == ("region:0,0,6,2:road", "region:0,2,6,4:sky")
    assert torch.equal(pellucid.explain(net, X, **pair.recipe).elements, e.elements)
    assert e.target.startswith("road in the region 0,0,6,2 rather than sky")


def test_every_kind_of_method_asks_about_a_region() -> None:
    net = settled(Dense(), dtype=F64)
    linear = settled(nn.Sequential(nn.Conv2d(2, 3, 1)), dtype=F64)
    weight = linear[0].weight[1, :, 0, 0]
    for method in ("integrated_gradients", "kernel_shap"):
        e = pellucid.explain(linear, X, method, target="region:0,0,4,4:1", features="channels")
        torch.testing.assert_close(e.values, weight * X[0, :, :4, :4].mean((1, 2)), rtol=1e-9, atol=1e-12)
        assert e.residual == pytest.approx(0, abs=1e-9)
    e = pellucid.explain(net, X, "grad_cam", layer="a", target="region:2,1,6,3:2")
    assert tuple(e.values.shape) == (4, 6)


# -- boxes

class Detector(nn.Module):
    """Three boxes a row: two of label 1 near one place, one of label 2."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.body = kind, nn.Linear(5, 3 * 9)

    def forward(self, x: Tensor) -> Any:
        made = 0.3 * torch.tanh(self.body(x)).unflatten(1, (3, 9))
        corner = torch.tensor([[10.0, 10.0], [12.0, 9.0], [11.0, 12.0]], dtype=x.dtype) + made[..., :2]
        size = 10 + made[..., 2:4]
        if self.kind == "detr":
            return {"logits": made[..., 4:8] * 5, "pred_boxes": torch.cat([(corner + size / 2), size], -1) / 40}
        out = {"boxes": torch.cat([corner, corner + size], -1), "scores": torch.sigmoid(made[..., 4]),
               "labels": torch.tensor([1, 1, 2]).expand(len(x), 3)}
        return out if self.kind == "dict" else [{k: v[i] for k, v in out.items()} for i in range(len(x))]


def iou(a: Tensor, b: tuple[float, ...]) -> Tensor:
    """Of two boxes, by their sides."""
    wide = torch.minimum(a[2], torch.tensor(b[2])) - torch.maximum(a[0], torch.tensor(b[0]))
    high = torch.minimum(a[3], torch.tensor(b[3])) - torch.maximum(a[1], torch.tensor(b[1]))
    shared = wide.clamp(min=0) * high.clamp(min=0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


V = normal(1, 5, dtype=F64)
HERE = (10.0, 10.0, 20.0, 20.0)


@pytest.mark.parametrize("kind", ["dict", "rows"])
def test_a_box_is_the_score_of_the_boxes_that_overlap_it_weighed_by_how_much(kind: str) -> None:
    net = settled(Detector(kind), dtype=F64)

    def by_hand(out: Any) -> Tensor:
        row = {k: v[0] for k, v in out.items()} if kind == "dict" else out[0]
        near = [iou(row["boxes"][k], HERE) for k in range(3)]
        assert all(n > 0.5 for n in near)  # the third too, but it is another object
        return sum(near[k] * row["scores"][k] for k in (0, 1))

    for target in (pellucid.box(HERE, 1), "box:10,10,20,20:1"):
        e = explained(net, target, V)
        same(e, net, by_hand, V)
        assert e.recipe["target"] == ("box:10,10,20,20:1" if isinstance(target, str) else "box:10.0,10.0,20.0,20.0:1")
    best = explained(net, "box:10,10,20,20:1@0.8", V)
    same(best, net, lambda out: (lambda r: iou(r["boxes"][0], HERE) * r["scores"][0])(
        {k: v[0] for k, v in out.items()} if kind == "dict" else out[0]), V)
    assert best.recipe["target"].endswith(":1@0.8")


@pytest.mark.parametrize("sigmoid", [False, True])
def test_a_box_of_a_detection_transformer_is_read_in_shares_of_the_picture(sigmoid: bool) -> None:
    net, where = settled(Detector("detr"), dtype=F64), (0.25, 0.25, 0.5, 0.5)

    def by_hand(out: Any) -> Tensor:
        total = torch.zeros((), dtype=F64)
        for q in range(3):
            x, y, w, h = out["pred_boxes"][0, q]
            near = iou(torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2]), where)
            logits = out["logits"][0, q]
            score = logits[2].sigmoid() if sigmoid else (logits - logits.logsumexp(0))[2].exp()
            total = total + (near * score if near >= 0.5 else 0)
        return total

    e = explained(net, pellucid.box(where, 2, sigmoid=sigmoid), V)
    same(e, net, by_hand, V)
    assert torch.equal(pellucid.explain(net, V, **e.recipe).elements, e.elements)


def test_an_object_that_a_perturbed_row_no_longer_shows_has_the_score_zero() -> None:
    class Shy(nn.Module):
        def forward(self, x: Tensor) -> Any:
            far = (x.sum(1, keepdim=True) < 1.5).to(x) * 30
            return {"boxes": torch.cat([far, far, far + 4, far + 4], 1)[:, None], "labels": torch.ones(len(x), 1),
                    "scores": torch.full((len(x), 1), 0.8, dtype=x.dtype)}

    e = pellucid.explain(Shy(), torch.ones(1, 2, dtype=F64), "ablation", target="box:0,0,4,4:1")
    assert e.values.tolist() == pytest.approx([0.8, 0.8])


def test_real_detectors_and_segmentation_models_are_read(vision: bool) -> None:
    import transformers

    net = settled(transformers.YolosForObjectDetection(transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=[32, 32],
        patch_size=8, num_detection_tokens=4, num_labels=3)))
    x = normal(1, 3, 32, 32)
    out = net(x)
    cx, cy, w, h = out.pred_boxes[0, 2].tolist()
    near = (max(cx - w / 2, 0), max(cy - h / 2, 0), cx + w / 2, cy + h / 2)
    e = pellucid.explain(net, x, "saliency", target=pellucid.box(near, 1, iou=0.6))
    assert e.score >= 0.9 * float(out.logits[0, 2].softmax(-1)[1])
    assert e.values.any()
    dense = settled(transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3],
        strides=[4, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=8, num_labels=4)))
    e = pellucid.explain(dense, x, "grad_cam", target="region:0.5,0.0,1.0,1.0:3",
                         layer="decode_head.batch_norm")
    assert e.score == pytest.approx(float(dense(x).logits[0, 3, :, 4:].mean()), rel=1e-5)


# -- embeddings

def test_likeness_is_the_cosine_with_a_given_embedding() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 8, 8, dtype=F64)
    other = net(normal(1, 3, 8, 8, seed=5, dtype=F64))
    def by_hand(out: Tensor) -> Tensor:
        return (out[0] @ other[0]) / (out[0].norm() * other[0].norm())
    for target in (pellucid.similar(other), pellucid.similar(other[0].numpy()),
                   "similar:" + ",".join(map(repr, other[0].tolist()))):
        e = explained(net, target, x)
        same(e, net, by_hand, x)
        assert read(e.recipe["target"]) == pellucid.similar(other)
    assert explained(net, pellucid.similar(net(x)), x).score == pytest.approx(1)


def test_likeness_to_a_layers_embedding() -> None:
    net, x = cnn(dtype=F64), normal(1, 3, 8, 8, dtype=F64)
    other = np.arange(32) - 9.5
    e = explained(net, pellucid.similar(other, layer="8"), x)
    value = net[:9](x)[0]
    assert e.score == pytest.approx(float(F.cosine_similarity(value, torch.as_tensor(other), 0)))
    assert e.recipe["target"].endswith("@8")
    assert torch.equal(pellucid.explain(net, x, **e.recipe).elements, e.elements)


def test_a_contrast_within_a_contrast_is_settled_on_the_clean_example_too() -> None:
    """What is asked beside a contrast with the predicted class waits for the same prediction."""
    from pellucid.words.target import Class, Contrast, Predicted

    inner = Contrast(Predicted(), Class(1))
    (settled,) = Contrast(Class(0), inner).settle(torch.tensor([[0.0, 1.0, 2.0]]))
    assert isinstance(settled.that, Contrast)
    assert settled.that.this.key == Class(2).key
    assert settled.this.key == Class(0).key
