"""What the lines of a run say: every field known, every type exact."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pellucid.store.schema import Strict, Text, Whole

SCHEMA = "pellucid.run"
VERSION = 1

Number = float | None


class RunRecord(Strict):
    model: Text
    layers: tuple[Text, ...]
    parts: tuple[Text, ...]
    attention: tuple[Text, ...]
    method: Text
    probes: Whole
    probe: Text


class WatchedRecord(Strict):
    mean: Number
    spread: Number
    least: Number
    most: Number
    dead: Number
    zero: float
    saturated: float
    counted: Whole
    broken: float
    histogram: tuple[Whole, ...]


class FlowRecord(Strict):
    parameters: Whole
    weight: Number
    gradient: Number
    update: Number
    broken: bool


class ExplainedRecord(Strict):
    method: Text
    targets: tuple[Text, ...]
    shapes: tuple[tuple[Whole, ...], ...]
    maps: tuple[tuple[float, ...], ...]
    first: Number
    previous: Number
    suspect: tuple[Number, ...]
    area: tuple[Number, ...]


class LookRecord(Strict):
    step: Whole
    figures: dict[Text, Number]
    layers: dict[Text, WatchedRecord]
    flow: dict[Text, FlowRecord]
    attention: dict[Text, tuple[Number, ...]]
    explained: ExplainedRecord | None
    seconds: float
    trained: float
    notes: tuple[Text, ...]


class HeaderLine(Strict):
    schema_: Literal["pellucid.run"] = Field(alias="schema")
    version: Annotated[int, Field(ge=VERSION, le=VERSION)]
    run: RunRecord


class RecordLine(Strict):
    record: LookRecord
