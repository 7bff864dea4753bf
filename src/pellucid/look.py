"""The verb: look(model, x, layers), what the network saw at any layers, in one pass; of a set, as it streams by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.changes.attending import ATTENTION
from pellucid.changes.attentions import sites as attention_sites
from pellucid.choices import stages
from pellucid.choices.places import Places, asked, named, shape_of
from pellucid.diagnosis import finite
from pellucid.engine import interrupt, memory
from pellucid.engine.passes import Heard
from pellucid.engine.run import attentions, run
from pellucid.engine.settings import Settings, Tally
from pellucid.explain import explain, wrapped
from pellucid.methods.attention import gated
from pellucid.models.subject import Example, Subject
from pellucid.numbers.activity import FIGURES, Contribution, Figures, Running, Spectrum, Spread, ranked
from pellucid.numbers.ranks import spearman
from pellucid.provenance import Provenance
from pellucid.streaming import Refused, settled
from pellucid.streaming import inputs as inputs_of
from pellucid.views.faults import told as fault_told
from pellucid.words.activity import Fault
from pellucid.words.ask import Ask, Each, together
from pellucid.words.case import Case
from pellucid.words.errors import LayerError, OptionError, PellucidError, TargetError, nearest
from pellucid.words.explanation import Evidence, Explanation, Finding, Shown
from pellucid.words.features import units
from pellucid.words.look import Look, Seen
from pellucid.words.points import AsIs
from pellucid.words.site import Site
from pellucid.words.size import size
from pellucid.words.target import read

TOGETHER = 32
"""Inputs alive at once: a set streams by in lots of so many."""

ENDS: dict[str, tuple[float, float]] = {
    "Sigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Softmax": (0.0, 1.0), "ReLU6": (0.0, 6.0), "Hardsigmoid": (0.0, 1.0),
    "Hardtanh": (-1.0, 1.0), "Softsign": (-1.0, 1.0),
}
"""Where the values of bounded activations end."""

RANKS = ("activation", "variance", "attribution")

BESIDE = ("gradient_attention", "attention_relevance", "attention_rollout")
"""Methods that follow attention to the input; the last knows nothing of the score, as attention itself."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer that is looked at: its site, how its value lies, the ends of its range, and as which call it `ran`."""

    name: str
    site: Site
    shape: tuple[int, ...]
    kind: str
    axis: int
    grid: tuple[int, ...] | None = None
    before: int = 0
    ends: tuple[float, float] | None = None
    ran: int = 0

    @property
    def places(self) -> int:
        """How many values a channel has in one row."""
        return math.prod(self.shape) // self.shape[self.axis] if self.axis >= 0 else 1

    def figures(self) -> list[Each]:
        """What is asked of every input: FIGURES, and what only places tell."""
        asked: list[Each] = [Each(Figures(self.axis, self.ends))]
        if self.places > 1:
            asked.append(Each(Spread(self.axis)))
        if self.places > 1 and self.kind == "places":
            asked.append(Each(Spectrum(self.axis)))
        return asked


@dataclass(eq=False)
class _Kept:
    """What is held of a set while it streams by."""

    running: dict[str, Running] = field(default_factory=dict[str, Running])
    values: dict[str, list[Tensor]] = field(default_factory=dict[str, list[Tensor]])
    maps: list[dict[str, Tensor]] = field(default_factory=list[dict[str, Tensor]])
    shown: list[Shown] = field(default_factory=list[Shown])
    scores: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    agreed: dict[str, float] = field(default_factory=dict[str, float])
    agreement: float | None = None
    refused: Refused = field(default_factory=Refused)
    inputs: int = 0


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to look at the layers")
def look(
    subject: Subject | nn.Module,
    x: Any,
    layers: str | Sequence[str] = "stages",
    *,
    rank: str = "activation",
    keep: int = 8,
    target: Any = None,
    beside: bool = True,
    budget: int | str | None = None,
    chunk: int | None = None,
    precision: str = "exact",
    progress: Callable[[int, int], None] | None = None,
) -> Look:
    """What did the network see?

    `x` is one input, a list, or anything that is gone through once, such as a data loader's batches: a set streams by,
    figures of it are kept, and whole values of the first `keep` inputs only. `layers` is `"stages"` (the parts that the
    model is made of), `"attention"`, a layer's name, or a list of these; `"layer:attention"` means that layer's
    attention. Channels are ordered by `rank`: mean square (`activation`), `variance`, or `attribution` (gradient times
    activation of `target`, by size, for the inputs that are kept). `beside` says beside attention how far it agrees
    with gradient times attention, and explains the first input by what follows attention, which takes gradients;
    without it every input goes through the model once, 32 in a lot (in more passes where memory does not
    hold them at once), and figures are made of what layers say: measured on a processor, 2 (a transformer) to 3 times
    (18 residual layers) what a plain forward takes, and not below 7 ms an input. `budget`, `chunk`, `precision` and
    `progress` are as in `explain`; with the usual `exact` values are what the layers say, bit for bit.

    Raises `layer.unknown` with the nearest names for a layer that does not exist, `layer.not_reached` for one that is
    never called, `layer.no_tensor` for one without a tensor, `batch.unclear`, and where no input could be looked at
    the first one's own error.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    if rank not in RANKS:
        raise OptionError("option.value", f"rank={rank!r}", ", ".join(RANKS), nearest(str(rank), RANKS))
    if keep < 0:
        raise OptionError("option.value", f"keep={keep}", "0 or more inputs", "leave it out for 8")
    settings = Settings(None if budget is None else size(budget), chunk, False, progress, False, precision)
    wanted = asked(layers)
    alone, inputs = inputs_of(subject, x)
    kept, chosen, tally, first = _Kept(), None, Tally(), None
    passes = forwards = 0
    seconds = 0.0
    while lot := list(islice(inputs, TOGETHER)):
        examples: list[tuple[int, Example]] = []
        for raw in lot:
            try:
                examples.append((kept.inputs, subject.read(raw)))
            except PellucidError as error:
                if alone:
                    raise
                kept.refused.add(kept.inputs, error)
            kept.inputs += 1
        if not examples:
            continue
        if chosen is None:
            chosen = settled(examples, lambda e: _chosen(subject, e, wanted), kept.refused, x)
            first = lot[examples[0][0] - kept.inputs]  # counted from the end of the lot
        whole = max(keep - len(kept.shown), 0)
        jobs = [_looked(e, subject, *chosen[:2], whole=k < whole, by=rank, beside=beside,
                        target=target)
                for k, (_, e) in enumerate(examples)]
        found, tally = run(subject.module, jobs, facts=subject.facts, settings=settings)
        passes, forwards, seconds = passes + tally.passes, forwards + tally.forwards, seconds + tally.seconds
        for (number, example), result in zip(examples, found, strict=True):
            if isinstance(result, PellucidError):
                kept.refused.add(number, result)
            else:
                result(kept, example.shown)
    failed = kept.refused.found
    if chosen is None or len(failed) == kept.inputs:
        raise kept.refused.error(x)
    evidence = Evidence(passes=passes, forwards=forwards, seconds=seconds, chunk=tally.chunk, isolation=tally.isolation,
                        rows_interact=tally.interact, twin=tally.twin)
    seen = {layer.name: _seen(layer, kept, rank) for layer in chosen[0]}
    told, without = _beside(subject, first, target, budget, chunk, precision) if kept.maps and beside else ({}, {})
    return Look(seen, tuple(kept.maps), kept.agreed, told, without, kept.agreement, kept.inputs - len(failed),
                subject.name, tuple(kept.shown), *chosen[2], evidence, failed, _findings(chosen[0], kept),
                Provenance(subject))


def _beside(subject: Subject, raw: Any, target: Any, budget: int | str | None, chunk: int | None, precision: str
            ) -> tuple[dict[str, Explanation], dict[str, Finding]]:
    """The first input's explanations by what follows attention, and why those are missing that are."""
    found = explain(subject, raw, list(BESIDE), target=target, budget=budget, chunk=chunk, precision=precision)
    return ({k: e for k, e in found.items() if isinstance(e, Explanation)},
            {k: _told(e) for k, e in found.items() if isinstance(e, PellucidError)})


def _told(error: PellucidError) -> Finding:
    return Finding(error.code, "warn", f"{error.found}; expected {error.expected}", error.do)


def _findings(layers: list[Layer], kept: _Kept) -> tuple[Fault, ...]:
    """The first layer with values that are not finite."""
    ran = [(layer.name, kept.running[layer.name]) for layer in sorted(layers, key=lambda one: one.ran)]
    found = finite.fault((name, r.odd, r.hit, r.rows) for name, r in ran)
    if found is None:
        return ()
    code, level, name, channels, facts = found
    return (Fault(code, level, *fault_told(code, facts), name, channels, facts),)


def _chosen(subject: Subject, example: Example, wanted: Sequence[str]
            ) -> tuple[list[Layer], list[Site], tuple[tuple[int, ...] | None, int]]:
    """The layers and the attentions that are looked at, and how the tokens of a picture lie over it."""
    here = Places(subject, example)
    names: list[str] = []
    heads: list[Site] = []
    for name in wanted:
        if name == "stages":
            names += stages.stages(subject, example)[0]
        elif name == ATTENTION or Site.parse(name).part == ATTENTION:
            heads += _attentions(subject, example, name)
        else:
            names.append(name)
    made = [layer_of(subject, here, name, here.calls) for name in dict.fromkeys(names)]
    return made, list(dict.fromkeys(heads)), _tokens_laid(here) if heads and here.picture else (None, 0)


def _tokens_laid(here: Places) -> tuple[tuple[int, ...] | None, int]:
    """How the tokens of a picture lie over it, and how many stand before them; known once for a kind of input."""
    facts, key = here.subject.facts, ("tokens laid", here.example.carrier.signature)
    if key not in facts:
        laid = next((found for c in here.calls if len(shape_of(c)) == 2
                     and (found := here.laid(c)) is not None and found.before), None)
        facts[key] = (laid.grid, laid.before) if laid is not None else (None, 0)
    return facts[key]


def _attentions(subject: Subject, example: Example, name: str) -> list[Site]:
    found = attention_sites(attentions(subject.module, example.carrier, subject.facts))
    if not found:
        raise LayerError("layer.no_attention", f"{subject.name}, which computes no softmax over keys",
                         "a model with attention", "name layers instead")
    return [Site.parse(n) for n in found] if name == ATTENTION else [Site.parse(name)]


def layer_of(subject: Subject, here: Places, name: str, calls: list[Heard]) -> Layer:
    """A layer by name, and how its value lies."""
    site = Site.parse(name)
    mine = [c for c in calls if c.layer == site.layer and c.call == (site.call or c.call)]
    known = {n for n, _ in subject.module.named_modules() if n}
    if not mine and site.layer not in known:
        raise LayerError("layer.unknown", repr(site.layer), "a module's name", nearest(site.layer, known))
    if not mine:
        raise LayerError("layer.not_reached", f"{site}, which this forward never reaches", "a layer that is called",
                         nearest(site.layer, {named(c, calls) for c in calls if c.layer}))
    call = mine[-1]
    shape = tuple(call.shapes.get(site.part, ())) or shape_of(call)
    laid = here.axes(call) if not site.part else None
    ran = next(k for k, c in enumerate(calls) if c is call)
    ends = ENDS.get(call.kind)
    if laid is not None and len(shape) >= 2:
        axis = 0 if laid.grid is None else len(shape) - 1
        kind = "places" if len(laid.size) == 2 and len(shape) == 3 else "tokens"
        return Layer(name, site, shape, kind, axis, laid.grid if len(shape) == 2 and len(laid.size) == 2 else None,
                     laid.before, ends, ran)
    if len(shape) == 3:
        return Layer(name, site, shape, "places", 0, ends=ends, ran=ran)
    if len(shape) == 2:
        return Layer(name, site, shape, "tokens", 1, ends=ends, ran=ran)
    return Layer(name, site, shape, "units", -1, ends=ends, ran=ran)


Put = Callable[[_Kept, Shown], None]


async def _looked(example: Example, subject: Subject, layers: list[Layer], heads: list[Site], *, whole: bool,
                  by: str, beside: bool, target: Any) -> Put:
    """The conversation about one input: figures of every layer, and whole values where they are kept."""
    x = example.x if example.x is not None else torch.zeros(())
    goal = read(target, subject.labels)
    case = Case(example.carrier, x, x, units(tuple(x.shape)), goal, example.site)
    figures = [Ask("reading", case, AsIs(), layer.site, each) for layer in layers for each in layer.figures()]
    values = [case.own(of=layer.site) for layer in layers] if whole else []
    answers = await together(*figures, *values)
    # A question of its own: with gradients a pass may take other kernels, and values would differ in the last bit.
    scores = await together(*(Ask("gradient", case, AsIs(), layer.site, Each(Contribution(layer.axis), layer.site))
                              for layer in layers)) if whole and by == "attribution" else []
    maps, agreed, apart = await _written_down(case, heads, subject.facts, beside) if whole else ({}, {}, None)

    def put(kept: _Kept, shown: Shown) -> None:
        given = iter(answers)
        for layer in layers:
            told = [next(given)[0] for _ in layer.figures()]
            kept.running.setdefault(layer.name, Running(layer.places)).add(
                told[0], told[2] if len(told) > 2 else None, told[1] if len(told) > 1 else None)
        for layer, value in zip(layers, given, strict=True) if whole else ():
            kept.values.setdefault(layer.name, []).append(value[0].cpu())
        for layer, score in zip(layers, scores, strict=False):
            kept.scores[layer.name] = kept.scores.get(layer.name, 0.0) + score[0].cpu().double()
        if whole:
            kept.shown.append(shown)
            if heads:
                kept.maps.append(maps)
                kept.agreement = max(kept.agreement or 0.0, apart or 0.0)
                kept.agreed = kept.agreed or agreed

    return put


async def _written_down(case: Case, heads: list[Site], facts: dict[Any, Any], beside: bool
                        ) -> tuple[dict[str, Tensor], dict[str, float], float | None]:
    """Every attention's probabilities, how far each agrees with what spoke for the score, and how far the layers that
    hold them say the same without."""
    if not heads:
        return {}, {}, None
    around = [Site(layer) for layer in dict.fromkeys(s.layer for s in heads) if layer not in ("", ".")]
    key = ("attention agrees", case.carrier.kind, tuple(heads))
    asked = around if key not in facts else []
    found = await together(*(case.own(of=s) for s in heads), *(case.own(of=s) for s in asked))
    if asked:  # once for a kind of input: what writes attention down is the same for all of them
        plain = await together(*(case.own(of=s) for s in around))
        facts[key] = max((_distance(a, b) for a, b in zip(found[len(heads) :], plain, strict=True)), default=None)
    apart, maps = facts.get(key), {_spelled(s): f[0].cpu() for s, f in zip(heads, found, strict=False)}
    if not beside:
        return maps, {}, apart
    try:
        spoke = await together(*(Ask("gradient", case, AsIs(), s, Each(gated, s)) for s in heads))
    except TargetError:  # a model without a score (an encoder) has attention all the same
        return maps, {}, apart
    agreed = {name: _agreement(maps[name].mean(-3), g[0].cpu()) for name, g in zip(maps, spoke, strict=True)}
    return maps, {k: v for k, v in agreed.items() if v is not None}, apart


def _agreement(looked: Tensor, spoke: Tensor) -> float | None:
    """How far the ranks of where queries looked agree with those of what spoke for the score, where any did."""
    used = spoke.amax(-1) > 0
    return spearman(looked[used].flatten(), spoke[used].flatten()) if bool(used.any()) else None


def _spelled(site: Site) -> str:
    """An attention's layer, without the part that says that it is one."""
    return str(replace(site, part=""))


def _distance(a: Tensor, b: Tensor) -> float:
    scale = float(b.double().norm())
    return float((a.double() - b.double()).norm()) / scale if scale else 0.0


def _seen(layer: Layer, kept: _Kept, rank: str) -> Seen:
    running = kept.running[layer.name]
    channels = torch.stack([running.column(name) if name != "variance" else running.variance for name in FIGURES], -1)
    order = ranked(channels, rank, kept.scores.get(layer.name))
    profile = running.profile()
    if layer.ends is None:
        profile.pop("saturated", None)
    return Seen(layer.name, layer.kind, layer.shape, layer.axis, running.rows,
                tuple(kept.values.get(layer.name, ())), layer.grid, layer.before, channels, tuple(order), rank,
                profile, running.scale)
