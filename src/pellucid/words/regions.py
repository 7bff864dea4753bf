"""Targets in outputs that are more than classes: a region of a dense output, a box of a detector, an embedding.

Each can be written as text, which is also what a recipe keeps: `region:10,20,80,90:road`, `box:10,20,80,90:cat`,
`similar:0.1,-0.3,0.9`. A box is x0, y0, x1, y1, to the right and downwards, the far edges left out.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.words.boxes import Corners, comma, corners, inside, numbers, overlaps, runs, unrun
from pellucid.words.errors import TargetError, nearest
from pellucid.words.outputs import parts
from pellucid.words.site import Site

IOU = 0.5
"""Boxes overlap at least so much (intersection over union) to be the box that is meant."""


@dataclass(frozen=True)
class Region:
    """The mean score of a class inside a part of a dense output (rows, classes, height, width).

    Where `where` is a box of whole numbers, these count places of the output; fractions are shares of its
    height and width. A mask is kept as its runs (height, width, then how many places are out, in, out, …)
    and is resized to the output by areas.
    """

    where: Corners | tuple[int, ...]
    label: int | str
    masked: bool = False
    of: Site | None = None
    whole: bool = True

    @property
    def key(self) -> Hashable:
        return ("region", self.where, self.masked, self.label)

    @property
    def spelled(self) -> str:
        """What `target=` takes instead."""
        if not self.masked:
            return f"region:{comma(self.where)}:{self.label}"
        height, width, *lengths = self.where
        return f"region:{height}x{width};{comma(lengths)}:{self.label}"

    def named(self, labels: Sequence[str]) -> Region:
        return replace(self, label=_index(self.label, labels))

    def score(self, value: Any) -> Tensor:
        dense = _dense(value)
        _known(self.label, dense.shape[1])
        weights = self._weights(dense.shape[2], dense.shape[3]).to(dense)
        return (dense[:, int(self.label)] * weights).sum((1, 2)) / weights.sum()

    def _weights(self, height: int, width: int) -> Tensor:
        """How much of each place of the output is inside, (height, width)."""
        if self.masked:
            mask = unrun([int(v) for v in self.where]).double()
            return F.interpolate(mask[None, None], (height, width), mode="area")[0, 0]
        x0, y0, x1, y1 = self.where
        shares = any(isinstance(v, float) for v in self.where)
        if not shares and (x1 > width or y1 > height):
            raise TargetError("target.outside", f"the region {comma(self.where)} in an output of {height} by {width}",
                              f"x up to {width} and y up to {height}",
                              "count places of the output, or give fractions such as 0.25,0.25,0.75,0.75")
        (x0, x1), (y0, y1) = ((a * n, b * n) if shares else (a, b) for a, b, n in ((x0, x1, width), (y0, y1, height)))
        return inside(y0, y1, height)[:, None] * inside(x0, x1, width)

    def describe(self, labels: Sequence[str]) -> str:
        where = "a masked region" if self.masked else f"the region {comma(self.where)}"
        return f"{_label(self.label, labels)} in {where}"


@dataclass(frozen=True)
class Box:
    """Σ IoU · score over the boxes of a label that overlap a given one enough: an object that a detector found.

    Outputs: `boxes`, `labels` and `scores` per row (tensors, or one mapping per row), boxes as x0, y0, x1, y1;
    or `pred_boxes` (centre and size, as shares of the picture) with `logits`, whose softmax over classes (with
    `sigmoid`: each class by itself) is the score. On the clean example at least one box must match.
    """

    box: Corners
    label: int | str
    iou: float = IOU
    sigmoid: bool = False
    open: bool = True
    of: Site | None = None
    whole: bool = True

    @property
    def key(self) -> Hashable:
        return ("box", self.box, self.label, self.iou, self.sigmoid, self.open)

    @property
    def spelled(self) -> str:
        """What `target=` takes instead."""
        how = ("" if self.iou == IOU else f"@{self.iou:g}") + ("@sigmoid" if self.sigmoid else "")
        return f"box:{comma(self.box)}:{self.label}{how}"

    @property
    def closed(self) -> Box:
        """The same where it is known that a box matches."""
        return replace(self, open=False)

    def named(self, labels: Sequence[str]) -> Box:
        return replace(self, label=_index(self.label, labels))

    def score(self, value: Any) -> Tensor:
        return torch.stack([(overlap * (overlap >= self.iou) * scores).sum() for overlap, scores in self._rows(value)])

    def settle(self, value: Any) -> list[Box]:
        """The target of every row, once a box of its label is where it should be."""
        rows = self._rows(value)
        for overlap, scores in rows:
            best = float((overlap * (scores > 0)).max()) if overlap.numel() else 0.0
            if best < self.iou:
                raise TargetError(
                    "target.no_box", f"no box of {self.label} that overlaps {comma(self.box)} by {self.iou:g} (the "
                    f"best by {best:.2f})", "a box that the model found", "give the corners of a detection, a smaller "
                    "iou, or another label")
        return [self.closed] * len(rows)

    def _rows(self, value: Any) -> list[tuple[Tensor, Tensor]]:
        """For each row the overlaps of its boxes, and their scores for the label (0 for boxes of others)."""
        if isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
            return [pair for row in value for pair in self._found({k: v[None] for k, v in parts(row).items()})]
        return self._found(parts(value))

    def _found(self, found: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        wanted, label = torch.tensor(self.box, dtype=torch.float64), int(self.label)
        if {"pred_boxes", "logits"} <= set(found):
            logits, boxes = found["logits"], found["pred_boxes"]
            if max(self.box) > 1:
                raise TargetError("target.outside", f"the box {comma(self.box)} for boxes in shares of the picture",
                                  "numbers from 0 to 1", "divide x by the picture's width and y by its height")
            _known(label, logits.shape[-1])
            scores = (logits.sigmoid() if self.sigmoid else logits.softmax(-1))[..., label]
            centre, half = boxes[..., :2], boxes[..., 2:] / 2
            edges = torch.cat([centre - half, centre + half], -1)
        elif {"boxes", "labels", "scores"} <= set(found):
            edges, scores = found["boxes"], found["scores"] * (found["labels"] == label)
        else:
            raise TargetError("target.no_boxes", f"an output with {', '.join(found) or 'no tensors'}",
                              "boxes, labels and scores, or pred_boxes and logits",
                              "explain a detector, or name the number: target=lambda output: ...")
        return list(zip(overlaps(edges, wanted.to(edges)), scores, strict=True))

    def describe(self, labels: Sequence[str]) -> str:
        return f"{_label(self.label, labels)} in the box {comma(self.box)}"


@dataclass(frozen=True)
class Similar:
    """The cosine between an embedding (rows, size) and a given one: why are these two alike?"""

    vector: tuple[float, ...]
    of: Site | None = None

    @property
    def key(self) -> Hashable:
        return ("similar", self.vector, self.of)

    @property
    def spelled(self) -> str:
        """What `target=` takes instead."""
        return f"similar:{comma(self.vector)}" + ("" if self.of is None else f"@{self.of}")

    def score(self, value: Tensor) -> Tensor:
        if value.dim() != 2 or value.shape[1] != len(self.vector):
            raise TargetError("target.size", f"an embedding of shape {tuple(value.shape[1:])}",
                              f"({len(self.vector)},), as the vector to compare with",
                              "take both from the same layer of the same model")
        return F.cosine_similarity(value, torch.tensor(self.vector, dtype=torch.float64).to(value)[None])

    def describe(self, labels: Sequence[str]) -> str:
        return f"likeness to a given embedding of {len(self.vector)}"


def region(where: Any, label: int | str) -> Region:
    """A target: the mean score of a class inside a box or a mask of a dense output (rows, classes, height, width).

    `where` is a box (x0, y0, x1, y1), in places of the output if whole numbers and in shares of its width
    and height if fractions; or a mask (height, width) of any size, True inside.
    """
    if isinstance(where, Tensor) or hasattr(where, "__array__"):
        mask = torch.as_tensor(where).detach().cpu()
        mask = mask[0] if mask.dim() == 3 and len(mask) == 1 else mask
        if mask.dim() != 2 or not bool((mask != 0).any()):
            raise TargetError("target.region", f"a mask of shape {tuple(mask.shape)} with "
                              f"{int((mask != 0).sum())} places inside", "(height, width), some of it inside",
                              "mark what is meant with True")
        return Region(runs(mask != 0), _checked(label), True)
    return Region(corners(where, "target.region", shares=True), _checked(label))


def box(where: Any, label: int | str, iou: float = IOU, *, sigmoid: bool = False) -> Box:
    """A target: a detector's score for an object, Σ IoU · score over its boxes of that label near the given one.

    `where` is (x0, y0, x1, y1) in the coordinates of the model's own boxes; for DETR-like outputs in shares of the
    picture. Boxes count from an overlap of `iou` (above 0, up to 1). `sigmoid` is for detectors whose
    logits are scored one class at a time.
    """
    if isinstance(iou, bool) or not isinstance(iou, int | float) or not 0 < iou <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TargetError("target.box", f"iou={iou!r}", "above 0, up to 1", "try 0.5")
    return Box(corners(where, "target.box"), _checked(label), float(iou), bool(sigmoid))


def similar(vector: Any, layer: str | None = None) -> Similar:
    """A target: the cosine between the model's embedding (rows, size), or a layer's, and a given one."""
    try:
        value = torch.as_tensor(vector, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        value = torch.zeros(0)
    value = value[0] if value.dim() == 2 and len(value) == 1 else value
    if value.dim() != 1 or not value.numel() or not bool(value.isfinite().all()) or not bool(value.any()):
        raise TargetError("target.vector", f"a vector of shape {tuple(value.shape)}" if value.numel() else "no vector",
                          "finite numbers (size,), not all zero", "give the embedding of one other input")
    return Similar(tuple(value.tolist()), None if layer is None else Site.parse(layer))


KINDS = ("region", "box", "similar")
"""What a spelled target may begin with."""


def spelled(text: str, labels: Sequence[str]) -> Region | Box | Similar:
    """`region:x0,y0,x1,y1:LABEL`, `region:HxW;RUNS:LABEL`, `box:x0,y0,x1,y1:LABEL[@IOU][@sigmoid]`,
    `similar:V,V,…[@LAYER]`.
    """
    kind, _, rest = text.partition(":")
    where, _, label = (p.strip() for p in rest.partition(":"))
    wrong = TargetError(
        f"target.{'vector' if kind == 'similar' else kind}", repr(text[:60]),
        "similar:NUMBER,NUMBER,…" if kind == "similar" else f"{kind}:x0,y0,x1,y1:LABEL",
        "write for example " + {"region": "'region:0.25,0.25,0.75,0.75:3'", "box": "'box:10,20,80,90:cat'",
                                "similar": "'similar:0.1,-0.3,0.9'"}[kind])
    if kind == "similar":
        vector, _, layer = rest.partition("@")
        return similar(numbers(vector, wrong), layer or None)
    if not label:
        raise wrong
    how: list[str] = []
    while kind == "box" and label not in labels and (tail := re.fullmatch(r"(.+)@(sigmoid|[0-9.]+)", label)):
        label, how = tail[1], [*how, tail[2]]
    shape = re.fullmatch(r"(\d+)x(\d+);([\d,]+)", where)
    if kind == "region" and shape:
        sizes = [int(shape[1]), int(shape[2]), *map(int, shape[3].strip(",").split(","))]
        if sum(sizes[2:]) != sizes[0] * sizes[1]:
            raise wrong
        return region(unrun(sizes), label).named(labels)
    place = numbers(where, wrong)
    if kind == "region":
        return region(place, label).named(labels)
    overlap = next((numbers(h, wrong)[0] for h in how if h != "sigmoid"), IOU)
    return box(place, label, overlap, sigmoid="sigmoid" in how).named(labels)


def _dense(value: Any) -> Tensor:
    """The scores (rows, classes, height, width) in an output: a tensor, `logits`, `out`, or the only such part."""
    found = {k: v for k, v in parts(value).items() if v.dim() == 4 and v.is_floating_point()}
    chosen = next((found[k] for k in ("", "logits", "out") if k in found), None)
    if chosen is None and len(found) == 1:
        chosen = next(iter(found.values()))
    if chosen is None:
        told = ", ".join(f"{k or 'a tensor'} {tuple(v.shape)}" for k, v in parts(value).items())
        raise TargetError("target.not_dense", f"an output with {told or 'no tensors'}",
                          "one part (rows, classes, height, width)",
                          "explain a segmentation model, or name the number: target=lambda output: ...")
    return chosen


def _checked(label: Any) -> int | str:
    if isinstance(label, bool) or not isinstance(label, int | str) or (isinstance(label, int) and label < 0):
        raise TargetError("target.unreadable", f"the label {label!r}", "a class number from 0, or a label",
                          "say which class is meant")
    return label


def _index(label: int | str, labels: Sequence[str]) -> int:
    """A label's number."""
    if isinstance(label, int):
        return label
    if label in labels:
        return list(labels).index(label)
    if label.isdigit():
        return int(label)
    raise TargetError("target.unknown", repr(label), "a label or a class number",
                      nearest(label, labels) if labels else "this model has no labels: give a class number")


def _known(label: int | str, count: int) -> None:
    if not 0 <= int(label) < count:
        raise TargetError("target.out_of_range", f"class {label}", f"0 to {count - 1}", "choose a class the model has")


def _label(label: int | str, labels: Sequence[str]) -> str:
    return labels[label] if isinstance(label, int) and label < len(labels) else f"class {label}"
