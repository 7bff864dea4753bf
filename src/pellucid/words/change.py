"""What is temporarily different in a model: changes last for one pass, on a shadow, and undo themselves."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn


class Change(Protocol):
    """A change as data: frozen and hashable, so that questions under equal changes share passes.

    Most are modes that watch the operations of the pass (how a ReLU passes gradients on); some put other
    parameters in place of the shadow's, and never write any. One may say more of itself: `needs`, a tuple
    of `Need`, is what a model must have for it; `backward` that it only works on the way back from the score;
    `quiet` that it only measures the model, so that nothing is said of why no twin answered.
    """

    @property
    def name(self) -> str:
        """What a recipe writes down."""
        ...

    @property
    def twin(self) -> bool:
        """True where the change means the same on a copy whose BatchNorms are folded."""
        ...

    def on(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Change this shadow while the context is open."""
        ...


@dataclass(frozen=True)
class Several:
    """Changes one within the other, the first outermost."""

    changes: tuple[Change, ...]

    @property
    def name(self) -> str:
        return " + ".join(c.name for c in self.changes)

    @property
    def twin(self) -> bool:
        return all(c.twin for c in self.changes)

    @property
    def needs(self) -> tuple[Any, ...]:
        return tuple(need for c in self.changes for need in getattr(c, "needs", ()))

    @contextmanager
    def on(self, model: nn.Module) -> Generator[None]:
        with ExitStack() as stack:
            for change in self.changes:
                stack.enter_context(change.on(model))
            yield


def both(outer: Change | None, inner: Change) -> Change:
    """Two changes as one."""
    if outer is None:
        return inner
    parts: list[Change] = []
    for change in (outer, inner):
        parts += change.changes if isinstance(change, Several) else (change,)
    return Several(tuple(parts))
