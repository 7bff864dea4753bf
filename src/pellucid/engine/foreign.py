"""Questions that another library answers: it is handed the score as a module, over a shadow of its own."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.changes.attending import ATTENTION
from pellucid.engine import chunk, lengths, memory, passes, probe, shadow
from pellucid.engine.capture import BIAS, module_of
from pellucid.engine.group import Group
from pellucid.engine.share import Bundle, Slot, Work
from pellucid.words.ask import Ask, Failed
from pellucid.words.errors import BudgetError, ModelError, OptionError, PellucidError
from pellucid.words.points import HERE
from pellucid.words.site import Site

if TYPE_CHECKING:
    from pellucid.engine.run import Loop

ONE = threading.RLock()
"""Other libraries draw from the random states of the whole process: one of them runs at a time."""

APART = (1.0, 0.5)
"""Where on the way from the baseline two rows are scored to see whether rows look at each other."""


class Score(nn.Module):
    """The score of one case as a function of the value at its site: rows (n, *shape) → (n,).

    `model` is a shadow that nobody else uses; its modules have the names that the user knows. Everything but
    the value at the site is the case's own, repeated for as many rows as are given. Scores come in the number
    type of the case, whatever the model computes in. Rows that look at each other run one by one. `cap` bounds
    what `most` says; `stopped` is what the one who watches the progress raised.
    """

    def __init__(self, loop: Loop, slot: Slot, cap: int = memory.MOST_ROWS) -> None:
        super().__init__()
        case = slot.ask.case
        self.model = loop.model if loop.tally.isolation == "guard" else shadow.cast(loop.model)
        self.case, self.target, self.loop, self.cap = case, slot.target, loop, cap
        self.device = probe.device_of(self.model, list(case.carrier.inputs.values()))
        self.inputs = {k: v.to(self.device) if isinstance(v, Tensor) else v for k, v in case.carrier.inputs.items()}
        sites = {s for s in (case.site, slot.target.of) if s is not None and not s.is_input}
        self.axes = {s: probe.axis_of(self.model, s, case.carrier, loop.facts) for s in sites}
        self.forecasts: dict[bool, memory.Forecast | None] = {}
        self.largest = 0
        self.stopped: Exception | None = None
        self.apart = not self._interacting()

    def forward(self, rows: Tensor) -> Tensor:
        n, tally, mine = len(rows), self.loop.tally, self.case.carrier
        step = n if self.apart else 1
        tally.passes += -(-n // step)
        tally.forwards += n
        tally.rows += n
        tally.asked_rows += n
        tally.chunk = max(tally.chunk, step)
        tally.asked[mine] = tally.asked.get(mine, 0) + n
        self.largest = max(self.largest, step)
        found = [self._scored(some) for some in rows.split(step)]
        if self.loop.settings.progress is not None:
            try:
                self.loop.settings.progress(tally.rows, tally.asked_rows)
            except Exception as error:
                self.stopped = error
                raise
        return found[0] if len(found) == 1 else torch.cat(found)

    def _scored(self, rows: Tensor) -> Tensor:
        return passes.scored(self.model, probe.repeated(self.inputs, len(rows)), self.case.site, rows, self.target,
                             self.axes, self.case.change).to(self.case.origin.dtype)

    def _interacting(self) -> bool:
        """Whether rows look at each other; asked once, before anybody else has hooks on the model."""
        group = self._group("score")[0]
        if ("interact", group.alike) not in self.loop.facts and not self.loop.settings.strict:
            looked = ("foreign", *group.asked)
            if looked not in self.loop.passing:
                self.loop.passing[looked] = None
                self._asked("score")
        self.loop.tally.interact |= group.interacting
        return group.interacting

    def most(self, *, graded: bool) -> int:
        """How many rows a pass should hold: what fits, what is fast, and what was allowed."""
        settings = self.loop.settings
        if settings.strict or not self.apart:
            return 1
        if graded not in self.forecasts:
            self.forecasts[graded] = self._counted("gradient" if graded else "score")
        forecast = self.forecasts[graded]
        if forecast is None:
            return 1
        most = min(settings.chunk or memory.MOST_ROWS, self.cap, forecast.comfortable(self.device, gradient=graded))
        if settings.budget is None and forecast.needed(most) <= memory.LITTLE:
            return most
        have = memory.free_bytes(self.device) if settings.budget is None else settings.budget
        if forecast.rows_within(have) == 0:
            raise chunk.too_small(forecast.needed(1), have)
        return min(most, forecast.rows_within(have))

    def _counted(self, kind: str) -> memory.Forecast | None:
        """The bytes of a row, from what is known of such passes or from one of them; None where there is none."""
        known = chunk.known(self._group(kind)[0], False)
        if known.forecast is None:
            return self._asked(kind)
        return known.forecast

    def _asked(self, kind: str) -> memory.Forecast | None:
        """Let the engine answer a question at two rows, for what it learns on the way."""
        group, slot = self._group(kind)
        with memory.named("for the answers"):
            group.answer()
        if isinstance(slot.answer, Failed):
            if isinstance(slot.answer.error, BudgetError):
                raise slot.answer.error
            return None
        return chunk.known(group, False).forecast

    def _group(self, kind: str) -> tuple[Group, Slot]:
        """A question to the engine at two rows."""
        case, points, graded = self.case, self.case.line(torch.tensor(APART, dtype=torch.float64)), kind == "gradient"
        slot = Slot(Ask(kind, case, points, case.site if graded else None), self.target)
        return Group(self.loop, [Bundle([Work(case, points, [slot], self.target if graded else None)])]), slot

    def layer(self, name: str) -> nn.Module:
        """The module of that name, where it is called once with a row per example; a LayerError otherwise."""
        site = Site.parse(name)
        module = module_of(self.model, site)
        axis = probe.axis_of(self.model, site, self.case.carrier, self.loop.facts)
        calls = [h for h in probe.survey(self.model, self.case.carrier, self.loop.facts) if h.layer == site.layer]
        found = ("which is no module's output" if site.part in (ATTENTION, BIAS)
                 else f"one of {len(calls)} calls of a module" if len(calls) > 1
                 else f"with its rows along axis {axis}" if axis
                 else "where the values are that are explained" if site.layer == self.case.site.layer else "")
        if found:
            raise ModelError("method.unfit", f"{site}, {found}",
                             "a module behind these values, called once, with a row per example",
                             "choose another layer, or our own 'inside(...)', which knows such places")
        return module

    def own(self) -> None:
        """From here on the weights are the shadow's own too: who writes into them writes into a copy."""
        copies: dict[int, nn.Parameter] = {}
        for module in self.model.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    copies.setdefault(id(weight), nn.Parameter(weight.detach().clone(), requires_grad=False))
                    module._parameters[name] = copies[id(weight)]


def answer(loop: Loop, slot: Slot) -> None:
    """Let the question's function answer; an error of its own is named, and ends this question only.

    Memory that runs out halves the rows that a pass may hold, while the function heeds them. Rows of a function
    that only looks at the model (`looks`) are none that the example's explanation asked for.
    """
    asked, mine = loop.tally.asked, slot.ask.case.carrier
    before = asked.get(mine, 0)
    if _runs(loop, slot):
        asked[mine] = before
        _answered(loop, slot)
    if getattr(slot.ask.foreign, "looks", False):
        asked[mine] = before


def _answered(loop: Loop, slot: Slot) -> None:
    cap, device = memory.MOST_ROWS, probe.device_of(loop.model, list(slot.ask.case.carrier.inputs.values()))
    while not slot.done:
        largest = _tried(loop, slot, cap, device)
        if slot.done:
            return
        memory.release(device)
        loop.tally.retries += 1
        if largest < 2 or largest > cap:
            slot.fail(memory.ran_out("for another library's work"))
        cap = largest // 2


def _runs(loop: Loop, slot: Slot) -> bool:
    """Score the example first, without the other library: what is wrong with model or input is said as such.

    This is also where a shadow that still runs the original is found out; then the run begins again.
    """
    case = slot.ask.case
    key = ("runs", id(case.carrier), case.site, case.change, slot.target.key)
    if key not in loop.passing:
        first = Slot(Ask("score", case, HERE), slot.target)
        lengths.answer(loop, [Bundle([Work(case, HERE, [first])])])
        if not first.done:
            return False
        loop.passing[key] = first.answer, case.carrier  # whose id must stay its own
    found, _ = loop.passing[key]
    if isinstance(found, Failed):
        slot.fail(found.error)
    return not slot.done


def _tried(loop: Loop, slot: Slot, cap: int, device: torch.device) -> int:
    """Ask the function once; how many rows its largest pass had, where memory ran out."""
    ask, tally = slot.ask, loop.tally
    assert ask.foreign is not None
    score, before = None, tally.clock.seconds["model"]
    with ExitStack() as stack:
        stack.enter_context(private(ask.case.seed, device))
        if tally.isolation == "guard":  # what is left on the model must be gone before the next question
            stack.enter_context(shadow.guarded(loop.model))
        stack.enter_context(torch.enable_grad())
        modelled = tally.modelled.get(ask.case.carrier, 0.0)
        try:
            with tally.clock.into("model"):
                score = Score(loop, slot, cap)
                slot.answer = ask.foreign(score)
            slot.done = True
        except PellucidError as error:
            slot.fail(error)
        except Exception as error:
            if score is not None and score.stopped is error:
                raise
            if memory.is_out_of_memory(error):
                memory.without_frames(error)
            else:
                slot.fail(_named(error))
    tally.modelled[ask.case.carrier] = modelled + tally.clock.seconds["model"] - before
    if score is None:
        return 0
    held = max((f.bytes(score.largest) for f in score.forecasts.values() if f is not None), default=0)
    if held > (tally.peak or 0):
        tally.peak, tally.foretold, tally.predicted = held, "counted", None
    return score.largest


def _named(error: Exception) -> PellucidError:
    """Another library's exception under our code; a package that it misses is named."""
    behind: BaseException | None = error
    found: PellucidError = ModelError(
        "foreign.failed", f"{type(error).__name__} in the other library", "a method that works on this model",
        "see the cause below, or choose one of our own methods")
    while behind is not None:
        if isinstance(behind, ImportError):
            package = (behind.name or "a package").partition(".")[0]
            package = {"sklearn": "scikit-learn"}.get(package, package)
            found = OptionError("extra.missing", f"no {package}, which the other library needs", f"{package} installed",
                                f"install {package}, or choose one of our own methods")
        behind = behind.__cause__ or behind.__context__
    found.__cause__ = error
    return found


@contextmanager
def private(seed: int, device: torch.device) -> Iterator[None]:
    """Global random states for the time of the context: they begin at the seed and are put back.

    What the library warns of is not shown: it is about its own ways, and of what matters the verdict tells.
    """
    cards = [device.index or 0] if device.type == "cuda" else []
    with ONE, torch.random.fork_rng(cards), warnings.catch_warnings():
        before = random.getstate(), np.random.get_state()
        try:
            warnings.simplefilter("ignore")
            torch.default_generator.manual_seed(seed)
            for card in cards:
                with torch.cuda.device(card):
                    torch.cuda.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
