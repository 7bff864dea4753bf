"""The laws by name: four that a method may declare, five that hold for every method.

`LAWS["COMPLETE"].check(method)` raises an AssertionError that begins with `[COMPLETE]` where the method
breaks it. Each law has saboteurs: methods broken on purpose, on which that law, and no other reason,
must fail; a law without one proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pellucid.testing import declared, saboteurs, universal
from pellucid.testing.saboteurs import Saboteur
from pellucid.testing.toys import Toy, toy
from pellucid.words.method import Law, Method

Check = Callable[[Method, Mapping[str, Any], Toy], None]


@dataclass(frozen=True)
class Named:
    """A law: what it says, how it is checked, and the methods that must break it."""

    name: str
    says: str
    run: Check
    saboteurs: tuple[Saboteur, ...]

    def check(self, method: Method, options: Mapping[str, Any] | None = None, on: Toy | None = None) -> None:
        """Raise an AssertionError where the method breaks this law on this toy.

        The declared laws are checked on networks of their own, made so that the truth is known.
        """
        self.run(method, options or {}, on or toy("gelu_mlp"))


def _declared(law: Law, run: Callable[[Method, Mapping[str, Any]], None]) -> Named:
    return Named(law.name, law.value, lambda method, options, toy: run(method, options), saboteurs.OF[law.name])


LAWS: dict[str, Named] = {named.name: named for named in (
    _declared(Law.COMPLETE, declared.complete),
    _declared(Law.DUMMY, declared.dummy),
    _declared(Law.SYMMETRIC, declared.symmetric),
    _declared(Law.LINEAR, declared.linear),
    *(Named(name, says, run, saboteurs.OF[name]) for name, (says, run) in universal.ALL.items()),
)}
"""Every law."""

UNIVERSAL: tuple[str, ...] = tuple(universal.ALL)
"""The laws that hold for every method, declared or not."""


def law(name: str | Law) -> Named:
    """A law by its name; a name that nothing checks is a failure, never a pass."""
    spelled = name.name if isinstance(name, Law) else name
    if spelled not in LAWS:
        raise AssertionError(f"no law is called {spelled!r}; there are {', '.join(LAWS)}")
    return LAWS[spelled]


def check(method: Method, options: Mapping[str, Any] | None = None, on: Toy | None = None) -> None:
    """Every law that a method declares, and the five universal ones."""
    for name in (*method.card.laws, *UNIVERSAL):
        law(name).check(method, options, on)
