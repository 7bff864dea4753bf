"""The verb: heads(model, data), what every head of attention is worth, which say the same, which could go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.changes.ablate import Head
from pellucid.changes.attending import ATTENTION
from pellucid.changes.attentions import Attended
from pellucid.changes.attentions import sites as attention_sites
from pellucid.choices.places import Places, shape_of
from pellucid.choices.places import asked as wanted_layers
from pellucid.diagnosis import heads as diagnosis
from pellucid.diagnosis.heads import Asked, Told
from pellucid.engine import interrupt, memory
from pellucid.engine.run import attentions, run, surveyed
from pellucid.engine.settings import Settings, Tally
from pellucid.explain import wrapped
from pellucid.models.subject import Example, Subject
from pellucid.provenance import Provenance
from pellucid.streaming import Refused, settled, streamed
from pellucid.views.faults import told
from pellucid.words.activity import Fault
from pellucid.words.case import Case
from pellucid.words.errors import LayerError, OptionError, PellucidError, nearest
from pellucid.words.explanation import Evidence, Finding
from pellucid.words.features import units
from pellucid.words.heads import Averages, Estimated, Heads
from pellucid.words.size import size
from pellucid.words.target import read

TOGETHER = 32
"""Inputs alive at once."""

ABLATIONS = ("zero", "mean", "none")


@dataclass(eq=False)
class _Sums:
    """What is held of a set while it streams by: a row of numbers per input and figure, two matrices in all."""

    rows: dict[str, list[Tensor]] = field(default_factory=dict[str, list[Tensor]])
    alike: list[Tensor] = field(default_factory=list[Tensor])
    compared: int = 0
    seen: int = 0

    def put(self, name: str, row: Tensor) -> None:
        self.rows.setdefault(name, []).append(row)

    def compare(self, *matrices: Tensor) -> None:
        """Two more matrices; where an input does not tell two heads apart it is left out of their mean."""
        for k, m in enumerate(matrices):
            known = ~m.isnan()
            if len(self.alike) < 2 * len(matrices):
                self.alike += [torch.zeros_like(m), torch.zeros_like(m)]
            self.alike[2 * k] += m.nan_to_num()
            self.alike[2 * k + 1] += known
        self.compared += 1

    def mean(self, which: int) -> Tensor | None:
        return None if not self.alike else torch.where(
            self.alike[2 * which + 1] > 0, self.alike[2 * which] / self.alike[2 * which + 1].clamp(min=1), torch.nan)


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to ask about the heads")
def heads(
    subject: Subject | nn.Module,
    data: Any,
    labels: Any = None,
    *,
    layers: str | Sequence[str] = ATTENTION,
    target: Any = None,
    ablation: str = "zero",
    gradient: bool = True,
    compare: int = 32,
    budget: int | str | None = None,
    chunk: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Heads:
    """What is every head of attention worth, and which say the same?

    `data` is a list of inputs, a batch, or anything that is gone through once, such as a data loader's batches of
    inputs or (inputs, labels); with `labels` accuracy and loss are measured too. `layers` are all that have attention
    if left out. Each head is taken out in turn: what it says is `zero`, its `mean` over data (a list then, for it is
    gone through twice), or it stays (`none`: only the gradient tells importance). `target` is whose score is measured:
    each input's predicted class if left out, with labels its label. The first `compare` inputs tell how alike heads
    are. A head takes a forward per input. `budget`, `chunk` and `progress` are as in `explain`.

    Raises `layer.no_attention` for a model without attention, `labels.count`, `labels.unknown`, `batch.unclear`,
    and where no input could be used the first one's own error, or `input.empty`.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    if ablation not in ABLATIONS:
        raise OptionError("option.value", f"ablation={ablation!r}", ", ".join(ABLATIONS),
                          nearest(str(ablation), ABLATIONS))
    if compare < 0 or (ablation == "none" and not gradient):
        raise OptionError("option.value", f"compare={compare}, ablation={ablation!r}, gradient={gradient}",
                          "0 or more inputs to compare; ablation, gradient, or both", "leave them out")
    if ablation == "mean" and isinstance(data, Iterator):
        raise OptionError("heads.once", "data that can be gone through once", "data that can be gone through twice",
                          "give a list or a data loader, or take ablation='zero'")
    settings = Settings(None if budget is None else size(budget), chunk, False, progress, False, "exact")
    goal = read(target, subject.labels)
    sums, asked, refused, number = _Sums(), None, Refused(), 0
    first: Example | None = None
    tally, spent = Tally(), [0.0, 0.0, 0.0]
    labelled: bool | None = None
    stream = streamed(subject, data, labels)
    while lot := list(islice(stream, TOGETHER)):
        jobs: list[tuple[int, Case, int | None]] = []
        for raw, label in lot:
            labelled = label is not None if labelled is None else labelled
            if labelled != (label is not None):
                raise OptionError("labels.count", f"input {number + 1} {'without' if labelled else 'with'} a label",
                                  "labels for all inputs or for none", "give a label to each")
            try:
                example = subject.read(raw)
                jobs.append((number, case_of(example, goal), label))
                first = first or example
            except PellucidError as error:
                refused.add(number, error)
            number += 1
        if first is None or not jobs:
            continue
        if asked is None:
            numbered = [(jobs[0][0], first)]
            chosen = settled(numbered, lambda e: _chosen(subject, e, layers), refused, data)
            grid, before = _grid(subject, first)
            means = _means(subject, data, labels, chosen, goal, settings) if ablation == "mean" else None
            asked = Asked(tuple(chosen), ablation != "none", gradient, True, grid, before, means)
        now = [Asked(asked.heads, asked.ablate, gradient, n < compare, asked.grid, asked.before, asked.means)
               for n, _, _ in jobs]
        found, tally = run(subject.module, [diagnosis.told(case, a, label) for (_, case, label), a in
                                            zip(jobs, now, strict=True)], facts=subject.facts, settings=settings)
        spent = [a + b for a, b in zip(spent, (tally.passes, tally.forwards, tally.seconds), strict=True)]
        for (n, _, label), result in zip(jobs, found, strict=True):
            if isinstance(result, PellucidError):
                if isinstance(result, LayerError | OptionError):
                    raise result
                refused.add(n, result)
            else:
                _take(sums, result, label)
    if asked is None or not sums.rows:
        raise refused.error(data)
    evidence = Evidence(passes=int(spent[0]), forwards=int(spent[1]), seconds=spent[2], chunk=tally.chunk,
                        isolation=tally.isolation, rows_interact=tally.interact)
    return _record(subject, asked, sums, refused.found, evidence, ablation, first)


def case_of(example: Example, goal: Any) -> Case:
    x = example.x if example.x is not None else torch.zeros(())
    return Case(example.carrier, x, x, units(tuple(x.shape)), goal, example.site)


def _chosen(subject: Subject, example: Example, layers: str | Sequence[str]) -> list[Head]:
    """Every head of the attentions that are named."""
    found: Mapping[str, Attended] = attention_sites(attentions(subject.module, example.carrier, subject.facts))
    found = {name: a for name, a in found.items() if a.apart}
    if not found:
        raise LayerError("layer.no_attention", f"{subject.name}, which computes no softmax over keys",
                         "a model with attention", "heads are parts of attention: see activity() for channels")
    wanted = list(found) if layers == ATTENTION else [
        n if n.endswith(f":{ATTENTION}") else f"{n}:{ATTENTION}"
        for n in wanted_layers(layers)]
    for name in wanted:
        if name not in found:
            raise LayerError("layer.no_attention", repr(name.removesuffix(f":{ATTENTION}")), "a layer with attention",
                             nearest(name, found))
    return [Head(name, k, found[name].heads) for name in wanted for k in range(found[name].heads)]


def _grid(subject: Subject, example: Example) -> tuple[tuple[int, ...] | None, int]:
    """How the tokens of a picture lie over it."""
    here = Places(subject, example)
    laid = next((found for c in surveyed(subject.module, example.carrier, subject.facts)
                 if here.picture and len(shape_of(c)) == 2 and (found := here.laid(c)) is not None
                 and found.grid is not None and len(found.grid) == 2), None)
    return (laid.grid, laid.before) if laid is not None else (None, 0)


def _means(subject: Subject, data: Any, labels: Any, chosen: Sequence[Head], goal: Any, settings: Settings
           ) -> tuple[tuple[float, ...], ...]:
    """What each head says in the mean over data, every input by itself."""
    stream, sums, count = streamed(subject, data, labels), dict[str, Tensor](), 0
    refused, number = Refused(), 0
    while lot := list(islice(stream, TOGETHER)):
        examples: list[Example] = []
        for raw, _ in lot:
            try:
                examples.append(subject.read(raw))
            except PellucidError as error:
                refused.add(number, error)
            number += 1
        found, _ = run(subject.module, [diagnosis.means(case_of(e, goal), tuple(chosen)) for e in examples],
                       facts=subject.facts, settings=settings)
        for one in found:
            if isinstance(one, PellucidError):
                refused.add(number, one)
            else:
                count += 1
                for name, value in one.items():
                    sums[name] = sums[name] + value if name in sums else value
    if not count:
        raise refused.error(data)
    return tuple(tuple((sums[h.site][h.head] / count).tolist()) for h in chosen)


def _take(sums: _Sums, one: Told, label: int | None) -> None:
    """One input's answers as rows of what they are averaged into."""
    for name, value in (("entropy", one.entropy), ("distance", one.distance), ("gradient", one.gradient)):
        if value is not None:
            sums.put(name, value)
    if one.similarity is not None and one.divergence is not None:
        sums.compare(one.similarity, one.divergence)
        sums.seen += one.seen
    clean, without = one.clean, one.without
    sums.put("clean margin", torch.tensor([clean.get("margin", torch.nan)], dtype=torch.float64))
    if "class" in clean:
        sums.put("own class", torch.tensor([clean["class"]], dtype=torch.float64))
    if label is not None and "loss" in clean:
        sums.put("right", torch.tensor([float(clean["class"] == label)], dtype=torch.float64))
        sums.put("own loss", torch.tensor([clean["loss"]], dtype=torch.float64))
    if not len(without["score"]):
        return
    sums.put("score", clean["score"] - without["score"])
    if "margin" in clean:
        sums.put("margin", clean["margin"] - without["margin"])
        sums.put("changed", (without["class"] != clean["class"]).double())
    if label is not None and "loss" in clean:
        sums.put("loss", without["loss"] - clean["loss"])
        sums.put("accuracy", float(clean["class"] == label) - (without["class"] == label).double())


def _record(subject: Subject, asked: Asked, sums: _Sums, failed: dict[int, Finding], evidence: Evidence,
            ablation: str, example: Example | None) -> Heads:
    rows = {name: torch.stack(values) for name, values in sums.rows.items()}
    names = [(h.layer, h.head) for h in asked.heads]
    importance = {k: Averages.of(rows[k], counted=k == "accuracy", share=k == "changed")
                  for k in ("gradient", "score", "margin", "changed", "loss", "accuracy") if k in rows}
    margins = None
    if "margin" in rows:
        margins = torch.cat([rows["clean margin"], rows["clean margin"] - rows["margin"]], 1)
    similarity = sums.mean(0)
    found = tuple(Fault("heads.same", "warn", *told("heads.same", facts), facts["layer"], (), facts)
                  for facts in diagnosis.same(names, similarity, sums.seen))
    return Heads(
        names, len(rows["entropy"]), importance, Averages.of(rows["entropy"]), Averages.of(rows["distance"]),
        similarity, sums.mean(1), sums.compared, ablation,
        Estimated.share(rows["right"][:, 0]) if "right" in rows else None,
        Estimated.of(rows["own loss"][:, 0]) if "own loss" in rows else None,
        found, subject.name, evidence, failed, subject, margins, asked.heads, example,
        Provenance(subject))
