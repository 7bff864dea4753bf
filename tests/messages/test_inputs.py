"""Bad tensors, tables and texts are refused by code; good ones arrive with the right values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from refusal import refused

from pellucid.models.tabular import Column, TableReader
from pellucid.models.tensor import TensorReader
from pellucid.words.case import Carrier
from pellucid.words.features import Features

LAYOUTS: list[tuple[Any, tuple[int, ...]]] = [
    *(((layout), (3, 20, 12)) for layout in ("units", "channels", "pixels", "patches", "patches:7")),
    (torch.arange(240).reshape(20, 12) // 50 - 1, (3, 20, 12)), ("columns", (9,)), ("units", (4, 5)),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LAYOUTS), st.integers(0, 2**31))
def test_every_layout_keeps_sums(case: tuple[Any, tuple[int, ...]], seed: int) -> None:
    layout, shape = case
    reader = TensorReader()
    example = reader.read(torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed)))
    features: Features = reader.features(example, layout, False)
    elements = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
    values = features.gather(elements)
    moved = (elements * features.movable(len(shape))).sum()
    assert torch.allclose(values.sum(), moved)
    assert torch.allclose(features.spread(values).sum(), values.sum())


TENSORS: dict[str, tuple[Callable[[], Any], str]] = {
    "nan": (lambda: torch.tensor([[1.0, torch.nan]]), "input.not_finite"),
    "infinity": (lambda: torch.tensor([[1.0, -torch.inf]]), "input.not_finite"),
    "nan beside": (lambda: (torch.ones(1, 2), torch.tensor([[torch.nan]])), "input.not_finite"),
    "empty batch": (lambda: torch.zeros(0, 3), "input.empty"),
    "empty axis": (lambda: torch.zeros(1, 0), "input.empty"),
    "no axes": (lambda: torch.tensor(1.0), "input.shape"),
    "no batch axis": (lambda: torch.ones(1), "input.shape"),
    "nine axes": (lambda: torch.ones([1] * 9), "input.shape"),
    "whole numbers": (lambda: torch.ones(1, 3, dtype=torch.int64), "input.integer"),
    "true and false": (lambda: torch.ones(1, 3, dtype=torch.bool), "input.integer"),
    "complex": (lambda: torch.ones(1, 3, dtype=torch.complex64), "input.dtype"),
    "complex array": (lambda: np.ones((1, 3), complex), "input.dtype"),
    "sparse": (lambda: torch.ones(1, 3).to_sparse(), "input.dtype"),
    "meta": (lambda: torch.ones(1, 3, device="meta"), "input.dtype"),
    "eight bits": (lambda: torch.ones(1, 3).to(torch.float8_e4m3fn), "input.dtype"),
    "two rows": (lambda: [torch.ones(2, 3), torch.ones(1, 3)], "input.batch"),
    "rows that differ": (lambda: (torch.ones(2, 3), torch.ones(1, 3)), "input.rows"),
    "text": (lambda: "hello", "input.type"),
    "objects": (lambda: np.array([["a"]], dtype=object), "input.type"),
    "a list of numbers": (lambda: {"x": [1.0, 2.0]}, "input.type"),
    "nothing": (lambda: {}, "input.empty"),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_a_bad_tensor_is_refused_by_code(name: str) -> None:
    make, code = TENSORS[name]
    raw = make()
    refused(code, lambda: TensorReader().read(raw[0] if isinstance(raw, list) else raw))


def test_the_users_tensor_is_never_handed_on() -> None:
    kinds = [torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4).to(memory_format=torch.channels_last),
             torch.rand(1, 1, 1, 4).expand(1, 3, 4, 4), torch.rand(1, 4, 4, 3).permute(0, 3, 1, 2),
             torch.rand(1, 3, 4, 4, requires_grad=True)]
    with torch.inference_mode():
        kinds.append(torch.rand(1, 3, 4, 4))
    for value in kinds:
        before = value.detach().clone()
        for mode in (False, True):
            with torch.inference_mode(mode):
                example = TensorReader().read(value)
            inside = example.carrier.inputs[0]
            assert torch.equal(inside, before)
            assert not inside.is_inference()
            assert not inside.requires_grad
            inside.add_(1)
            assert torch.equal(value, before)
            assert torch.equal(example.x, before[0])


def test_several_inputs_are_split_and_one_is_explained() -> None:
    reader, rows = TensorReader(), {"ids": torch.arange(6).reshape(3, 2), "x": torch.rand(3, 4), "flag": True}
    parts = reader.split(rows)
    assert parts is not None
    assert len(parts) == 3
    example = reader.read(parts[1])
    assert str(example.site) == "input:x"
    assert torch.equal(example.x, rows["x"][1])
    assert example.carrier.inputs["flag"] is True
    assert torch.equal(example.carrier.inputs["ids"], torch.tensor([[2, 3]]))
    refused("input.unknown", lambda: TensorReader(explain="y").read(parts[0]))
    refused("input.integer", lambda: TensorReader(explain="ids").read(parts[0]))


COLUMNS = (Column("age", mean=40.0, std=10.0, unit="years"), Column("city", "category", ("Bern", "Lima", "Oslo")))
TABLE = TableReader(COLUMNS, [{"age": 30, "city": "Bern"}, {"age": 50, "city": "Oslo"}])

TABLES = {
    "age,city\n": "csv.empty", "": "file.empty", " \n\n": "csv.empty", "age\n3\n": "csv.missing_column",
    "age,city,wage\n3,Bern,1\n": "csv.extra_column", "age,city\nold,Bern\n": "csv.not_a_number",
    "age,city\n=1+1,Bern\n": "csv.not_a_number", "age,city\n,Bern\n": "csv.not_a_number",
    "age,city\n1_0,Bern\n": "csv.not_a_number", "age,city\n3,Berne\n": "csv.unknown_category",
    "age,city\n3,Bern,x\n": "csv.ragged", "age,city,age\n3,Bern,1\n": "csv.duplicate_column",
    "age,city\n1e400,Bern\n": "input.not_finite", "age,city\nnan,Bern\n": "input.not_finite",
    'age,city\n3,"Bern\n': "csv.quotes", "age,city\n3," + "B" * 20_000: "csv.too_large",
    ",".join(f"c{i}" for i in range(3000)) + "\n": "csv.too_large", "age,city\n3,B\0rn\n": "csv.encoding",
}


@pytest.mark.parametrize("text", TABLES)
def test_a_bad_table_is_refused_by_code(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text, newline="")
    refused(TABLES[text], lambda: [TABLE.read(r) for r in TABLE.split(path) or [path]])


def test_table_errors_name_the_place_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("age,city\n3,Bern\n4,Limaa\n")
    error = refused("csv.unknown_category", lambda: [TABLE.read(r) for r in TABLE.split(path) or []])
    assert "line 3" in error.found
    assert "'city'" in error.found
    assert "'Lima'" in error.do
    for data in ("age,city\n3,Bern\n".encode("utf-16"), b"age,city\n3,B\xe9rn\n", b"\x1f\x8b123"):
        path.write_bytes(data)
        refused("csv.encoding", lambda: TABLE.read(path))
    refused("input.not_finite", lambda: TABLE.read({"age": float("nan"), "city": "Bern"}))
    refused("input.type", lambda: TABLE.read(3.5))
    refused("input.shape", lambda: TABLE.read(torch.zeros(7)))


def test_a_table_is_encoded_the_same_from_every_source(tmp_path: Path) -> None:
    rows = [{"age": 30, "city": "Lima"}, {"age": 45.5, "city": "Oslo"}]
    expected = torch.tensor([[-1.0, 0, 1, 0], [0.55, 0, 0, 1]])
    path = tmp_path / "rows.csv"
    path.write_bytes("\ufeffage;city\r\n30;Lima\r\n45.5;Oslo\r\n".encode())
    for raw in (rows, pd.DataFrame(rows), path, expected, expected.numpy()):
        found = [TABLE.read(r) for r in TABLE.split(raw) or []]
        assert torch.allclose(torch.stack([e.x for e in found]), expected)
        assert found[1].shown.cells == ("45.5 years", "Oslo")
    assert any("semicolon" in n for n in TABLE.read((TABLE.split(path) or [])[0]).notes)
    example = TABLE.read(rows[0])
    features = TABLE.features(example, None, True)
    assert features.names == ("age", "city")
    assert torch.equal(features.gather(torch.arange(4.0)), torch.tensor([0.0, 6.0]))
    assert torch.equal(TABLE.baseline(example, None), torch.tensor([0.0, 0.5, 0, 0.5]))
    assert torch.equal(TABLE.baseline(example, "data:1"), torch.tensor([1.0, 0, 0, 1]))
    assert torch.equal(TABLE.baseline(example, {"age": 40, "city": "Bern"}), torch.tensor([0.0, 1, 0, 0]))
    refused("baseline.out_of_range", lambda: TABLE.baseline(example, "data:2"))
    assert sorted(TABLE.draws(4, 0)) == ["data:0", "data:1"]  # there are only two, and none comes twice
    assert not isinstance(TABLE.baseline(example, None), Carrier)
