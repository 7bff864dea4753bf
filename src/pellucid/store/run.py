"""The records of a training in one file: appended line by line, each signed, read without trusting a byte.

A line is JSON in its one form; its digest covers the line before it, so that none can be taken out or moved. A line
that was torn by a crash can only be the last one: it is left out, and the training goes on after the one before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from pellucid.store import container
from pellucid.store.run_schema import SCHEMA, VERSION, HeaderLine, RecordLine
from pellucid.words.errors import FileError
from pellucid.words.watch import Explained, Flow, Record, Run, Watched

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None

FILE, LOCK = "records.jsonl", "lock"
LONGEST = 2**24
"""Bytes of a line."""
OURS = b'{"digest":"'
"""How each of our lines begins."""


class Archive:
    """A folder with the records of one training. Whoever opens it for writing is alone."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.file = self.folder / FILE
        self._lock: IO[bytes] | None = None
        self._out = -1
        self.digest = ""
        self.notes: tuple[str, ...] = ()

    def begin(self, run: Run) -> list[Record]:
        """Open for writing; the records that are there already, of the same run."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / LOCK, "ab")  # noqa: SIM115 (held until close)
            self._hold()
            return self._begun(run)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | ValueError):
                raise FileError("file.unwritable", f"a folder that cannot be written: {self.folder.name!r}",
                                "a folder, or a name for one", "choose another place") from None
            raise

    def _hold(self) -> None:
        if fcntl is None or self._lock is None:
            return
        try:
            # A lock of the process: workers that a loader forks do not hold it any longer than we do.
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FileError("file.in_use", f"{self.folder.name!r}, into which another process writes",
                            "a folder of one's own", "end the other run, or choose another folder") from None

    def _begun(self, run: Run) -> list[Record]:
        records: list[Record] = []
        end = 0
        if self.file.exists() and self.file.stat().st_size > 0:
            before, records, self.notes, end, self.digest = _read(self.file)
            if before is not None and before != run:
                raise FileError("run.other", f"the records of another run: {_apart(before, run)}",
                                "the same model, layers, method and probe inputs",
                                "choose another folder, or watch as before")
        self._out = os.open(self.file, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        os.ftruncate(self._out, end)  # what was torn
        os.lseek(self._out, end, os.SEEK_SET)
        if end == 0:
            self.digest = ""
            self._append({"schema": SCHEMA, "version": VERSION, "run": asdict(run)})
            _settle(self.folder)
        return records

    def write(self, record: Record) -> None:
        """One more line, on the disk when this returns."""
        self._append({"record": asdict(record)})

    def _append(self, said: dict[str, Any]) -> None:
        try:
            digest = _digest(self.digest, said)
            line = (container.dump({**said, "digest": digest}) + "\n").encode()
        except (ValueError, UnicodeError):
            raise FileError("file.not_finite", "a number or a name that JSON cannot hold", "finite numbers and text",
                            "name layers and figures in plain text") from None
        start = os.lseek(self._out, 0, os.SEEK_CUR)
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._out, left) :]
            os.fsync(self._out)
        except OSError as error:
            os.ftruncate(self._out, start)
            os.lseek(self._out, start, os.SEEK_SET)
            full = error.errno == 28
            raise FileError("file.disk_full" if full else "file.unwritable", f"no room for {len(line)} bytes" if full
                            else f"a file that cannot be written: {self.file.name!r}", "a disk with room",
                            "free some space; the next look is written again") from None
        self.digest = digest

    def close(self) -> None:
        """Give the folder back."""
        if self._out >= 0:
            os.close(self._out)
            self._out = -1
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def read(path: str | os.PathLike[str]) -> tuple[Run, list[Record], tuple[str, ...]]:
    """A run, its records in order, and what was left out; anything else than a run is refused."""
    place = Path(path)
    run, records, notes, _, _ = _read(place / FILE if place.is_dir() else place)
    if run is None:
        container.refuse("file.empty", "a run without a whole line", "a run that has begun")
    return run, records, notes


def _read(file: Path) -> tuple[Run | None, list[Record], tuple[str, ...], int, str]:
    """Run, records, notes, where the last whole line ends, and its digest."""
    run: Run | None = None
    records: list[Record] = []
    digest, end, notes = "", 0, ()
    for number, (line, last) in enumerate(_lines(file), 1):
        try:
            if not line.endswith(b"\n"):
                container.refuse("file.damaged", f"a line that does not end (line {number})", "whole lines")
            said = _said(line, number)
        except FileError:
            if not last:
                raise
            if number == 1 and not (line.startswith(OURS) or OURS.startswith(line)):
                container.refuse("file.not_pellucid", "a file of another kind", SCHEMA)
            notes = (f"line {number} was torn, as a crash leaves it, and is left out",)
            break
        signed = said.pop("digest", None)
        if number == 1 and said.get("schema") != SCHEMA:
            container.refuse("file.not_pellucid", "a file of another kind", SCHEMA)
        if signed != _digest(digest, said):  # a crash cannot leave this
            container.refuse("file.digest", f"content that does not match its sha-256 (line {number})",
                             "an unaltered file")
        if number == 1:
            run = _header(said)
        else:
            records.append(_record(said, number, run or Run(), records[-1].step if records else -1))
        digest, end = str(signed), end + len(line)
    return run, records, notes, end, digest


def _lines(file: Path) -> Iterable[tuple[bytes, bool]]:
    """Line by line, and whether it is the last one."""
    try:
        with file.open("rb") as source:
            size, at = os.fstat(source.fileno()).st_size, 0
            while line := source.readline(LONGEST):
                at += len(line)
                yield line, at >= size
    except OSError:
        raise FileError("file.missing", f"no readable run at {str(file)!r}", "a folder that watch() wrote",
                        "check the path") from None


def _said(line: bytes, number: int) -> dict[str, Any]:
    try:
        said = container.parse(line.decode())
    except (UnicodeDecodeError, FileError):
        said = None
    if not isinstance(said, dict):
        container.refuse("file.damaged", f"a line that is no JSON object (line {number})", "one object a line")
    return said


def _header(said: dict[str, Any]) -> Run:
    if said.get("version") != VERSION:
        raise FileError("file.version", "a version that this pellucid does not read", f"version {VERSION}",
                        "update pellucid")
    try:
        return Run(**HeaderLine.model_validate_json(container.dump(said)).run.model_dump())
    except ValidationError:
        container.refuse("file.schema", "a first line with missing, unknown or wrong fields", SCHEMA)


def _record(said: dict[str, Any], number: int, run: Run, after: int) -> Record:
    try:
        told = RecordLine.model_validate_json(container.dump(said)).record.model_dump()
    except ValidationError:
        container.refuse("file.schema", f"a record with missing, unknown or wrong fields (line {number})", SCHEMA)
    if told["step"] <= after:
        container.refuse("file.schema", f"step {told['step']} after step {after} (line {number})", "steps in order")
    # The form that is signed has its keys sorted; layers are told in the order of the model.
    layers = {k: Watched(**v) for k, v in _ordered(told.pop("layers"), run.layers)}
    flow = {k: Flow(**v) for k, v in _ordered(told.pop("flow"), run.parts)}
    attention = dict(_ordered(told.pop("attention"), run.attention))
    explained = told.pop("explained")
    return Record(layers=layers, flow=flow, attention=attention,
                  explained=None if explained is None else Explained(**explained), **told)


def _ordered(named: dict[str, Any], order: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Items in this order; what is not named there comes last."""
    place = {name: k for k, name in enumerate(order)}
    return sorted(named.items(), key=lambda item: place.get(item[0], len(place)))


def _digest(before: str, said: dict[str, Any]) -> str:
    return hashlib.sha256((before + container.dump(said)).encode()).hexdigest()


def _apart(before: Run, run: Run) -> str:
    """In what two runs differ."""
    return ", ".join(f"{k} {_plain(v)} instead of {_plain(getattr(run, k))}" for k, v in vars(before).items()
                     if v != getattr(run, k))


def _plain(value: Any) -> str:
    """A field's value as a reader writes it; long ones by their beginning."""
    said = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "nothing" if value is None or not said else said if len(said) <= 60 else said[:59] + "…"


def _settle(folder: Path) -> None:
    """A new file's name is on the disk only when its folder is."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
