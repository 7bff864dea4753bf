"""The container: safetensors, read more strictly than its own library does.

Eight bytes with the length of a JSON header, the header, the data. Here a header has at most 1 MB, its
keys are unique, tensors lie in the order of the data without gap or overlap, and nothing follows them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from pellucid.words.errors import FileError

MOST_BYTES = 256 * 2**20
MOST_HEADER = 2**20
MOST_AXES = 8
DEEPEST = 32
NAME = re.compile(r"[a-z]{1,16}\Z")
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
          "I64": torch.int64, "U8": torch.uint8}  # fmt: skip
CODES = {dtype: code for code, dtype in DTYPES.items()}
KEY = "pellucid"


def refuse(code: str, found: str, expected: str) -> NoReturn:
    """One refusal; what to do is the same for all of them."""
    raise FileError(code, found, expected, "save the explanation again, or fetch the file anew")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ."""
    made = dict(pairs)
    if len(made) != len(pairs):
        refuse("file.header", "a key that stands there twice", "unique keys")
    return made


def _no_constant(name: str) -> NoReturn:
    refuse("file.header", f"the number {name}", "finite numbers")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _no_constant(text[:20])
    return value


def parse(text: str) -> Any:
    """JSON with unique keys, finite numbers and a limited depth."""
    depth = deepest = 0
    for bracket in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.DOTALL):
        sign = bracket[0]
        depth += 1 if sign in "[{" else -1 if sign in "]}" else 0
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        refuse("file.header", f"JSON nested {deepest} deep", f"at most {DEEPEST}")
    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        refuse("file.header", "a header that is not JSON", "JSON")


def dump(value: Any) -> str:
    """JSON in the one form that is signed: sorted, without spaces, finite."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def pack(tensors: dict[str, Tensor], describe: Callable[[str, bytes], str]) -> bytes:
    """Tensors and one string as bytes; `describe` is given the entries and the data and returns the string."""
    entries, data = dict[str, Any](), bytearray()
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        raw = tensor.detach().cpu().contiguous()
        start = len(data)
        data += raw.reshape(-1).view(torch.uint8).numpy().tobytes() if raw.numel() else b""
        entries[name] = {"dtype": CODES[raw.dtype], "shape": list(raw.shape), "data_offsets": [start, len(data)]}
    header = dump({"__metadata__": {KEY: describe(dump(entries), bytes(data))}, **entries}).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MOST_HEADER or 8 + len(header) + len(data) > MOST_BYTES:
        raise FileError("file.too_large", f"a header of {len(header)} bytes and {len(data)} bytes of values",
                        f"at most {MOST_HEADER} and {MOST_BYTES}", "explain fewer features, or save without the input")
    return len(header).to_bytes(8, "little") + header + bytes(data)


def unpack(raw: bytes) -> tuple[str, str, dict[str, Tensor], bytes]:
    """The string, the entries as they are signed, the tensors and the data; anything odd is refused."""
    if not raw:
        refuse("file.empty", "an empty file", "a saved explanation")
    if len(raw) > MOST_BYTES:
        refuse("file.too_large", f"more than {MOST_BYTES} bytes", f"at most {MOST_BYTES}")
    size = int.from_bytes(raw[:8], "little")
    if len(raw) < 10 or raw[8:9] != b"{":
        refuse("file.not_pellucid", "a file of another kind", "a file saved by pellucid")
    if not 2 <= size <= MOST_HEADER or 8 + size > len(raw):
        refuse("file.header", f"a header of {size} bytes", f"2 to {MOST_HEADER}, within the file")
    try:
        header = parse(raw[8 : 8 + size].decode("utf-8"))
    except UnicodeDecodeError:
        refuse("file.header", "a header that is not UTF-8", "UTF-8")
    about = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(about, dict) or KEY not in about:
        refuse("file.not_pellucid", "safetensors without our description", "a file saved by pellucid")
    if set(about) != {KEY} or not isinstance(about[KEY], str):
        refuse("file.header", "other descriptions beside ours", "one string of metadata")
    data = raw[8 + size :]
    return about[KEY], dump(header), _tensors(header, data), data


def _tensors(header: dict[str, Any], data: bytes) -> dict[str, Tensor]:
    made, spans = dict[str, Tensor](), list[tuple[int, int]]()
    for name, entry in header.items():
        if not NAME.match(name) or not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            refuse("file.header", "a tensor that is not described as it should be", "a name, dtype, shape and offsets")
        shape, offsets = entry["shape"], entry["data_offsets"]
        if entry["dtype"] not in list(DTYPES):
            refuse("file.header", "a tensor of an unknown dtype", ", ".join(DTYPES))
        if not _whole(shape, MOST_AXES) or not _whole(offsets, 2) or len(offsets) != 2:
            refuse("file.header", "a shape or offsets that are not whole numbers", f"at most {MOST_AXES} axes")
        dtype = DTYPES[entry["dtype"]]
        start, stop = offsets
        length = math.prod(shape) * dtype.itemsize
        if not 0 <= start <= stop <= len(data) or stop - start != length:
            refuse("file.damaged", "data that ends before its tensor does", "offsets that fit shape and dtype")
        spans.append((start, stop))
        flat = torch.frombuffer(bytearray(data[start:stop]), dtype=dtype) if length else torch.empty(0, dtype=dtype)
        made[name] = flat.reshape(shape)
    at = 0
    for start, stop in sorted(spans):
        if start != at:
            refuse("file.damaged", "tensors that overlap or leave a gap", "tensors one after the other")
        at = stop
    if at != len(data):
        refuse("file.damaged", "bytes after the last tensor", "nothing after the last tensor")
    return made


def _whole(values: Any, most: int) -> bool:
    """A short list of whole numbers that fit the file."""
    return isinstance(values, list) and len(values) <= most and all(
        type(v) is int and 0 <= v <= MOST_BYTES for v in values)
