"""Something goes wrong at a chosen moment: an exception at the k-th tensor operation, and a count of live bytes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

KINDS: tuple[type[BaseException], ...] = (
    RuntimeError, KeyboardInterrupt, torch.OutOfMemoryError, MemoryError, SystemExit,
)
"""What may come out of a forward: a mistake, Ctrl-C, two ways to run out of memory, an exit."""


class FailAt(TorchDispatchMode):
    """While open, tensor operation number `at` raises `error`, wherever it stands; -1 only counts.

    `fired` says whether it happened, `operations` how many there were.
    """

    def __init__(self, at: int = -1, error: type[BaseException] = RuntimeError) -> None:
        super().__init__()
        self.at, self.error = at, error
        self.operations, self.fired = 0, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        if self.operations - 1 == self.at:
            self.fired = True
            raise self.error("planted by a test")
        return func(*args, **(kwargs or {}))


class LiveBytes(TorchDispatchMode):
    """While open, counts the bytes of tensors that operations made and somebody still holds.

    `peak` is the largest count seen. Only storages made meanwhile are counted, each once, however many
    views there are of it; fake tensors hold nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if type(tensor).__name__ != "FakeTensor" and isinstance(tensor, Tensor) and tensor.layout is torch.strided:
                storage = tensor.untyped_storage()
                ref = StorageWeakRef(storage)
                self._alive[ref.cdata] = (ref, storage.nbytes())
        self._alive = {key: pair for key, pair in self._alive.items() if not pair[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return out
