"""An explanation file comes back as it was, or is refused with a code; nothing in between."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.store import container
from pellucid.store.file import open_, read, save
from pellucid.words.errors import FileError
from pellucid.words.explanation import Explanation, Recipe
from pellucid.words.features import pixels

sys.path.insert(0, str(Path(__file__).parents[1] / "drawings"))
import samples

ALL = ("digit", "cam", "patched", "halves", "sentence", "chinese", "arabic", "row", "layer")


def raw(e: Explanation, folder: Path, **options: Any) -> bytes:
    e.save(folder / "e.pellucid", **options)
    return (folder / "e.pellucid").read_bytes()


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def join(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def code(data: bytes) -> str:
    with pytest.raises(FileError) as refused:
        read(data)
    assert refused.value.do
    return refused.value.code


@pytest.mark.parametrize("name", ALL)
def test_what_is_saved_comes_back_bit_for_bit(name: str, tmp_path: Path) -> None:
    e = getattr(samples, name)(elements=torch.randn(3, 5, dtype=torch.float64))
    save(e, tmp_path / "e.pellucid", input=True)
    back = open_(tmp_path / "e.pellucid")
    for field in ("values", "elements", "error"):
        a, b = getattr(e, field), getattr(back, field)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            assert a.numpy().tobytes() == b.numpy().tobytes()
    for field in ("method", "target", "score", "baseline_score", "residual", "labels", "scores", "verdict", "evidence",
                  "provenance", "paper", "summary", "ordinal"):  # fmt: skip
        assert getattr(e, field) == getattr(back, field), field
    assert dict(e.recipe) == dict(back.recipe)
    assert e.features.names == back.features.names
    assert torch.equal(e.features.index, back.features.index)
    assert e.svg() == back.svg()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_kind_of_number_survives(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.randn(4, 4).to(dtype).T
    back = read(raw(samples.made(values, pixels(4, 4)), tmp_path))
    assert torch.equal(back.values, values)
    assert back.values.dtype == dtype


def test_the_input_stays_at_home_unless_asked_for(tmp_path: Path) -> None:
    canaries = [b"wonderful", b"wonder", b"49.90", b"812 d", "精彩".encode()]
    for name in ("sentence", "row", "chinese", "digit"):
        data = raw(getattr(samples, name)(), tmp_path)
        assert not any(c in data for c in canaries), name
        assert b'"image"' not in data
    back = read(raw(samples.sentence(), tmp_path))
    assert back.names[:2] == ("token 1", "token 2")
    assert back.shown is None
    assert "The text itself was not kept" in back.svg()
    assert read(raw(samples.row(), tmp_path)).names[0] == "minutes_viewed"
    assert b"wonderful" in raw(samples.sentence(), tmp_path, input=True)


def test_a_file_says_what_it_contains(tmp_path: Path) -> None:
    def contains(e: Explanation, **options: Any) -> list[str]:
        return json.loads(split(raw(e, tmp_path, **options))[0]["__metadata__"]["pellucid"])["contains"]

    assert contains(samples.digit()) == ["attribution"]
    assert contains(samples.digit(elements=torch.randn(3, 64, 64))) == ["attribution", "attribution-of-input"]
    assert contains(samples.halves()) == ["attribution", "segmentation-of-input"]
    assert contains(samples.row(), input=True) == ["attribution", "input"]


def test_the_container_is_plain_safetensors(tmp_path: Path) -> None:
    e = samples.digit()
    loaded = safetensors.torch.load(raw(e, tmp_path))
    assert torch.equal(loaded["values"], e.values)


def test_options_that_cannot_be_written_down_say_so(tmp_path: Path) -> None:
    recipe = Recipe({"target": lambda out: out, "layer": ("layer4", 1), "steps": [1, 2], "nested": {"rule": "auto"}})
    back = read(raw(samples.row(recipe=recipe), tmp_path))
    assert not back.recipe.replayable
    assert back.recipe["layer"] == ("layer4", 1)
    assert back.recipe["steps"] == [1, 2]
    assert "not saved" in back.recipe["target"]


def test_what_is_not_finite_is_stated_and_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    values = torch.tensor([[1.0, float("nan")]])
    data = raw(samples.made(values, pixels(1, 2)), tmp_path)
    assert torch.isnan(read(data).values[0, 1])
    assert json.loads(split(data)[0]["__metadata__"]["pellucid"])["finite"] is False
    with pytest.raises(FileError) as refused:
        raw(samples.row(score=float("nan")), tmp_path)
    assert refused.value.code == "file.not_finite"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = raw(samples.row(), tmp_path)

    def broken(*_: object) -> None:
        raise OSError(5, "broken disk")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(FileError) as refused:
        samples.digit().save(tmp_path / "e.pellucid")
    assert refused.value.code == "file.unwritable"
    assert (tmp_path / "e.pellucid").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def torch_zip() -> bytes:
    out = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, out)
    return out.getvalue()


def plain_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a", "b")
    return out.getvalue()


def retell(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], bytes], bytes]:
    """A file whose description was changed."""
    def made(header: dict[str, Any], data: bytes) -> bytes:
        about = json.loads(header["__metadata__"]["pellucid"])
        change(about)
        return join({**header, "__metadata__": {"pellucid": json.dumps(about)}}, data)
    return made


def resigned(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], bytes], bytes]:
    """A file whose description was changed by someone who can compute the digest."""
    from pellucid.store.file import _digest

    def made(header: dict[str, Any], data: bytes) -> bytes:
        about = json.loads(header["__metadata__"]["pellucid"])
        del about["digest"]
        change(about)
        entries = container.dump({k: v for k, v in header.items() if k != "__metadata__"})
        about["digest"] = _digest(about, entries, data)
        return join({**header, "__metadata__": {"pellucid": json.dumps(about)}}, data)
    return made


def entry(**change: Any) -> Callable[[dict[str, Any], bytes], bytes]:
    return lambda h, d: join({**h, "values": {**h["values"], **change}}, d)


def rename(name: str) -> Callable[[dict[str, Any], bytes], bytes]:
    return lambda h, d: join({(name if k == "values" else k): v for k, v in h.items()}, d)


def deep(h: dict[str, Any], d: bytes) -> bytes:
    return join(b'{"__metadata__":' + b"[" * 100_000 + b"]" * 100_000 + b"}", d)


def doubled(h: dict[str, Any], d: bytes) -> bytes:
    return join(json.dumps(h).encode()[:-1] + b',"values":' + json.dumps(h["values"]).encode() + b"}", d)


def gap(h: dict[str, Any], d: bytes) -> bytes:
    moved = {k: v if k == "__metadata__" else {**v, "data_offsets": [x + 8 for x in v["data_offsets"]]}
             for k, v in h.items()}
    return join(moved, b"PK\x03\x04\x00\x00\x00\x00" + d)


BAD: dict[str, tuple[Callable[[dict[str, Any], bytes], bytes], str]] = {
    "empty": (lambda h, d: b"", "file.empty"),
    "one byte": (lambda h, d: b"{", "file.not_pellucid"),
    "pickle": (lambda h, d: pickle.dumps({"values": [1, 2, 3]}), "file.not_pellucid"),
    "torch zip": (lambda h, d: torch_zip(), "file.not_pellucid"),
    "zip": (lambda h, d: plain_zip(), "file.not_pellucid"),
    "text": (lambda h, d: b"why did the model say so? nobody knows", "file.not_pellucid"),
    "other safetensors": (lambda h, d: safetensors.torch.save({"a": torch.ones(2)}), "file.not_pellucid"),
    "header 2^63": (lambda h, d: (2**63).to_bytes(8, "little") + join(h, d)[8:], "file.header"),
    "header over the file": (lambda h, d: (len(join(h, d))).to_bytes(8, "little") + join(h, d)[8:], "file.header"),
    "header of 2 MB": (lambda h, d: join(json.dumps(h).encode() + b" " * 2**21, d), "file.header"),
    "header cut": (lambda h, d: join(json.dumps(h).encode()[:-9], d), "file.header"),
    "header not UTF-8": (lambda h, d: join(json.dumps(h).encode()[:-1] + b"\xff}", d), "file.header"),
    "header a list": (lambda h, d: join(b"{}", d), "file.not_pellucid"),
    "JSON depth": (deep, "file.header"),
    "open strings": (lambda h, d: join(b'{"' + b'\\"' * 400_000 + b"\\}", d), "file.header"),
    "duplicate key": (doubled, "file.header"),
    "NaN in JSON": (lambda h, d: join(json.dumps({**h, "x": float("nan")}).encode(), d), "file.header"),
    "1e999": (lambda h, d: join(json.dumps(h).encode()[:-1] + b',"x":1e999}', d), "file.header"),
    "digits": (lambda h, d: join(json.dumps(h).encode()[:-1] + b',"x":' + b"9" * 5000 + b"}", d), "file.header"),
    "path in name": (rename("../../etc/passwd"), "file.header"),
    "script in name": (rename("<script>"), "file.header"),
    "unknown tensor": (rename("weights"), "file.digest"),
    "unknown dtype": (entry(dtype="F8_E4M3"), "file.header"),
    "dtype a list": (entry(dtype=["F32"]), "file.header"),
    "rank 9": (entry(shape=[1] * 8 + [14]), "file.header"),
    "shape overflow": (entry(shape=[2**62, 2**62]), "file.header"),
    "shape negative": (entry(shape=[-14]), "file.header"),
    "shape true": (entry(shape=[True]), "file.header"),
    "shape larger": (entry(shape=[15]), "file.damaged"),
    "offsets swapped": (entry(data_offsets=[56, 0]), "file.damaged"),
    "extra field": (entry(more=1), "file.header"),
    "overlap": (lambda h, d: join({**h, "values": {**h["values"], "data_offsets": h["error"]["data_offsets"]}}, d),
                "file.damaged"),
    "gap polyglot": (gap, "file.damaged"),
    "cut data": (lambda h, d: join(h, d[:-1]), "file.damaged"),
    "trailing bytes": (lambda h, d: join(h, d + b"\x00"), "file.damaged"),
    "flipped value": (lambda h, d: join(h, bytes([d[0] ^ 1]) + d[1:]), "file.digest"),
    "NaN value": (lambda h, d: join(h, d[:-4] + np.float32("nan").tobytes()), "file.digest"),
    "second metadata": (lambda h, d: join({**h, "__metadata__": {**h["__metadata__"], "x": "y"}}, d), "file.header"),
    "label changed": (retell(lambda a: a.update(target="other")), "file.digest"),
    "unknown field": (retell(lambda a: a.update(more=1)), "file.schema"),
    "missing field": (retell(lambda a: a.pop("method")), "file.schema"),
    "number as text": (retell(lambda a: a.update(score="1.37")), "file.schema"),
    "other schema": (retell(lambda a: a.update(schema="other")), "file.not_pellucid"),
    "later version": (retell(lambda a: a.update(version=2)), "file.version"),
    "version as text": (retell(lambda a: a.update(version="1")), "file.version"),
    "signed, other shape": (resigned(lambda a: a["features"].update(shape=[15], names=[])), "file.schema"),
    "signed, too few names": (resigned(lambda a: a["features"].update(names=["a"])), "file.schema"),
    "signed, other axes": (resigned(lambda a: a["features"].update(axes=[0, 1])), "file.schema"),
    "signed, huge shape": (resigned(lambda a: a["features"].update(shape=[2**53] * 8, names=[])), "file.schema"),
    "signed, not finite": (resigned(lambda a: a.update(finite=False)), "file.damaged"),
    "signed, hidden elements": (resigned(lambda a: a.update(contains=["attribution", "attribution-of-input"])),
                                "file.schema"),
    "signed, lone surrogate": (lambda h, d: retell(lambda a: a.update(target="\ud800"))(h, d), "file.schema"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_their_code(name: str, tmp_path: Path) -> None:
    change, expected = BAD[name]
    assert code(change(*split(raw(samples.row(), tmp_path)))) == expected


def test_a_missing_or_too_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "none.pellucid", tmp_path, Path("a\x00b")):
        with pytest.raises(FileError) as refused:
            open_(path)
        assert refused.value.code == "file.missing"
    samples.row().save(tmp_path / "e.pellucid")
    monkeypatch.setattr("pellucid.store.file.MOST_BYTES", 100)
    with pytest.raises(FileError) as refused:
        open_(tmp_path / "e.pellucid")
    assert refused.value.code == "file.too_large"
    monkeypatch.setattr("pellucid.store.container.MOST_HEADER", 100)
    with pytest.raises(FileError) as refused:
        samples.row().save(tmp_path / "f.pellucid")
    assert refused.value.code == "file.too_large"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Explanation]:
    folder = tmp_path_factory.mktemp("files")
    e = samples.row(elements=torch.randn(14))
    return raw(e, folder, input=True), e


def survives(data: bytes, e: Explanation) -> None:
    """Refused, or the same explanation."""
    try:
        back = read(data)
    except FileError:
        return
    assert back.values.numpy().tobytes() == e.values.numpy().tobytes()
    assert back.error is not None
    assert e.error is not None
    assert back.error.numpy().tobytes() == e.error.numpy().tobytes()
    assert (back.target, back.names, back.score, back.verdict) == (e.target, e.names, e.score, e.verdict)


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_any_altered_byte_is_refused_or_without_effect(whole: tuple[bytes, Explanation], data: st.DataObject) -> None:
    original, e = whole
    altered = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        if not altered:
            break
        at = data.draw(st.integers(0, len(altered) - 1))
        change = data.draw(st.sampled_from(["flip", "set", "cut", "insert", "drop"]))
        if change == "flip":
            altered[at] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "set":
            altered[at] = data.draw(st.integers(0, 255))
        elif change == "cut":
            del altered[at + 1 :]
        elif change == "insert":
            altered[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        else:
            del altered[at]
    survives(bytes(altered), e)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_refused(data: bytes, framed: bool) -> None:
    with pytest.raises(FileError):
        read(join(b"{" + data, b"") if framed else data)
