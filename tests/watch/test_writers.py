"""Records in TensorBoard and MLflow, and the trainers that the watcher is a callback of."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import pellucid
from pellucid.numbers.histogram import BINS, EDGES, MIDDLE, Histogram, ordered
from pellucid.watching.writers import opened
from pellucid.words.errors import PellucidError
from pellucid.words.watch import Record, Run
from tests.watch.trained import convolutions, dense, pictures, rows, watched


def code(call: Callable[[], Any]) -> str:
    with pytest.raises(PellucidError) as found:
        call()
    return found.value.code


# --- histograms of fixed bins

def test_a_histogram_counts_every_value_once_zeros_apart() -> None:
    values = torch.tensor([[0.0, -0.0, 1e-9, -1e-9, 0.5, -0.5, 1e9, -1e9, 1e3, float("nan")]])
    (counts,) = Histogram()(values)
    assert counts.sum() == 9
    assert counts[BINS - 1] == 2
    assert (counts[0], counts[BINS - 2], counts[MIDDLE]) == (1, 2, 2)
    told = ordered([int(c) for c in counts])
    assert len(told) == len(EDGES) + 1
    assert told[MIDDLE] == 4


def test_a_histogram_of_many_values_has_the_shares_of_all_of_them() -> None:
    values = torch.randn(1, 500_000, generator=torch.Generator().manual_seed(0))
    few, all_ = Histogram()(values)[0], Histogram(10**9)(values)[0]
    assert few.sum() <= 65_536
    assert float((few / few.sum() - all_ / all_.sum()).abs().max()) < 0.005


# --- TensorBoard

def events_of(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """What a reader of TensorBoard's files finds, by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    read.Reload()
    tags = read.Tags()
    return {**{t: [(e.step, e.value) for e in read.Scalars(t)] for t in tags["scalars"]},
            **{t: [(e.step, e.histogram_value) for e in read.Histograms(t)] for t in tags["histograms"]},
            **{t: [(e.step, (e.width, e.height)) for e in read.Images(t)] for t in tags["images"]}}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("own", [True, False])
def test_tensorboard_reads_back_scalars_histograms_and_maps(tmp_path: Path, own: bool) -> None:
    pytest.importorskip("tensorboard")
    if own:
        to: Any = f"tensorboard:{tmp_path}"
    else:
        from torch.utils.tensorboard import SummaryWriter

        to = SummaryWriter(tmp_path)
    training = watched(convolutions(), pictures(), to=to, steps=20, method="grad_cam", suspect=(0, 0, 6, 6))
    if not own:
        to.close()  # the user's writer is left open for the user
    found = events_of(tmp_path)
    last = training.records[-1]
    for name, value in last.scalars().items():
        step, told = found[f"pellucid/{name}"][-1]
        assert step == 20
        assert told == pytest.approx(value, rel=1e-5)
    _, histogram = found["pellucid/3"][-1]
    assert histogram.num == sum(last.layers["3"].histogram)
    assert sum(histogram.bucket) == histogram.num
    assert [step for step, _ in found["pellucid/explanation 0"]] == [0, 10, 20]


# --- MLflow

class Recorder(ModuleType):
    """Stands in for the module mlflow: takes what it would take."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.images: list[str] = []
        self.experiment = ""

    def set_experiment(self, experiment_name: str) -> None:
        self.experiment = experiment_name

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((step, metrics))

    def log_image(self, image: np.ndarray[Any, Any], artifact_file: str) -> None:
        assert image.dtype == np.uint8
        assert image.shape[-1] == 3
        self.images.append(artifact_file)


def test_mlflow_gets_metrics_and_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = Recorder()
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    training = watched(convolutions(), pictures(), to="mlflow:corners", steps=20, method="grad_cam", n=2)
    assert stand_in.experiment == "corners"
    assert [step for step, _ in stand_in.metrics] == [0, 10, 20]
    _, told = stand_in.metrics[-1]
    assert told["pellucid/loss"] == pytest.approx(training.records[-1].loss)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. /") for name in told)
    assert stand_in.images[:2] == ["pellucid/explanation-0/00000000.png", "pellucid/explanation-1/00000000.png"]


def test_the_stand_in_for_mlflow_takes_what_mlflow_takes() -> None:
    mlflow = pytest.importorskip("mlflow")
    for name in ("set_experiment", "log_metrics", "log_image"):
        theirs = inspect.signature(getattr(mlflow, name)).parameters
        assert set(inspect.signature(getattr(Recorder, name)).parameters) - {"self"} <= set(theirs), name


# --- what to= may be

@pytest.mark.parametrize("package", ["tensorboard", "mlflow"])
def test_a_package_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if package in name:
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in [n for n in sys.modules if package in n and not n.startswith("tests")]:
        monkeypatch.delitem(sys.modules, name)
    assert code(lambda: opened(f"{package}:")) == "extra.missing"


def test_several_writers_all_get_every_record(tmp_path: Path) -> None:
    seen: list[Record] = []

    class Own:
        closed = False

        def begin(self, run: Run) -> list[Record]:
            self.run = run
            return []

        def write(self, record: Record) -> None:
            seen.append(record)

        def close(self) -> None:
            self.closed = True

    own = Own()
    training = watched(dense(), rows(), to=[tmp_path, own, seen.append], steps=10)
    assert own.closed
    assert own.run == training.run
    assert [r.step for r in seen] == [0, 0, 10, 10]
    assert [r.step for r in pellucid.Training.open(tmp_path).records] == [0, 10]


# --- trainers

def test_a_loop_that_clears_gradients_before_it_tells_may_have_them_read_earlier() -> None:
    net, (x, y) = dense(), rows()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with pellucid.watch(net, to=[], every=1) as watcher:
        F.cross_entropy(net(x), y).backward()
        watcher.gradients()
        expected = float(net[0].weight.grad.square().sum().add(net[0].bias.grad.square().sum()).sqrt())  # type: ignore[union-attr, operator, index]
        optimizer.step()
        optimizer.zero_grad()
        record = watcher.step()
    assert record is not None
    assert record.flow["0"].gradient == pytest.approx(expected)
    assert record.flow["0"].update


def test_the_callback_of_transformers_is_told_as_its_trainer_tells() -> None:
    """The order of transformers' own loop, by its own handler; docs/watch.md has the real Trainer."""
    transformers = pytest.importorskip("transformers")
    net, (x, y) = dense(), rows()
    watcher = pellucid.watch(net, to=[], probe=x[:2], method="saliency", every=2)
    from transformers.trainer_callback import CallbackHandler, TrainerControl, TrainerState

    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    handler = CallbackHandler([watcher.transformers_callback()], net, None, optimizer, None)
    state, control = TrainerState(), TrainerControl()
    args = SimpleNamespace()
    handler.on_train_begin(args, state, control)
    for _ in range(4):
        F.cross_entropy(net(x), y).backward()
        handler.on_pre_optimizer_step(args, state, control)
        optimizer.step()
        handler.on_optimizer_step(args, state, control)
        optimizer.zero_grad()
        state.global_step += 1
        handler.on_step_end(args, state, control)
        handler.on_log(args, state, control, {"loss": 1.5, "learning_rate": 0.1})
    handler.on_train_end(args, state, control)
    assert isinstance(watcher.transformers_callback(), transformers.TrainerCallback)
    assert watcher.closed
    assert [r.step for r in watcher.records] == [0, 2, 4]
    assert watcher.records[1].figures == {"loss": 1.5}
    assert all(f.gradient and f.update for r in watcher.records[1:] for f in r.flow.values())


def lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the package lightning: only its Callback is used."""
    stand_in = ModuleType("lightning.pytorch")
    stand_in.Callback = type("Callback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", stand_in)


def test_the_callback_of_lightning_is_told_as_its_trainer_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's order: gradients are cleared at the start of a batch, and steps are fewer where they accumulate."""
    lightning(monkeypatch)
    net, (x, y) = dense(), rows()
    watcher = pellucid.watch(net, to=[], every=1)
    callback = watcher.lightning_callback()
    trainer = SimpleNamespace(is_global_zero=True, global_step=0)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for batch in range(6):
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        if batch % 2:
            callback.on_before_optimizer_step(trainer, net, optimizer)
            optimizer.step()
            trainer.global_step += 1
        callback.on_train_batch_end(trainer, net, {"loss": loss.detach()}, None, batch)
        if batch % 2:
            optimizer.zero_grad()
    callback.on_train_end(trainer, net)
    assert [r.step for r in watcher.records] == [0, 1, 2, 3]
    assert all(f.gradient and f.update for r in watcher.records[1:] for f in r.flow.values())
    assert all(r.loss for r in watcher.records[1:])


def test_other_processes_of_a_trainer_leave_watching_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lightning(monkeypatch)
    watcher = pellucid.watch(dense(), to=[], every=1)
    other = SimpleNamespace(is_global_zero=False, global_step=1)
    watcher.lightning_callback().on_train_batch_end(other, None, None, None, 0)
    assert watcher.at == 0


def test_a_trainer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = pellucid.watch(dense(), to=[])
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    assert code(watcher.lightning_callback) == "extra.missing"
