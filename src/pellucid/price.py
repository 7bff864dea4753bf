"""What a method will ask: its conversation is held with made-up answers, and the rows that it asks for are counted."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.words.ask import Ask
from pellucid.words.case import Case
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
        return f"{rows} {'gradients' if self.gradient else 'forward'}"


class _Unknown(Exception):
    """A question whose answer cannot be made up."""


def price(method: Method, case: Case, options: Mapping[str, Any], shape: Shapes) -> Price | None:
    """What the method asks where every answer is zero (whatever stops early does), and where all is noise.

    None where it asks what cannot be made up: another library's work. An error of the method comes out as it is.
    """
    generator = torch.Generator().manual_seed(0)
    try:
        calm, _ = _held(method, case, options, shape, torch.zeros)
        wild, gradient = _held(method, case, options, shape, lambda size: torch.randn(size, generator=generator))
    except _Unknown:
        return None
    return Price(min(calm, wild), max(calm, wild), gradient)


def _held(method: Method, case: Case, options: Mapping[str, Any], shape: Shapes,
          made: Callable[[tuple[int, ...]], Tensor]) -> tuple[int, bool]:
    """The rows of one whole conversation, each counted once in a round, and whether gradients were asked."""

    def answer(ask: Ask) -> Tensor:
        if ask.kind == "foreign":
            raise _Unknown
        n = ask.points.n if ask.fold is None else len(ask.fold.weights)
        at = () if ask.kind == "score" else shape(ask.at or ask.case.site)
        return made((n, *at)).to(ask.case.origin.dtype)

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
