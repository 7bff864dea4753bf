"""Watching every operation of a pass, without loading torch's compiler for it."""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Watching(TorchDispatchMode):
    """A dispatch mode that a compiled part of a model leaves alone.

    torch sees to that by importing its compiler at the first operation, which takes seconds. Only where
    the compiler is there already can there be anything compiled.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # seen to below

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        plain = cls.__dict__.get("__torch_dispatch__")
        if plain is None:
            return
        apart = torch._disable_dynamo(plain, recursive=True)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

        @functools.wraps(plain)
        def dispatched(*args: Any, **kwargs: Any) -> Any:
            return (apart if "torch._dynamo" in sys.modules else plain)(*args, **kwargs)

        cls.__torch_dispatch__ = dispatched
