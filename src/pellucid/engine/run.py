"""The loop: start conversations, collect their questions, answer them in shared passes, go on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from pellucid.changes.attentions import Attended
from pellucid.engine import foreign, interrupt, memory, probe, shadow
from pellucid.engine.cost import Clock, Energy
from pellucid.engine.group import named
from pellucid.engine.lengths import answer
from pellucid.engine.passes import Heard
from pellucid.engine.probe import device_of
from pellucid.engine.settings import Settings, Tally
from pellucid.engine.share import Slot, bundled, merged
from pellucid.engine.tuning import Twin
from pellucid.words.ask import Ask, Failed
from pellucid.words.case import Carrier, Case
from pellucid.words.errors import Cancelled, OptionError, PellucidError
from pellucid.words.points import HERE, AsIs
from pellucid.words.target import Target, is_open

WINDOW = 256
"""Conversations alive at once."""


@dataclass(eq=False)
class Ticket:
    """A conversation in the loop; `result` is what it returned, or the error that ended it."""

    conversation: Coroutine[Any, Any, Any]
    slots: list[Slot] = field(default_factory=list[Slot])
    result: Any = None
    done: bool = False
    seconds: float = 0.0

    def cancel(self) -> None:
        """End this conversation; the others go on."""
        if not self.done:
            self.conversation.close()
            self.result, self.done = Cancelled(), True

    def step(self, answers: list[Any] | None) -> None:
        """Go on to the next questions, or to the end."""
        began = time.perf_counter()
        try:
            asks: tuple[Ask, ...] = self.conversation.send(answers)  # pyright: ignore[reportArgumentType]
        except StopIteration as stop:
            self.result, self.done, self.slots = stop.value, True, []
        except Exception as error:  # a method's own fault ends that method, not the others
            self.result, self.done, self.slots = _own_fault(error), True, []
        else:
            self.slots = [Slot(ask, ask.case.target) for ask in asks]
        self.seconds += time.perf_counter() - began


def _own_fault(error: Exception) -> PellucidError:
    """A method's own exception under our code; the original is its cause."""
    if isinstance(error, PellucidError):
        return error
    if memory.is_out_of_memory(error):
        return memory.ran_out("for the method's own arithmetic")
    found = OptionError("method.failed", f"{type(error).__name__} in the method's own code",
                        "a method that returns its values", "see the cause below; it was not the model")
    found.__cause__ = error
    return found


class Loop:
    """Conversations about one model, answered together. New ones may be admitted while others run."""

    def __init__(self, model: nn.Module, facts: dict[Any, Any], settings: Settings) -> None:
        self.original = self.model = model
        self.facts, self.settings = facts, settings
        self.tally = Tally()
        self.live: list[Ticket] = []
        self.twins: dict[Hashable, tuple[Twin, nn.Module]] = {}
        self.tunable = ""
        self.agreed: dict[Hashable, dict[str, float]] = {}
        self.doubted: set[Hashable] = set()
        self.passing: dict[Any, Any] = {}

    def admit(self, conversation: Coroutine[Any, Any, Any]) -> Ticket:
        """Start a conversation; its first questions are open afterwards."""
        ticket = Ticket(conversation)
        ticket.step(None)
        if not ticket.done:
            self.live.append(ticket)
        return ticket

    def round(self) -> None:
        """Answer what is open now and let every conversation that has its answers go on."""
        interrupt.pause()
        self.live = [t for t in self.live if not t.done]
        ready, waiting = self._ready([s for t in self.live for s in t.slots if not s.done])
        helpers = self._settling(ready, waiting)
        for slot in [s for s in ready if s.ask.kind == "foreign"]:
            foreign.answer(self, slot)
        ready = [s for s in ready if s.ask.kind != "foreign"]
        for group in bundled(merged([*ready, *helpers], strict=self.settings.strict), strict=self.settings.strict):
            answer(self, group)
        self._freeze([*ready, *helpers])
        for ticket in self.live:
            if not ticket.done and all(s.done for s in ticket.slots):
                ticket.step([s.answer for s in ticket.slots])

    def _ready(self, slots: list[Slot]) -> tuple[list[Slot], list[Slot]]:
        """Questions that can be asked now; the others wait for the model's own prediction."""
        ready: list[Slot] = []
        waiting: list[Slot] = []
        for slot in slots:
            case = slot.ask.case
            slot.target = self.tally.target_of(case)
            clean = slot.ask.points == HERE and case.noise is None
            settled = not is_open(slot.target) or slot.ask.kind == "reading" or (
                clean and slot.ask.kind != "foreign")
            (ready if settled else waiting).append(slot)
        return ready, waiting

    def _settling(self, ready: list[Slot], waiting: list[Slot]) -> list[Slot]:
        """A question about the clean example for every prediction that nobody asks for himself."""
        asked = {(id(s.ask.case.carrier), s.target.key) for s in ready if s.ask.kind != "reading"}
        extra: dict[tuple[int, Hashable], Slot] = {}
        for slot in waiting:
            key = (id(slot.ask.case.carrier), slot.target.key)
            if key not in asked:
                extra.setdefault(key, Slot(Ask("score", slot.ask.case, AsIs()), slot.target))
        return list(extra.values())

    def _freeze(self, slots: list[Slot]) -> None:
        """Who waited for a prediction that failed has failed with it."""
        for slot in slots:
            if isinstance(slot.answer, Failed) and is_open(slot.target) and slot.ask.kind != "reading":
                for ticket in self.live:
                    for other in ticket.slots:
                        if other.ask.case.carrier is slot.ask.case.carrier and is_open(other.target):
                            other.fail(slot.answer.error)

    def settle(self, case: Case, target: Target, found: Target) -> None:
        """Keep the prediction of an example: from here on its target does not move."""
        self.tally.frozen.setdefault(case.carrier, {}).setdefault(target.key, found)

    def close(self) -> None:
        """End every conversation that is still open."""
        for ticket in self.live:
            ticket.cancel()
        self.live = []


@contextmanager
def isolated(model: nn.Module, facts: dict[Any, Any], tally: Tally) -> Iterator[nn.Module]:
    """The shadow, or the model itself under guard where no shadow can stand in for it."""
    with ExitStack() as stack:
        copy: nn.Module | None = None
        with shadow.lock_of(model):  # under another thread's guard it has hooks and modes that are not its own
            before = shadow.versions(model), shadow.versions(model, buffers=False)
            now = shadow.structure(model)
            if facts.get("modules") != now:
                facts.clear()  # what was learnt belongs to a model that was taken apart or set otherwise since
                facts["modules"] = now
            # Another thread may just find that a guard is needed: nobody says that there is no need.
            if not facts.get("guard") and not shadow.leaves(model):
                copy = _cast(model)
            if copy is None:
                facts["guard"] = True
                copy = stack.enter_context(shadow.guarded(model))
                tally.isolation = "guard"
        yield copy
    # A guard puts buffers back; another thread's guard may just be holding them.
    shadow.assert_unchanged(model, before[1 if tally.isolation == "guard" else 0], buffers=tally.isolation != "guard")


def _cast(model: nn.Module) -> nn.Module | None:
    """A shadow, or None where the model cannot be copied: what goes wrong by chance does not go wrong twice.

    Memory that runs out is no property of the model: it is an error of this run.
    """
    for last in (False, True):
        try:
            return shadow.cast(model)
        except Exception as error:  # whatever a model's own way of being copied may raise
            full = memory.is_out_of_memory(error)
            if full and last:
                raise
            memory.without_frames(error)
        if full:
            memory.release(device_of(model, []))
    return None


def run(
    model: nn.Module,
    conversations: Iterable[Coroutine[Any, Any, Any]],
    *,
    facts: dict[Any, Any] | None = None,
    settings: Settings | None = None,
) -> tuple[list[Any], Tally]:
    """Run conversations to their ends; each result is what it returned, or its PellucidError.

    At most 256 are alive at once; the next is admitted when one ends. Whatever interrupts the run, every
    conversation is closed and the model is as it was.
    """
    model = shadow.unwrapped(model)
    facts = {} if facts is None else facts
    loop = Loop(model, facts, settings or Settings())
    coming, tickets = deque(conversations), list[Ticket]()
    device = device_of(model, [])
    loop.tally.clock = Clock(device, exact=loop.settings.profile)
    began, energy = time.perf_counter(), Energy(device)
    try:
        # Neither the user's inference mode nor a graph on his input may reach into the run.
        with torch.inference_mode(False), torch.no_grad():
            while True:
                with isolated(model, facts, loop.tally) as loop.model:
                    guard = bool(facts.get("guard"))
                    while (coming or any(not t.done for t in loop.live)) and guard == bool(facts.get("guard")):
                        while coming and len(loop.live) < WINDOW:
                            tickets.append(loop.admit(coming.popleft()))
                        loop.round()
                if guard == bool(facts.get("guard")):
                    break
    finally:
        loop.close()
        for conversation in coming:
            conversation.close()
        loop.tally.seconds = time.perf_counter() - began
        loop.tally.joules = energy.joules()
        loop.tally.methods = [t.seconds for t in tickets]
    return [t.result for t in tickets], loop.tally


def surveyed(model: nn.Module, carrier: Carrier, facts: dict[Any, Any]) -> list[Heard]:
    """Every call of every module for this example, in order; the model stays untouched. Kept in `facts`."""
    return looked(model, carrier, facts, probe.heard(carrier), probe.survey)


def attentions(model: nn.Module, carrier: Carrier, facts: dict[Any, Any]) -> list[Attended]:
    """Every attention that the model computes for this example, in order. Kept in `facts`."""
    return looked(model, carrier, facts, probe.attends(carrier), probe.attentions)


def looked(model: nn.Module, carrier: Carrier, facts: dict[Any, Any], key: Hashable,
            look: Callable[[nn.Module, Carrier, dict[Any, Any]], list[Any]]) -> list[Any]:
    """What one run of an example tells about the model, if it is not known yet."""
    model = shadow.unwrapped(model)
    if shadow.structure(model) == facts.get("modules") and key in facts:
        return facts[key]
    with isolated(model, facts, Tally()) as copy:
        try:
            return look(copy, carrier, facts)
        except Exception as error:
            raise named(error) from error
