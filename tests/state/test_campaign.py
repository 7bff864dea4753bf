"""Five hundred faults, at random operations and moments, in everything that can be asked: nothing of them is left.

`make faults` plants ten thousand (docs/faults.md).
"""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from pellucid import catalog
from pellucid.engine import run, shadow
from pellucid.explain import explain
from pellucid.testing.campaign import FAULTS, Question, Report, Trial, campaign, drawn, everybody, tried
from pellucid.testing.faults import KINDS, CtrlC
from pellucid.testing.kinds import KINDS as MODELS
from pellucid.testing.kinds import Owner, owned
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import toy
from pellucid.words.case import Case
from pellucid.words.errors import BudgetError
from pellucid.words.method import KNOWN, method

PARTS, EACH = 25, 20
APART = 10_000
"""Trials between the beginnings of two parts."""

pytestmark = [pytest.mark.filterwarnings("ignore:coroutine .* was never awaited"),
              pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_left_behind(part: int) -> None:
    report = campaign(EACH, seed=APART * part)
    report.check()
    assert report.faults == EACH
    assert len({fault for _, _, fault in report.fired}) >= 3, "faults of few kinds"


def test_the_campaign_knows_everybody_every_kind_of_model_and_every_fault() -> None:
    ours = {name for name, m in catalog.methods().items() if (m.run.__module__ or "").startswith("pellucid.methods.")}
    assert len(ours) >= 40
    assert ours <= {*everybody()}
    judges = {name for name, m in catalog.metrics().items()
              if not m.card.needs and (m.run.__module__ or "").startswith("pellucid.metrics.")}
    assert len(judges) > 18
    assert {f"evaluate: {name}" for name in judges} <= {*everybody()}
    assert len(MODELS) == 12
    assert len(FAULTS) == len(KINDS) + 1
    for names in MODELS.values():
        for name in names:
            on = owned(name, Owner(busy=True, stray=True))
            assert on.model.training
            assert on.isolation == "guard"


def test_a_trials_number_means_the_same_whatever_was_imported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    known = everybody()
    for which in ("methods", "metrics"):
        turned = dict(reversed(list(getattr(catalog, which)().items())))
        monkeypatch.setattr(catalog, which, lambda turned=turned: turned)
    assert everybody.__wrapped__() == known


# --- teeth: what a campaign must find

def bare(model: nn.Module) -> nn.Module:
    """What a shadow is made to be, done to the user's own model."""
    for module in model.modules():
        module.training = False
    return model.requires_grad_(False)


def test_without_the_shadow_it_finds_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a hundred of five hundred: `make faults N=500 TEETH=1`. These are fewer, for the suite's time."""
    known(range(80))
    monkeypatch.setattr(shadow, "cast", bare)
    assert len(campaign(60).found) > 12


def known(numbers: range) -> None:
    """Undisturbed answers are those of the engine as it is."""
    for number in numbers:
        drawn(number)


def refusing(model: nn.Module) -> nn.Module:
    raise TypeError("no copies today")


HELD: list[Any] = []
GUARDED = shadow.guarded


@contextmanager
def careless(model: nn.Module) -> Iterator[nn.Module]:
    """The guard, which puts everything back, unless something goes wrong."""
    guard = GUARDED(model)
    HELD.append(guard)  # or Python would end it when it lets go of it
    yield guard.__enter__()
    guard.__exit__(None, None, None)


def test_what_only_goes_wrong_after_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known(range(60))
    monkeypatch.setattr(shadow, "cast", refusing)
    assert not campaign(12).found
    monkeypatch.setattr(shadow, "guarded", careless)
    try:
        report = campaign(32, seed=12)
    finally:
        HELD.clear()
    # Ordinary errors end inside the engine, whose guard is then closed as ever: three kinds of six go through it.
    assert len(report.found) > 10
    assert {trial.fault for trial, _ in report.found} >= {"KeyboardInterrupt", "SystemExit"}


def trial(name: str, fault: str, when: float = 0.5) -> Trial:
    return Trial(0, Question(name, "tied", "tied", Owner(), warm=False, fast=False), fault, when)


def found(*trials: Trial) -> str:
    report = Report()
    for one in trials:
        tried(one, report)
    return "\n".join(text for _, text in report.found)


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Declares a method for the time of a test."""

    def declared(fn: Any) -> None:
        made = method(asks="score")(fn)
        KNOWN.pop(made.name)
        monkeypatch.setitem(KNOWN, made.name, made)

    return declared


def test_a_swallowed_ctrl_c_is_found(declare: Any) -> None:
    async def stubborn(case: Case) -> Any:
        """Goes on whatever happens."""
        values = case.x
        for _ in range(3):
            try:
                for _ in range(20):
                    values = case.x * 2
                break
            except BaseException:
                continue
        await case.score(case.here)
        return values

    declare(stubborn)
    assert "KeyboardInterrupt was swallowed" in found(*(trial("stubborn", "KeyboardInterrupt", k / 20)
                                                        for k in range(20)))


def test_a_wrong_answer_after_a_fault_is_found(declare: Any) -> None:
    remembered: list[float] = []

    async def grudging(case: Case) -> Any:
        """Remembers that it failed, and answers otherwise from then on."""
        remembered.append(1.0)
        values = case.x * len(remembered)
        for _ in range(20):
            values = values + 0
        await case.score(case.here)
        remembered.pop()
        return values

    declare(grudging)
    text = found(*(trial("grudging", "RuntimeError", k / 20) for k in range(20)))
    assert "the answer to the same question afterwards is another" in text


def test_a_wrong_recovery_is_found(declare: Any) -> None:
    async def sloppy(case: Case) -> Any:
        """Takes what it has where memory runs out."""
        values = case.x * 0
        try:
            for _ in range(20):
                values = values + case.x
        except MemoryError:
            pass
        await case.score(case.here)
        return values

    declare(sloppy)
    assert "that came nevertheless is another" in found(*(trial("sloppy", "MemoryError", k / 9) for k in range(9)))


# --- the faults themselves

def test_ctrl_c_comes_at_its_time_and_other_alarms_go_on() -> None:
    rung: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    other = signal.setitimer(signal.ITIMER_REAL, 0.25)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt), CtrlC(0.05) as key:
            time.sleep(10)
        interrupted = time.monotonic() - began
        with CtrlC(100) as never:
            pass
        while not rung and time.monotonic() < began + 10:
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *other)
    assert key.fired
    assert not never.fired
    assert interrupted >= 0.05
    assert rung
    assert rung[0] - began >= 0.25


# --- what the campaign and a look at the engine found

def test_a_copy_that_failed_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails by chance must not make the model one that cannot be copied for as long as it lives."""
    on, cast, calls = toy("gelu_mlp"), shadow.cast, [0]

    def unlucky(model: nn.Module) -> nn.Module:
        calls[0] += 1
        if calls[0] == 1:
            raise RuntimeError("once")
        return cast(model)

    monkeypatch.setattr(shadow, "cast", unlucky)
    subject = on.subject()
    for _ in range(2):
        assert run.run(on.model, [], facts=subject.facts)[1].isolation == "shadow"


def test_memory_that_runs_out_while_the_model_is_copied_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    on, cast = toy("gelu_mlp"), shadow.cast
    subject = on.subject()

    def full(model: nn.Module) -> nn.Module:
        raise torch.OutOfMemoryError("planted by a test")

    monkeypatch.setattr(shadow, "cast", full)
    with pytest.raises(BudgetError), pristine(on.model, on.x):
        explain(subject, on.x, "saliency")
    monkeypatch.setattr(shadow, "cast", cast)
    assert explain(subject, on.x, "saliency").evidence.isolation == "shadow"


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


class Scripted(nn.Module):
    """Holds a scripted function, which cannot be copied: as itself, or where no copy of ours looks."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            double = torch.jit.script(doubled)
        self.double: Any = [double] if inside else double

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        double = self.double[0] if isinstance(self.double, list) else self.double
        return self.head(torch.tanh(double(self.body(x))))


@pytest.mark.parametrize(("inside", "isolation"), [(False, "shadow"), (True, "guard")])
def test_a_scripted_function_on_a_model(inside: bool, isolation: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Scripted(inside)
    x = torch.ones(1, 6)
    with pristine(model, x):
        e = explain(model, x, "integrated_gradients", target=0, steps=64)
    assert e.evidence.isolation == isolation
    with torch.no_grad():
        wanted = float((model(x) - model(0 * x))[0, 0])
    assert float(e.values.sum()) == pytest.approx(wanted, rel=1e-3)
