"""Ctrl-C takes effect between two passes of the model, where nothing is half open.

Python raises KeyboardInterrupt between any two of its steps, and the first step of a clean-up is one of them: a mode
of torch that was about to be closed would stay open in the user's thread, a guarded model would stay under guard.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class _Key:
    """The handler of the signal: notes that the key was pressed; who presses it again is not kept waiting."""

    def __init__(self) -> None:
        self.pressed = self.raised = False

    def __call__(self, number: int, frame: Any) -> None:
        if self.pressed:
            self.raised = True
            signal.default_int_handler(number, frame)
        self.pressed = True


_key: _Key | None = None
"""That of the call which the main thread is in."""


def between_passes(verb: Callable[P, R]) -> Callable[P, R]:
    """Within the verb, Ctrl-C waits until the pass at hand is over; pressed twice, it comes at once.

    Only the main thread gets the signal, and only Python's own way to deal with it is replaced for the time of the
    call: who has another (an event loop) knows better.
    """

    @functools.wraps(verb)
    def unhurried(*args: P.args, **kwargs: P.kwargs) -> R:
        global _key
        ours = threading.current_thread() is threading.main_thread()
        if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return verb(*args, **kwargs)
        key = _Key()
        try:
            signal.signal(signal.SIGINT, key)
            _key = key
            return verb(*args, **kwargs)
        finally:
            _key = None
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if key.pressed and not key.raised:
                raise KeyboardInterrupt

    return unhurried


def pause() -> None:
    """Here a Ctrl-C that waits takes effect."""
    key = _key
    if key is not None and key.pressed and threading.current_thread() is threading.main_thread():
        key.raised = True
        raise KeyboardInterrupt
