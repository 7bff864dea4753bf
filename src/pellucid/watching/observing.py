"""One look: what the layers and the attention of a model say of the probe inputs, and how these are explained."""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.changes.attentions import sites as attention_sites
from pellucid.choices.choose import method_for
from pellucid.engine import interrupt, memory
from pellucid.engine.run import attentions, run
from pellucid.engine.settings import Settings
from pellucid.explain import explain
from pellucid.look import ENDS, look
from pellucid.models.subject import Example, Subject
from pellucid.numbers.activity import Figures
from pellucid.numbers.entropy import AttentionEntropy
from pellucid.numbers.histogram import Histogram
from pellucid.numbers.ranks import spearman
from pellucid.watching import suspects
from pellucid.words.ask import Ask, Each, together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError, PellucidError
from pellucid.words.explanation import Explanation
from pellucid.words.features import units
from pellucid.words.points import AsIs
from pellucid.words.site import Site
from pellucid.words.target import read as read_target
from pellucid.words.watch import Explained, Watched

MOST = 64
"""Probe inputs: each look runs them all."""


@dataclass(frozen=True, eq=False)
class _Place:
    """A layer that is watched, where its channels are, and the ends of its range."""

    name: str
    axis: int
    places: int
    ends: tuple[float, float] | None


@dataclass(eq=False)
class Probe:
    """The inputs that every look runs, always the same, through a shadow of the model as it is then."""

    subject: Subject
    inputs: list[Any]
    layers: Sequence[str] | str = "stages"
    method: Any = None
    target: Any = None
    suspect: Any = None
    places: list[_Place] = field(default_factory=list[_Place])
    heads: list[Site] = field(default_factory=list[Site])
    first: Explained | None = None
    previous: Explained | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.inputs) <= MOST:
            raise OptionError("probe.count", f"{len(self.inputs)} probe inputs", f"1 to {MOST}",
                              "choose a few that stand for the data")
        self.examples: list[Example] = [self.subject.read(x) for x in self.inputs]
        self.parts = suspects.read(self.suspect, len(self.inputs))
        if self.method is None:  # of one pass: many looks at a fair answer tell more than a few at an exact one
            usual, _ = method_for(self.subject, self.examples[0])
            self.method = usual if usual == "grad_cam" else "input_x_gradient"
        wanted = [self.layers] if isinstance(self.layers, str) else list(self.layers)
        named = [n for n in wanted if n != "attention"]
        if named:
            seen = look(self.subject, self.inputs[0], named, keep=0)
            modules = dict(self.subject.module.named_modules())
            for s in seen.values():
                kind = type(modules.get(Site.parse(s.name).layer)).__name__
                places = math.prod(s.shape) // s.shape[s.axis] if s.axis >= 0 else 1
                # A rectifier at zero is silent and not saturated.
                self.places.append(_Place(s.name, s.axis, places, None if kind == "ReLU6" else ENDS.get(kind)))
        if "attention" in wanted or "stages" in wanted:
            found = attention_sites(attentions(self.subject.module, self.examples[0].carrier, self.subject.facts))
            self.heads = [Site.parse(name) for name in found]

    def rehearse(self, explains: bool) -> None:
        """A look that is not kept: the engine learns on it what later looks are spared."""
        # Any optimizer loads it, and where it is loaded the engine decides otherwise: better now than in the training.
        importlib.import_module("torch._dynamo")
        self.layers_said()
        if explains:
            self.explained()
        self.first = self.previous = None

    @property
    def digest(self) -> str:
        """Which inputs these are: sha-256 over what the model is fed of each."""
        seen = hashlib.sha256()
        for e in self.examples:
            for key, value in e.carrier.inputs.items():
                seen.update(f"{key}".encode())
                seen.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
                            if isinstance(value, Tensor) and value.numel() else repr(value).encode())
        return seen.hexdigest()[:16]

    def layers_said(self) -> tuple[dict[str, Watched], dict[str, tuple[float | None, ...]]]:
        """What every layer says of all probe inputs, and the entropy of every attention head."""
        return _said(self)

    def explained(self) -> Explained:
        """How the probe inputs are explained now, beside the first look and the one before."""
        found: list[Any] = explain(self.subject, list(self.inputs), self.method, target=self.target, precision="exact")
        failed = next((e for e in found if isinstance(e, PellucidError)), None)
        if failed is not None:
            raise failed
        told: list[Explanation] = found
        maps = [suspects.small(e.values) for e in told]
        shares = [suspects.shared(e, part, _size(example))
                  for e, part, example in zip(told, self.parts, self.examples, strict=True)]
        now = Explained(told[0].method, tuple(e.target for e in told), tuple(tuple(m.shape) for m in maps),
                        tuple(tuple(m.flatten().tolist()) for m in maps), _agreement(maps, self.first),
                        _agreement(maps, self.previous), tuple(s for s, _ in shares), tuple(a for _, a in shares))
        self.first, self.previous = self.first or now, now
        return now


def probe_of(subject: Subject, given: Any, **options: Any) -> Probe:
    """The probe inputs one by one."""
    many = subject.split(given)
    return Probe(subject, [given] if many is None else list(many), **options)


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to look at the layers")
def _said(probe: Probe) -> tuple[dict[str, Watched], dict[str, tuple[float | None, ...]]]:
    if not probe.places and not probe.heads:
        return {}, {}
    jobs = [_asked(e, probe) for e in probe.examples]
    found, _ = run(probe.subject.module, jobs, facts=probe.subject.facts, settings=Settings(precision="exact"))
    for answer in found:
        if isinstance(answer, PellucidError):
            raise answer
    n = len(probe.places)
    layers = {p.name: _watched(p, torch.stack([a[2 * k][0].cpu() for a in found]),
                               torch.stack([a[2 * k + 1][0].cpu() for a in found])) for k, p in enumerate(probe.places)}
    heads = {str(Site(s.layer, s.call)): tuple(_finite(v) for v in torch.stack(
        [a[2 * n + k][0].cpu() for a in found]).double().mean(0).tolist()) for k, s in enumerate(probe.heads)}
    return layers, heads


async def _asked(example: Example, probe: Probe) -> list[Tensor]:
    x = example.x if example.x is not None else torch.zeros(())
    case = Case(example.carrier, x, x, units(tuple(x.shape)), read_target(None, probe.subject.labels), example.site)
    each = [(Site.parse(p.name), fold) for p in probe.places for fold in (Figures(p.axis, p.ends), Histogram())]
    each += [(s, AttentionEntropy()) for s in probe.heads]
    return await together(*(Ask("reading", case, AsIs(), site, Each(fold)) for site, fold in each))


def _watched(place: _Place, figures: Tensor, counts: Tensor) -> Watched:
    """A layer's figures (inputs, channels, 7) and counts (inputs, BINS) as one."""
    f = figures.double()
    mean, within, most, least, _, zero, end = f.unbind(-1)
    spread = (within.mean() + mean.var(correction=0)).clamp(min=0).sqrt()
    counted = len(f) * place.places
    fine = torch.isfinite(f).all(-1)
    broken = 1.0 - float(fine.double().mean())
    dead = float((most.amax(0) <= least.amin(0)).double().mean()) if counted > 1 and bool(fine.all()) else None
    return Watched(
        _finite(mean.mean()), _finite(spread), _finite(least.min()), _finite(most.max()), dead,
        _finite(zero.mean()) or 0.0, _finite(end.mean()) or 0.0, counted, broken,
        tuple(int(c) for c in counts.sum(0).tolist()))


def _agreement(maps: list[Tensor], before: Explained | None) -> float | None:
    """Spearman's rank correlation with an earlier look, mean over the inputs that have one."""
    if before is None:
        return None
    pairs = [(m.flatten(), torch.tensor(b, dtype=torch.float64)) for m, b in zip(maps, before.maps, strict=False)]
    found = [spearman(a, b) for a, b in pairs if a.shape == b.shape and a.numel() > 1]
    known = [f for f in found if f is not None]
    return sum(known) / len(known) if known else None


def _size(example: Example) -> tuple[int, int] | None:
    """Rows and columns of the picture that the model is fed."""
    return (example.x.shape[-2], example.x.shape[-1]) if example.x is not None and example.x.dim() >= 2 else None


def _finite(value: Tensor | float) -> float | None:
    return float(value) if math.isfinite(value) else None


def owned(module: nn.Module) -> list[str]:
    """Modules that hold parameters of their own: what is watched where no input is given to run."""
    return [name for name, m in module.named_modules() if name and next(m.parameters(recurse=False), None) is not None]
