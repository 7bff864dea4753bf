"""A campaign of faults: whatever goes wrong at whatever moment, nothing of the user's is changed by it.

A trial is drawn from its number: who is asked (a method, a composition, an adapter, a metric, a look), about which
kind of model in which state, and what goes wrong when. Afterwards the model, the input and all settings must be what
they were, and the same question must have the same answer.
"""

from __future__ import annotations

import math
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch._C import _len_torch_dispatch_stack, _len_torch_function_stack  # pyright: ignore[reportAttributeAccessIssue]
from torch.overrides import _pop_mode  # pyright: ignore[reportPrivateUsage]
from torch.utils._python_dispatch import _pop_mode as _pop_dispatch_mode  # pyright: ignore[reportPrivateUsage]

from pellucid import catalog
from pellucid.evaluate import evaluate
from pellucid.explain import explain
from pellucid.look import look
from pellucid.models.subject import Subject
from pellucid.testing.faults import KINDS, PLANTED, CtrlC, FailAt
from pellucid.testing.kinds import KINDS as MODELS
from pellucid.testing.kinds import Owner, owned
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import Toy
from pellucid.testing.universal import CLOSE, KINKS, ROUGH, asked, given
from pellucid.words.errors import PellucidError
from pellucid.words.evaluation import Evaluation
from pellucid.words.explanation import Explanation
from pellucid.words.look import Look
from pellucid.words.method import Method
from pellucid.words.metric import Metric

TIMER = "Ctrl-C after a while"
FAULTS: tuple[str, ...] = (*(kind.__name__ for kind in KINDS), TIMER)
"""What goes wrong: five exceptions at a tensor operation, and the key at any moment."""

TOGETHER = 4
"""Trials that share a question, so that what it answers undisturbed is found out once."""

COMPOSED = ("inside(integrated_gradients)", "smooth(saliency)", "contrast(input_x_gradient)", "averaged(ablation)",
            "under(saliency)")
ADAPTED = ("DeepLift", "LRP", "GuidedBackprop", "GradientShap", "KernelShap", "LayerGradCam", "LayerDeepLift",
           "NoiseTunnel(Saliency)")
"""Compositions and captum's methods that take part, beside every method and metric of the catalogue."""

FEW = {"samples": 8, "masks": 8, "n_samples": 4, "nt_samples": 2, "steps": 4, "n_steps": 3, "limit": 9}
"""Sizes: what is left behind does not depend on them."""

JUDGING, LOOKING = "evaluate: ", "look"
"""How metrics are named among those who are asked, and the verb that explains nothing."""


@dataclass(frozen=True)
class Question:
    """What is asked, about whom: `warm` where the model has been explained before, `fast` with a twin for it."""

    what: str
    kind: str
    toy: str
    owner: Owner
    warm: bool
    fast: bool


@dataclass(frozen=True)
class Clean:
    """The answer of a question that nobody disturbs, its seconds, and how many operations it takes."""

    answer: Tensor
    seconds: float
    operations: int


@dataclass(frozen=True)
class Trial:
    """A number's question, what goes wrong, and when: a share of the operations or of the time."""

    number: int
    question: Question
    fault: str
    when: float

    def __str__(self) -> str:
        q = self.question
        state = [word for word, is_so in (("in training", q.owner.busy), ("without a shadow", q.owner.stray),
                                          ("asked before", q.warm), ("fast", q.fast)) if is_so]
        return f"{q.what} on {q.toy}{' (' + ', '.join(state) + ')' if state else ''}: {self.fault} at {self.when:.3f}"


@dataclass
class Report:
    """What a campaign did: faults that fired by who was asked, kind of model and kind of fault, and what they left."""

    fired: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    missed: int = 0
    backward: int = 0
    recovered: int = 0
    guarded: int = 0
    seconds: float = 0.0
    found: list[tuple[Trial, str]] = field(default_factory=list[tuple[Trial, str]])

    @property
    def faults(self) -> int:
        return self.fired.total()

    def line(self) -> str:
        """How far it is."""
        return (f"{self.faults:6} faults fired ({self.backward} in a backward, {self.guarded} under guard, "
                f"{self.recovered} recovered, {self.missed} missed), {len(self.found)} with differences, "
                f"{self.seconds:.0f} s")

    def check(self) -> None:
        """An AssertionError that lists what was left behind, each with the command that shows it alone."""
        told = [f"{trial}\n  make faults ONLY={trial.number}\n  {text}" for trial, text in self.found[:20]]
        assert not self.found, f"{len(self.found)} of {self.faults} faults left something:\n" + "\n".join(told)

    def table(self) -> str:
        """Fired faults: a row for everybody who was asked, a column for every kind of model and of fault."""
        columns: list[tuple[str, Callable[[tuple[str, str, str]], bool]]] = [
            *((k, lambda key, k=k: key[1] == k) for k in MODELS), *((f, lambda key, f=f: key[2] == f) for f in FAULTS)]
        width = max(len(what) for what, _, _ in self.fired) if self.fired else 10
        heads = [name.replace("Error", "")[:9] for name, _ in columns]
        lines = [" " * width + "".join(f" {h:>9}" for h in heads) + "    all"]
        for what in (*sorted({w for w, _, _ in self.fired}), ""):
            mine = {key: n for key, n in self.fired.items() if what in ("", key[0])}
            counts = [sum(n for key, n in mine.items() if fits(key)) for _, fits in columns]
            lines.append(f"{what or 'all':{width}}" + "".join(f" {c or '·':>9}" for c in counts)
                         + f" {sum(mine.values()):6}")
        return "\n".join(lines)


def campaign(count: int, seed: int = 0, only: int | None = None, after: Callable[[Report], object] = lambda r: None
             ) -> Report:
    """Trials from number `seed` on until `count` faults fired, or the one trial `only`.

    `after` sees the report after every trial. Raises an AssertionError where faults keep away from their places.
    """
    report, began = Report(), time.monotonic()
    numbers: Iterable[int] = range(seed, seed + 20 * count + 100) if only is None else (only,)
    for number in numbers:
        if report.faults >= count and only is None:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tried(drawn(number), report)
        report.seconds = time.monotonic() - began
        after(report)
    assert only is not None or report.faults >= count, f"only {report.faults} of {count} faults fired"
    return report


def tried(trial: Trial, report: Report) -> None:
    """One trial: what it left behind goes into the report, and away."""
    q, clean, filters = trial.question, undisturbed(trial.question), list(warnings.filters)
    assert clean is not None
    toy, users, ask = asking(q)
    planted: FailAt | CtrlC = CtrlC(trial.when * clean.seconds) if trial.fault == TIMER else FailAt(
        int(trial.when * clean.operations), next(k for k in KINDS if k.__name__ == trial.fault))
    ended, left = _disturbed(toy, users, ask, planted)
    if list(warnings.filters) != filters:
        left.append("warning filters are others")
    tidied()
    if isinstance(ended, Tensor):
        whole = not bool(ended.isnan().any())  # else a metric that was disturbed says so in its place
        report.recovered += planted.fired and whole
        if planted.fired and trial.fault in ("KeyboardInterrupt", "SystemExit", TIMER):
            left.append(f"{trial.fault} was swallowed")
        if whole:
            left += _apart(clean.answer, ended, q, "the answer that came nevertheless")
    elif not isinstance(ended, PellucidError) and not (PLANTED in str(ended) or isinstance(planted, CtrlC)):
        left.append(f"it ends in a bare {type(ended).__name__}: {ended}")
    elif trial.fault in ("OutOfMemoryError", "MemoryError") and not isinstance(ended, PellucidError):
        left.append("memory that ran out has no code")
    try:
        left += _apart(clean.answer, numbers(ask()), q, "the answer to the same question afterwards")
    except PellucidError as error:
        left.append(f"asked again it refuses: {error}")
    if planted.fired:
        report.fired[q.what, q.kind, trial.fault] += 1
        report.backward += isinstance(planted, FailAt) and planted.backward
        report.guarded += q.owner.stray
    else:
        report.missed += 1
    if left:
        report.found.append((trial, "\n  ".join(left)))


def _disturbed(toy: Toy, users: list[Any], ask: Ask, planted: FailAt | CtrlC
               ) -> tuple[Tensor | BaseException, list[str]]:
    """The answer, or what ended it, and what is not as it was.

    The comparison is made while the exception and all that its frames hold are alive.
    """
    try:
        with pristine(toy.model, *users):
            try:
                with planted:
                    answer = ask()
                return numbers(answer), []
            except AssertionError as error:  # else it would be taken for a difference
                raise RuntimeError(f"an assertion: {error}") from error
    except AssertionError as difference:
        return difference.__cause__ or torch.full((), torch.nan), [str(difference)]
    except BaseException as error:
        ours = PLANTED in str(error) or (isinstance(planted, CtrlC) and planted.fired)
        if isinstance(error, KeyboardInterrupt) and not ours:
            raise  # somebody wants to end the campaign
        return error, []


def _apart(clean: Tensor, found: Tensor, q: Question, which: str) -> list[str]:
    """What is wrong with an answer."""
    allowed = ROUGH if q.kind == "half" or q.fast else KINKS if q.toy in KINKED else CLOSE
    if clean.shape != found.shape:
        return [f"{which} has another shape: {tuple(found.shape)} instead of {tuple(clean.shape)}"]
    scale = float(clean.abs().max().clamp(min=1e-6)) if clean.numel() else 1.0
    if bool(((clean - found).abs() <= allowed * scale).all()):
        return []
    if bool(((clean - found).abs() <= allowed * scale + ROOM * wobble(q)).all()):
        return []
    exact = undisturbed(replace(q, fast=False)) if q.fast else None
    if exact is not None:  # a twin that was disturbed is replaced by the model's own layers, which do not round
        return _apart(exact.answer, found, replace(q, fast=False), which)
    return [f"{which} is another: {found.tolist()} instead of {clean.tolist()}"[:300]]


ROOM = 4.0
"""So much further may an answer be than passes of other sizes put it."""


@cache
def wobble(q: Question) -> Tensor:
    """How far passes of other sizes, which memory that runs out leads to, put the answer, which only rounds otherwise.

    Some metrics are quotients of next to nothing: relative output stability makes 4e-3 of a score's 1e-7.
    """
    clean, apart = undisturbed(q), list[Tensor]()
    assert clean is not None
    for chunk in (1, 2, 3):
        with suppress(PellucidError):
            apart.append((numbers(asking(q, chunk=chunk)[2]()) - clean.answer).abs())
    return torch.stack(apart).amax(0) if apart else torch.zeros_like(clean.answer)


KINKED = frozenset(name for names in MODELS.values() for name in names if not owned(name, Owner()).smooth)
"""Toys with kinks, where another rounding may be another gradient."""


def tidied() -> None:
    """Put back what a fault may have left in this thread, so that the next trial is its own."""
    while _len_torch_function_stack():
        _pop_mode()
    while _len_torch_dispatch_stack():
        _pop_dispatch_mode()
    torch.set_grad_enabled(True)  # last: a mode that was left may keep it as it is


@cache
def drawn(number: int) -> Trial:
    """The trial of a number."""
    lots = random.Random(f"fault {number}")
    return Trial(number, question(number // TOGETHER), lots.choice(FAULTS), lots.random())


@cache
def everybody() -> tuple[str, ...]:
    """Who can be asked, in the order of their names, whatever was imported first: what the package brings, so that a
    trial's number means the same everywhere."""
    ours = sorted(name for name, m in catalog.methods().items() if (m.run.__module__ or "").startswith("pellucid."))
    metrics = sorted(f"{JUDGING}{name}" for name, m in catalog.metrics().items()
                     if not m.card.needs and (m.run.__module__ or "").startswith("pellucid."))
    return (*ours, *COMPOSED, *(f"captum:{name}" for name in ADAPTED), *metrics, LOOKING)


@cache
def question(number: int) -> Question:
    """The question of a number: who is drawn first, then a kind of model that he can be asked about."""
    lots = random.Random(f"question {number}")
    what = lots.choice(everybody())
    for kind in lots.sample(list(MODELS), len(MODELS)):
        owner = Owner(busy=lots.random() < 0.5, stray=lots.random() < 0.25)
        found = Question(what, kind, lots.choice(MODELS[kind]), owner, lots.random() < 0.5, lots.random() < 0.15)
        if undisturbed(found) is not None:
            return found
    raise AssertionError(f"{what} can be asked about no model")


Ask = Callable[[], Explanation | Evaluation | Look]


def asking(q: Question, **more: Any) -> tuple[Toy, list[Any], Ask]:
    """A fresh toy, what else is the user's, and the question about it, to be asked as often as one likes."""
    toy = owned(q.toy, q.owner)
    subject, x = toy.subject(), toy.x
    users: list[Any] = [x]
    if q.fast:
        more["precision"] = "fast"
    if q.what.startswith(JUDGING):
        metric = catalog.find_metric(q.what.removeprefix(JUDGING))
        e = _explained(toy, subject, x)
        users.append(e.values)
        more |= {"metrics": metric, "controls": 2, "replicates": 2, **sized(metric)}
        ask: Ask = partial(evaluate, e, **more)
    elif q.what == LOOKING:
        ask = partial(look, subject, x, [toy.layer], **more)
    else:
        method = catalog.find(q.what)
        ask = partial(explain, subject, x, method, **given(method, sized(method), toy), **more)
    if q.warm:
        ask()
    return toy, users, ask


def _explained(toy: Toy, subject: Subject, x: Any) -> Explanation:
    """What metrics are asked about: where there are no gradients, what needs none."""
    with suppress(PellucidError):
        return asked(catalog.find("input_x_gradient"), {}, toy, x, subject)
    return asked(catalog.find("ablation"), {}, toy, x, subject)


def sized(what: Method | Metric) -> dict[str, Any]:
    """Options with which it is quick; numbers only, and none larger than usual."""
    usual = what.defaults
    return {k: min(v, usual[k]) if type(usual[k]) is int else v for k, v in FEW.items() if k in usual}


def numbers(answer: Explanation | Evaluation | Look) -> Tensor:
    """What an explanation says, its values and its score; a metric, which may have been disturbed; or a layer."""
    if isinstance(answer, Look):
        return torch.cat([v.cpu().double().flatten() for seen in answer.values() for v in seen.values])
    if isinstance(answer, Explanation):
        return torch.cat([answer.values.detach().cpu().double().flatten(), torch.tensor([answer.score]).double()])
    return torch.tensor([m.value for m in answer.measurements.values()] or [math.nan], dtype=torch.float64)


@cache
def undisturbed(q: Question) -> Clean | None:
    """The question's own answer, from toys of its own; None where it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _, _, ask = asking(q)
            began = time.perf_counter()
            answer = numbers(ask())
            seconds = time.perf_counter() - began
        except PellucidError:
            return None
        _, _, ask = asking(q)
        with FailAt() as count:
            ask()
    return None if answer.isnan().any() else Clean(answer, seconds, count.operations)
