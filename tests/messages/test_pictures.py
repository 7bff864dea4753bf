"""Bad pictures are refused by code; good ones arrive with the right pixels, baselines and layouts."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from refusal import refused
from torch import nn

from pellucid.models.image import ImageReader
from pellucid.models.image_file import read_picture
from pellucid.models.module import wrap
from pellucid.models.preprocessing import ImagePreprocess
from pellucid.words.errors import FileError, InputError

PREPROCESS = ImagePreprocess((64, 48), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
READER = ImageReader(PREPROCESS)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """A PNG that promises this size and holds one row."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def with_text(size: int, compressed: bool) -> bytes:
    extra = PngImagePlugin.PngInfo()
    extra.add_text("comment", "x" * size, zip=compressed)
    return saved(PICTURE, "PNG", pnginfo=extra)


PICTURE = Image.fromarray(NOISE)
PNG, JPEG, GIF, WEBP, TIFF = (saved(PICTURE, k) for k in ("PNG", "JPEG", "GIF", "WEBP", "TIFF"))
THUMBNAIL = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", 2 + 6 + len(JPEG)) + b"Exif\0\0" + JPEG + JPEG[2:]

BAD_PICTURES = {
    "empty": (b"", "file.empty"),
    "one byte": (b"\x89", "image.unreadable"),
    "text": (b"hello", "image.unreadable"),
    "web page": (b"<!doctype html><script>1</script>", "image.unreadable"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image.unreadable"),
    "pdf": (b"%PDF-1.7", "image.unreadable"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0", "image.unreadable"),
    "bmp": (saved(PICTURE, "BMP"), "image.unreadable"),
    "half a png": (PNG[: len(PNG) // 2], "image.truncated"),
    "png without its last bytes": (PNG[:-2], "image.truncated"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "image.truncated"),
    "jpeg without its last bytes": (JPEG[:-2], "image.truncated"),
    "jpeg cut behind its thumbnail": (THUMBNAIL[:-400], "image.truncated"),
    "half a webp": (WEBP[: len(WEBP) // 2], "image.truncated"),
    "half a gif": (GIF[: len(GIF) // 2].rstrip(b";"), "image.truncated"),
    "png with a wrong sum": (PNG.replace(PNG[33:60], bytes(27)), "image.corrupt"),
    "png of noise": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + b"IEND\xaeB`\x82", "image.corrupt"),
    "tiff without its pixels": (TIFF[: len(TIFF) // 3], "image.truncated"),
    "zero width": (png(0, 10), "image.corrupt"),
    "bomb above Pillow's limit": (png(30_000, 30_000), "image.too_large"),
    "bomb below Pillow's limit": (png(13_000, 13_000), "image.too_large"),
    "largest header": (png(2**31 - 1, 2**31 - 1), "image.too_large"),
    "long and thin": (png(1, 65_535), "image.too_large"),
    "narrow": (png(1, 101), "image.too_large"),
    "much text": (with_text(2_000_000, False), "image.metadata"),
    "much text in few bytes": (with_text(50_000_000, True), "image.metadata"),
    "real numbers without a range": (saved(Image.fromarray(np.full((9, 9), 3.5, np.float32)), "TIFF"),
                                     "image.float_range"),
    "not a number": (saved(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), "input.not_finite"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_is_refused_by_code(name: str) -> None:
    data, code = BAD_PICTURES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns beside what it raises
        refused(code, lambda: READER.read(data))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([PNG, JPEG, GIF, WEBP, TIFF]), st.data())
def test_no_damage_to_a_file_lets_another_librarys_error_out(data: bytes, more: st.DataObject) -> None:
    hurt = bytearray(data)
    for _ in range(more.draw(st.integers(1, 6))):
        hurt[more.draw(st.integers(0, min(len(hurt), 400) - 1))] = more.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(InputError, FileError):
            READER.read(bytes(hurt))


def test_files_that_are_none(tmp_path: Path) -> None:
    refused("file.missing", lambda: READER.read(tmp_path / "patient-7.png"))
    refused("file.not_a_file", lambda: READER.read(str(tmp_path)))
    refused("file.not_a_file", lambda: READER.read("/dev/zero"))
    (tmp_path / "empty.png").touch()
    refused("file.empty", lambda: READER.read(tmp_path / "empty.png"))
    (tmp_path / "patient-7.png").write_bytes(PNG[:200])
    assert "patient" not in str(refused("image.truncated", lambda: READER.read(tmp_path / "patient-7.png")))


@pytest.mark.parametrize(("raw", "code"), [
    (np.zeros((3, 40, 30), np.uint8), "image.shape"),
    (np.zeros((40, 30, 3)) + 7, "image.float_range"),
    (np.full((40, 30), np.nan), "input.not_finite"),
    (np.full((40, 30), -1, np.int32), "image.float_range"),
    (torch.zeros(3, 10, 10), "image.shape"),
    (torch.zeros(1, 64, 48), "image.shape"),
    (torch.full((3, 64, 48), torch.inf), "input.not_finite"),
    (torch.zeros(3, 64, 48, dtype=torch.int64), "input.integer"),
    (42, "image.type"),
])
def test_a_bad_array_is_refused_by_code(raw: Any, code: str) -> None:
    refused(code, lambda: READER.read(raw))


def test_sixteen_bits_keep_their_levels() -> None:
    ramp = np.linspace(0, 65_535, 4096).astype(np.uint16).reshape(64, 64)
    for data in (saved(Image.fromarray(ramp), "PNG"), saved(Image.fromarray(ramp), "TIFF"), ramp):
        image, notes = read_picture(data)
        seen = np.asarray(image)[..., 0]
        assert len(np.unique(seen)) == 256
        assert np.abs(seen - ramp / 257.0).max() <= 0.5
        assert any("16 bits" in n for n in notes)


def test_orientation_is_applied_once_and_noted() -> None:
    sharp = Image.fromarray(np.kron(np.eye(4, 3, dtype=np.uint8) * 255, np.ones((8, 8), np.uint8))).convert("RGB")
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        exif[0x8825] = {1: "N"}
        upright = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1),
                   6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90}[turn]
        image, notes = read_picture(saved(sharp, "PNG", exif=exif))
        assert np.array_equal(np.asarray(image), upright(np.asarray(sharp)))
        assert any("upright" in n for n in notes)
        assert not image.info


def test_transparency_cmyk_palettes_and_frames() -> None:
    hidden = np.dstack([NOISE, np.zeros(NOISE.shape[:2], np.uint8)])
    image, notes = read_picture(hidden)
    assert np.asarray(image).min() == 255  # the colours under full transparency stay hidden
    assert any("white" in n for n in notes)
    image, notes = read_picture(saved(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(np.asarray(image).astype(int) - [254, 0, 0]).max() < 6
    assert any("CMYK" in n for n in notes)
    frames = [Image.new("RGB", (8, 8), c) for c in ("#ff0000", "#0000ff")]
    for kind in ("GIF", "TIFF", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        image, notes = read_picture(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
        assert image.getpixel((0, 0)) == (255, 0, 0)
        assert any("of 2" in n for n in notes)
    one_bit = Image.fromarray(np.eye(8, dtype=bool))
    assert np.array_equal(np.asarray(read_picture(saved(one_bit, "PNG"))[0])[..., 1], np.eye(8) * 255)
    indexed = PICTURE.quantize(32)
    assert np.array_equal(np.asarray(read_picture(saved(indexed, "PNG"))[0]), np.asarray(indexed.convert("RGB")))


def test_colours_and_zero_are_what_they_say() -> None:
    example = READER.read(PICTURE)
    for spec, rgb in (("black", (0, 0, 0)), ("#0a80ff", (10, 128, 255)), ((7, 8, 9), (7, 8, 9))):
        expected = PREPROCESS(Image.new("RGB", (31, 77), rgb))
        assert torch.equal(READER.baseline(example, spec), expected)
    assert float(READER.baseline(example, "zero").abs().max()) == 0.0
    own_mean = torch.tensor(example.shown.image / 255.0).mean((0, 1))
    restored = PREPROCESS.restore(READER.baseline(example, None))
    assert torch.allclose(restored, own_mean.float().view(3, 1, 1).expand(3, 64, 48), atol=1e-5)
    blurred = PREPROCESS.restore(READER.baseline(example, "blur"))
    assert float(blurred.std()) < 0.3 * float(PREPROCESS.restore(example.x).std())
    assert torch.allclose(blurred.mean((1, 2)), own_mean.float(), atol=0.03)
    for spec, code in (("blak", "baseline.unknown"), ("#12", "baseline.colour"), ((1, 2), "baseline.colour"),
                       (torch.zeros(3, 4, 4), "baseline.shape"), (float("nan"), "baseline.not_finite")):
        refused(code, lambda spec=spec: READER.baseline(example, spec))


def test_a_preprocessed_tensor_shows_the_picture_it_came_from() -> None:
    example = READER.read(PICTURE)
    again = READER.read(example.carrier.inputs[0])
    assert np.array_equal(again.shown.image, example.shown.image)
    assert torch.equal(again.x, example.x)


def test_someones_transforms_are_asked_what_they_do() -> None:
    def transforms(image: Image.Image) -> torch.Tensor:
        return (torch.tensor(np.asarray(image.resize((48, 64)))).permute(2, 0, 1) / 255 - 0.5) / 0.25

    reader = ImageReader(wrap(nn.Flatten(), transforms).reader.preprocess)
    example = reader.read(PICTURE)
    assert np.abs(example.shown.image.astype(int) - np.asarray(PICTURE.resize((48, 64)))).max() <= 1
    assert torch.equal(reader.baseline(example, "#336699"), transforms(Image.new("RGB", (9, 9), "#336699")))
    refused("preprocess.random", lambda: wrap(nn.Flatten(), lambda im: torch.rand(3, 8, 8)).read(PICTURE))
    refused("preprocess.failed", lambda: wrap(nn.Flatten(), lambda im: 1 / 0).read(PICTURE))
    refused("preprocess.shape", lambda: wrap(nn.Flatten(), lambda im: torch.zeros(5)).read(PICTURE))


def test_torchvisions_own_preprocessing_is_matched(vision: bool) -> None:
    from torchvision import models

    from pellucid.models.sources import load

    recipe = models.ResNet18_Weights.DEFAULT.transforms()
    reader = load("torchvision:resnet18?weights=random").reader
    for size in ((300, 200), (90, 411), (256, 256)):
        image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8))
        assert torch.allclose(reader.read(image).x, recipe(image), atol=1e-5)


def test_usual_layouts_are_about_eight_by_eight() -> None:
    example = READER.read(PICTURE)
    assert READER.features(example, None, False).shape == (64, 48)
    assert READER.features(example, None, True).shape == (11, 8)
    assert READER.layout_of(None, True) == READER.features(example, None, True).name == "patches:6"
    regions = READER.features(example, "superpixels:20", False)
    assert 2 <= regions.n <= 40
    assert int(regions.sizes.sum()) == 64 * 48
    for layout, code in (("patchs", "features.unknown"), ("patches:0", "features.unreadable"),
                         ("patches:65", "features.size"), (torch.zeros(3, 3).long(), "features.shape"),
                         (torch.zeros(64, 48), "features.type"), (torch.full((64, 48), -1), "features.empty")):
        refused(code, lambda layout=layout: READER.features(example, layout, False))
