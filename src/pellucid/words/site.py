"""Where in a model a value lives: an input, or the output of a named module."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.words.errors import LayerError


@dataclass(frozen=True)
class Site:
    """A place in the model.

    `layer` is a module's dotted name, or empty for the model's own input. `call` counts the calls of
    a module that is used more than once (from 1; None where it is used once). `part` names a part of
    a structured output (`0`, `last_hidden_state`, `0.hidden`), or the input's name.
    """

    layer: str = ""
    call: int | None = None
    part: str = ""

    @classmethod
    def parse(cls, text: str) -> Site:
        """Read `layer`, `layer#2`, `layer:part` or `layer#2:part`."""
        name, _, part = text.partition(":")
        name, mark, call = name.partition("#")
        if not name or (mark and not (call.isdigit() and int(call) > 0)):
            raise LayerError(
                "layer.unreadable",
                repr(text),
                "NAME, NAME#CALL, NAME:PART or NAME#CALL:PART, calls counted from 1",
                "write for example 'encoder.layer#2:0'",
            )
        return cls(name, int(call) if mark else None, part)

    @property
    def is_input(self) -> bool:
        """True where the points are the model's own input."""
        return not self.layer

    def __str__(self) -> str:
        if self.is_input:
            return f"input:{self.part}" if self.part not in ("", "0") else "input"
        call = f"#{self.call}" if self.call is not None else ""
        part = f":{self.part}" if self.part else ""
        return f"{self.layer}{call}{part}"


INPUT = Site(part="0")
