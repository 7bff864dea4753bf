"""One explanation to be made: every choice settled, and the example as a case."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid import catalog
from pellucid.choices import choose
from pellucid.engine.settings import Settings, Tally
from pellucid.models.subject import Example, Subject
from pellucid.words import target as targets
from pellucid.words.case import Carrier, Case
from pellucid.words.errors import OptionError, PellucidError
from pellucid.words.explanation import Recipe
from pellucid.words.features import Features
from pellucid.words.method import Method, Need
from pellucid.words.target import Class, Predicted, Target


@dataclass(frozen=True, eq=False)
class Plan:
    """One explanation to be made: an example, a method, and every choice."""

    subject: Subject
    example: Example
    method: Method
    options: dict[str, Any]
    why: dict[str, str]
    target: Target
    spec: Any
    layout: str | Tensor | Features | None
    baseline: Any
    seed: int
    ordinal: int
    reading: float

    def kept(self, tally: Tally, carrier: Carrier) -> Asked:
        """How this was asked, without holding the model."""
        found = tally.frozen.get(carrier, {}).get(self.target.key, self.target)
        return Asked(replace(self, subject=replace(self.subject, module=NOBODY), target=found),
                     weakref.ref(self.subject.module))


NOBODY = nn.Identity()
"""Stands where a model stood."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A plan that was carried out, its target settled; the model is there as long as somebody else holds it."""

    plan: Plan
    module: Callable[[], nn.Module | None]

    def again(self) -> Plan | None:
        """The plan on its model, None where that is gone."""
        module = self.module()
        return None if module is None else replace(self.plan, subject=replace(self.plan.subject, module=module))


def planned(subject: Subject, example: Example, name: str | Method | None, target: Any, features: Any, baseline: Any,
             seed: int, options: Mapping[str, Any], ordinal: int, reading: float) -> Plan:
    """Settle every choice; whatever does not exist is said here, before a pass."""
    found = targets.read(target, subject.labels)
    given = catalog.find(name) if name is not None else None
    why: dict[str, str] = {}
    if given is None:
        chosen, why["method"] = choose.method_for(subject, example)
        given = catalog.find(chosen)
    wanting = Need.BACKGROUND in given.card.needs and baseline is None and not options.get("baselines")
    if wanting and getattr(subject.reader, "background", None) is not None:
        baseline, why["baselines"] = "draws:20", "20 rows of the background"
    if isinstance(baseline, str) and baseline.partition(":")[0] == "draws":
        baseline = _drawn(subject, baseline, seed)
    if isinstance(baseline, list) and not baseline:
        raise OptionError("baseline.empty", "an empty list of baselines", "at least one baseline",
                          "leave baseline out for the usual one")
    if isinstance(baseline, list):
        # A method that goes through several baselines itself takes them; any other is averaged over them.
        given = given if "baselines" in given.defaults else catalog.compositions()["averaged"](given)
        options = {**options, "baselines": list[Any](baseline)}
        baseline = None
    settled, reasons = choose.settle(given, options, subject, example)
    return Plan(subject, example, given, settled, {**why, **reasons}, found, target, features, baseline,
                 seed, ordinal, reading)


def _drawn(subject: Subject, spec: str, seed: int) -> list[str]:
    """The background rows that `draws:20` stands for; the recipe names each."""
    draws, number = getattr(subject.reader, "draws", None), spec.partition(":")[2] or "20"
    if draws is None or not number.isdigit() or int(number) < 1:
        raise OptionError("baseline.draws", repr(spec), "draws:K on a model with background rows",
                          "give a list of baselines to average over, or a whole number K from 1")
    return draws(int(number), seed)


Shared = dict[Any, Any]
"""x, baselines and layouts by example: several methods hold the same objects, so that rows are shared.

`device` is where the model computes."""


async def case_of(plan: Plan, shared: Shared) -> Case:
    """The example as a case; values that only the model can say (a word's embedding) are asked for."""
    example, reader, coarse, mine = plan.example, plan.subject.reader, plan.method.card.coarse, id(plan.example)
    layout = shared.setdefault((mine, "layout", _name(reader.layout_of(plan.layout, coarse), plan.layout)),
                               reader.features(example, plan.layout, coarse))
    start = Case(example.carrier, torch.zeros(()), torch.zeros(()), layout, plan.target, example.site, plan.seed)
    x = example.x
    if x is None:
        x = (await start.own())[0]
    # Values are kept in at least float32, whatever the model computes in, and where it computes.
    dtype = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    x = shared.setdefault((mine, "x"), x.to(shared["device"], dtype))
    values: list[Tensor] = []
    for spec in plan.options.get("baselines") or [plan.baseline]:
        value = reader.baseline(example, spec)
        if isinstance(value, Carrier):
            value = (await replace(start, reference=value).own(baseline=True))[0]
        # What is never switched off stays, whatever the baseline says of it.
        value = value.to(x).expand_as(x)
        if layout.fixed:
            value = torch.where(layout.movable(x.dim()).to(x.device), value, x)
        name = (mine, "baseline", _name(reader.baseline_of(spec), spec), id(layout))
        values.append(shared.setdefault(name, value))
    case = replace(start, origin=x, baseline=values[0])
    return replace(case, alternatives=tuple(values)) if plan.options.get("baselines") else case


def _name(written: Any, given: Any) -> Any:
    """A choice by name where it has one, by identity where it is a value."""
    return written if isinstance(written, str | int | float) else id(given)


def recipe(plan: Plan, found: Target, settings: Settings) -> Recipe:
    """Every choice as a visible value."""
    reader, target = plan.subject.reader, targets.written(plan.spec)
    if isinstance(plan.target, Predicted) and isinstance(found, Class):
        target = found.index
    replayable = target is None or isinstance(target, int | str) or (
        isinstance(target, tuple | list) and all(isinstance(t, int | str) for t in target))
    card = plan.method.card
    choices: dict[str, Any] = {"method": plan.method.name, "target": target}
    if card.gives not in ("map", "units"):
        choices["features"] = reader.layout_of(plan.layout, card.coarse)
    if card.baseline and not plan.options.get("baselines"):
        choices["baseline"] = reader.baseline_of(plan.baseline)
    choices |= {"seed": plan.seed, "precision": settings.precision, "strict": settings.strict, **plan.options}
    try:
        json.dumps({k: v for k, v in choices.items() if k != "target"})
        catalog.find(plan.method.name)  # one that was handed over may have a name that says nothing to others
    except (TypeError, PellucidError):
        replayable = False
    return Recipe(choices, replayable)
