"""The verb: craft(model, images, layer), which concepts a layer is made of, and how much each matters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.choices import places
from pellucid.concepts import case_of, evidence_of, usual
from pellucid.engine import interrupt, memory
from pellucid.engine.run import run, surveyed
from pellucid.engine.settings import Settings
from pellucid.explain import wrapped
from pellucid.look import Layer, layer_of
from pellucid.methods.craft import Box, Crops, Weight, boxes, enlarged, regions, weighed
from pellucid.models.subject import Example, Subject
from pellucid.numbers.factorisation import Factors, factorised
from pellucid.provenance import Provenance
from pellucid.words.craft import Craft, Crop, Part
from pellucid.words.errors import LayerError, OptionError, PellucidError
from pellucid.words.explanation import Finding
from pellucid.words.method import AUTO
from pellucid.words.size import size
from pellucid.words.target import read

SHARE = 0.3
"""A crop's side as a share of the picture's shorter one: 64 pixels of 224 in the paper."""

APART = 0.9
"""A part that another start finds with a lower cosine than this hangs on the start."""


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to hold the activations of all crops")
def craft(
    subject: Subject | nn.Module,
    images: Any,
    layer: str = AUTO,
    target: Any = None,
    *,
    number: int = 8,
    crop: int | None = None,
    enlarge: bool = False,
    designs: int = 128,
    starts: int = 3,
    keep: int = 6,
    seed: int = 0,
    budget: int | str | None = None,
    chunk: int | None = None,
    precision: str = "exact",
    progress: Callable[[int, int], None] | None = None,
) -> Craft:
    """Which concepts is a layer made of, and how much does each matter for the target?

    The layer's activations inside squares of `crop` pixels (0.3 of the shorter side if left out), half a square apart,
    each averaged over its places, are factorised into `number` non-negative parts, the best of `starts` random starts.
    With `enlarge` each square is an input of its own, enlarged to the whole, as in the paper. Importance is the total
    Sobol index of each part's amount in whole inputs, from `designs` · (number + 1) scores an input (Jansen's estimate
    over Sobol points, scrambled anew for each input, which its error counts in). `keep` crops are kept of each part.
    `images` should be of one class, that of `target`. The others are as in `explain`.

    Raises `layer.negative` where activations are below zero (behind a GELU, before a ReLU), `craft.few` where there are
    fewer crops than parts, `layer.no_places`, `layer.unknown`, `layer.not_reached`.

    arXiv:2211.10154. Departs from it: squares are read where they are (a network sees an enlarged one at a scale that
    it may never have learnt: on `demo:digits` the parts of enlarged squares miss the watermark); what no part explains
    stays in the activation instead of being dropped, so that the score with all parts is the model's own; hierarchical
    least squares instead of multiplicative updates; several starts, which say how far a part was found again.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    if number < 2 or designs < 8 or starts < 1 or keep < 0:
        raise OptionError("option.value", f"number={number}, designs={designs}, starts={starts}, keep={keep}",
                          "2 parts, 8 designs, 1 start or more", "leave them out for 8, 128 and 3")
    settings = Settings(None if budget is None else size(budget), chunk, False, progress, False, precision)
    many = subject.split(images)
    examples = [subject.read(r) for r in ([images] if many is None else many)]
    if not examples or examples[0].x is None or examples[0].x.dim() != 3:
        raise OptionError("craft.pictures", "no pictures" if not examples else "inputs that are no pictures",
                          "pictures (channels, rows, columns)", "concepts of texts and rows are tested by tcav")
    if len({e.carrier.signature for e in examples}) > 1:
        raise OptionError("craft.sizes", "pictures of several sizes", "one size", "resize them to one")
    goal = read(target, subject.labels)
    name = usual(subject, examples[0]) if layer == AUTO else layer
    laid = layer_of(subject, places.Places(subject, examples[0]), name,
                    surveyed(subject.module, examples[0].carrier, subject.facts))
    cut = [_boxes(e, crop) for e in examples]
    over = (0, 0) if enlarge else _places(laid)
    asked = [enlarged(case_of(e, goal), Crops(b), laid.site, laid.axis) if enlarge
             else regions(case_of(e, goal), Crops(b), laid.site, laid.axis, over, laid.before)
             for e, b in zip(examples, cut, strict=True)]
    found, first = run(subject.module, asked, facts=subject.facts, settings=settings)
    _raised(found)
    every = torch.cat(found)
    _checked(every, laid, number)
    parts = factorised(every, number, seed=seed, starts=starts)
    told, second = run(subject.module, [weighed(case_of(e, goal), laid.site, laid.axis, parts.parts, designs,
                                               seed * 1009 + k) for k, e in enumerate(examples)],
                       facts=subject.facts, settings=settings)
    _raised(told)
    second.passes, second.forwards = first.passes + second.passes, first.forwards + second.forwards
    second.seconds += first.seconds
    return _record(subject, examples, cut, laid, parts, told, goal.describe(subject.labels), keep, seed,
                   evidence_of(second))


def _places(laid: Layer) -> tuple[int, int]:
    """The rows and columns of a layer's places."""
    found = laid.grid or (tuple(s for a, s in enumerate(laid.shape) if a != laid.axis) if laid.kind == "places" else ())
    if len(found) != 2:
        raise LayerError("layer.no_places", f"{laid.name} of shape {laid.shape}", "a layer with rows and columns",
                         "choose an earlier layer, or enlarge=True")
    return found[0], found[1]


def _boxes(example: Example, crop: int | None) -> tuple[Box, ...]:
    assert example.x is not None
    height, width = example.x.shape[1:]
    side = max(2, round(SHARE * min(height, width))) if crop is None else crop
    if not 2 <= side <= min(height, width):
        raise OptionError("option.value", f"crop={crop}", f"2 to {min(height, width)} pixels", "leave it out")
    return boxes(height, width, side, max(1, side // 2))


def _raised(answers: list[Any]) -> None:
    for answer in answers:
        if isinstance(answer, PellucidError):
            raise answer


def _checked(every: Tensor, laid: Layer, number: int) -> None:
    low = float(every.min())
    if low < 0:
        raise LayerError("layer.negative", f"means as low as {low:.3g} at {laid.name}", "activations that are never "
                         "below zero", "choose a layer that ends with a ReLU")
    if len(every) < 2 * number or every.shape[1] < number:
        raise OptionError("craft.few", f"{len(every)} crops of {every.shape[1]} channels for {number} parts",
                          f"at least {2 * number} crops and {number} channels", "give more images, or fewer parts")


def _record(subject: Subject, examples: list[Example], cut: list[tuple[Box, ...]], laid: Layer, factors: Factors,
            told: list[Weight], target: str, keep: int, seed: int, evidence: Any) -> Craft:
    importance = torch.stack([w.importance for w in told])
    effect, maps = torch.stack([w.effect for w in told]), torch.stack([w.amounts.float().cpu() for w in told])
    order = importance.mean(0).argsort(descending=True, stable=True).tolist()
    # Points are scrambled anew for each input, so that what they err by is in the spread between inputs already; few
    # inputs, or ones that are alike by luck, may show less of it than the scrambles of each tell.
    spread = torch.stack([w.error.square() for w in told]).mean(0)
    if len(told) > 1:
        spread = torch.maximum(spread, importance.var(0))
    spread = (spread / len(told)).sqrt()
    owner = [(k, box) for k, some in enumerate(cut) for box in some]
    parts = tuple(Part(
        rank + 1, float(importance[:, k].mean()), float(spread[k]), float(effect[:, k].mean()), float(factors.same[k]),
        factors.parts[k].float().cpu(), _best(factors.amounts[:, k].tolist(), owner, examples, keep))
        for rank, k in enumerate(order))
    findings: list[Finding] = []
    loose = [p.number for p in parts if p.same < APART]
    if loose:
        findings.append(Finding("craft.start", "warn", "another start found other parts in the place of "
                                + ", ".join(map(str, loose)), "ask for fewer parts, or give more images"))
    shape = list(laid.shape)
    grid = laid.grid or tuple(s for a, s in enumerate(shape) if a != laid.axis)
    if laid.before:
        maps = maps[..., laid.before :]
    side = cut[0][0][2] - cut[0][0][0]
    return Craft(parts, laid.name, target, len(examples), len(owner), side, factors.lost, seed, maps[:, order],
                 grid if math.prod(grid) == maps.shape[2] else (), subject.name, tuple(findings), evidence,
                 Provenance(subject, seed))


def _best(amounts: list[float], owner: list[tuple[int, Box]], examples: list[Example], keep: int) -> tuple[Crop, ...]:
    """The crops with most of a part: the best of each input first, further ones where there are not inputs enough."""
    ranked = sorted(range(len(owner)), key=lambda i: -amounts[i])
    first: dict[int, int] = {}
    for i in ranked:
        first.setdefault(owner[i][0], i)
    chosen = sorted(first.values(), key=lambda i: -amounts[i])[:keep]
    chosen += [i for i in ranked if i not in chosen][: keep - len(chosen)]
    return tuple(Crop(k, box, amounts[i], _picture(examples[k], box)) for i in chosen for k, box in [owner[i]])


def _picture(example: Example, box: Box) -> np.ndarray[Any, Any] | None:
    image = example.shown.image
    left, top, right, bottom = box
    if image is None or example.x is None or image.shape[:2] != tuple(example.x.shape[1:]):
        return None
    return np.ascontiguousarray(image[top:bottom, left:right])
