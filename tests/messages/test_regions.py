"""Regions, boxes, embeddings and layers that cannot be meant are refused by code; nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from refusal import refused
from torch import Tensor, nn

import pellucid


class Says(nn.Module):
    """A model that returns whatever is made of its input."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.make, self.linear = make, nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Any:
        return self.make(self.linear(x))


X = torch.tensor([[0.5, -1.0, 2.0, 0.25]])
DENSE = Says(lambda h: h.unflatten(1, (3, 2, 2)))
VECTOR = Says(lambda h: h)
TWO = Says(lambda h: {"a": h.unflatten(1, (3, 2, 2)), "b": h.unflatten(1, (3, 2, 2))})
BOXES = Says(lambda h: {"boxes": h[:, None, :4].abs().cumsum(2), "scores": h[:, 4:5].abs(),
                        "labels": torch.ones(len(h), 1)})
DETR = Says(lambda h: {"pred_boxes": h[:, None, :4].sigmoid(), "logits": h[:, None, 4:8]})


@pytest.mark.parametrize(("code", "make"), [
    ("target.region", lambda: pellucid.region((4, 4, 2, 8), 0)),
    ("target.region", lambda: pellucid.region((0, 0, 2), 0)),
    ("target.region", lambda: pellucid.region((0.5, 0.0, 3.0, 1.0), 0)),
    ("target.region", lambda: pellucid.region("left", 0)),
    ("target.region", lambda: pellucid.region(torch.zeros(3, 4), 0)),
    ("target.region", lambda: pellucid.region(torch.ones(3), 0)),
    ("target.unreadable", lambda: pellucid.region((0, 0, 1, 1), -1)),
    ("target.unreadable", lambda: pellucid.box((0, 0, 1, 1), None)),
    ("target.box", lambda: pellucid.box((0, 0, float("nan"), 1), 0)),
    ("target.box", lambda: pellucid.box((0, 0, 1, 1), 0, iou=0)),
    ("target.box", lambda: pellucid.box((0, 0, 1, 1), 0, iou=True)),
    ("target.vector", lambda: pellucid.similar([0.0, 0.0])),
    ("target.vector", lambda: pellucid.similar([1.0, float("inf")])),
    ("target.vector", lambda: pellucid.similar([])),
    ("target.vector", lambda: pellucid.similar("abc")),
    ("target.vector", lambda: pellucid.similar(torch.ones(2, 3))),
])
def test_what_can_be_no_region_box_or_vector_is_refused_when_it_is_made(code: str, make: Callable[[], Any]) -> None:
    refused(code, make)


@pytest.mark.parametrize(("target", "code"), [
    ("region:1,2,3:0", "target.region"), ("region:0,0,1,1", "target.region"), ("region:a,b,c,d:0", "target.region"),
    ("region:2x2;1,1:0", "target.region"), ("region:0,0,1,1:sky", "target.unknown"), ("box:0,0,1:0", "target.box"),
    ("region:0,0,1,1:7", "target.out_of_range"), ("region:0,0,5,1:0", "target.outside"),
    ("box:0,0,1,1:0@2", "target.box"), ("box:0,0,1,1:0", "target.no_boxes"), ("similar:1,b", "target.vector"),
    ("similar:1,2,3", "target.size"), ("similar:", "target.vector"), ("0 - region:0,0,1,1:1", "target.unreadable"),
    (0, "target.needed"),
])
def test_a_target_that_a_dense_output_does_not_have_is_refused(target: Any, code: str) -> None:
    refused(code, lambda: pellucid.explain(DENSE, X, "saliency", target=target))


@pytest.mark.parametrize(("net", "target", "code"), [
    (VECTOR, "region:0,0,1,1:0", "target.not_dense"), (TWO, "region:0,0,1,1:0", "target.not_dense"),
    (VECTOR, "box:0,0,1,1:0", "target.no_boxes"), (VECTOR, "similar:1,2", "target.size"),
    (BOXES, "box:50,50,60,60:1", "target.no_box"), (BOXES, "box:0,0,9,9:2", "target.no_box"),
    (DETR, "box:0,0,20,20:1", "target.outside"), (DETR, "box:0.0,0.0,1.0,1.0:9", "target.out_of_range"),
])
def test_a_target_of_another_kind_of_model_is_refused(net: nn.Module, target: str, code: str) -> None:
    error = refused(code, lambda: pellucid.explain(net, X, "saliency", target=target))
    if code == "target.no_box":
        assert "the best by 0." in error.found


def test_one_example_without_its_box_does_not_take_the_others_along() -> None:
    side = float(BOXES(X)["boxes"].detach()[0, 0, 2:].max())
    found = pellucid.explain(BOXES, torch.cat([X, 9 * X]), "saliency",
                             target=[pellucid.box((0, 0, side, side), 1, iou=0.001), "box:900,900,990,990:1"])
    assert isinstance(found[0], pellucid.Explanation)
    assert found[1].code == "target.no_box"


NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                    nn.Linear(4, 2)).eval()
PICTURE = torch.ones(1, 3, 9, 9)


@pytest.mark.parametrize(("options", "code"), [
    ({"layer": ("0", "0")}, "option.value"), ({"layer": ()}, "option.value"), ({"layer": 3}, "option.value"),
    ({"layer": "0,"}, "option.value"), ({"layer": ("0", 2)}, "option.value"), ({"layer": ("0", "9")}, "layer.unknown"),
    ({"layer": ("0", "2"), "grid": ((3, 3),)}, "option.value"), ({"layer": "5"}, "layer.no_places"),
    ({"layer": "3"}, "layer.no_places"), ({"layer": "0", "grid": (2, 2)}, "layer.no_places"),
])
def test_layers_that_make_no_map_are_refused(options: dict[str, Any], code: str) -> None:
    refused(code, lambda: pellucid.explain(NET, PICTURE, "grad_cam", target=0, **options))


def test_maps_of_lines_and_of_pictures_are_not_averaged() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.line, self.head = nn.Conv2d(3, 4, 3), nn.Conv1d(4, 4, 3), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.line(self.conv(x).mean(3)).mean(2))

    refused("option.value", lambda: pellucid.explain(Both(), PICTURE, "grad_cam", target=0, layer=("conv", "line")))


def test_methods_over_pictures_say_what_they_need() -> None:
    texts = nn.Sequential(nn.Embedding(9, 4), nn.Conv1d(5, 3, 1), nn.Flatten(), nn.Linear(12, 2))
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    subject = pellucid.wrap(texts, site="0")
    refused("method.unfit", lambda: pellucid.explain(subject, ids, "score_cam", target=0, layer="1"))
    refused("method.unfit", lambda: pellucid.explain(subject, ids, "full_grad", target=0))
    smooth = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    refused("method.unfit", lambda: pellucid.explain(smooth, PICTURE, "guided_grad_cam", target=0, layer="0"))
    for options in ({"rescale": "both"}, {"grid": (None,)}):
        refused("option.value",
                lambda options=options: pellucid.explain(NET, PICTURE, "full_grad", target=0, **options))
