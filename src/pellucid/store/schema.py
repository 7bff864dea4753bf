"""What an explanation file says of itself: every field known, every type exact."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "pellucid.explanation"
VERSION = 1

Whole = Annotated[int, Field(ge=0, le=2**53)]
Text = Annotated[str, Field(max_length=200_000)]


class Strict(BaseModel):
    """No field too many, no value converted, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FeaturesRecord(Strict):
    axes: tuple[Annotated[int, Field(ge=-8, le=7)], ...]
    shape: Annotated[tuple[Whole, ...], Field(max_length=8)]
    kind: Literal["image", "tokens", "columns", "units"]
    name: Text
    names: tuple[Text, ...]


class FindingRecord(Strict):
    code: Text
    level: Text
    reason: Text
    do: Text


class EvidenceRecord(Strict):
    passes: Whole
    forwards: Whole
    rows: Whole
    seconds: float
    peak_bytes: Whole | None
    predicted_bytes: Whole | None = None
    memory: Text = ""
    chunk: Whole
    dtype: Text
    device: Text
    isolation: Text
    strict: bool
    shared_by: Whole
    prefix_once: bool
    padded: bool = False
    recomputed: bool = False
    rows_interact: bool
    retries: Whole
    time: dict[Text, float] = {}
    joules: float | None = None
    chosen: dict[Text, Text]
    precision: Text = "exact"
    twin: Text | None = None
    agreement: dict[Text, float] = {}
    untuned: Text = ""
    format: Text = ""


class ShownRecord(Strict):
    kind: Text
    text: str
    cells: tuple[str, ...]
    title: Text
    notes: tuple[Text, ...]


class Record(Strict):
    """The metadata of one explanation; `digest` signs all the rest together with the data."""

    schema_: Literal["pellucid.explanation"] = Field(alias="schema")
    version: Literal[1]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    contains: tuple[Literal["attribution", "attribution-of-input", "segmentation-of-input", "input"], ...]
    finite: bool
    method: Text
    target: Text
    score: float
    baseline_score: float | None
    residual: float | None
    labels: tuple[Text, ...]
    scores: dict[Text, float]
    features: FeaturesRecord
    verdict: tuple[FindingRecord, ...]
    evidence: EvidenceRecord
    recipe: dict[Text, Any]
    replayable: bool
    provenance: dict[Text, Any]
    paper: Text
    summary: Text
    shown: ShownRecord | None
    ordinal: Whole
    details: dict[Text, Any] = {}
    means: Literal["effect", "reaction", "strength"] = "effect"
