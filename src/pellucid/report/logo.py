"""The owner's logo: a picture that is shown and never run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from pellucid.report.document import Logo
from pellucid.words.errors import FileError, OptionError

LARGEST = 2_000_000
"""Bytes; every copy of the report carries it."""
SIDE = 5000
"""Pixels across and down; to show it, all of them are unpacked."""

_EXPECTED = "a picture as PNG, JPEG or SVG, given as a path or as bytes"
_SMALLER = "save it smaller: a few hundred pixels do"
_ANEW = "copy or save it anew: a part is missing or does not belong there"
_NAMESPACE = "http://www.w3.org/2000/svg"
_SVG = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*|<!--.*?-->\s*|<!DOCTYPE svg[^>\[]*>\s*)*<svg[\s>]", re.DOTALL)


def read(logo: str | bytes | os.PathLike[str] | None) -> Logo | None:
    """A logo from a path or from bytes; what it is is told by its content, not by its name.

    Raises `logo.unreadable` where there is no such file, `logo.kind` for anything but a whole picture of the three
    kinds, `logo.large` beyond 2 MB and beyond 5,000 pixels a side.
    """
    if logo is None or logo in ("", b""):
        return None
    content = logo if isinstance(logo, bytes) else _bytes(Path(logo).expanduser())
    if len(content) > LARGEST:
        raise OptionError("logo.large", f"a logo of {len(content) / 1e6:.1f} MB", f"{LARGEST / 1e6:.0f} MB at most",
                          _SMALLER)
    if content.startswith(b"\x89PNG\r\n\x1a\n") or content.startswith(b"\xff\xd8\xff"):
        kind = "PNG" if content[0] == 0x89 else "JPEG"
        _opened(content, kind)
        return Logo(content, f"image/{kind.lower()}")
    if not _SVG.match(content.removeprefix(b"\xef\xbb\xbf")):
        raise OptionError("logo.kind", "a logo of another kind", _EXPECTED, "save it as PNG")
    _parsed(content)
    return Logo(content, "image/svg+xml")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise FileError("logo.unreadable", f"no readable file {path.name!r}", _EXPECTED,
                        "check the path of the logo") from None


def _opened(content: bytes, kind: str) -> None:
    """Refuse pixels that are not whole or too many."""
    import io
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as picture:
                if max(picture.size) > SIDE:
                    raise Image.DecompressionBombError
                picture.load()
    except Image.DecompressionBombError:
        raise OptionError("logo.large", "a logo of too many pixels", f"{SIDE} pixels a side at most",
                          _SMALLER) from None
    except Exception:  # whatever a damaged file makes the decoder raise
        raise OptionError("logo.kind", f"a damaged {kind} file", _EXPECTED, _ANEW) from None


def _parsed(content: bytes) -> None:
    """Refuse an SVG that a browser shows as a broken picture."""
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError):
        raise OptionError("logo.kind", "a damaged SVG file", _EXPECTED, _ANEW) from None
    if root.tag != f"{{{_NAMESPACE}}}svg":
        raise OptionError("logo.kind", f"an SVG without xmlns={_NAMESPACE!r}", _EXPECTED,
                          "write that into its first tag, or save it as PNG")
