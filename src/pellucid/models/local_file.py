"""Reading a file that a user named: what is refused before a byte is looked at."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pellucid.words.errors import FileError

PathLike = str | os.PathLike[str]


def check_file(path: PathLike) -> Path:
    """The path of an ordinary file that is not empty; everything else is a FileError."""
    # An expanded "~" is what a shell would have done; nothing else about the name is guessed.
    place = Path(path).expanduser()
    try:
        found = place.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileError("file.missing", f"no file {place.name!r}", "a file that exists",
                        "check the name and the folder it is looked for in") from error
    except (OSError, ValueError) as error:
        raise FileError("file.unreadable", "a file name that cannot be opened", "the name of a file you may read",
                        "check the name and the permissions") from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise FileError("file.not_a_file", what, "one ordinary file", "name the file itself; give many as a list")
    if found.st_size == 0:
        raise FileError("file.empty", "a file of 0 bytes", "a file with content", "copy or download the file again")
    return place


def read_bytes(path: PathLike, limit: int, code: str) -> bytes:
    """The file's content, refused with `code` where it is larger than `limit` bytes."""
    place = check_file(path)
    try:
        with place.open("rb") as stream:
            # One byte more than allowed: the size on disk may have changed since it was asked.
            data = stream.read(limit + 1)
    except OSError as error:
        raise FileError("file.unreadable", "a file that cannot be read", "a file you may read",
                        "check its permissions") from error
    if len(data) > limit:
        raise FileError(code, f"a file above {limit / 1e6:.0f} MB", f"at most {limit / 1e6:.0f} MB",
                        "cut it into smaller files")
    return data
