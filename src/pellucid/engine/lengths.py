"""Examples of different lengths share a pass: who stands with whom, and whether the model minds padding."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pellucid.engine import memory, passes
from pellucid.engine.assemble import FEW, assemble
from pellucid.engine.group import Group
from pellucid.engine.shadow import Unwritten
from pellucid.engine.share import Bundle, Fit, Piece
from pellucid.words.errors import BudgetError
from pellucid.words.points import draw
from pellucid.words.site import Site
from pellucid.words.target import Class, Contrast, Predicted, Target

if TYPE_CHECKING:
    from pellucid.engine.run import Loop

WASTE = 0.2
"""Share of a bucket's positions that may be padding."""

PASS = {"cpu": 64, "cuda": 4096}
"""Positions that take as long as what a pass costs whatever it holds: 20 to 90 were measured on a CPU."""

TOLERANCE = {torch.float64: 1e-10, torch.float32: 5e-5}
"""Relative: what another shape does to the last digits, far below what padding does that a model looks at."""

ROUGH = 1e-2
"""The same in half precision."""

LOUD = 10.0
"""How much larger than the values themselves is what the probe puts into padding."""


def answer(loop: Loop, bundles: list[Bundle]) -> None:
    """Answer bundles that could share passes but for their lengths."""
    for bucket in settled(loop, bundles):
        try:
            with memory.named("for the answers"):
                Group(loop, bucket).answer()
        except BudgetError as error:
            for slot in (s for bundle in bucket for work in bundle.works for s in work.slots):
                slot.fail(error)


def settled(loop: Loop, bundles: list[Bundle]) -> list[list[Bundle]]:
    """Buckets whose bundles share passes; one for every length where the model minds padding."""
    if len({b.length for b in bundles}) < 2:
        return [bundles]
    whole = sorted(bundles, key=lambda b: -(b.length or 0))
    group = Group(loop, whole)
    with suppress(Exception):  # a layer that cannot be asked is refused below, by every length for itself
        group.place()
    # A prefix that runs once has the passes to itself.
    alone = [b for b in whole if b.first.points.n > FEW and group.may_widen()]
    free = [b for b in whole if b not in alone]
    fit = known(loop, free) if len({b.length for b in free}) > 1 else None
    if fit is None:
        return _equal(whole)
    for bundle in free:
        bundle.fit = fit
    return [*buckets(free, PASS.get(group.device.type, PASS["cuda"])), *_equal(alone)]


def _equal(bundles: Iterable[Bundle]) -> list[list[Bundle]]:
    """Bundles by length and shape, longest first."""
    found: dict[Hashable, list[Bundle]] = {}
    for bundle in bundles:
        found.setdefault((bundle.length, bundle.first.case.origin.shape), []).append(bundle)
    return list(found.values())


def buckets(bundles: Iterable[Bundle], price: int) -> list[list[Bundle]]:
    """Cut bundles, longest first, into buckets that are filled up to their longest.

    A length joins longer ones while its padding costs less than passes of its own (`price` positions),
    and no bucket holds more padding than it may.
    """
    found: list[list[Bundle]] = []
    filled = used = longest = 0
    for same in _equal(bundles):
        rows, length = sum(len(b.works) * b.first.points.n for b in same), same[0].length or 0
        padding, whole = rows * (longest - length), filled + rows * longest
        if not found or padding > price or whole - used - rows * length > WASTE * whole:
            found.append([])
            filled = used = 0
            longest = length
        found[-1] += same
        filled, used = filled + rows * longest, used + rows * length
    return found


def known(loop: Loop, bundles: Sequence[Bundle]) -> Fit | None:
    """How these stand beside each other, found once per model and question; None where padding changes answers."""
    group, slots = Group(loop, list(bundles)), [s for b in bundles for w in b.works for s in w.slots]
    family = frozenset(_family(s.target) for s in slots if s.ask.kind != "reading")
    key = ("fit", group.site, group.overrides, group.gradients, group.readings, group.change, family,
           group.bundles[0].first.carrier.kind)
    # A user's function is known for this run only: kept with the model it would never be let go.
    facts = loop.facts if family <= {"class"} else loop.passing
    if key not in facts:
        try:
            with Unwritten(loop.model), loop.tally.clock.into("checks"):
                facts[key] = found(loop, bundles[0], bundles[-1])
        except Exception as error:  # what is wrong is said where the examples are asked, each among its equals
            if memory.is_out_of_memory(error):
                return None
            facts[key] = None
    fit: Fit | None = facts[key]
    return fit if fit is not None and _even(group, bundles, fit) else None


def found(loop: Loop, long: Bundle, short: Bundle) -> Fit | None:
    """Ask the short example alone and filled up to the long one: score, gradients and readings must not move.

    They must not move either when what stands in the padding is loud noise: that a maximum, say, was
    not in the padding this time proves nothing for the next example.
    """
    piece = Piece(Bundle(short.works[:1]), 0, 1, short.first.points.n - 1, short.first.points.n)
    alone = Group(loop, [piece.bundle])
    alone.place()
    order, _ = assemble(alone, [piece])
    true = passes.run(loop.model, order, alone.axes)
    sizes = (short.length or 0, long.length or 0)
    own: dict[Site, tuple[int, ...]] = {}
    if alone.overrides:
        axes = _axes(short.first.case.origin[None], long.first.case.origin[None], sizes)
        if axes is None or len(axes) > 1:
            return None
        own[alone.site] = axes
    for left in (False, True):
        piece.bundle.fit = Fit(left, own)
        order, _ = assemble(alone, [piece], long.length)
        fit = _held(true, passes.run(loop.model, order, alone.axes), piece.bundle.fit, sizes)
        if fit is not None and (order.rows is None or not order.pads or _held(
                true, passes.run(loop.model, _noisy(order), alone.axes), fit, sizes) is not None):
            return fit
    return None


def _held(true: passes.Outcome, got: passes.Outcome, fit: Fit, sizes: tuple[int, int]) -> Fit | None:
    """The fit with all its axes where nothing moved."""
    axes = dict(fit.axes)
    for before, after in ((true.gradients, got.gradients), (true.readings, got.readings)):
        for site in before:
            mine = _axes(before[site], after[site], sizes)
            if mine is None or axes.setdefault(site, mine) != mine:
                return None
    fit = Fit(fit.left, axes)
    pairs = [(true.scores, got.scores)] if true.scores is not None and got.scores is not None else []
    for before, after in ((true.gradients, got.gradients), (true.readings, got.readings)):
        pairs += [(before[s], after[s][fit.own(s, sizes[0], after[s].shape)]) for s in before]
    return fit if all(_agree(a, b) for a, b in pairs) else None


def _axes(short: Tensor, long: Tensor, sizes: tuple[int, int]) -> tuple[int, ...] | None:
    """The axes of a value (rows first) that are as long as the example; None where it grows in another way."""
    if short.dim() != long.dim():
        return None
    grown = [k for k, (a, b) in enumerate(zip(short.shape, long.shape, strict=True)) if a != b]
    return tuple(grown) if all((short.shape[k], long.shape[k]) == sizes for k in grown) else None


def _agree(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        return False
    if not a.numel():
        return True
    a, b, tolerance = a.double(), b.double(), TOLERANCE.get(a.dtype, ROUGH)
    return bool((a - b).abs().max() <= tolerance * a.abs().max())


def _noisy(order: passes.Order) -> passes.Order:
    """The same pass with noise where the model's own values of the padding were."""
    assert order.rows is not None
    rows = order.rows.clone()
    for pad in order.pads:
        noise = draw(rows[pad].shape, 0, 0).to(rows)
        rows[pad] = noise * (LOUD * rows.abs().max().clamp(min=1e-3))
    return replace(order, rows=rows, pads=())


def _even(group: Group, bundles: Sequence[Bundle], fit: Fit) -> bool:
    """True where the points of all examples have the same shape but for their lengths."""
    if not group.overrides:
        return True
    lead = (0, *bundles[0].first.case.origin.shape)
    (axis,) = fit.axes[group.site]
    return all((0, *b.first.case.origin.shape) == (*lead[:axis], b.length, *lead[axis + 1 :]) for b in bundles)


def _family(target: Target) -> Hashable:
    """Targets that read the output in the same way: all classes do."""
    if isinstance(target, Contrast):
        return "class" if {_family(target.this), _family(target.that)} == {"class"} else target.key
    return "class" if isinstance(target, Class | Predicted) and target.of is None else target.key
