"""Which parameters are put by lot, in which order; and whose weights stand beside a model's own."""

from __future__ import annotations

import bisect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.changes.checkpoint import Checkpoint
from pellucid.changes.shuffle import chosen as named
from pellucid.engine.run import looked
from pellucid.engine.shadow import Unwritten, unwrapped
from pellucid.models.sources import FORMS, load
from pellucid.models.subject import Example, Subject
from pellucid.models.weights import read_weights
from pellucid.words.case import Carrier
from pellucid.words.errors import ModelError, OptionError
from pellucid.words.method import AUTO
from pellucid.words.modes import Watching

MOST = 20
"""In so many steps at most: each one takes an explanation."""

Stage = tuple[str, ...]


def settle(options: dict[str, Any], subject: Subject, example: Example) -> None:
    """Put choices in the place of a metric's options that depend on the model."""
    if "reached" in options:
        if options["layers"] == AUTO:
            options["layers"] = stages(subject, example)
        else:
            given = options["layers"]
            parts = given.split(",") if isinstance(given, str) else list(given)
            options["layers"] = tuple((p.strip(),) if isinstance(p, str) else tuple(p) for p in parts)
            if not options["layers"]:
                raise OptionError("option.value", "layers without a name", "names of modules or parameters",
                                  "leave it out for all of them")
        options["reached"] = reached(subject.module, options["layers"])
    if options.get("other") is not None:
        options["other"] = checkpoint(options["other"], subject.module)


def stages(subject: Subject, example: Example) -> tuple[Stage, ...]:
    """Every parameter of the model in the order in which they are first used, by the modules that hold them.

    Modules are taken as small as leaves MOST stages; of a flat model neighbours are put together. A stage names a
    module where it holds nothing else, or each parameter. What is never used goes with the last.
    """
    order, idle = used(unwrapped(subject.module), example.carrier, subject.facts)
    order, rest = order or idle, idle if order else ()
    held = [(name.rpartition(".")[0] or name, name) for name in order]
    deepest = max((h.count(".") + 1 for h, _ in held), default=1)
    cuts = (_runs([(".".join(h.split(".")[:depth]), name) for h, name in held]) for depth in range(deepest, 0, -1))
    found = list[tuple[str, list[str]]]()
    for found in cuts:
        if len(found) <= MOST:
            break
    while len(found) > MOST:  # a flat model: neighbours go together
        found = [(found[k][0], [n for _, names in found[k : k + 2] for n in names]) for k in range(0, len(found), 2)]
    if found:
        found[-1][1].extend(rest)
    return tuple(_short(label, names, (*order, *rest)) for label, names in found)


def _runs(labelled: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Parameters under one label are one stage, where the first of them is used."""
    found: dict[str, list[str]] = {}
    for label, name in labelled:
        found.setdefault(label, []).append(name)
    return list(found.items())


def _short(label: str, names: list[str], order: Sequence[str]) -> Stage:
    inside = [n for n in order if n.startswith(label + ".")]
    return (label,) if len(inside) == len(names) and set(inside) == set(names) else tuple(names)


def used(model: nn.Module, carrier: Carrier, facts: dict[Any, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every parameter once, by the first of its names: those that are used, in that order, and the others.

    Kept in `facts`.
    """
    order, idle = looked(model, carrier, facts, ("parameters in use", carrier.signature), _watched)
    return order, idle


def _watched(model: nn.Module, carrier: Carrier, facts: dict[Any, Any]) -> list[Any]:
    key = ("parameters in use", carrier.signature)
    if key not in facts:
        watch = _Uses(model)
        inputs = {k: v.clone() if isinstance(v, Tensor) else v for k, v in carrier.inputs.items()}
        places = sorted(k for k in inputs if isinstance(k, int))
        with torch.inference_mode(False), torch.no_grad(), Unwritten(model), watch:
            model(*(inputs[k] for k in places), **{k: v for k, v in inputs.items() if isinstance(k, str)})
        facts[key] = [tuple(watch.seen), tuple(n for n in watch.names if n not in watch.seen)]
    return facts[key]


class _Uses(Watching):
    """Notes which parameters an operation reads, by where they lie in memory.

    So a view of a parameter counts, and what a script or a fused operation reads; asking for a parameter's shape
    does not.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        own = dict(model.named_parameters())
        self.names = list(own)
        self.seen: dict[str, None] = {}
        spans = sorted((p.data_ptr(), p.data_ptr() + p.nbytes, n) for n, p in own.items()
                       if p.layout is torch.strided and p.data_ptr() and p.nbytes)
        self.starts, self.spans = [s[0] for s in spans], spans

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in (*args, *(kwargs or {}).values()):
            self._note(value)
        return func(*args, **(kwargs or {}))

    def _note(self, value: Any) -> None:
        if isinstance(value, list | tuple):
            for part in value:
                self._note(part)
        elif type(value) in (Tensor, nn.Parameter) and value.layout is torch.strided:
            at = value.data_ptr()
            k = bisect.bisect_right(self.starts, at) - 1
            if k >= 0 and at < self.spans[k][1]:
                self.seen.setdefault(self.spans[k][2])


def reached(model: nn.Module, layers: Sequence[Stage]) -> float:
    """The share of the model's parameters, counted by number, that these stages hold."""
    model = unwrapped(model)
    mine = {id(p): p.numel() for p in named(model, [n for stage in layers for n in stage]).values()}
    return sum(mine.values()) / max(1, sum(p.numel() for p in model.parameters()))


def checkpoint(other: Any, model: nn.Module) -> Checkpoint:
    """Other weights for the model: a state dict, a module, a Subject, a name such as `demo:digits-random`, a file."""
    found = _read(other)
    found.fit(unwrapped(model))
    return found


def _read(other: Any) -> Checkpoint:
    if isinstance(other, Checkpoint):
        return other
    if isinstance(other, str) and other.partition(":")[0] in FORMS and ":" in other:
        with torch.random.fork_rng(devices=[]):  # a network is initialised before it gets its weights
            other = load(other)
    if isinstance(other, str | os.PathLike):
        return Checkpoint(read_weights(other), os.path.basename(other))
    if isinstance(other, Subject):
        return Checkpoint(_state(other.module), other.name)
    if isinstance(other, nn.Module):
        return Checkpoint(_state(other), type(other).__name__)
    if isinstance(other, Mapping) and other and all(isinstance(v, Tensor) for v in other.values()):
        return Checkpoint(dict(other), "state dict")
    raise ModelError("weights.unknown_kind", f"a {type(other).__name__} as other weights",
                     "a state dict, a file of weights, a module or a Subject",
                     "write for example other='demo:digits-random', or other=twin.state_dict()")


def _state(module: nn.Module) -> dict[str, Tensor]:
    module = unwrapped(module)
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
