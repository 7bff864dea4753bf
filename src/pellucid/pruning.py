"""A plan to go without some heads: foretold, measured beside the model, and carried out on a copy."""

from __future__ import annotations

import copy
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.changes.ablate import Head
from pellucid.diagnosis.heads import Best, Width
from pellucid.engine import interrupt, memory
from pellucid.engine.probe import device_of, repeated
from pellucid.engine.run import run
from pellucid.engine.settings import Settings
from pellucid.engine.shadow import unwrapped
from pellucid.heads import case_of
from pellucid.models.module import plain_module
from pellucid.models.pruned import Masked, masking, narrowed, saved, settled
from pellucid.models.subject import Subject
from pellucid.store import atomic
from pellucid.streaming import streamed
from pellucid.words.ask import Ask, together
from pellucid.words.case import Case
from pellucid.words.errors import FileError, ModelError, OptionError, PellucidError
from pellucid.words.heads import Estimated, Heads, Measurement, Plan, Pruned
from pellucid.words.outputs import parts
from pellucid.words.points import AsIs
from pellucid.words.size import size
from pellucid.words.target import Predicted

CLOSE = 1e-5
"""How far, relative, a smaller copy may be from the model with silenced heads: further, and it is masked instead."""

TOGETHER, RUNS = 32, 9
"""Inputs alive at once, and how often each of the two is timed."""

KEY = "pellucid.heads"
"""Under which name a file says which heads are gone."""


def planned(heads: Heads, *, share: float | None = None, loss: float | None = None, by: str | None = None) -> Plan:
    """Which heads could go: see `Heads.plan`."""
    if (share is None) == (loss is None) or not 0 <= (share if share is not None else loss or 0.0) <= 1:
        raise OptionError("option.value", f"share={share}, loss={loss}", "one of the two, between 0 and 1",
                          "write plan(share=0.3) or plan(loss=0.01)")
    subject = _subject(heads)
    if loss is not None and heads.margins is None:
        raise OptionError("heads.no_classes", "heads of a model whose outputs are no classes",
                          "classes that can change", "write plan(share=...)")
    most: dict[str, int] = {}
    for h in heads.sites:
        most[h.site] = h.of - 1  # an attention without a head would be another network
    order: list[int] = []
    for k in heads.order(by):
        if most[heads.sites[k].site]:
            most[heads.sites[k].site] -= 1
            order.append(k)
    if share is not None:
        order = order[: round(share * len(heads.names))]
    else:
        lost = [_foretold(heads, order[: k + 1]).value for k in range(len(order))]
        order = order[: max((k + 1 for k, v in enumerate(lost) if v <= (loss or 0.0)), default=0)]
    model = unwrapped(subject.module)
    off = [heads.sites[k] for k in sorted(order)]
    grouped = _grouped(off)
    less = {site: saved(model, _layer(site), len(hs), hs[0].of) for site, hs in grouped.items()}
    less = {site: n if _once(heads, site) else 0 for site, n in less.items()}
    whole = sum(p.numel() for m in model.modules() if not isinstance(m, nn.Embedding)
                for p in m.parameters(recurse=False) if p.dim() > 1)
    return Plan(tuple((h.layer, h.head) for h in off), len(heads.names),
                _foretold(heads, order) if heads.margins is not None else None, sum(less.values()),
                sum(less.values()) / max(whole, 1), heads.labelled, by or "",
                tuple(_layer(site) for site, n in less.items() if not n), heads)


def _foretold(heads: Heads, gone: Sequence[int]) -> Estimated:
    """What is lost, input by input, if what heads add to the margin between two classes adds up."""
    assert heads.margins is not None
    clean, without = heads.margins[:, 0], heads.margins[:, 1:]
    left = clean - (clean[:, None] - without[:, list(gone)]).sum(1)
    if not heads.labelled:
        return Estimated.share(((clean > 0) & (left <= 0)).double())
    # With labels the margin is that of the label: an input that is wrong already may be put right.
    return Estimated.difference((clean > 0).double() - (left > 0).double())


def _subject(heads: Heads | None) -> Subject:
    if heads is None or not isinstance(heads.subject, Subject):
        raise OptionError("heads.no_model", "heads whose model is not in memory", "the record that heads() returned",
                          "call heads(model, data) again")
    return heads.subject


def _layer(site: str) -> str:
    return site.rpartition(":")[0].partition("#")[0]


def _once(heads: Heads, site: str) -> bool:
    """True where a layer's weights serve this attention alone."""
    return sum(_layer(s) == _layer(site) for s in {h.site for h in heads.sites}) == 1


def _grouped(off: Sequence[Head]) -> dict[str, list[Head]]:
    found: dict[str, list[Head]] = {}
    for h in off:
        found.setdefault(h.site, []).append(h)
    return found


def _off(plan: Plan) -> list[Head]:
    assert plan.heads is not None
    gone = set(plan.off)
    return [h for h, name in zip(plan.heads.sites, plan.heads.names, strict=True) if tuple(name) in gone]


@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to prune a copy of the model")
def applied(plan: Plan) -> Pruned:
    """The copy without these heads: see `Plan.apply`."""
    subject, off = _subject(plan.heads), _off(plan)
    assert plan.heads is not None
    model = unwrapped(subject.module)
    inputs = _there(plan.heads.example.carrier.inputs, model)
    whole, made = _copied(model), _copied(model)
    smaller, reasons, masked = list[str](), dict[str, str](), list[Head]()
    cut: list[Head] = []
    with settled(whole, made):
        for site, some in _grouped(off).items():
            layer = _layer(site)
            undo = narrowed(made, layer, [h.head for h in some], some[0].of) if _once(plan.heads, site) else None
            why = "a build that is not known" if undo is None else _unlike(made, whole, [*cut, *some], inputs)
            if not why:
                smaller.append(layer)
                cut += some
                continue
            if undo is not None:
                undo()
            reasons[layer] = why
            masked += some
        said = Masked(whole, masking(off))
        out: nn.Module = Masked(made, masking(masked)) if masked else made
        apart = _apart(_said(out, inputs), _said(said, inputs)) if off else 0.0
    return Pruned(out, plan.off, tuple(smaller), tuple(reasons), apart, (_count(model), _count(out)), reasons,
                  tuple(off))


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise ModelError("heads.copy", f"a {type(model).__name__} that cannot be copied ({type(error).__name__})",
                         "a model that copy.deepcopy copies", "keep no results of a forward on the model") from error


def _unlike(made: nn.Module, whole: nn.Module, off: Sequence[Head], inputs: Any) -> str:
    """Why a smaller copy is not what the model with silenced heads is; empty where it is."""
    try:
        apart = _apart(_said(made, inputs), _said(Masked(whole, masking(off)), inputs))
    except Exception as error:  # whatever a forward raises that counts on its heads
        return f"its forward does not take fewer heads ({type(error).__name__})"
    return "" if apart <= CLOSE else f"the smaller one says something else ({apart:.1g} apart)"


def _there(inputs: Any, model: nn.Module) -> dict[str | int, Any]:
    """Inputs where the model computes."""
    place = device_of(model, [])
    return {k: v.to(place) if isinstance(v, Tensor) else v for k, v in inputs.items()}


def _said(model: nn.Module, inputs: Any) -> dict[str, Tensor]:
    given = {k: v.clone() if isinstance(v, Tensor) else v for k, v in inputs.items()}
    out = model(*(v for k, v in given.items() if isinstance(k, int)),
                **{k: v for k, v in given.items() if isinstance(k, str)})
    return {k: v.detach() for k, v in parts(out).items() if v.is_floating_point()}


def _apart(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """The largest difference of what two models say, by the size of it; infinite where they say different things."""
    if a.keys() != b.keys() or not a:
        return math.inf
    # Attention that a model returns has fewer heads: that is what was asked for.
    return max((float((a[k].double() - b[k].double()).abs().max() / b[k].double().abs().max().clamp(min=1e-12))
                for k in a if a[k].shape == b[k].shape and a[k].numel()), default=math.inf)


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to measure the pruned copy")
def measured(plan: Plan, data: Any, labels: Any = None, *, budget: int | str | None = None, chunk: int | None = None,
             progress: Callable[[int, int], None] | None = None) -> Measurement:
    """The plan's cost in truth: see `Plan.measure`."""
    subject, pruned = _subject(plan.heads), applied(plan)
    settings = Settings(None if budget is None else size(budget), chunk, False, progress, False, "exact")
    rows: list[tuple[int | None, int, int]] = []
    facts: dict[Any, Any] = {}
    stream, some = streamed(subject, data, labels), list[Any]()
    while lot := list(islice(stream, TOGETHER)):
        read: list[tuple[Any, int | None]] = []
        for raw, label in lot:
            try:
                read.append((subject.read(raw), label))
            except PellucidError:
                continue
        some = some or [e for e, _ in read]
        classes = [[_classes(r) for r in run(module, [_class(case_of(e, Predicted())) for e, _ in read], facts=known,
                                             settings=settings)[0]]
                   for module, known in ((subject.module, subject.facts), (pruned.module, facts))]
        rows += [(label, a, b) for (_, label), a, b in zip(read, *classes, strict=True)]
    if not rows:
        raise OptionError("input.empty", "no inputs", "at least one input that the model takes", "give more data")
    labelled = all(label is not None for label, _, _ in rows)
    before, after = (torch.tensor([float(r[k] == r[0]) for r in rows], dtype=torch.float64) for k in (1, 2))
    single = any(a < 0 for _, a, _ in rows)
    other = torch.tensor([float(a != b) for _, a, b in rows], dtype=torch.float64)
    changed = None if single else Estimated.share(other)
    spent, held = _timed(subject.module, pruned.module, some)
    truth = labelled and not single
    lost = Estimated.difference(before - after) if truth else changed
    return Measurement(len(rows), Estimated.share(before) if truth else None,
                       Estimated.share(after) if truth else None, lost, changed, pruned.parameters, spent, held,
                       pruned.masked)


async def _class(case: Case) -> int:
    """The class that is said; -1 where there are none."""
    ask = [Ask("score", case.towards(t), AsIs()) for t in (Width(), Best())]
    width, best = await together(*ask)
    return int(best) if int(width) > 1 else -1


def _classes(found: Any) -> int:
    if isinstance(found, PellucidError):
        raise found
    return found


def _timed(model: nn.Module, made: nn.Module, examples: Sequence[Any], rows: int = 8) -> tuple[Estimated, int]:
    """Time of the copy by that of the model, run in turns on equal rows."""
    inputs = _there(repeated(examples[0].carrier.inputs, rows), model)
    whole = _copied(unwrapped(model))
    ratios: list[float] = []
    with settled(whole, made):
        for k in range(RUNS + 1):
            spent: list[float] = []
            for one in (whole, made):
                began = time.perf_counter()
                _said(one, inputs)
                if torch.cuda.is_initialized():
                    torch.cuda.synchronize()
                spent.append(time.perf_counter() - began)
            ratios += [spent[1] / spent[0]] if k else []  # the first run also warms caches
    low, _, high = statistics.quantiles(ratios, n=4)
    return Estimated(statistics.median(ratios), low, high), rows


def written(pruned: Pruned, path: Any) -> None:
    """Weights of the copy, and which heads are gone: see `Pruned.save`."""
    from safetensors.torch import save

    inner = pruned.module.inner if isinstance(pruned.module, Masked) else pruned.module
    gone: dict[str, Any] = {"heads": [[h.site, h.head, h.of] for h in pruned.sites], "smaller": pruned.smaller}
    tensors, seen = dict[str, Tensor](), dict[tuple[int, int], str]()
    same: dict[str, str] = {}
    for name, value in inner.state_dict().items():
        at = (value.untyped_storage().data_ptr(), value.storage_offset()) if value.numel() else (id(value), 0)
        if at in seen and tensors[seen[at]].shape == value.shape:
            same[name] = seen[at]  # tied weights are written once
            continue
        seen[at] = name
        tensors[name] = value.detach().contiguous()
    gone["same"] = same
    atomic.write(Path(path), save(tensors, {KEY: json.dumps(gone)}))


def prune(model: nn.Module | Subject, path: Any) -> nn.Module:
    """A copy of this model with the heads gone and the weights that a file of `Pruned.save` holds."""
    from safetensors import SafetensorError, safe_open

    plain, _ = plain_module(model.module if isinstance(model, Subject) else model)
    made = _copied(unwrapped(plain))
    try:
        with safe_open(str(path), "pt") as file:
            gone = json.loads((file.metadata() or {})[KEY])
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (no mapping: only keys() goes through it)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise FileError("heads.file", f"{Path(path).name}, which holds no pruned model", "a file of Pruned.save()",
                        "save the pruned copy again") from error
    masked: list[Head] = []
    for site, some in _grouped([Head(*h) for h in gone["heads"]]).items():
        layer = _layer(site)
        if layer not in gone["smaller"]:
            masked += some
        elif layer not in dict(made.named_modules()) or narrowed(made, layer, [h.head for h in some],
                                                                 some[0].of) is None:
            raise FileError("heads.model", f"a model whose {layer} cannot be cut", "the model that was pruned",
                            "give a model of the same build")
    tensors |= {name: tensors[other] for name, other in gone["same"].items()}
    try:
        made.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileError("heads.model", "weights that do not fit this model", "the model that was pruned",
                        "give a model of the same build and sizes") from error
    return Masked(made, masking(masked)) if masked else made

