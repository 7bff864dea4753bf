"""Pieces of questions become one pass: rows, targets, and the model's inputs for all of them."""

from __future__ import annotations

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


def assemble(group: Group, batch: list[Piece]) -> tuple[passes.Order, list[dict[int, list[int]]]]:
    """The pass for these pieces, and which of its targets each question of each work reads."""
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
    rows = _rows(group, batch, n) if group.overrides else None
    carriers = [(w.carrier, p.q - p.p) for p in batch for w in p.works]
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
    inputs = {k: v.to(group.device) if isinstance(v, Tensor) else v for k, v in inputs.items()}
    once = all(group.facts.get(("called once", s.layer)) or s.call for s in group.layers)
    last = not group.output_needed and once and not group.gradients and not any(s.is_input for s in group.readings)
    return passes.Order(inputs, n, group.site, rows, targets,
                        torch.tensor(graded) if group.gradients else None, group.gradients, group.readings,
                        widen, last and bool(group.layers), group.change, group.facts.get(group.writes, True)), columns


def _rows(group: Group, batch: list[Piece], n: int) -> Tensor:
    """The pieces' rows, one after the other, in a buffer that the next pass of the group uses again."""
    origin = batch[0].bundle.first.case.origin
    if group.buffer is None or len(group.buffer) < n:
        group.buffer = origin.new_empty(n, *origin.shape)
    rows, start = group.buffer[:n], 0
    for piece in batch:
        piece.bundle.rows(piece.a, piece.b, piece.p, piece.q, rows[start : start + piece.n])
        start += piece.n
    return rows.to(group.device)
