"""The three questions a method can await, how answers are folded, and asking several at once.

A method is a coroutine. What it yields to the engine is a tuple of open questions, what it is sent
back is a list of answers in the same order; `together` merges the tuples of several conversations.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from pellucid.words.points import Points
from pellucid.words.site import Site

if TYPE_CHECKING:
    from pellucid.words.case import Case


@dataclass(frozen=True, eq=False)
class Sum:
    """k weighted sums over the points instead of the points: weights (k, n).

    `times` names a reading whose step to the next point multiplies each point's answer first: the sum
    of g_j · (y_{j+1} - y_j) over j < n - 1.
    """

    weights: Tensor
    times: Site | None = None


@dataclass(frozen=True)
class Each:
    """What is kept of every row's answer instead of all of it: `of(answer)`, with rows first on both sides.

    With `beside`, `of(answer, value)` gets what that layer said as well. `of` is a function of a module, so that
    equal questions are known by it.
    """

    of: Callable[..., Tensor]
    beside: Site | None = None


@dataclass(frozen=True, eq=False)
class Failed:
    """An answer that is an error: it is raised inside the conversation that asked."""

    error: BaseException


class Scoring(Protocol):
    """What a foreign question's function is given: a module, the score of rows (n, *shape) → (n,).

    The model inside it is a shadow that nobody else uses.
    """

    def __call__(self, rows: Tensor) -> Tensor: ...

    def most(self, *, graded: bool) -> int:
        """How many rows a pass should hold at most, with gradients or without."""
        ...

    def layer(self, name: str) -> nn.Module:
        """The module of that name, where it is called once with a row per example; a LayerError otherwise."""
        ...

    def own(self) -> None:
        """From here on the weights are the shadow's own too: who writes into them writes into a copy."""
        ...


Foreign = Callable[[Any], Any]
"""What another library does with a case, given its score (a `Scoring`)."""


@dataclass(frozen=True, eq=False)
class Ask:
    """One question about one case. Awaiting it gives the answer.

    `kind` is score (n,), gradient (n, *shape of `at`) or reading (n, *shape of `at`); with a fold the
    leading n becomes the fold's k. A `foreign` question is answered with whatever its function returns.
    """

    kind: str
    case: Case
    points: Points
    at: Site | None = None
    fold: Sum | Each | None = None
    foreign: Foreign | None = None

    def __await__(self) -> Generator[tuple[Ask, ...], list[Any], Tensor]:
        (answer,) = yield (self,)
        if isinstance(answer, Failed):
            raise answer.error
        return answer


class Together:
    """Several conversations in lockstep, so that their questions share passes."""

    def __init__(self, jobs: tuple[Awaitable[Any], ...]) -> None:
        self.jobs = jobs

    def __await__(self) -> Generator[tuple[Ask, ...], list[Any], list[Any]]:
        alive = {k: job.__await__() for k, job in enumerate(self.jobs)}
        results: dict[int, Any] = {}
        answers: dict[int, list[Any] | None] = dict.fromkeys(alive)
        try:
            while True:
                open_: dict[int, tuple[Ask, ...]] = {}
                for k, job in list(alive.items()):
                    try:
                        open_[k] = job.send(answers[k])  # pyright: ignore[reportArgumentType]
                    except StopIteration as done:
                        results[k] = done.value
                        del alive[k]
                if not alive:
                    return [results[k] for k in range(len(self.jobs))]
                got = yield tuple(ask for asks in open_.values() for ask in asks)
                start = 0
                for k, asks in open_.items():
                    answers[k] = got[start : start + len(asks)]
                    start += len(asks)
        finally:
            for job in alive.values():
                job.close()


def together(*jobs: Awaitable[Any]) -> Together:
    """Await several questions or conversations at once; answers come in the order given.

    The first error closes the others, lets them clean up, and is raised.
    """
    return Together(jobs)


def weights_of(weights: Tensor | Sum | Each | None) -> Sum | Each | None:
    """What a method may write as `weights=`: a fold, (k, n) or (n,) numbers, or nothing."""
    if weights is None or isinstance(weights, Sum | Each):
        return weights
    return Sum(weights if weights.dim() > 1 else weights[None])
