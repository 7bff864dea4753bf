"""A method: a coroutine over a case, with the card that declares what it asks and promises."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pellucid.words.case import Case
from pellucid.words.declared import Declared, parts
from pellucid.words.errors import OptionError

ASKS = ("score", "gradient", "reading", "foreign")
"""The questions, by name."""

AUTO = "auto"
"""An option that is chosen for the model at hand; the recipe shows what was chosen."""


class Law(enum.Enum):
    """What a method promises; each is run as a test, and shown to fail on a broken method."""

    COMPLETE = "values sum to the score minus the baseline's score"
    DUMMY = "a feature that the model ignores gets zero"
    SYMMETRIC = "features that play the same part get the same value"
    LINEAR = "for a sum of two scores the values add up"


class Need(enum.Enum):
    """What a method needs of the model at hand; fitness looks for it before anything runs."""

    PLACES = "a layer whose value lies over places: rows and columns, or tokens"
    ATTENTION = "attention whose probabilities are a softmax over keys"
    SELF_ATTENTION = "attention from every token to every token of the same sequence, layer after layer"
    GATES = "ReLUs, and no other gates: its rule is defined for them alone"
    RULES = "a rule for every operation between input and score"
    BIASES = "layers that are linear but for a bias"
    PICTURE = "a picture: rows and columns"
    BACKGROUND = "other rows to draw from"


@dataclass(frozen=True)
class Card:
    """What a method declares of itself.

    `asks` is the dearest question it asks (score, gradient, reading). `gives` says what its values are
    laid over: elements of x, features, a map at a layer, or units of a layer. `coarse` says that the
    cost grows with the number of features, so that patches or words are the default layout.
    `formula`, `cost` (rows through the model), `use` and `avoid` (when, and when not) are for the catalogue;
    `needs` is what a model must have. `most` is the largest number of features that the method takes, None
    for any. `means` is what a value says: an `effect` on the score, how strongly the score reacts whichever way
    (`reaction`), or a `strength` that is no part of the score. `hooks` are the kinds of modules that a method has
    rules for, where it passes by all else in silence.
    """

    asks: str
    paper: str
    laws: tuple[Law, ...] = ()
    gives: str = "elements"
    coarse: bool = False
    baseline: bool = False
    needs: tuple[Need, ...] = ()
    formula: str = ""
    cost: str = ""
    use: str = ""
    avoid: str = ""
    most: int | None = None
    hooks: tuple[str, ...] = ()
    means: str = "effect"

    @property
    def complete(self) -> bool:
        return Law.COMPLETE in self.laws


Prepare = Callable[[Case, Mapping[str, Any]], Case]
"""The case that a method speaks about, from the one that is asked about and all options."""


@dataclass(frozen=True, eq=False)
class Method(Declared):
    """A named method: calling it with a case starts the conversation.

    `prepare` moves the case before anything is asked, the scores beside the values included: a contrast
    changes the target, a method with a way of its own where that begins.
    """

    card: Card
    prepare: Prepare = lambda case, options: case

    def __call__(self, case: Case, **options: Any) -> Coroutine[Any, Any, Any]:
        settled = self.settle(options)
        return self.run(self.prepare(case, settled), **settled)


KNOWN: dict[str, Method] = {}
"""Every method that was declared in this process, by name."""


def method(
    *,
    asks: str,
    paper: str = "",
    laws: Sequence[Law] = (),
    gives: str | None = None,
    coarse: bool = False,
    baseline: bool | None = None,
    needs: Sequence[Need] = (),
    formula: str = "",
    cost: str = "",
    use: str = "",
    avoid: str = "",
    most: int | None = None,
    means: str = "effect",
    prepare: Prepare | None = None,
) -> Callable[[Callable[..., Coroutine[Any, Any, Any]]], Method]:
    """Declare a coroutine over a case as a method; its keyword-only arguments are its options.

    What is declared beside `asks` is told on `Card`, `prepare` on `Method`.
    """
    if asks not in ASKS:
        raise OptionError("method.asks", repr(asks), " or ".join(ASKS), "name the dearest question")

    def declare(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Method:
        card = Card(asks, paper, tuple(laws), gives or ("features" if asks == "score" else "elements"), coarse,
                    Law.COMPLETE in laws if baseline is None else baseline, tuple(needs), formula, cost, use, avoid,
                    most, means=means)
        made = of(fn, card)
        made = made if prepare is None else replace(made, prepare=prepare)
        KNOWN[made.name] = made
        return made

    return declare


def of(fn: Callable[..., Coroutine[Any, Any, Any]], card: Card) -> Method:
    """A coroutine over a case as a method that stands in no catalogue."""
    return Method(card=card, **parts(fn))
