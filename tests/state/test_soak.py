"""Many explanations after one another leave nothing behind; the long form is `make soak`."""

from __future__ import annotations

import mmap
from typing import Any

import pytest

from pellucid.testing.soak import Soak, soak


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    soak(20)


def test_sixty_mixed_explanations_leave_memory_as_it_was() -> None:
    soak(60, every=4).check()


def test_a_leak_of_one_small_tensor_an_explanation_is_found() -> None:
    kept: list[Any] = []
    with pytest.raises(AssertionError, match="more live tensors"):
        soak(60, every=4, after=lambda e: kept.append(e.values.clone())).check()


def test_a_leak_that_is_no_tensor_is_found_in_the_resident_set() -> None:
    kept: list[mmap.mmap] = []

    def leak(e: Any) -> None:
        # Pages of its own: what the heap gave back before would hide it.
        kept.append(mmap.mmap(-1, 2**21))
        kept[-1].write(b"1" * 2**21)

    with pytest.raises(AssertionError, match="more resident bytes"):
        soak(60, every=4, after=leak).check()


def test_growth_is_told_from_a_single_rise() -> None:
    Soak([100 * 2**20] * 10 + [200 * 2**20] * 2 + [100 * 2**20] * 6, [50] * 18).check()
    with pytest.raises(AssertionError, match="resident"):
        Soak([k * 10 * 2**20 for k in range(18)], [50] * 18).check()
    with pytest.raises(AssertionError, match="tensors"):
        Soak([0] * 18, [50 + 5 * k for k in range(18)]).check()
