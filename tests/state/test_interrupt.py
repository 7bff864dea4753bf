"""Ctrl-C at the worst moments, when something is about to be opened or closed: it waits until nothing is half open."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pellucid.explain import explain
from pellucid.testing.campaign import tidied
from pellucid.testing.kinds import Owner, owned
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import Toy, toy
from pellucid.words.errors import PellucidError


@pytest.fixture(autouse=True)
def _the_key_does_what_it_does_in_a_shell() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


MOMENTS = ("__enter__", "__exit__", "__torch_function__")


def pressed(on: Toy, verb: Any, name: str, at: int) -> int:
    """Ctrl-C at the first step of the at-th such function, whoever wrote it; how many there were, or -1 if it came."""
    seen = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal seen
        if event == "call" and frame.f_code.co_name in MOMENTS:
            seen += 1
            if seen == at:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)

    x = on.x
    try:
        with pristine(on.model, x):
            sys.setprofile(profile)
            try:
                verb(on.model, x, name, **({"steps": 4} if name.startswith("integ") else {}))
            finally:
                sys.setprofile(None)
    except KeyboardInterrupt:
        return -1
    return seen


@pytest.mark.parametrize("stray", [False, True], ids=["shadow", "guard"])
@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "captum:GradientShap"])
def test_ctrl_c_waits_until_nothing_is_half_open(name: str, stray: bool) -> None:
    on = owned("training", Owner(busy=True, stray=stray))
    pressed(on, explain, name, 0)
    moments = pressed(on, explain, name, 0)
    assert moments > 50
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    for at in range(1, moments, max(moments // 60, 1)):
        assert pressed(on, explain, name, at) == -1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_waiting_it_leaves_modes_open() -> None:
    at_once: Any = explain.__wrapped__  # type: ignore[attr-defined]
    on, left = owned("training", Owner()), 0
    moments = [pressed(on, at_once, "saliency", 0) for _ in range(2)][1]
    for at in range(1, moments):
        try:
            pressed(on, at_once, "saliency", at)
        except (AssertionError, PellucidError):
            left += 1
        tidied()
    assert left


def test_pressed_twice_it_comes_at_once_and_pressed_too_late_it_is_not_lost() -> None:
    on, scored = toy("gelu_mlp"), [0]

    def target(output: torch.Tensor) -> torch.Tensor:
        scored[0] += 1
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        scored[0] += 1
        return output[:, 0]

    times = 2
    with pytest.raises(KeyboardInterrupt):
        explain(on.model, on.x, "saliency", target=target)
    assert scored == [1]
    times = 1
    with pytest.raises(KeyboardInterrupt):
        explain(on.model, on.x, "saliency", target=target)
    assert scored == [3]


def test_who_deals_with_ctrl_c_himself_goes_on_doing_so() -> None:
    on, rung = toy("gelu_mlp"), list[int]()

    def own(number: int, frame: Any) -> None:
        rung.append(number)

    before = signal.signal(signal.SIGINT, own)
    try:
        explain(on.model, on.x, "saliency", target=lambda out: (signal.raise_signal(signal.SIGINT), out[:, 0])[1])
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
    assert rung
