"""What every refusal must be: a code, and what was found, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pellucid.words.errors import PellucidError


def refused(code: str, do: Callable[[], Any]) -> PellucidError:
    """The error, which must have this code and say what was found, what was expected and what to do."""
    with pytest.raises(PellucidError) as caught:
        do()
    error = caught.value
    assert error.code == code, str(error)
    assert all(len(part.strip()) > 2 for part in (error.found, error.expected, error.do)), error.as_dict()
    return error
