"""Every method on eight kinds of network in three number formats: the right answer, or the code that the page says."""

from __future__ import annotations

import os
import zlib

import pytest
import torch

from docs.generate import catalogue, grid
from docs.generate.grid import DTYPES, NETS, cell, told
from pellucid.words.method import Method

SINGLE = 1e-4
"""How far float32 may be from float64, relative; a ReLU on its other side moves more than rounding does."""

CHUNKS = 1e-9
"""How far float64 may be from itself in passes of three rows."""

ROUGH = ", bfloat16: rough"

METHODS = catalogue.ours()

FULL = bool(os.environ.get("PELLUCID_FULL"))
"""Whether every network is asked in all formats (`make laws`); else three for each method, others for each."""
PAGE = grid.known() if grid.PAGE.exists() else {}


@pytest.mark.usefixtures("vision")
@pytest.mark.parametrize("method", METHODS, ids=[m.name for m in METHODS])
def test_row(method: Method) -> None:
    mark = zlib.crc32(method.name.encode())
    for net in list(NETS) if FULL else [list(NETS)[(mark + k) % len(NETS)] for k in (0, 3, 6)]:
        cells = [cell(method, net, dtype) for dtype in DTYPES]
        said = PAGE[method.name][net].replace(ROUGH, "")  # how rough bfloat16 is depends on the machine
        assert told(cells).replace(ROUGH, "") == said, f"{method.name} on {net}: docs/grid.md says another thing"
        if cells[0].code:
            continue
        assert torch.isfinite(cells[0].values).all()
        again = cell(method, net, DTYPES[0], chunk=3)
        assert again.apart(cells[0]) <= CHUNKS, f"{method.name} on {net} in passes of three rows"
        if not cells[1].code:
            assert cells[1].apart(cells[0]) <= SINGLE, f"{method.name} on {net} in float32"


def test_the_page_has_a_row_for_every_method_and_nothing_else() -> None:
    assert set(PAGE) == {m.name for m in METHODS}
