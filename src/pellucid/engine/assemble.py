"""Pieces of questions become one pass: rows, targets, and the model's inputs for all of them."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pellucid.engine import passes
from pellucid.engine.share import Piece
from pellucid.words.target import Target

if TYPE_CHECKING:
    from pellucid.engine.group import Group

FEW = 3
"""Up to this many rows of an example a prefix that runs once saves nothing; other examples join them instead."""


def assemble(
    group: Group, batch: list[Piece], length: int | None = None
) -> tuple[passes.Order, list[dict[int, list[int]]]]:
    """The pass for these pieces, and which of its targets each question of each work reads.

    Examples that are shorter than the longest here (or than `length`) are filled up.
    """
    targets: list[Target] = []
    place: dict[Hashable, int] = {}
    graded: list[int] = []
    columns: list[dict[int, list[int]]] = []
    for piece in batch:
        column: dict[int, list[int]] = {}
        for work in piece.works:
            which: list[int] = []
            for slot in work.slots:
                if slot.ask.kind == "reading":
                    which.append(-1)
                    continue
                if slot.target.key not in place:
                    place[slot.target.key] = len(targets)
                    targets.append(slot.target)
                which.append(place[slot.target.key])
            column[id(work)] = which
            mine = place[work.graded.key] if work.graded is not None else 0
            graded += [mine] * (piece.q - piece.p)
        columns.append(column)
    n = sum(p.n for p in batch)
    length = length or max((p.bundle.length or 0 for p in batch), default=0) or None
    rows, pads = _rows(group, batch, n, length) if group.overrides else (None, [])
    left = batch[0].bundle.fit is not None and batch[0].bundle.fit.left
    carriers = [(w.carrier.filled(length, left=left), p.q - p.p) for p in batch for w in p.works]
    same = all(c is carriers[0][0] for c, _ in carriers)
    widen = group.may_widen() and same and n > FEW
    inputs: dict[str | int, Any] = {}
    replaced = passes.input_key(carriers[0][0].inputs, group.site) if rows is not None and group.site.is_input else None
    for key, value in carriers[0][0].inputs.items():
        if key == replaced:
            inputs[key] = value.expand(n, *value.shape[1:])  # the rows stand in its place: it says shape and type
        elif not isinstance(value, Tensor) or value.dim() == 0 or widen:
            inputs[key] = value
        elif same:
            inputs[key] = value.expand(n, *value.shape[1:])
        else:
            inputs[key] = torch.cat([c.inputs[key].expand(k, *value.shape[1:]) for c, k in carriers])
    if any(isinstance(v, Tensor) and v.device != group.device for v in inputs.values()):
        with group.loop.tally.clock.into("transfers"):
            inputs = {k: v.to(group.device) if isinstance(v, Tensor) else v for k, v in inputs.items()}
    once = all(group.facts.get(("called once", s.layer)) or s.call for s in group.layers)
    last = not group.output_needed and once and not group.gradients and not any(s.is_input for s in group.readings)
    chosen = torch.tensor(graded) if group.gradients else None
    copy = group.facts.get(group.writes, True)
    return passes.Order(inputs, n, group.site, rows, targets, chosen, group.gradients, group.readings, widen,
                        last and bool(group.layers), group.change, copy, pads=pads,
                        recompute=group.sparing), columns


def _rows(group: Group, batch: list[Piece], n: int, length: int | None) -> tuple[Tensor, list[tuple[slice, ...]]]:
    """The pieces' rows, one after the other, in a buffer that the next pass of the group uses again.

    Also where in them padding is, which is for the model to fill: it knows what it says there.
    """
    first = batch[0].bundle
    fit, origin = first.fit, first.first.case.origin
    shape = [n, *origin.shape]
    for axis in fit.axes.get(group.site, ()) if fit is not None else ():
        shape[axis] = length or shape[axis]
    size = math.prod(shape)
    if group.buffer is None or len(group.buffer) < size:
        group.buffer = origin.new_empty(size)
    rows, start, pads = group.buffer[:size].view(shape), 0, list[tuple[slice, ...]]()
    for piece in batch:
        bundle, mine = piece.bundle, slice(start, start + piece.n)
        bundle.rows(piece.a, piece.b, piece.p, piece.q, bundle.own(group.site, rows[mine]))
        if bundle.fit is not None and bundle.length is not None and bundle.length != length:
            pads.append((mine, *bundle.fit.rest(group.site, bundle.length, shape)[1:]))
        start += piece.n
    if group.site.is_input:
        padding, key = first.first.carrier.padding, passes.input_key(first.first.carrier.inputs, group.site)
        for pad in pads:
            rows[pad] = next(value for k, _, value in padding.fill if k == key) if padding is not None else 0
        pads = []
    return rows.to(group.device), pads
