"""The archive of a training: gone on with after a crash, without a loss and without anything twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import pellucid
from pellucid.store import run as store
from pellucid.words.errors import PellucidError
from pellucid.words.watch import Record, Run, Training
from tests.watch.trained import attending, convolutions, dense, pictures, rows, watched

RUN = Run("net", ("0",), ("0",), (), "saliency", 2, "abc")


def archive(folder: Path, steps: int = 4, run: Run = RUN) -> list[Record]:
    made = store.Archive(folder)
    made.begin(run)
    records = [Record(k, {"loss": 1.0 / (k + 1)}, seconds=0.25) for k in range(steps)]
    for r in records:
        made.write(r)
    made.close()
    return records


def code(call: Any) -> str:
    with pytest.raises(PellucidError) as found:
        call()
    return found.value.code


def test_what_was_seen_comes_back_as_it_was(tmp_path: Path) -> None:
    training = watched(convolutions(), pictures(), to=tmp_path / "run", suspect=(0, 0, 4, 4))
    again = Training.open(tmp_path / "run")
    assert list(again.records) == list(training.records)
    assert again.run == training.run
    assert again.events == training.events
    assert len(again.records) == 7


def test_layers_are_told_in_the_order_of_the_model_and_not_of_the_alphabet(tmp_path: Path) -> None:
    training = watched(attending(), rows(), to=tmp_path, steps=10, layers=["norm", "attn", "head", "attention"])
    again = Training.open(tmp_path).records[-1]
    for part in ("layers", "flow", "attention"):
        assert list(getattr(again, part)) == list(getattr(training.records[-1], part)) != []
    assert list(again.layers) != sorted(again.layers)


def test_a_run_that_is_gone_on_with_writes_every_step_once(tmp_path: Path) -> None:
    first = watched(dense(), rows(), to=tmp_path, steps=30)
    second = watched(dense(), rows(), to=tmp_path, steps=30)
    assert [r.step for r in first.records] == [0, 10, 20, 30]
    assert [r.step for r in second.records] == [0, 10, 20, 30, 40, 50, 60]
    assert [r.step for r in Training.open(tmp_path).records] == [0, 10, 20, 30, 40, 50, 60]
    # drift goes on from the look before the break: the second net is the first one's twin as it began
    resumed = second.records[4].explained
    assert resumed is not None
    assert resumed.first is not None


def test_a_loop_that_starts_again_before_the_last_record_passes_over_what_is_there(tmp_path: Path) -> None:
    watched(dense(), rows(), to=tmp_path, steps=30)
    calls: list[int] = []
    again = watched(dense(), rows(), to=[tmp_path, lambda r: calls.append(r.step)], steps=40, start=15)
    assert [r.step for r in again.records] == [0, 10, 20, 30, 40, 50, 55]
    assert calls == [40, 50, 55]


CRASH = """
import os, signal, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from pellucid.store import run as store
from tests.watch.trained import dense, rows, watched

count = 0
real = os.write

class Dying:
    def __getattr__(self, name):
        return getattr(os, name)

    def write(self, file, data):
        global count
        count += 1
        if count == {at}:
            real(file, bytes(data)[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(file, data)

store.os = Dying()
watched(dense(), rows(), to={folder!r}, steps=60)
"""


@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_kill_in_the_middle_of_a_write_loses_nothing_that_was_written_before(tmp_path: Path, at: int) -> None:
    folder = tmp_path / "run"
    script = CRASH.format(root=str(Path(__file__).parents[2]), folder=str(folder), at=at)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    written = [10 * k for k in range(at - 2)]
    if at == 1:
        assert code(lambda: Training.open(folder)) == "file.empty"
    else:
        torn = Training.open(folder)
        assert [r.step for r in torn.records] == written
        assert "torn" in torn.notes[0]
    resumed = watched(dense(), rows(), to=folder, steps=60)
    last = written[-1] if written else 0
    expected = [*written, *range(last + 10, last + 61, 10)] if written else list(range(0, 61, 10))
    assert [r.step for r in resumed.records] == expected
    whole = Training.open(folder)
    assert [r.step for r in whole.records] == expected
    assert whole.notes == ()


@pytest.mark.parametrize("cut", [1, 17, 60])
def test_a_torn_last_line_is_left_out_with_a_note_and_written_over(tmp_path: Path, cut: int) -> None:
    records = archive(tmp_path)
    file = tmp_path / store.FILE
    file.write_bytes(file.read_bytes()[:-cut])
    _, found, notes = store.read(tmp_path)
    assert found == records[:-1]
    assert notes == ("line 5 was torn, as a crash leaves it, and is left out",)
    made = store.Archive(tmp_path)
    assert made.begin(RUN) == records[:-1]
    made.write(records[-1])
    made.close()
    assert store.read(tmp_path)[1:] == (records, ())


def lines(folder: Path) -> list[bytes]:
    return (folder / store.FILE).read_bytes().splitlines(keepends=True)


def test_every_change_of_a_whole_line_is_noticed(tmp_path: Path) -> None:
    archive(tmp_path)
    file, whole = tmp_path / store.FILE, lines(tmp_path)
    for number in range(len(whole)):
        changed = [*whole]
        changed[number] = changed[number].replace(b'0.25' if number else b'"net"', b'0.75' if number else b'"not"')
        assert changed != whole
        file.write_bytes(b"".join(changed))
        assert code(lambda: store.read(tmp_path)) == "file.digest", number
    for broken in (whole[:2] + whole[3:], [*whole[:1], whole[2], whole[1], *whole[3:]], whole + whole[-1:]):
        file.write_bytes(b"".join(broken))
        assert code(lambda: store.read(tmp_path)) == "file.digest"
    file.write_bytes(b"".join([*whole[:2], b"nonsense\n", *whole[2:]]))
    assert code(lambda: store.read(tmp_path)) == "file.damaged"


@pytest.mark.parametrize(("content", "expected"), [
    (b"", "file.empty"), (b'{"digest":"', "file.empty"), (b"hello\n", "file.not_pellucid"),
    (b'{"a":1}\n', "file.not_pellucid"), (b"\xff\xfe\n", "file.not_pellucid"),
])
def test_a_file_that_is_no_run_is_refused_and_not_written_over(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / store.FILE
    file.write_bytes(content)
    assert code(lambda: store.read(tmp_path)) == expected
    if expected == "file.not_pellucid":
        assert code(lambda: store.Archive(tmp_path).begin(RUN)) == expected
        assert file.read_bytes() == content


def test_the_records_of_another_run_are_not_mixed_with_these(tmp_path: Path) -> None:
    watched(dense(), rows(), to=tmp_path, steps=10)
    before = lines(tmp_path)
    with pytest.raises(PellucidError, match="another run: probe") as found:
        watched(dense(), rows(seed=5), to=tmp_path, steps=10)
    assert found.value.code == "run.other"
    assert lines(tmp_path) == before


def test_in_what_two_runs_differ_is_told_in_plain_words(tmp_path: Path) -> None:
    made = store.Archive(tmp_path)
    made.begin(Run("net", ("0", "1"), method="saliency", probes=8))
    made.close()
    with pytest.raises(PellucidError) as found:
        store.Archive(tmp_path).begin(Run("net", (), method="saliency", probes=4))
    assert found.value.found == (
        "the records of another run: layers 0, 1 instead of nothing, probes 8 instead of 4")
    long = Run("net", tuple(f"blocks.{k}" for k in range(90)))
    with pytest.raises(PellucidError) as found:
        store.Archive(tmp_path).begin(long)
    assert "…" in found.value.found
    assert len(found.value.found) < 300


@pytest.mark.parametrize("name", ["nofolder", "runs/nofolder", "nofolder/records.jsonl"])
def test_a_run_that_is_not_there_is_named_as_it_was_asked_for(name: str, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PellucidError) as found:
        Training.open(name)
    assert (found.value.code, found.value.found) == ("file.missing", f"no readable run at {name!r}")


def test_a_folder_that_another_process_writes_into_is_refused(tmp_path: Path) -> None:
    script = (f"from pellucid.store.run import Archive\nfrom pellucid.words.watch import Run\n"
              f"a = Archive({str(tmp_path)!r})\na.begin(Run())\n"
              "print('held', flush=True)\ninput()\n")
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert code(lambda: store.Archive(tmp_path).begin(Run())) == "file.in_use"
        other.communicate(b"\n")
    made = store.Archive(tmp_path)
    assert made.begin(Run()) == []
    made.close()


def test_a_full_disk_is_noted_and_told_once_and_the_training_goes_on(tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    net, (x, _) = dense(), rows()
    with pellucid.watch(net, to=tmp_path, probe=x[:2], explained=False, every=1) as watcher:
        def full(file: int, data: Any) -> int:
            raise OSError(28, "no space")

        with monkeypatch.context() as patch:
            patch.setattr(store.os, "write", full)
            with pytest.warns(UserWarning, match="file.disk_full"):
                watcher.step()
            watcher.step()
        watcher.step()
    assert len(watcher.training.notes) == 2
    assert [r.step for r in Training.open(tmp_path).records] == [0, 3]
    assert [r.step for r in watcher.training.records] == [0, 1, 2, 3]


def test_a_value_that_a_record_may_not_hold_is_refused(tmp_path: Path) -> None:
    made = store.Archive(tmp_path)
    made.begin(RUN)
    assert code(lambda: made.write(Record(0, {"loss": float("nan")}))) == "file.not_finite"
    made.write(Record(0, {"loss": None}))
    made.close()
    assert store.read(tmp_path)[1] == [Record(0, {"loss": None})]
    assert torch.is_grad_enabled()
