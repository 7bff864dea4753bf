"""A value that carries its own error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor


def _added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Independent errors add in squares; an unknown error stays unknown."""
    return None if a is None or b is None else torch.hypot(a, b)


@dataclass(frozen=True, eq=False)
class Estimate:
    """`value` with its `numerical` and `sampling` error; None means unknown, zero means exact.

    `numerical` is signed: the last two rules' difference, so that it adds up over the elements of a
    feature as the value does. `sampling` is one standard error, shaped like the value or, where the
    value is per element, per feature. A single zero stands for zeros everywhere. `notes` are codes for
    the verdict (`converged.not`). `place` says over which features the value is laid
    where that is not the case's own layout. `details` are figures beside the values, by name: numbers, text,
    or pairs of a name and a number.
    """

    value: Tensor
    numerical: Tensor | None = None
    sampling: Tensor | None = None
    notes: tuple[str, ...] = ()
    place: Any = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def exact(cls, value: Tensor) -> Estimate:
        zero = value.new_zeros(())
        return cls(value, zero, zero)

    @classmethod
    def of(cls, value: Estimate | Tensor) -> Estimate:
        return value if isinstance(value, Estimate) else cls.exact(value)

    def to(self, dtype: torch.dtype) -> Estimate:
        """The same in another number type."""
        numerical, sampling = (None if e is None else e.to(dtype) for e in (self.numerical, self.sampling))
        return replace(self, value=self.value.to(dtype), numerical=numerical, sampling=sampling)

    def __mul__(self, factor: Tensor | float) -> Estimate:
        return replace(
            self,
            value=self.value * factor,
            numerical=None if self.numerical is None else self.numerical * factor,
            sampling=None if self.sampling is None else self.sampling * abs(factor),
        )

    __rmul__ = __mul__

    def __truediv__(self, by: float) -> Estimate:
        return self * (1.0 / by)

    def __neg__(self) -> Estimate:
        return self * -1.0

    def __add__(self, other: Estimate | Tensor | float) -> Estimate:
        if isinstance(other, Estimate):
            return Estimate(
                self.value + other.value,
                None if self.numerical is None or other.numerical is None else self.numerical + other.numerical,
                _added(self.sampling, other.sampling),
                tuple(dict.fromkeys(self.notes + other.notes)),
                self.place,
                {**self.details, **other.details},
            )
        return replace(self, value=self.value + other)

    __radd__ = __add__

    def __sub__(self, other: Estimate | Tensor | float) -> Estimate:
        return self + (-other)
