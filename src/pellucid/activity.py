"""The verb: activity(model, data), what the channels of a model do over data, and what of it is a fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from pellucid.choices import stages
from pellucid.choices.places import Places, asked, named, shape_of
from pellucid.diagnosis import activity as diagnosis
from pellucid.diagnosis.activity import Looked, Running
from pellucid.engine import interrupt, memory
from pellucid.engine.passes import Heard
from pellucid.engine.run import run, surveyed
from pellucid.engine.settings import Settings, Tally
from pellucid.explain import wrapped
from pellucid.look import layer_of
from pellucid.models.subject import Example, Subject
from pellucid.provenance import Provenance
from pellucid.streaming import Refused, inputs, settled
from pellucid.views.faults import told
from pellucid.words.activity import Activity, Channels, Fault
from pellucid.words.case import Case
from pellucid.words.errors import OptionError, PellucidError
from pellucid.words.explanation import Evidence
from pellucid.words.features import units
from pellucid.words.size import size
from pellucid.words.target import Predicted

TOGETHER = 32
"""Inputs alive at once."""

ACTIVATION = re.compile(r"(ReLU|ELU|GELU|SiLU|Mish|Swish|swish|Tanh|tanh|[Ss]igmoid|Softsign|Activation|Softplus)")
"""What activations are called."""

PASSING = ("Identity", "Dropout", "DropPath", "Flatten")
"""Layers that leave values as they are when a model is used."""

ENDS: dict[str, tuple[float, float]] = {
    "Sigmoid": (0.0, 1.0), "Hardsigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Hardtanh": (-1.0, 1.0),
    "Softsign": (-1.0, 1.0), "ReLU6": (-6.0, 6.0),
}
"""Where activations saturate: a ReLU6 at its upper end only, zero is where it rests."""

PEERS, NORMED = 3, 0.6
"""Layers of a kind that are normalised, and their share of that kind, from which another one is expected to be."""


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to watch the channels")
def activity(
    subject: Subject | nn.Module,
    data: Any,
    layers: str | Sequence[str] = ("stages", "activations"),
    *,
    budget: int | str | None = None,
    chunk: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Activity:
    """Which parts of the model do nothing, twice the same, or too much?

    `data` is a list of inputs, a batch, or anything that is gone through once, such as a data loader's batches (labels
    are not read): it streams by, and memory does not grow with it. `layers` are `"stages"` (the parts that the model is
    made of), `"activations"` (modules such as ReLU), names, or a list of these. Beside them layers are read that have
    no normalisation where most of their kind have. `budget`, `chunk` and `progress` are as in `explain`.

    Raises `layer.unknown`, `layer.not_reached`, `layer.no_tensor`, `batch.unclear` as `look`, `layer.no_activations`
    where there are none, and where no input could be used the first one's own error, or `input.empty`.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    settings = Settings(None if budget is None else size(budget), chunk, False, progress, False, "exact")
    wanted = asked(layers)
    chosen: list[Looked] = []
    running: dict[str, Running] = {}
    refused = Refused()
    tally, spent, number = Tally(), [0.0, 0.0, 0.0], 0
    _, stream = inputs(subject, data)
    while lot := list(islice(stream, TOGETHER)):
        examples: list[tuple[int, Example]] = []
        for raw in lot:
            try:
                examples.append((number, subject.read(raw)))
            except PellucidError as error:
                refused.add(number, error)
            number += 1
        if not examples:
            continue
        if not chosen:
            chosen = settled(examples, lambda e: _chosen(subject, e, wanted), refused, data)
            running = {layer.name: Running(layer) for layer in chosen}
        found, tally = run(subject.module, [diagnosis.said(_case(e), chosen) for _, e in examples],
                           facts=subject.facts, settings=settings)
        spent = [a + b for a, b in zip(spent, (tally.passes, tally.forwards, tally.seconds), strict=True)]
        for (n, _), answers in zip(examples, found, strict=True):
            if isinstance(answers, PellucidError):
                refused.add(n, answers)
                continue
            given = iter(answers)
            for layer in chosen:
                running[layer.name].add([next(given) for _ in layer.folds])
    if len(refused.found) == number:
        raise refused.error(data)
    kept = _each_once(chosen, running)
    record: dict[str, Channels] = {layer.name: running[layer.name].record() for layer in kept}
    facts = diagnosis.faults({layer.name: layer for layer in kept}, record)
    order = list(record)
    faults = [Fault(code, level, *told(code, said), name, channels, said)
              for code, level, name, channels, said in sorted(facts, key=lambda f: order.index(f[2]))]
    evidence = Evidence(passes=int(spent[0]), forwards=int(spent[1]), seconds=spent[2], chunk=tally.chunk,
                        isolation=tally.isolation, rows_interact=tally.interact)
    shown = {layer.name: record[layer.name] for layer in kept if layer.told}
    return Activity(shown, tuple(faults), number - len(refused.found), subject.name, evidence, refused.found,
                    Provenance(subject))


def _case(example: Example) -> Case:
    x = example.x if example.x is not None else torch.zeros(())
    return Case(example.carrier, x, x, units(tuple(x.shape)), Predicted(), example.site)


def _chosen(subject: Subject, example: Example, wanted: Sequence[str]) -> list[Looked]:
    """The layers that are looked at, in the order in which they run, and others that they are compared with."""
    calls = surveyed(subject.module, example.carrier, subject.facts)
    names: list[str] = []
    for name in wanted:
        if name == "stages":
            names += stages.stages(subject, example)[0]
        elif name == "activations":
            found = [named(c, calls) for c in calls if c.layer and _leaf(c, subject) and ACTIVATION.search(c.kind)
                     and shape_of(c)]
            if not found and list(wanted) == ["activations"]:
                raise OptionError("layer.no_activations", "a model whose activations are no modules of their own",
                                  "modules such as nn.ReLU", "name layers, or take 'stages'")
            names += found
        else:
            names.append(name)
    here, last = Places(subject, example), next((c for c in reversed(calls) if c.layer and shape_of(c)), None)
    made = {name: _looked(subject, here, name, calls, last) for name in dict.fromkeys(names)}
    for name, expected in _unnormalised(subject, calls).items():
        made.setdefault(name, replace(_looked(subject, here, name, calls, last), told=False))
        made[name] = replace(made[name], expected=expected)
    ran = [named(c, calls) for c in calls]
    return sorted(made.values(), key=lambda one: ran.index(one.name) if one.name in ran else -1)


def _looked(subject: Subject, here: Places, name: str, calls: list[Heard], last: Heard | None) -> Looked:
    layer = layer_of(subject, here, name, calls)
    mine = [c for c in calls if c.layer == layer.site.layer and c.call == (layer.site.call or c.call)][-1]
    return Looked(name, layer.site, layer.shape, layer.kind, layer.axis, ENDS.get(mine.kind, (-1.0, 1.0)),
                  mine.kind in ENDS, rectifier=mine.kind in ("ReLU", "ReLU6"), last=mine is last)


def _leaf(call: Heard, subject: Subject) -> bool:
    return not any(True for _ in subject.module.get_submodule(call.layer).children())


def _unnormalised(subject: Subject, calls: list[Heard]) -> dict[str, tuple[float, ...]]:
    """Layers with weights that no normalisation follows as it follows others of their kind, and what those give."""
    leaves = [c for c in calls if c.layer and _leaf(c, subject) and shape_of(c) and c.kind not in PASSING]
    weighty = [k for k, c in enumerate(leaves)
               if isinstance(subject.module.get_submodule(c.layer), _ConvNd | nn.Linear)]
    if not weighty:
        return {}

    def norm(k: int) -> Heard | None:
        after = leaves[k + 1] if k + 1 < len(leaves) else None
        return after if after is not None and "Norm" in after.kind and shape_of(after) == shape_of(leaves[k]) else None

    found: dict[str, tuple[float, ...]] = {}
    for k in weighty[:-1]:  # the last one makes the output
        if norm(k) is not None:
            continue
        mine = leaves[k]
        kin = [j for j in weighty if leaves[j].kind == mine.kind and _places(leaves[j]) == _places(mine)]
        role = [j for j in kin if _role(leaves[j].layer) == _role(mine.layer)]
        kin = role if len(role) > PEERS else kin
        peers = [n for j in kin if (n := norm(j)) is not None]
        if len(peers) >= PEERS and len(peers) >= NORMED * len(kin):
            found[named(mine, calls)] = tuple(_gives(subject.module.get_submodule(n.layer)) for n in peers)
    return found


def _gives(norm: nn.Module) -> float:
    """How far the values of a channel spread behind a normalisation: by its own factor, or 1."""
    weight = getattr(norm, "weight", None)
    return float(weight.detach().double().square().mean().sqrt()) if isinstance(weight, Tensor) else 1.0


def _places(call: Heard) -> bool:
    """Whether a layer has places: what is pooled first (a gate, say) is another kind."""
    shape = shape_of(call)
    return len(shape) > 1 and (len(shape) == 2 or max(shape[1:]) > 1)


def _role(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _each_once(chosen: Sequence[Looked], running: dict[str, Running]) -> list[Looked]:
    """Layers without those that only hand on what one before them said, value for value."""
    kept: list[Looked] = []
    for layer in chosen:
        mine = running[layer.name]
        same = next((k for k, one in enumerate(kept) if one.shape == layer.shape and mine.n
                     and torch.equal(running[one.name].sums[:, :6], mine.sums[:, :6])), None)
        if not mine.n:
            continue
        if same is None or layer.expected or layer.rectifier:  # a rectifier that cuts nothing is worth telling
            kept.append(layer)
        elif layer.told and not kept[same].told:
            kept[same] = replace(kept[same], told=True)
    return kept
