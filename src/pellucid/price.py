"""What a method will ask: its conversation is held with made-up answers, and the rows that it asks for are counted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.words.ask import Ask, Each, Sum
from pellucid.words.case import Case
from pellucid.words.errors import PellucidError
from pellucid.words.method import Method
from pellucid.words.site import Site

Shapes = Callable[[Site], tuple[int, ...]]
"""The shape of one row at a site."""


@dataclass(frozen=True)
class Price:
    """Rows through the model, at least and at most; `gradient` says that they go back too. None is unknown."""

    least: int
    most: int
    gradient: bool

    def __str__(self) -> str:
        rows = f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"
        kind = "gradient" if self.gradient else "row"
        return f"{rows} {kind if self.most == 1 else kind + 's'}"


class _Unknown(Exception):
    """A question whose answer cannot be made up."""


def price(method: Method, case: Case, options: Mapping[str, Any], shape: Shapes) -> Price | None:
    """What the method asks where every answer is zero (whatever stops early does), and where all is noise.

    None where it asks what cannot be made up: another library's work. What the method refuses whatever the answers
    are comes out as its error.
    """
    generator = torch.Generator().manual_seed(0)
    found: list[tuple[int, bool]] = []
    refused: PellucidError | None = None
    for made in (torch.zeros, lambda size: torch.randn(size, generator=generator)):
        try:
            found.append(_held(method, case, options, shape, made))
        except _Unknown:
            return None
        except PellucidError as error:  # nothing but zeros may be nothing to work with
            refused = error
    if not found and refused is not None:
        raise refused
    return Price(min(rows for rows, _ in found), max(rows for rows, _ in found), any(g for _, g in found))


def _held(method: Method, case: Case, options: Mapping[str, Any], shape: Shapes,
          made: Callable[[tuple[int, ...]], Tensor]) -> tuple[int, bool]:
    """The rows of one whole conversation, each counted once in a round, and whether gradients were asked."""

    def answer(ask: Ask) -> Tensor:
        if ask.kind == "foreign":
            raise _Unknown
        at = () if ask.kind == "score" else shape(ask.at or ask.case.site)
        n = len(ask.fold.weights) if isinstance(ask.fold, Sum) else ask.points.n
        found = made((n, *at)).to(ask.case.origin.dtype)
        if not isinstance(ask.fold, Each):
            return found
        beside = ask.fold.beside
        return ask.fold.of(found, *([] if beside is None else [made((n, *shape(beside))).to(found.dtype)]))

    conversation = method.run(case, **options)
    answers: Any = None
    rows, gradient = 0, False
    try:
        while True:
            asks: tuple[Ask, ...] = conversation.send(answers)
            answers = [answer(ask) for ask in asks]
            gradient |= any(ask.kind == "gradient" for ask in asks)
            rows += sum({_row(ask): ask.points.n for ask in asks}.values())
    except StopIteration:
        return rows, gradient
    finally:
        conversation.close()


def _row(ask: Ask) -> Hashable:
    """Questions with equal marks are about the same rows."""
    case = ask.case
    return ask.points.key, case.site, case.noise, id(case.origin), id(case.baseline), case.change
