"""Pictures as PNG inside a drawing."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]


def data_uri(pixels: Array) -> str:
    """Bytes (H, W), (H, W, 3) or (H, W, 4) as a data: address."""
    return _written(np.ascontiguousarray(pixels, dtype=np.uint8).tobytes(), pixels.shape)


@lru_cache(maxsize=8)  # a report draws the same picture twice, for wide and for narrow windows
def _written(raw: bytes, shape: tuple[int, ...]) -> str:
    out = io.BytesIO()
    Image.fromarray(np.frombuffer(raw, np.uint8).reshape(shape)).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def numbered(numbers: Array, colours: Array) -> str:
    """The same for numbers of colours (H, W) and at most 256 colours (n, 4)."""
    image, out = Image.fromarray(numbers), io.BytesIO()
    image.putpalette(np.ascontiguousarray(colours[:, :3]).tobytes())
    image.save(out, "PNG", transparency=np.ascontiguousarray(colours[:, 3]).tobytes(), optimize=False)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def dense(png: bytes, per_inch: float) -> bytes:
    """A PNG that says how many pixels make an inch, so that documents show it in its size."""
    body = b"pHYs" + struct.pack(">IIB", *2 * (round(per_inch / 0.0254),), 1)
    return png[:33] + struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


def fit(pixels: Array, longest: int) -> Array:
    """The picture no larger than `longest` on its longer side, averaged down."""
    height, width = pixels.shape[:2]
    if max(height, width) <= longest:
        return pixels
    scale = longest / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def faint(pixels: Array) -> Array:
    """A grey, light version to lay colours over: colour then means effect and nothing else."""
    grey = pixels[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.round(255 - (255 - grey) * 0.55).astype(np.uint8)
