"""Where records go: a local archive, TensorBoard, MLflow, or any function."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from pellucid.numbers.histogram import EDGES, ordered
from pellucid.store.run import Archive
from pellucid.views import palette
from pellucid.words.errors import OptionError
from pellucid.words.watch import Explained, Record, Run

TENSORBOARD, MLFLOW = "tensorboard:", "mlflow:"


class Writer(Protocol):
    """What takes in records."""

    def begin(self, run: Run) -> Sequence[Record]:
        """Get ready; the records of this run that are there already."""
        ...

    def write(self, record: Record) -> None:
        """Take in one more record."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class Calling:
    """A function that is called with every record."""

    def __init__(self, function: Callable[[Record], Any]) -> None:
        self.function = function

    def begin(self, run: Run) -> Sequence[Record]:
        return ()

    def write(self, record: Record) -> None:
        self.function(record)

    def close(self) -> None:
        pass


class TensorBoard:
    """Scalars, histograms of layers, and the explanations' maps as pictures; `writer` is a SummaryWriter."""

    def __init__(self, writer: Any, own: bool = False) -> None:
        self.writer, self.own = writer, own

    def begin(self, run: Run) -> Sequence[Record]:
        return ()

    def write(self, record: Record) -> None:
        for name, value in record.scalars().items():
            self.writer.add_scalar(f"pellucid/{name}", value, record.step)
        for name, layer in record.layers.items():
            counts = ordered(layer.histogram)
            n = sum(counts)
            if n and layer.least is not None and layer.most is not None:
                mean, spread = layer.mean or 0.0, layer.spread or 0.0
                # The last bin has no upper edge: the largest value ends it.
                limits = [*EDGES, max(layer.most, EDGES[-1] * 1.001)]
                self.writer.add_histogram_raw(f"pellucid/{name}", layer.least, layer.most, n, mean * n,
                                              (spread**2 + mean**2) * n, limits, counts, record.step)
        if record.explained is not None:
            for k, picture in pictures(record.explained):
                self.writer.add_image(f"pellucid/explanation {k}", picture, record.step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        if self.own:
            self.writer.close()


class MLflow:
    """Metrics of the active run (one is started where there is none), and the explanations' maps as pictures."""

    def __init__(self, mlflow: Any, experiment: str = "") -> None:
        self.mlflow, self.experiment = mlflow, experiment

    def begin(self, run: Run) -> Sequence[Record]:
        if self.experiment:
            self.mlflow.set_experiment(self.experiment)
        return ()

    def write(self, record: Record) -> None:
        told = {f"pellucid/{_plain(k)}": v for k, v in record.scalars().items()}
        self.mlflow.log_metrics(told, step=record.step)
        if record.explained is not None:
            for k, picture in pictures(record.explained):
                self.mlflow.log_image(picture, f"pellucid/explanation-{k}/{record.step:08d}.png")

    def close(self) -> None:
        pass


def opened(to: Any) -> list[Writer]:
    """The writers that `to` names."""
    if isinstance(to, list | tuple):
        return [writer for one in to for writer in opened(one)]
    if isinstance(to, str) and to.startswith(TENSORBOARD):
        return [TensorBoard(_summary_writer(to.removeprefix(TENSORBOARD)), own=True)]
    if isinstance(to, str) and to.startswith(MLFLOW):
        return [MLflow(_mlflow(), to.removeprefix(MLFLOW))]
    if isinstance(to, str | os.PathLike):
        return [Archive(to)]
    if hasattr(to, "add_scalar") and hasattr(to, "add_histogram_raw"):
        return [TensorBoard(to)]
    if hasattr(to, "log_metrics") and hasattr(to, "log_image"):
        return [MLflow(to)]
    if all(hasattr(to, name) for name in ("begin", "write", "close")):
        return [to]
    if callable(to):
        return [Calling(to)]
    raise OptionError("watch.to", f"a {type(to).__name__}",
                      "a folder, 'tensorboard:FOLDER', a SummaryWriter, 'mlflow:', the module mlflow, a function, "
                      "or a list of these", "say where the records should go")


def _summary_writer(folder: str) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise _missing("tensorboard", 'pip install "pellucid[training]"') from error
    return SummaryWriter(folder or None)


def _mlflow() -> Any:
    try:
        import mlflow  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _missing("mlflow", "pip install mlflow (or mlflow-skinny)") from error
    return mlflow


def _missing(package: str, do: str) -> OptionError:
    return OptionError("extra.missing", f"no {package}, to which the records should go", f"the package {package}",
                       f"{do}, or let them go to a folder")


def pictures(explained: Explained, side: int = 128) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """The maps that lie over a picture, in colours on white (rows, columns, 3), by number of the probe input."""
    found: list[tuple[int, np.ndarray[Any, Any]]] = []
    for k, (shape, values) in enumerate(zip(explained.shapes, explained.maps, strict=True)):
        if len(shape) == 2 and min(shape) > 1:
            grid = np.array(values).reshape(shape)
            drawn = palette.over(palette.rgba(grid, float(np.abs(grid).max())), 255.0)
            times = max(1, side // max(shape))
            found.append((k, drawn.repeat(times, 0).repeat(times, 1)))
    return found


def _plain(name: str) -> str:
    """MLflow takes letters, digits, and a few signs."""
    return "".join(c if c.isalnum() or c in "_-. /" else "-" for c in name)
