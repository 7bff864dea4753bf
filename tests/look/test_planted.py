"""Each fault in each layer that can have it is found where it was planted, and nothing else is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.look.planted import Planted, judged, plants


@pytest.mark.parametrize("plant", list(plants(4)))
def test_a_planted_fault_is_found_and_nothing_else_is(plant: Callable[[], Planted]) -> None:
    found, others = judged(p := plant(), 4)
    assert found, p.what
    assert others == []
