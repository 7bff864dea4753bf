"""The tuned twin: a copy of the model laid out for speed, used only where it was proved to compute the same.

Three things make it faster: BatchNorms folded into the layers before them, convolutions with channels
innermost, and (for `precision="fast"`, on machines with the instructions) bfloat16. The first two are
the same mathematics; they are proved in float64 before the first answer, and what float32 makes of
the difference is measured on the first rows and kept. Whether a question is worth a twin depends on
the question and the model alone, never on what was asked before.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd  # pyright: ignore[reportPrivateUsage]

from pellucid.engine import agreement, memory, passes
from pellucid.engine.shadow import cast
from pellucid.engine.twin import NO_ROOM, Twin, built, state

if TYPE_CHECKING:
    from pellucid.engine.group import Group

PAYS = 40
"""Rows that a question must ask. On residual networks building and proving took about as long as nine rows
forward, and a row saved 0.23 of a forward, a row with its gradient 0.3 (docs/precision.md)."""

SMALL = 100_000
"""Weights in layers that can be folded or re-laid; with fewer there is nothing to gain."""

FEW, SMALL_ONE = "too few rows to pay for the proof", "a small model, with nothing to gain"


@dataclass(frozen=True, eq=False)
class Choice:
    """Who answers a group of questions: the twin, or the shadow as it is (`twin` is None)."""

    model: nn.Module
    twin: Twin | None = None
    half: str = ""

    @property
    def name(self) -> str:
        if self.twin is None:
            return ""
        return f"{self.twin.name}, bfloat16" if self.half else self.twin.name


def chosen(group: Group) -> Choice:
    """Who answers this group, settled before its first pass; why not the twin is written into the tally."""
    loop = group.loop
    if loop.settings.exact:
        return Choice(loop.model)
    reason = _against(group)
    if not reason:
        twin = _twin(group)
        told = loop.facts.get(("twin refused", *group.asked))
        hidden = sorted(str(s) for s in group.layers if s.layer in twin.hidden)
        if twin.refused:
            reason = twin.refused
        elif told is not None and told[0] == twin.weights:
            reason = told[1]
        elif hidden:
            reason = f"{hidden[0]} is asked about: in the twin its value is folded with the BatchNorm after it"
        else:
            return _with(group, twin)
    if not getattr(group.change, "quiet", False):
        loop.tally.untuned[reason] = None
    return Choice(loop.model)


def _against(group: Group) -> str:
    """Why this question gets no twin: by what it asks and by the model's kind, and by nothing else."""
    loop = group.loop
    if loop.settings.precision == "auto":
        rows = sum(len(b.works) * b.first.points.n for b in group.bundles)
        if rows < PAYS:
            return FEW
    if loop.tally.isolation == "guard":
        return "the model could not be copied"
    if group.change is not None and not getattr(group.change, "twin", False):
        return "the model is changed for this question"
    loop.tunable = loop.tunable or _kind(loop.model)
    if loop.tunable == SMALL_ONE and loop.settings.precision == "fast":
        return ""
    return "" if loop.tunable == "yes" else loop.tunable


def _kind(model: nn.Module) -> str:
    """Whether a model of this kind can gain: yes, or why not."""
    if any(t.dtype != torch.float32 for t in model.parameters()):
        return "the model does not compute in float32"
    if not any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d | _BatchNorm) for m in model.modules()):
        return "no convolution to re-lay and no BatchNorm to fold"
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, _ConvNd))
    return "yes" if weights >= SMALL else SMALL_ONE


def _with(group: Group, twin: Twin) -> Choice:
    """The twin for this run: a copy of its own, so that no other thread's hooks are on it."""
    loop = group.loop
    assert twin.model is not None
    if loop.twins.get(group.shape, (None,))[0] is not twin:
        loop.twins[group.shape] = (twin, cast(twin.model))
    half = agreement.half_on(group.device) if loop.settings.precision == "fast" else ""
    told = loop.facts.get(("half refused", *group.asked))
    if half and told is not None and told[0] == twin.weights:
        half, loop.tally.untuned[told[1]] = "", None
    if ("half", *group.asked) in loop.doubted:
        half = ""
    grouped = any(isinstance(m, _ConvNd) and m.groups > 1 for m in loop.model.modules())
    if group.gradients and grouped:
        half = ""  # convolutions by groups were slower backwards
    return Choice(loop.twins[group.shape][1], twin, half)


def instead(choice: Choice, plain: nn.Module) -> Choice:
    """Who answers when this one may not: without bfloat16, then without the twin."""
    return replace(choice, half="") if choice.half else Choice(plain)


def _twin(group: Group) -> Twin:
    """What is known about the twin for this shape of input, built where it is not known for these weights."""
    loop, key = group.loop, ("twin", group.shape)
    if group.shape in loop.twins:
        return loop.twins[group.shape][0]
    found: Twin | None = loop.facts.get(key)
    weights = state(loop.original)
    if found is None or found.weights != weights:
        if found is not None:
            _forget(loop.facts)
        try:
            found = built(loop.original, group.bundles[0].first.case, weights, loop.facts, group.settings.budget)
        except Exception as error:
            found = Twin(weights, refused=f"{type(error).__name__} while it was built")
            if memory.is_out_of_memory(error):
                error.__traceback__ = None
                memory.release(group.device)
                return found  # another time there may be room
        if found.refused == NO_ROOM:
            return found  # so it is with another budget
        loop.facts[key] = found
    return found


def _forget(facts: dict[Any, Any]) -> None:
    """Let go of every twin of a model that has changed: each is as large as its convolutions."""
    for key in [k for k in list(facts) if k == "twins" or (isinstance(k, tuple) and k[0] == "twin")]:
        facts.pop(key, None)


def answered(group: Group, order: passes.Order) -> passes.Outcome | None:
    """A pass by whoever was chosen; None where the twin failed.

    A forward that fails on the twin is tried on the model itself, whose own error then counts.
    """
    choice = group.choice
    if choice.twin is None:
        return passes.run(choice.model, order, group.axes)
    try:
        return passes.run(choice.model, replace(order, half=choice.half), group.axes)
    except Exception as error:
        if memory.is_out_of_memory(error) or passes.was_written(error):
            raise
        group.loop.tally.untuned[f"{type(error).__name__} in the twin's forward"] = None
        return None


def _agreed(group: Group) -> Hashable:
    """Under what it is kept that the twin agreed on this kind of question."""
    return ("twin agreed", *group.asked, group.choice.name)


def unproved(group: Group) -> bool:
    """True where the next answer is a twin's, and will be compared with the model's own."""
    return group.choice.twin is not None and _agreed(group) not in group.loop.agreed


def agrees(group: Group, order: passes.Order, outcome: passes.Outcome) -> bool:
    """Whether the twin's first answers are the model's; measured once in a run for each kind of question.

    A kind that agreed before is measured on one row: what no version counter sees (a number in a list or a
    configuration of the model's) may have changed since. A twin that no longer agrees is forgotten.
    """
    choice, facts, tally, twin = group.choice, group.facts, group.loop.tally, group.choice.twin
    if twin is None:
        return True
    key = _agreed(group)
    if unproved(group):
        before = facts.get(key, (None,))[0] == twin.weights
        some, last = agreement.first(order, "" if before else choice.half, one=before), tally.clock.last
        with tally.clock.into("checks"):
            truth = passes.run(group.loop.model, some, group.axes)
            found = agreement.measured(outcome, truth, some.n, twin.scale)
            why = agreement.refused(found, bool(choice.half))
            if why and some.n < order.n:  # rows that look at each other answer differently in other company
                alone = passes.run(choice.model, replace(some, half=choice.half), group.axes)
                found = agreement.measured(alone, truth, some.n, twin.scale)
                why = agreement.refused(found, bool(choice.half))
            if choice.half and not why:
                found |= agreement.rounding(outcome, truth, some.n, group.bundles[0].first.case)
        tally.clock.last = last
        if why:
            tally.untuned[why] = None
            if before and choice.half:
                group.loop.doubted.add(("half", *group.asked))
            elif before:
                _forget(facts)
                group.loop.twins.clear()
            else:
                facts[("half refused" if choice.half else "twin refused", *group.asked)] = (twin.weights, why)
            return False
        facts[key] = (twin.weights,)
        group.loop.agreed[key] = {"structure": twin.structure, **found}
    tally.twin = choice.name
    for name, value in group.loop.agreed[key].items():
        worst = min if name == "cosine" else max
        tally.agreement[name] = worst(value, tally.agreement.get(name, value))
    return True
