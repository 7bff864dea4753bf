"""What is chosen when the user does not say: method and layer, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd  # pyright: ignore[reportPrivateUsage]

from pellucid.choices import attends, stages
from pellucid.choices.places import Places, remembered, shape_of, usual
from pellucid.engine.capture import BIAS
from pellucid.engine.run import surveyed
from pellucid.models.subject import Example, Subject
from pellucid.words.errors import LayerError, OptionError
from pellucid.words.method import AUTO, Method, Need

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
        found = usual(subject, example)
        if found is not None:
            return "grad_cam", f"a picture, and {found.layer} still has places: one pass shows where the model looks"
    return "integrated_gradients", "complete: its values sum to the score's change from the baseline"


def settle(method: Method, options: Mapping[str, Any], subject: Subject, example: Example
           ) -> tuple[dict[str, Any], dict[str, str]]:
    """All options of a method with the automatic ones chosen, and the reasons."""
    chosen, why = method.settle(options), dict[str, str]()
    if Need.ATTENTION in method.card.needs:
        why |= attends.settle(method, chosen, subject, example)
    if Need.RULES in method.card.needs:
        why |= stages.settle(chosen, subject, example)
    if chosen.get("layer") == AUTO:
        found = usual(subject, example)
        if found is None:
            raise _unsure(subject, example)
        chosen["layer"], why["layer"] = found.layer, found.why
        if "grid" in chosen and chosen["grid"] is None:
            chosen["grid"], why["grid"] = found.laid.grid, found.laid.said
    elif "grid" in chosen and "layer" in chosen and Need.ATTENTION not in method.card.needs:
        chosen["layer"] = _several(chosen["layer"], subject)
        if chosen["grid"] is None:
            layer = chosen["layer"]
            chosen["grid"], why["grid"] = remembered(subject, example, layer, lambda here: _grids(layer, here))
    if chosen.get("layers") == AUTO:
        chosen["layers"], why["layers"] = _all_layers(subject, example)
    if "layers" in chosen and chosen.get("grid", ()) is None and Need.ATTENTION not in method.card.needs:
        given = chosen["layers"]
        layers = tuple(p.strip() for p in given.split(",")) if isinstance(given, str) else tuple(given)
        chosen["layers"] = layers
        chosen["grid"] = remembered(subject, example, ("all", layers), lambda here: _grids_of_all(layers, here))
    return chosen, {name: reason for name, reason in why.items() if reason}


def _unsure(subject: Subject, example: Example) -> LayerError:
    some = Places(subject, example).some() or [name for name, _ in subject.module.named_modules() if name][-8:]
    return LayerError("layer.needed", f"no layer of {subject.name} that is surely the one to look at", "a layer's name",
                      "give layer=, for example one of: " + ", ".join(some))


def _several(layer: Any, subject: Subject) -> Any:
    """One layer, or a tuple of several; a shell writes `a,b`."""
    if isinstance(layer, str):
        written = layer.split(",") if "," in layer and layer not in dict(subject.module.named_modules()) else [layer]
    else:
        written = list(layer) if isinstance(layer, Sequence) else []
    names = [name.strip() if isinstance(name, str) else "" for name in written]
    if not names or not all(names) or len(set(names)) < len(names):
        raise OptionError("option.value", f"layer={layer!r}", "a layer's name, or several different ones",
                          "write layer='a', layer=('a', 'b') or --layer a,b")
    return tuple(names) if len(names) > 1 else names[0]


def _grids(layer: str | tuple[str, ...], here: Places) -> tuple[Any, str]:
    """How each layer's value lies; a layer that the model does not have is left for the engine to name."""
    grids, told = list[Any](), list[str]()
    for name in (layer,) if isinstance(layer, str) else layer:
        call, found = here.of(name)
        if call is not None and found is None:
            raise LayerError(
                "layer.no_places", f"{name} with values of shape {shape_of(call)}",
                "(channels, rows, columns), (rows, columns, channels) or one token per patch",
                "choose one of: " + (", ".join(here.some()) or "layers before the pooling")
                + "; or say how its places lie: grid=(rows, columns)")
        grids.append(None if found is None else found.grid)
        told.append("" if found is None else found.said if isinstance(layer, str) else f"{name}: {found.said}")
    laid = grids[0] if isinstance(layer, str) else tuple(grids) if any(grids) else None
    return laid, "; ".join(filter(None, told))


def _grids_of_all(layers: Sequence[str], here: Places) -> tuple[Any, ...] | None:
    """The same for every layer that a method reads; () for one without places, None where all have their own."""
    found = [here.of(name) for name in layers]
    grids = tuple(how.grid if how is not None else () if call is not None and len(shape_of(call)) > 1 else None
                  for call, how in found)
    return grids if any(g is not None for g in grids) else None


def _all_layers(subject: Subject, example: Example) -> tuple[tuple[str, ...], str]:
    """Every layer with a bias."""
    modules = dict(subject.module.named_modules())
    heard = surveyed(subject.module, example.carrier, subject.facts)
    calls = [c for c in heard if isinstance(modules[c.layer], AFFINE)]
    twice = {c.layer for c in calls if c.call > 1}
    names = tuple(f"{c.layer}{f'#{c.call}' if c.layer in twice else ''}:{BIAS}" for c in calls
                  if getattr(modules[c.layer], "bias", None) is not None
                  or getattr(modules[c.layer], "running_mean", None) is not None)
    return names, f"all {len(names)} layers with a bias"
