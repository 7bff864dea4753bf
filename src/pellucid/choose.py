"""What is chosen when the user does not say: method and layer, each with its reason."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd  # pyright: ignore[reportPrivateUsage]

from pellucid.changes.attending import ATTENTION
from pellucid.engine.capture import BIAS
from pellucid.engine.passes import Heard
from pellucid.engine.run import attentions, surveyed
from pellucid.models.subject import Example, Subject
from pellucid.words.errors import LayerError
from pellucid.words.method import AUTO, Method, Need

PREFIX = 16
"""At most so many tokens (class, distillation, registers) stand before the patches."""

AFFINE = (_ConvNd, nn.Linear, _BatchNorm)
"""Layers that are linear but for a bias, in evaluation."""

EXACT = 11
"""Up to this many features all coalitions are cheaper than a sample of them."""


def method_for(subject: Subject, example: Example) -> tuple[str, str]:
    """The usual method for a subject, and why."""
    if subject.task == "text":
        return "integrated_gradients", "words have no natural off switch; a path from masked words is complete"
    if subject.task == "table":
        n = subject.reader.features(example, None, True).n
        if n <= EXACT:
            return "kernel_shap", f"{n} columns: exact Shapley values cost {2**n - 2} rows"
        return "integrated_gradients", f"{n} columns: complete, and far cheaper than {n} columns' coalitions"
    if subject.task == "image":
        layer, _, _ = _cam_layer(subject, example)
        if layer is not None:
            return "grad_cam", f"a picture, and {layer} still has places: one pass shows where the model looks"
    return "integrated_gradients", "complete: its values sum to the score's change from the baseline"


def settle(method: Method, options: Mapping[str, Any], subject: Subject, example: Example
           ) -> tuple[dict[str, Any], dict[str, str]]:
    """All options of a method with the automatic ones chosen, and the reasons."""
    chosen, why = method.settle(options), dict[str, str]()
    if chosen.get("layer") == AUTO:
        layer, grid, reason = _cam_layer(subject, example)
        if layer is None:
            raise LayerError("layer.needed", f"no layer of {subject.name} that is surely the one to look at",
                             "a layer's name", "give layer=, for example one of: " + ", ".join(_some_layers(subject)))
        chosen["layer"], why["layer"] = layer, reason
        if "grid" in chosen and chosen["grid"] is None:
            chosen["grid"] = grid
    elif "grid" in chosen and chosen["grid"] is None and isinstance(chosen.get("layer"), str):
        chosen["grid"] = _grid_of(subject, example, chosen["layer"])
    if chosen.get("layers") == AUTO:
        chosen["layers"], why["layers"] = _all_layers(method, subject, example)
    laid = chosen.get("grid")
    if laid is not None and options.get("grid") is None:
        why["grid"] = f"{laid[0]} by {laid[1]} tokens, as the patch embedding laid them" if len(laid) == 2 else (
            f"{laid[0]} tokens in a line")
    return chosen, why


def _all_layers(method: Method, subject: Subject, example: Example) -> tuple[tuple[str, ...], str]:
    """Every place of the kind that a method reads everywhere: attentions, or biases."""
    if Need.ATTENTION in method.card.needs:
        found = attentions(subject.module, example.carrier, subject.facts)
        twice = {a.layer for a in found if a.call > 1}
        names = tuple(f"{a.layer}{f'#{a.call}' if a.layer in twice else ''}:{ATTENTION}" for a in found)
        if not names:
            raise LayerError("layer.no_attention", f"{subject.name}, which computes no softmax over keys",
                             Need.ATTENTION.value, "choose a method that does not read attention: pellucid methods")
        return names, f"all {len(names)} attentions, in the order in which they run"
    modules = dict(subject.module.named_modules())
    calls = [c for c in _heard(subject, example) if isinstance(modules[c.layer], AFFINE)]
    twice = {c.layer for c in calls if c.call > 1}
    names = tuple(f"{c.layer}{f'#{c.call}' if c.layer in twice else ''}:{BIAS}" for c in calls
                  if getattr(modules[c.layer], "bias", None) is not None
                  or getattr(modules[c.layer], "running_mean", None) is not None)
    return names, f"all {len(names)} layers with a bias"


def _some_layers(subject: Subject) -> list[str]:
    return [name for name, _ in subject.module.named_modules() if name][-8:]


def _heard(subject: Subject, example: Example) -> list[Heard]:
    return surveyed(subject.module, example.carrier, subject.facts)


def _shape(call: Heard) -> tuple[int, ...]:
    return next(iter(call.shapes.values()), ())


def _pictures(calls: list[Heard]) -> list[Heard]:
    """Calls whose value is (channels, rows, columns): of a size that a convolution or a pooling made.

    Attention has three axes too (heads, tokens, width); its sizes are none of a convolution's.
    """
    made = {_shape(c)[1:] for c in calls if len(_shape(c)) == 3 and re.search("Conv|Pool|BatchNorm", c.kind)}
    return [c for c in calls if c.layer and len(_shape(c)) == 3 and math.prod(_shape(c)[1:]) > 1
            and _shape(c)[1:] in made]


def _patch_grid(calls: list[Heard]) -> tuple[int, int] | None:
    """Rows and columns of the last convolution: where tokens follow, that is the patch embedding."""
    shapes = [_shape(c) for c in calls if "Conv" in c.kind and len(_shape(c)) == 3]
    return (shapes[-1][1], shapes[-1][2]) if shapes else None


def _tokens(calls: list[Heard], grid: tuple[int, int] | None) -> list[Heard]:
    """Calls whose value is (tokens, channels), one token per patch and a few before them."""
    if grid is None or math.prod(grid) < 2:
        return []
    n = math.prod(grid)
    return [c for c in calls if len(_shape(c)) == 2 and n <= _shape(c)[0] <= n + PREFIX and c.layer]


def _grid_of(subject: Subject, example: Example, layer: str) -> tuple[int, ...] | None:
    """The picture's grid for a layer whose value is tokens, None where it has places of its own."""
    calls = _heard(subject, example)
    grid = _patch_grid(calls)
    name = layer.partition("#")[0].partition(":")[0]
    if any(c.layer == name for c in _tokens(calls, grid)):
        return grid
    mine = next((c for c in calls if c.layer == name), None)
    if mine is None or len(_shape(mine)) != 2 or re.search("Conv|Pool|BatchNorm", mine.kind):
        return None
    return (_shape(mine)[0],)  # (tokens, channels) of a text or a series


def _cam_layer(subject: Subject, example: Example) -> tuple[str | None, tuple[int, int] | None, str]:
    """The layer for a class activation map: last places of a CNN, first norm of a ViT's last block."""
    calls, key = _heard(subject, example), ("cam layer", example.carrier.signature)
    if key not in subject.facts:
        subject.facts[key] = _looked_for(subject, calls)
    return subject.facts[key]


def _looked_for(subject: Subject, calls: list[Heard]) -> tuple[str | None, tuple[int, int] | None, str]:
    modules = dict(subject.module.named_modules())
    spatial, grid = _pictures(calls), _patch_grid(calls)
    tokens = _tokens(calls, grid)
    if len(tokens) > len(spatial):
        norm = _last_block_norm(tokens, modules)
        return norm, grid, "the first norm of the last block: after it only the class token is read" if norm else ""
    others = [c for c in calls if len(_shape(c)) == 3 and c not in spatial and math.prod(_shape(c)[1:]) > 1]
    if not spatial or len(others) > len(spatial):
        return None, None, ""  # neither a CNN nor a plain ViT: a guess could be silently wrong
    last = _shape(spatial[-1])
    once = {c.layer for c in calls if sum(d.layer == c.layer for d in calls) == 1}
    same = [c for c in spatial if _shape(c)[1:] == last[1:]]
    outer = min((c for c in same if c.layer in once and same.index(c) >= len(same) - 8 and _ends(c, same)),
                key=lambda c: c.layer.count("."), default=spatial[-1])
    name = outer.layer if outer.layer in once else f"{outer.layer}#{outer.call}"
    return name, None, f"the last layer with places ({last[1]} by {last[2]}) before the pooling"


def _ends(call: Heard, same: list[Heard]) -> bool:
    """True for the modules that end with the last value of this size: it and the ones around it."""
    last = same[-1]
    return call is last or last.layer.startswith(call.layer + ".") or call.layer.startswith(last.layer + ".")


def _last_block_norm(tokens: list[Heard], modules: dict[str, nn.Module]) -> str | None:
    """The norm that runs first inside the last of the repeated blocks."""
    numbered = [c for c in tokens if re.search(r"(^|[._])\d+$", c.layer)]
    if not numbered:
        return None
    block = numbered[-1].layer + "."
    norms = [c.layer for c in tokens if c.layer.startswith(block) and "norm" in type(modules[c.layer]).__name__.lower()]
    return norms[0] if norms else None
