"""A Subject: a model together with how its inputs are read, named, switched off and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pellucid.words import draw
from pellucid.words.case import Carrier
from pellucid.words.explanation import Shown
from pellucid.words.features import Features
from pellucid.words.site import Site


@dataclass(frozen=True, eq=False)
class Example:
    """One input, read: the model's own tensors, where it is explained, and what is shown of it.

    `x` is the value at `site` without a batch axis; None where the model itself must say it (the word
    embedding of a text). `notes` say what was done on the way (turned upright, converted from CMYK).
    """

    carrier: Carrier
    site: Site
    x: Tensor | None
    shown: Shown
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """How a kind of input becomes an example."""

    @property
    def task(self) -> str:
        """image, text, table or tensor."""
        ...

    def split(self, raw: Any) -> list[Any] | None:
        """The single inputs of a batch, or None where `raw` is one input."""
        ...

    def read(self, raw: Any) -> Example:
        """Read one input, or raise an InputError."""
        ...

    def features(self, example: Example, layout: str | Tensor | Features | None, coarse: bool) -> Features:
        """The named layout for this example; None is the usual one, a coarser one if `coarse`."""
        ...

    def baseline(self, example: Example, spec: Any) -> Tensor | Carrier:
        """What replaces a feature that is off: a value shaped like x, or a carrier to read it from.

        None is the usual one. Unknown names raise an OptionError with the known ones.
        """
        ...

    def layout_of(self, layout: str | Tensor | Features | None, coarse: bool) -> str:
        """The name under which the recipe writes the layout down."""
        ...

    def baseline_of(self, spec: Any) -> Any:
        """What the recipe writes down for a baseline: a name, a colour, or the value itself."""
        ...


@dataclass(eq=False)
class Subject:
    """A model that can be explained.

    `facts` holds what was learnt about the model on the way (does a row depend on its neighbours? how
    many bytes does a row take?), keyed by question; it is filled by the engine and never by hand.
    """

    module: nn.Module
    reader: Reader
    name: str = "model"
    labels: tuple[str, ...] = ()
    labels_zh: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict[str, Any])
    facts: dict[Any, Any] = field(default_factory=dict[Any, Any])

    @property
    def task(self) -> str:
        """image, text, table or tensor."""
        return self.reader.task

    def read(self, raw: Any) -> Example:
        """Read one input; what we decoded ourselves takes the model's own number format."""
        example = self.reader.read(raw)
        if self.task not in ("image", "table"):
            return example
        dtype = next((p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.float32)
        inputs = {k: v.to(dtype) if isinstance(v, Tensor) and v.is_floating_point() else v
                  for k, v in example.carrier.inputs.items()}
        wide = example.x.double() if example.x is not None and dtype == torch.float64 else example.x
        return replace(example, carrier=Carrier(inputs), x=wide)

    def split(self, raw: Any) -> list[Any] | None:
        """The single inputs of a batch, None where `raw` is one input."""
        if isinstance(raw, list) and self.task != "table":
            return list[Any](raw)
        return self.reader.split(raw)

    def spelled(self, languages: Sequence[str] = ("en",)) -> tuple[str, ...]:
        """The labels in the first language that has them."""
        return self.labels_zh if languages and languages[0] == "zh" and self.labels_zh else self.labels

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return draw.call("shown", self)
