"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from pellucid.words.errors import FileError


def write(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write beside the place, flush to the disk, then rename: a crash leaves the old file or the new one."""
    path = Path(path)
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        # the open mode leaves the rights to the user's umask, which a temporary file of 0600 would not
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, path)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == 28:
            raise FileError("file.disk_full", f"no room for {len(data)} bytes", "room on the disk",
                            "free some space and save again") from None
        raise FileError("file.unwritable", f"a place that cannot be written: {path.name!r}",
                        "a file name in a folder that exists and may be written",
                        "create the folder or choose another place") from None
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return path
