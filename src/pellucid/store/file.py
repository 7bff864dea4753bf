"""One explanation in one file: saved without the input unless asked, read without trusting a byte."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from pellucid.store import atomic, container
from pellucid.store.container import MOST_BYTES, refuse
from pellucid.store.schema import SCHEMA, VERSION, Record
from pellucid.words import pairs
from pellucid.words.errors import FileError, PellucidError
from pellucid.words.explanation import Evidence, Explanation, Finding, Recipe, Shown, Verdict
from pellucid.words.features import Features

PARTS = ("numerical", "sampling", "format")
"""What an error may be made of."""

KNOWN = {"values", "elements", "error", "index", "image", *PARTS}
REGULAR = ("pixels", "patches", "units")


def save(explanation: Explanation, path: str | os.PathLike[str], *, input: bool = False) -> Path:
    """Write the explanation to one file (safetensors inside).

    Without `input` the picture, the text, the tokens and the cells are left out; tokens become numbers.
    `elements` are kept, and may themselves show the input: the file then says `attribution-of-input`.
    """
    e = explanation
    tensors = {"values": _plain(e.values), "index": e.features.index.to(torch.int64)}
    if e.elements is not None:
        tensors["elements"] = _plain(e.elements)
    if e.error is not None:
        tensors["error"] = _plain(e.error)
        tensors |= {name: _plain(e.errors[name]) for name in PARTS if name in e.errors}
    shown = e.shown if input else None
    if shown is not None and shown.image is not None:
        tensors["image"] = torch.from_numpy(shown.image.copy())
    record = _record(e, tensors, shown, input)

    def describe(entries: str, data: bytes) -> str:
        return container.dump({**record, "digest": _digest(record, entries, data)})

    try:
        packed = container.pack(tensors, describe)
    except (ValueError, UnicodeError):
        raise FileError("file.not_finite", "a score, name or option that JSON cannot hold", "finite numbers and text",
                        "explain with an input for which the score is finite") from None
    try:
        read(packed)  # what could not be opened again is never written
    except FileError as refusal:
        raise FileError("file.unsavable", f"an explanation that would not open again ({refusal.found})",
                        refusal.expected, "report this with the method and the layout in use") from None
    return atomic.write(path, packed)


def open_(path: str | os.PathLike[str]) -> Explanation:
    """Read a saved explanation; a file that is not exactly one is refused with a code."""
    return read(_bytes(Path(path)))


def read(raw: bytes) -> Explanation:
    """The explanation in these bytes."""
    text, entries, tensors, data = container.unpack(raw)
    stated = container.parse(text)
    if not isinstance(stated, dict) or stated.get("schema") != SCHEMA:
        refuse("file.not_pellucid", "another kind of description", SCHEMA)
    if stated.get("version") != VERSION or type(stated["version"]) is not int:
        raise FileError("file.version", "a version that this pellucid does not read", f"version {VERSION}",
                        "update pellucid, or save the explanation with this version")
    try:
        canonical = container.dump(stated)
        record = Record.model_validate_json(canonical)
    except (ValidationError, ValueError):
        refuse("file.schema", "a description with missing, unknown or wrong fields", f"{SCHEMA} version {VERSION}")
    if _digest({k: v for k, v in stated.items() if k != "digest"}, entries, data) != record.digest:
        refuse("file.digest", "content that does not match its sha-256", "an unaltered file")
    return _explanation(record, tensors)


def _bytes(path: Path) -> bytes:
    """The file's bytes, never more than the limit."""
    try:
        if not path.is_file():
            raise OSError
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        raise FileError("file.missing", f"no readable file named {path.name!r}", "a saved explanation",
                        "check the path") from None
    if len(raw) > MOST_BYTES:
        refuse("file.too_large", f"more than {MOST_BYTES} bytes", f"at most {MOST_BYTES}")
    return raw


def _plain(tensor: Tensor) -> Tensor:
    """A tensor of a dtype the file knows."""
    known = tensor.is_floating_point() and tensor.dtype in container.CODES
    return tensor.detach() if known else tensor.detach().to(torch.float64)


def _digest(record: Mapping[str, Any], entries: str, data: bytes) -> str:
    """sha-256 over the description, the tensors' entries and the data, each with its length."""
    seen = hashlib.sha256()
    for part in (container.dump(record).encode(), entries.encode(), data):
        seen.update(len(part).to_bytes(8, "little"))
        seen.update(part)
    return seen.hexdigest()


def _finite(tensors: Mapping[str, Tensor]) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point())


class Unsaved(Exception):
    """A value that JSON cannot hold."""


def _json(value: Any) -> Any:
    """The value in JSON; a tuple is a list with a mark, so that a recipe comes back as it was."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return {"tuple": [_json(v) for v in value]}
    if isinstance(value, list):
        return [_json(v) for v in value]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value) and set(value) not in ({"tuple"},):
        return {k: _json(v) for k, v in value.items()}
    raise Unsaved(type(value).__name__)


def _value(made: Any) -> Any:
    """What `_json` was given."""
    if isinstance(made, dict):
        if set(made) == {"tuple"} and isinstance(made["tuple"], list):
            return tuple(_value(v) for v in made["tuple"])
        return {k: _value(v) for k, v in made.items()}
    return [_value(v) for v in made] if isinstance(made, list) else made


def _options(options: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Options in JSON, and whether all of them could be written down."""
    made, whole = dict[str, Any](), True
    for name, value in options.items():
        try:
            made[str(name)] = _json(value)
        except Unsaved as kind:
            made[str(name)], whole = f"not saved: {kind}", False
    return made, whole


def _record(e: Explanation, tensors: Mapping[str, Tensor], shown: Shown | None, input: bool) -> dict[str, Any]:
    f = e.features
    names = f.names
    if f.kind == "tokens" and not input:
        names = tuple(f"token {i + 1}" for i in range(len(names)))
    elif f.name == "pairs of tokens" and not input:
        names = pairs.numbered(len(names), "token")
    recipe, whole = _options(e.recipe)
    regular = f.kind != "image" or f.name.startswith(REGULAR) or f.index.numel() == f.n
    contains = ["attribution", *(["attribution-of-input"] if e.elements is not None else []),
                *([] if regular else ["segmentation-of-input"]), *(["input"] if input and e.shown else [])]
    return {
        "schema": SCHEMA, "version": VERSION, "contains": contains, "finite": _finite(tensors),
        "method": e.method, "target": e.target, "score": float(e.score), "baseline_score": _number(e.baseline_score),
        "residual": _number(e.residual), "labels": list(e.labels),
        "scores": {str(k): float(v) for k, v in e.scores.items()},
        "features": {"axes": list(f.axes), "shape": list(f.shape), "kind": f.kind, "name": f.name,
                     "names": list(names)},
        "verdict": [asdict(x) for x in e.verdict.findings],
        "evidence": {k: dict(v) if isinstance(v, Mapping) else v for k, v in vars(e.evidence).items()},
        "recipe": recipe, "replayable": e.recipe.replayable and whole, "provenance": _options(e.provenance)[0],
        "paper": e.paper, "summary": e.summary, "ordinal": e.ordinal,
        "details": _options(e.details)[0], "means": e.means,
        "shown": None if shown is None else {"kind": shown.kind, "text": shown.text, "cells": list(shown.cells),
                                             "title": shown.title, "notes": list(shown.notes)},
    }


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _explanation(record: Record, tensors: dict[str, Tensor]) -> Explanation:
    """The record and its tensors, once they fit each other."""
    values, index, error = tensors.get("values"), tensors.get("index"), tensors.get("error")
    image, parts = tensors.get("image"), {name: tensors[name] for name in PARTS if name in tensors}
    fits = (
        values is not None and index is not None and set(tensors) <= KNOWN and values.is_floating_point()
        and index.dtype == torch.int64 and (not index.numel() or int(index.min()) >= -1)
        and values.numel() == math.prod(record.features.shape)
        and (error is None or (error.is_floating_point() and error.shape == values.shape))
        and all(error is not None and p.is_floating_point() and p.shape == error.shape for p in parts.values())
        and (image is None or (image.dtype == torch.uint8 and image.dim() == 3 and image.shape[-1] == 3
                               and record.shown is not None))
        and ("attribution-of-input" in record.contains) == ("elements" in tensors)
    )
    if not fits or values is None or index is None:
        refuse("file.schema", "tensors that do not fit the description", "values, index and what the description says")
    if record.finite != _finite(tensors):
        refuse("file.damaged", "numbers that are not finite, or that are in spite of it", "what the description says")
    f, shown = record.features, record.shown
    try:
        features = Features(index, f.axes, f.shape, f.kind, f.name, f.names)
    except PellucidError:
        refuse("file.schema", "features that do not fit their index", "one name and one number per feature")
    return Explanation(
        values, features, record.method, record.target, record.score, tensors.get("elements"), error,
        record.baseline_score, record.residual, record.labels, record.scores,
        Verdict(tuple(Finding(x.code, x.level, x.reason, x.do) for x in record.verdict)),
        Evidence(**record.evidence.model_dump()), Recipe(_value(record.recipe), record.replayable),
        _value(record.provenance), record.paper, record.summary,
        None if shown is None else Shown(shown.kind, None if image is None else image.numpy(), shown.text,
                                         shown.cells, shown.title, shown.notes),
        record.ordinal, _value(record.details), record.means, errors=parts,
    )
