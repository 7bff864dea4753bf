"""The watcher: beside a training loop, told of every step, it looks at some."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn

from pellucid.engine.probe import device_of
from pellucid.watching.findings import events
from pellucid.watching.flow import Parameters
from pellucid.watching.observing import Probe
from pellucid.watching.pace import Pace
from pellucid.watching.writers import Writer
from pellucid.words.errors import PellucidError
from pellucid.words.watch import Cost, Explained, Flow, Record, Run, Training, Watched


class Watcher:
    """Looks at a network while it is trained; made by `pellucid.watch`.

    Tell it of every step: `step(loss=loss)` after the optimizer's step, while the gradients are still there; where
    they are cleared earlier, call `gradients()` right after `backward()` as well. The first look is made at once,
    before anything is learnt, and what is wrong with the choices is raised there; later a look that fails is noted in
    its record, and the training goes on.
    """

    def __init__(self, module: nn.Module, name: str, layers: Sequence[str], probe: Probe | None, explains: bool,
                 writers: list[Writer], pace: Pace, start: int | None) -> None:
        self.probe, self.explains, self.writers, self.pace = probe, explains, writers, pace
        self.module = module
        self.parameters = Parameters(module, layers)
        self.records: list[Record] = []
        self.notes: list[str] = []
        self.closed = self.silent = False
        self._trained = 0.0
        self.figures: dict[str, Any] = {}
        explained, said = None, ({}, {})
        began = time.perf_counter()
        if probe is not None:
            probe.rehearse(explains)
            began = time.perf_counter()
            said = probe.layers_said()
            explained = probe.explained() if explains else None
        method = explained.method if explained is not None else ""
        self.run = Run(name, tuple(said[0]), tuple(self.parameters.groups), tuple(said[1]), method,
                       len(probe.inputs) if probe else 0, probe.digest if probe else "")
        self._begin(explained)
        self.last = self.records[-1].step if self.records else -1
        self.at = max(self.last, 0) if start is None else start
        self.looking = False
        if self.at > self.last:
            flow = self.parameters.flow()
            self._keep(Record(self.at, {}, said[0], flow, said[1], explained, time.perf_counter() - began))
        self.pace.began(time.perf_counter() - began)
        self._ahead()

    def _begin(self, explained: Explained | None) -> None:
        """Open what records go to; what is there already of this run comes first."""
        ready: list[Writer] = []
        try:
            for writer in self.writers:
                there = writer.begin(self.run)
                ready.append(writer)
                self.records = list(there) or self.records
                self.notes += getattr(writer, "notes", ())
        except BaseException:
            for writer in ready:
                writer.close()
            raise
        earlier = [r.explained for r in self.records if r.explained is not None]
        if self.probe is not None and earlier:
            self.probe.first, self.probe.previous = earlier[0], earlier[-1]

    def step(self, *, step: int | None = None, **figures: Any) -> Record | None:
        """A step of the training is over; the record, if it was looked at.

        `figures` are what the loop knows (`loss`, `accuracy`, …): numbers or tensors of one, read only when there is a
        look. `step` is how many steps are done, where the loop counts them itself; steps that are on record already,
        from before a crash, are passed over.
        """
        if self.closed:
            return None
        self.pace.enter()
        self.at = self.at + 1 if step is None else step
        self.pace.stepped()
        # Without their graphs, which would keep a step's activations alive until the next.
        self.figures = {k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in figures.items()}
        record = None
        if self.looking and self.at > self.last:
            record = self._look()
        self._ahead()
        self.pace.leave()
        return record

    def gradients(self) -> None:
        """Read the gradients now, if this step is one to look at: for loops that clear them before `step`."""
        if self.looking and not self.closed:
            self.pace.enter()
            self.parameters.read()
            self.pace.leave()

    def _ahead(self) -> None:
        """Whether the next step is looked at has to be known before it: what it changes is kept till then."""
        self.looking = self.at + 1 > self.last and self.pace.due(self.at + 1)
        if self.looking:
            self.parameters.remember()

    def _look(self) -> Record:
        device = device_of(self.module, [])
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # what is still at work there is the training's, not the look's
            self.pace.training += time.perf_counter() - self.pace.entered
            self.pace.entered = time.perf_counter()
        began = time.perf_counter()
        trained = self.pace.training - self._trained
        self._trained = self.pace.training
        notes: list[str] = []
        told = {k: _number(v) for k, v in self.figures.items()}
        flow: dict[str, Flow] = self._tried(self.parameters.flow, {}, notes)
        layers: dict[str, Watched] = {}
        heads: dict[str, tuple[float | None, ...]] = {}
        explained: Explained | None = None
        if self.probe is not None:
            layers, heads = self._tried(self.probe.layers_said, (layers, heads), notes)
            explained = self._tried(self.probe.explained, None, notes) if self.explains else None
        record = Record(self.at, told, layers, flow, heads, explained, time.perf_counter() - began, trained,
                        tuple(notes))
        self._keep(record)
        self.pace.counted(time.perf_counter() - began)
        return record

    def _tried(self, look: Callable[[], Any], otherwise: Any, notes: list[str]) -> Any:
        """A part of a look, or a note why there is none: no look may end a training."""
        try:
            return look()
        except PellucidError as error:
            notes.append(f"[{error.code}] {error.found}"[:500])
        except Exception as error:
            notes.append(f"{type(error).__name__} in a look"[:500])
        return otherwise

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        self.last = record.step
        for writer in self.writers:
            try:
                writer.write(record)
            except Exception as error:
                note = f"step {record.step} was not written by {type(writer).__name__}: {error}"
                self.notes.append(note)
                if not self.silent:
                    self.silent = True
                    warnings.warn(f"pellucid: {note}; the training goes on", stacklevel=4)

    def close(self) -> None:
        """A last look, where steps were made since the last one, and everything is given back."""
        if self.closed:
            return
        try:
            if self.at > self.last:
                self.pace.enter()
                self.parameters.before = {}  # kept for a step that does not come
                self._look()
                self.pace.leave()
        finally:
            self._end()

    def _end(self) -> None:
        self.closed = True
        self.parameters.before = {}
        for writer in self.writers:
            writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif not self.closed:
            self._end()

    @property
    def cost(self) -> Cost:
        """What watching has cost so far."""
        return self.pace.cost

    @property
    def training(self) -> Training:
        """What has been seen so far, and what happened."""
        return Training(self.run, tuple(self.records), events(self.records), tuple(self.notes))

    def lightning_callback(self) -> Any:
        """This watcher as a callback of Lightning's Trainer."""
        from pellucid.watching.lightning import callback

        return callback(self)

    def transformers_callback(self) -> Any:
        """This watcher as a callback of transformers' Trainer."""
        from pellucid.watching.transformers import callback

        return callback(self)

    def __repr__(self) -> str:
        share = f"{100 * self.cost.share:.1f} % of the time"
        return f"Watcher({self.run.model}: {len(self.records)} records, step {self.at}, {share})"


def _number(value: Any) -> float | None:
    """A figure of the loop's as a number; None where it is not finite."""
    try:
        found = float(value)
    except (TypeError, ValueError, RuntimeError):
        return None
    return found if math.isfinite(found) else None
