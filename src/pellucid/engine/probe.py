"""What is learnt about a model once and kept: its calls and shapes, whether rows stay apart, what fits."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.changes.attending import ATTENTION
from pellucid.changes.attentions import Attended, sites, within
from pellucid.engine import passes
from pellucid.engine.capture import BIAS, module_of, not_reached
from pellucid.engine.shadow import Unwritten
from pellucid.words.case import Carrier
from pellucid.words.errors import LayerError, PellucidError, nearest
from pellucid.words.site import Site

ROW_TOLERANCE = 1e-4
"""Relative; alone and together differ by about 1e-6 in float32, interacting rows by far more."""


def repeated(inputs: Mapping[str | int, Any], n: int) -> dict[str | int, Any]:
    """The same row n times."""
    return {k: v.expand(n, *v.shape[1:]) if isinstance(v, Tensor) and v.dim() else v for k, v in inputs.items()}


def heard(carrier: Carrier) -> Hashable:
    """Under what a survey for inputs like these is kept."""
    return ("survey", carrier.signature)


def attends(carrier: Carrier) -> Hashable:
    """Under what it is kept which attentions there are for inputs like these, of whatever length."""
    return ("attentions", carrier.kind)


def survey(model: nn.Module, carrier: Carrier, facts: dict[Any, Any]) -> list[passes.Heard]:
    """Every call of every module for inputs of this shape, in the order in which they end."""
    key = heard(carrier)
    if key not in facts:
        with Unwritten(model):
            facts[key] = passes.survey(model, [repeated(carrier.inputs, 1), repeated(carrier.inputs, 2)])
    return facts[key]


def attentions(model: nn.Module, carrier: Carrier, facts: dict[Any, Any]) -> list[Attended]:
    """Every attention that the model computes for inputs like these, in order; sizes are those of the first seen."""
    key = attends(carrier)
    if key not in facts:
        with Unwritten(model):
            facts[key] = passes.attentions(model, [repeated(carrier.inputs, 1), repeated(carrier.inputs, 2)])
    return facts[key]


def axis_of(model: nn.Module, site: Site, carrier: Carrier, facts: dict[Any, Any]) -> int:
    """The batch axis of the value at a site; a layer that cannot be asked is an error here."""
    key = ("axis", site)
    if key not in facts and site.part == ATTENTION:
        module_of(model, site)
        mine = within(attentions(model, carrier, facts), site.layer)
        if not mine or (site.call or 1) > len(mine):
            raise _without_attention(site, mine, attentions(model, carrier, facts))
        if site.call is None and len(mine) > 1:
            names = [n for n, a in sites(attentions(model, carrier, facts)).items() if a in mine]
            raise LayerError("layer.reused", f"{site.layer}, in which {len(mine)} attentions run", "the one to look at",
                             "name it: " + " or ".join(f"'{n}'" for n in names[:3]))
        if not mine[(site.call or 1) - 1].apart:
            raise LayerError("layer.no_rows", f"{site}, whose probabilities have no axis of their own for examples",
                             "attention of every example by itself, rows before heads",
                             "choose another layer, or let the module keep rows first")
        facts[key], facts[("prefix", site)], facts[("called once", site.layer)] = 0, 1.0, False
    if key not in facts:
        module_of(model, site)
        calls = [h for h in survey(model, carrier, facts) if h.layer == site.layer]
        if not calls or (site.call or 1) > len(calls):
            raise not_reached(model, site)
        if site.call is None and len(calls) > 1:
            raise LayerError("layer.reused", f"{site.layer}, which is called {len(calls)} times", "the call to look at",
                             "name it: " + " or ".join(f"'{site.layer}#{k + 1}'" for k in range(min(len(calls), 3))))
        heard = calls[(site.call or 1) - 1]
        if not heard.axes:
            raise LayerError("layer.no_tensor", f"{site.layer} ({heard.kind}), which returns no tensor", "a tensor",
                             "choose a layer that returns a tensor")
        if site.part and site.part not in heard.axes and site.part != BIAS:
            raise LayerError("layer.part", f"{site} with the parts {', '.join(heard.axes)}", "one of these parts",
                             f"write '{site.layer}:{next(iter(heard.axes))}'")
        axis = heard.axes[site.part] if site.part in heard.axes else next(iter(heard.axes.values()))
        if axis is None:
            raise LayerError("layer.no_rows", f"{site}, whose value has no entry per example",
                             "one axis as long as the batch", "choose a layer that works row by row")
        facts[key] = axis
        # Only the very first layer to speak has a prefix that may be next to nothing.
        facts[("prefix", site)] = heard.before if heard is survey(model, carrier, facts)[0] else 1.0
        facts[("called once", site.layer)] = len(calls) == 1
    return facts[key]


def _without_attention(site: Site, mine: list[Attended], all_: list[Attended]) -> LayerError:
    known = list(sites(all_))
    return LayerError("layer.no_attention", f"{site.layer}, in which {len(mine)} attentions run" if mine
                      else f"{site.layer}, which computes no softmax over keys", "a layer with attention",
                      nearest(str(site), known) if known else "this model has none: choose another method")


def rows_interact(model: nn.Module, order: passes.Order, got: passes.Outcome, axes: Mapping[Site, int]) -> bool:
    """True where the first or the last row of a pass scores differently on its own."""
    for k in sorted({0, order.n - 1}):
        alone = passes.run(model, replace(
            order, n=1, rows=None if order.rows is None else order.rows[k : k + 1], gradients=(), graded=None,
            pads=(),
            inputs={key: v[k : k + 1] if isinstance(v, Tensor) and v.dim() else v for key, v in order.inputs.items()},
        ), axes)
        pairs = [(got.readings[s][k], alone.readings[s][0]) for s in order.readings]
        if got.scores is not None and alone.scores is not None:
            pairs.append((got.scores[:, k], alone.scores[:, 0]))
        if not all(_close(a, b) for a, b in pairs):
            return True
    return False


def can_widen(model: nn.Module, order: passes.Order, axes: Mapping[Site, int]) -> bool:
    """True where three distinct rows put in after a prefix of one row give what full rows give."""
    assert order.rows is not None
    some = order.rows[torch.linspace(0, order.n - 1, 3).long()]
    graded = None if order.graded is None else order.graded[:1].expand(3)
    full = replace(order, n=3, rows=some, graded=graded, widen=False, inputs=repeated(order.inputs, 3))
    try:
        narrow = passes.run(model, replace(full, widen=True, inputs=order.inputs), axes)
    except PellucidError:
        return False
    except Exception:  # any model may fail on one row beside three: then it gets full rows
        return False
    wide = passes.run(model, full, axes)
    pairs = [(narrow.gradients[s], wide.gradients[s]) for s in order.gradients]
    pairs += [(narrow.readings[s], wide.readings[s]) for s in order.readings]
    if wide.scores is not None and narrow.scores is not None:
        pairs.append((narrow.scores, wide.scores))
    return all(a.shape == b.shape and bool(torch.isfinite(b).all()) and _close(a, b) for a, b in pairs)


def _close(a: Tensor, b: Tensor) -> bool:
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        return True  # nothing can be told from such rows; they are refused for what they are
    rough = 100.0 if a.dtype in (torch.float16, torch.bfloat16) else 1.0
    a, b = a.double(), b.double()
    scale = torch.maximum(a.abs().max(), b.abs().max()) if a.numel() else torch.zeros(())
    return bool((a - b).abs().max() <= rough * (ROW_TOLERANCE * scale + 1e-7)) if a.numel() else True


def device_of(model: nn.Module, inputs: Sequence[Any]) -> torch.device:
    """Where the model computes."""
    given = (v for v in inputs if isinstance(v, Tensor))
    found = next(chain(model.parameters(), model.buffers(), given), None)
    return torch.device("cpu") if found is None else found.device
