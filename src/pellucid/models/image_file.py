"""Pictures from files, bytes and arrays, made upright RGB; everything that was done is noted."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.models.local_file import read_bytes
from pellucid.words.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF")
PIXELS, SIDE, ASPECT = 40_000_000, 16_384, 100
METADATA, BYTES = 1_000_000, 256_000_000
PAPER = (255, 255, 255)
"""What shows through where a picture is transparent."""

TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
         7: "TRANSVERSE", 8: "ROTATE_90"}
"""EXIF orientations and what turns each upright."""


def read_picture(source: Any) -> tuple[Image, tuple[str, ...]]:
    """An upright RGB picture and notes on what was done; `source` is a path, bytes, an array or a PIL image."""
    from PIL import Image

    if isinstance(source, str | os.PathLike):
        source = read_bytes(source, BYTES, "image.too_large")
    notes: list[str] = []
    if isinstance(source, bytes | bytearray | memoryview):
        image = _decode(bytes(source), notes)
    elif isinstance(source, np.ndarray):
        image = _from_array(source, notes)
    elif isinstance(source, Image.Image):
        image = _loaded(source, notes)
    else:
        raise InputError("image.type", f"a {type(source).__name__}",
                         "a file name, bytes, a PIL image, an array (height, width, 3) or a preprocessed tensor",
                         "give one of these, or a list of them")
    return _rgb(image, notes), tuple(notes)


def _decode(data: bytes, notes: list[str]) -> Image:
    from PIL import Image

    if not data:
        raise InputError("file.empty", "a picture of 0 bytes", "a picture", "copy or download the file again")
    if len(data) > BYTES:
        raise InputError("image.too_large", f"{len(data) / 1e6:.0f} MB", f"at most {BYTES / 1e6:.0f} MB",
                         "save it smaller")
    kind = kind_of(data)
    if kind is None:
        raise InputError("image.unreadable", f"{_resembles(data)}, not a picture",
                         "one of " + ", ".join(FORMATS), "convert it to PNG first")
    if not _complete(kind, data):
        raise InputError("image.truncated", f"a {kind} file that ends too early", "a complete file",
                         "copy or download it again")
    try:
        # One parser, chosen by the first bytes: no other is tried if it fails.
        return _loaded(Image.open(io.BytesIO(data), formats=(kind,)), notes)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError("image.too_large", "a picture far above the limit", f"at most {PIXELS / 1e6:.0f} megapixels",
                         "make it smaller first") from error
    except Exception as error:
        # Pillow lets KeyError, TypeError, SyntaxError, struct.error and more out of damaged files.
        raise _damaged(error, kind) from error


def _loaded(image: Image, notes: list[str]) -> Image:
    """One frame, decoded, upright; size and metadata are looked at before a pixel is."""
    from PIL import Image as pil

    check_size(*image.size)
    _check_metadata(image.info)
    try:
        frames = int(getattr(image, "n_frames", 1))
        if frames > 1:
            notes.append(f"frame {image.tell() + 1} of {frames}")
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(error, str(image.format or "picture")) from error
    # PNG may carry text after the pixels, so that it is known only now.
    _check_metadata(image.info)
    try:
        turn = TURNS.get(int(image.getexif().get(0x0112, 1)))
    except Exception:
        notes.append("the EXIF block is damaged and was left aside")
        turn = None
    if turn is None:
        return image
    notes.append("turned upright as its EXIF block says")
    return image.transpose(pil.Transpose[turn])


def check_size(width: int, height: int) -> None:
    """Refuse what would fill the memory or is no picture by its proportions."""
    if width < 1 or height < 1:
        raise InputError("image.corrupt", f"a picture of {width} x {height} pixels", "at least one pixel",
                         "save it again from its source")
    if width * height > PIXELS or max(width, height) > SIDE:
        raise InputError("image.too_large", f"{width} x {height} pixels",
                         f"at most {PIXELS / 1e6:.0f} megapixels and {SIDE} a side", "make it smaller first")
    if max(width, height) > ASPECT * min(width, height):
        raise InputError("image.too_large", f"{width} x {height} pixels", f"sides of at most {ASPECT} : 1",
                         "cut out the part that matters")


def _check_metadata(info: dict[Any, Any]) -> None:
    size = sum(len(v) for v in info.values() if isinstance(v, str | bytes))
    if size > METADATA:
        raise _much_metadata(f"{size / 1e6:.1f} MB")


def _much_metadata(size: str) -> InputError:
    return InputError("image.metadata", f"{size} of metadata", f"at most {METADATA / 1e6:.0f} MB",
                      "save the picture without its metadata")


def _from_array(array: np.ndarray[Any, Any], notes: list[str]) -> Image:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4); bytes, 16 bits, true and false, or real numbers in 0..1."""
    from PIL import Image

    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError("image.shape", f"an array of shape {array.shape}", "(height, width), and 3 or 4 channels last",
                         "move the channels last; a preprocessed picture is given as a torch tensor")
    check_size(array.shape[1], array.shape[0])
    return Image.fromarray(_bytes(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array, notes))


def _bytes(array: np.ndarray[Any, Any], notes: list[str]) -> np.ndarray[Any, Any]:
    """256 levels from whatever depth, without saturating any."""
    if array.dtype == np.uint8:
        return np.array(array, copy=True, order="C")
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError("input.not_finite", "NaN or infinity in the picture", "numbers from 0 to 1",
                             "find where they come from, or leave the picture out")
        if array.size and (array.min() < 0 or array.max() > 1):
            raise InputError("image.float_range", f"values from {array.min():.4g} to {array.max():.4g}",
                             "numbers from 0 to 1", "state the range yourself: (a - low) / (high - low)")
        notes.append("real numbers rounded to 256 levels")
        return (array.astype(np.float64) * 255).round().astype(np.uint8)
    if array.dtype.kind in "ui" and array.size and array.min() >= 0 and array.max() <= 0xFFFF:
        notes.append("16 bits scaled to 256 levels")
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise InputError("image.float_range", f"a picture of {array.dtype}", "8 or 16 bits, or real numbers from 0 to 1",
                     "state the range yourself: (a - low) / (high - low)")


def _rgb(image: Image, notes: list[str]) -> Image:
    """Three channels of 8 bits; transparency on white paper, CMYK by its profile where it has one."""
    from PIL import Image as pil

    if image.mode.startswith("I") or image.mode == "F":
        image = pil.fromarray(_bytes(np.asarray(image), notes))
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            if image.getchannel("A").getextrema() != (255, 255):
                notes.append("transparent parts shown on white")
            paper = pil.new("RGBA", image.size, (*PAPER, 255))
            return pil.alpha_composite(paper, image).convert("RGB")
        if image.mode == "CMYK":
            return _from_cmyk(image, notes)
        if image.mode == "LAB":
            raise InputError("image.mode", "a picture in CIELAB colours", "RGB, grey, palette or CMYK",
                             "convert it to sRGB first")
        out = image.convert("RGB")
    except (ValueError, KeyError, OSError) as error:
        raise _damaged(error, str(image.format or "picture")) from error
    out.info.clear()
    return out


def _from_cmyk(image: Image, notes: list[str]) -> Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            from PIL import ImageCms

            made = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                                             ImageCms.createProfile("sRGB"), outputMode="RGB")
            if made is not None:
                notes.append("converted from CMYK by the profile in the file")
                return made
        except Exception:
            # A damaged profile fails in many ways; the picture itself may still be right.
            notes.append("the colour profile is damaged and was left aside")
    notes.append("converted from CMYK without a profile: colours may differ a little")
    return image.convert("RGB")


def kind_of(data: bytes) -> str | None:
    """The format by its first bytes, None where it is none of ours."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _complete(kind: str, data: bytes) -> bool:
    """Whether the file has its end; decoders fill in what is missing without a word."""
    if kind == "PNG":
        return b"IEND\xaeB`\x82" in data
    if kind == "GIF":
        return data.rstrip(b"\0").endswith(b";")
    if kind == "WEBP":
        return len(data) >= int.from_bytes(data[4:8], "little") + 8
    if kind == "JPEG":
        return data.rfind(b"\xff\xd9") > _scan_start(data)
    return True


def _scan_start(jpeg: bytes) -> int:
    """Where the compressed pixels begin: an end mark before that belongs to a thumbnail."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at


def _resembles(data: bytes) -> str:
    head = data[:256].lstrip().lower()
    names = ((b"%pdf", "a PDF"), (b"%!ps", "PostScript"), (b"<svg", "an SVG"), (b"<!doctype", "a web page"),
             (b"<html", "a web page"), (b"<?xml", "XML"), (b"bm", "a BMP"), (b"pk\x03\x04", "a ZIP archive"))
    return next((name for mark, name in names if head.startswith(mark)), f"{len(data)} bytes of another kind")


def _damaged(error: Exception, kind: str) -> InputError:
    # Pillow says so in words only; the words themselves are never passed on.
    text = str(error).lower()
    if "decompressed data too large" in text:
        return _much_metadata("many megabytes")
    if isinstance(error, OSError | EOFError) and "truncated" in text:
        return InputError("image.truncated", f"a {kind} that ends too early", "a complete file",
                          "copy or download it again")
    return InputError("image.corrupt", f"a damaged {kind}", "a picture that can be decoded",
                      "save it again from its source")
