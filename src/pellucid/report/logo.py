"""The owner's logo: a picture that is shown and never run."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pellucid.report.document import Logo
from pellucid.words.errors import FileError, OptionError

LARGEST = 2_000_000
"""Bytes; every copy of the report carries it."""

_EXPECTED = "a picture as PNG, JPEG or SVG, given as a path or as bytes"
_SVG = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*|<!--.*?-->\s*|<!DOCTYPE svg[^>\[]*>\s*)*<svg[\s>]", re.DOTALL)


def read(logo: str | bytes | os.PathLike[str] | None) -> Logo | None:
    """A logo from a path or from bytes; what it is is told by its content, not by its name.

    Raises `logo.unreadable` where there is no such file, `logo.kind` for anything but a picture of the three kinds,
    `logo.large` beyond 2 MB.
    """
    if logo is None or logo in ("", b""):
        return None
    content = logo if isinstance(logo, bytes) else _bytes(Path(logo).expanduser())
    if len(content) > LARGEST:
        raise OptionError("logo.large", f"a logo of {len(content) / 1e6:.1f} MB", f"{LARGEST / 1e6:.0f} MB at most",
                          "save it smaller: a few hundred pixels do")
    media = _media(content)
    if not media:
        raise OptionError("logo.kind", "a logo of another kind", _EXPECTED, "save it as PNG")
    return Logo(content, media)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise FileError("logo.unreadable", f"no readable file {path.name!r}", _EXPECTED,
                        "check the path of the logo") from None


def _media(content: bytes) -> str:
    """The media type, empty for what is none of the three."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") or content.startswith(b"\xff\xd8\xff"):
        return "" if not _opens(content) else "image/png" if content[0] == 0x89 else "image/jpeg"
    return "image/svg+xml" if _SVG.match(content.removeprefix(b"\xef\xbb\xbf")) else ""


def _opens(content: bytes) -> bool:
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.verify()
    except Exception:  # whatever a damaged file makes the decoder raise
        return False
    return True
