"""Something goes wrong at a chosen moment: an exception at the k-th tensor operation, Ctrl-C after a while.

Also a count of live bytes.
"""

from __future__ import annotations

import signal
import time
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from pellucid.words.modes import Watching

KINDS: tuple[type[BaseException], ...] = (
    RuntimeError, KeyboardInterrupt, torch.OutOfMemoryError, MemoryError, SystemExit,
)
"""What may come out of a forward: a mistake, Ctrl-C, two ways to run out of memory, an exit."""

PLANTED = "planted by a test"
"""What a planted exception says."""


class FailAt(Watching):
    """While open, tensor operation number `at` raises `error`, wherever it stands; -1 only counts.

    `fired` says whether it happened, `backward` whether that was on the way back through autograd, `operations`
    how many there were.
    """

    def __init__(self, at: int = -1, error: type[BaseException] = RuntimeError) -> None:
        super().__init__()
        self.at, self.error = at, error
        self.operations, self.fired, self.backward = 0, False, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        if self.operations - 1 == self.at:
            self.fired = True
            self.backward = torch._C._current_graph_task_id() >= 0  # pyright: ignore[reportAttributeAccessIssue]
            raise self.error(PLANTED)
        return func(*args, **(kwargs or {}))


class CtrlC:
    """While open, Ctrl-C is pressed once after so many seconds; in the main thread only.

    It comes as the signal that the key sends, between any two steps of Python. `fired` says whether it did. Another
    alarm of the process (a test's time limit) goes on afterwards.
    """

    def __init__(self, after: float) -> None:
        self.after = after
        self.fired = self._armed = False

    def __enter__(self) -> CtrlC:
        self._handlers = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)
        self._other, self._began = signal.getitimer(signal.ITIMER_REAL), time.monotonic()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, self._pressed)
        self._armed = True
        signal.setitimer(signal.ITIMER_REAL, max(self.after, 1e-6))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self._put_back()
        signal.signal(signal.SIGINT, self._handlers[1])

    def _pressed(self, number: int, frame: Any) -> None:
        if self._armed:
            self.fired = True
            self._put_back()  # here, for what follows may come before the first step of __exit__
            signal.raise_signal(signal.SIGINT)

    def _put_back(self) -> None:
        if self._armed:
            self._armed = False
            left, every = self._other
            passed = time.monotonic() - self._began
            signal.setitimer(signal.ITIMER_REAL, max(left - passed, 1e-3) if left else 0, every)
            signal.signal(signal.SIGALRM, self._handlers[0])


class LiveBytes(TorchDispatchMode):
    """While open, counts the bytes of tensors that operations made and somebody still holds.

    `peak` is the largest count seen. Only storages made meanwhile are counted, each once, however many
    views there are of it; fake tensors hold nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._most = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if type(tensor).__name__ != "FakeTensor" and isinstance(tensor, Tensor) and tensor.layout is torch.strided:
                storage = tensor.untyped_storage()
                ref, nbytes = StorageWeakRef(storage), storage.nbytes()
                self._most += nbytes - self._alive.get(ref.cdata, (ref, 0))[1]
                self._alive[ref.cdata] = (ref, nbytes)
        if self._most > self.peak:  # who has gone meanwhile is counted only where it matters
            self._alive = {key: pair for key, pair in self._alive.items() if not pair[0].expired()}
            self._most = sum(size for _, size in self._alive.values())
            self.peak = max(self.peak, self._most)
        return out
