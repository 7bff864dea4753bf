"""Making the tuned twin of a model, and proving in float64 that it computes the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.engine import memory, passes
from pellucid.engine.capture import parts
from pellucid.engine.folding import Fold, Reads, fold, lay
from pellucid.engine.shadow import Unwritten, cast, versions
from pellucid.words.case import Carrier, Case
from pellucid.words.site import Site

STRUCTURE = 5e-7
"""Largest deviation of the output in float64, relative to its largest number; 1e-15 is usual."""

NO_ROOM = "the budget has no room for the proof"


@dataclass(frozen=True)
class Twin:
    """What is known about the twin for inputs of one shape; `model` is None where there is none.

    It stands for the weights as they were (`weights`). `hidden` are the modules whose value is not the
    model's own any more. `scale` is the largest number in the output.
    """

    weights: Hashable
    name: str = ""
    refused: str = ""
    model: nn.Module | None = None
    hidden: frozenset[str] = frozenset()
    structure: float = 0.0
    scale: float = 0.0


def state(model: nn.Module) -> Hashable:
    """What tells that weights were written: version counters, and two sums for what is written through `.data`.

    One of them depends on the order of the numbers.
    """
    given = [t.detach() for t in (*model.parameters(), *model.buffers())
             if t.is_floating_point() and t.layout is torch.strided and not t.is_quantized]
    with torch.no_grad():
        flat = [t.flatten() for t in given]
        sums = [s for t in flat for s in (t.sum(), torch.dot(t[1:], t[:-1]))]
        told: list[float] = torch.stack([s.double().to(sums[0].device) for s in sums]).tolist() if sums else []
    return versions(model), tuple(t.data_ptr() for t in given), tuple(map(repr, told))


def built(model: nn.Module, case: Case, weights: Hashable, facts: dict[Any, Any], budget: int | None) -> Twin:
    """Find the folds in one run of this example, prove them in float64, and lay out the twin.

    One copy in float64 is watched, folded and run again; the twin itself is made after that is gone.
    """
    device = next(model.parameters()).device
    if budget is not None and not _fits(model, case.carrier, budget):
        return Twin(weights, refused=NO_ROOM)
    order = _order(case.carrier, case.site, device)
    wide = cast(model).double()
    reads = Reads(wide)
    with Unwritten(wide), reads.watching():
        passes.run(wide, order)
    found, truth = reads.folds(), reads.output
    fold(wide, found)
    # On a GPU channels innermost were not measured, and stay out.
    laid = device.type == "cpu" and lay(wide, torch.channels_last) > 0
    output = _output(wide, order)
    if output is None and laid:
        laid = False
        lay(wide, torch.contiguous_format)
        output = _output(wide, order)
    apart, scale = _apart(output, truth)
    del wide, truth, reads, output
    if not apart <= STRUCTURE:
        return Twin(weights, refused=f"folded it deviates by {apart:.1e} in float64, which is another function")
    if not found and not laid:
        return Twin(weights, refused="no BatchNorm to fold and no convolution to re-lay")
    if facts.get("twins", (None,))[0] != weights:
        facts["twins"] = (weights, {})
    made: dict[Hashable, nn.Module] = facts["twins"][1]  # shapes that fold alike share the new weights
    key = (tuple(found), laid)
    if key not in made:
        made[key] = _laid_out(model, found, laid)
    names = [*([f"folded {len(found)}"] if found else []), *(["channels-last"] if laid else [])]
    hidden = frozenset[str]().union(*(f.names for f in found))
    return Twin(weights, ", ".join(names), "", made[key], hidden, apart, scale)


def _laid_out(model: nn.Module, found: Sequence[Fold], laid: bool) -> nn.Module:
    twin = cast(model)
    fold(twin, found)
    if laid:
        lay(twin, torch.channels_last)
    return twin


def _fits(model: nn.Module, carrier: Carrier, budget: int) -> bool:
    """True where a budget holds one row in float64."""
    with memory.Alive() as alive:
        passes.run(cast(model), passes.Order(carrier.inputs, 1, Site(), None))
    return 2 * memory.SAFETY * alive.peak <= budget


def _order(carrier: Carrier, site: Site, device: torch.device) -> passes.Order:
    """The example in float64, the explained input a little noisy: equal neighbours would hide a difference."""
    inputs: dict[str | int, Any] = {}
    explained = passes.input_key(carrier.inputs, site) if site.is_input else None
    for key, value in carrier.inputs.items():
        inputs[key] = value
        if isinstance(value, Tensor):
            wide = value.double() if value.is_floating_point() else value
            if key == explained and wide.is_floating_point() and wide.numel() > 1:
                noise = torch.randn(wide.shape, generator=torch.Generator().manual_seed(0), dtype=wide.dtype)
                wide = wide + 0.1 * (wide.std() + 1e-3) * noise.to(wide.device)
            inputs[key] = wide.to(device)
    return passes.Order(inputs, 1, site, None)


def _output(model: nn.Module, order: passes.Order) -> Any:
    """The model's whole output; None where its forward minds the layout (`view` may)."""
    kept: list[Any] = []
    handle = model.register_forward_hook(lambda module, args, output: kept.append(output))
    try:
        passes.run(model, order)
    except Exception as error:
        if memory.is_out_of_memory(error):
            raise
        return None
    finally:
        handle.remove()
    return kept[-1]


def _apart(found: Any, truth: Any) -> tuple[float, float]:
    """The largest deviation between two outputs relative to the largest number, and that number."""
    one, two = parts(found), parts(truth)
    if not two or one.keys() != two.keys() or any(one[k].shape != two[k].shape for k in two):
        return float("inf"), 0.0
    worst = scale = 0.0
    for key, value in two.items():
        if not value.numel() or not value.is_floating_point():
            continue
        largest = float(value.abs().max())
        worst = max(worst, float((one[key] - value).abs().max()) / max(largest, 1e-30))
        scale = max(scale, largest)
    return worst, scale
