"""The watcher as a callback of Lightning's Trainer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pellucid.words.errors import OptionError

if TYPE_CHECKING:
    from pellucid.watching.watcher import Watcher

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def callback(watcher: Watcher) -> Any:
    """A Callback that tells the watcher of the first process's steps, and closes it at the end."""
    base = _base()

    class Watching(base):
        """Gradients are read before they are cleared; the step is told after the batch, with what was logged."""

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            if trainer.is_global_zero:
                watcher.gradients()

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.is_global_zero and trainer.global_step > watcher.at:  # accumulated batches are no steps
                loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
                watcher.step(step=trainer.global_step, **({} if loss is None else {"loss": loss}))

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            watcher.close()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            watcher.__exit__(type(exception), exception, exception.__traceback__)

    return Watching()


def _base() -> Any:
    for package in PACKAGES:
        try:
            return importlib.import_module(package).Callback
        except ImportError:
            continue
    raise OptionError("extra.missing", "no lightning, whose Trainer the callback is for", "the package lightning",
                      "pip install lightning")
