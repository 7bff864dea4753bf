"""The watcher as a callback of transformers' Trainer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pellucid.words.errors import OptionError

if TYPE_CHECKING:
    from pellucid.watching.watcher import Watcher


def callback(watcher: Watcher) -> Any:
    """A TrainerCallback that tells the watcher of the first process's steps, and closes it at the end."""
    try:
        base: Any = importlib.import_module("transformers").TrainerCallback
    except ImportError as error:
        raise OptionError("extra.missing", "no transformers, whose Trainer the callback is for",
                          "the package transformers", 'pip install "pellucid[text]"') from error

    class Watching(base):
        """Gradients are read after clipping, before they are cleared; the loss is the one that was logged last."""

        def __init__(self) -> None:
            self.figures: dict[str, float] = {}

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.is_world_process_zero:
                watcher.gradients()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.is_world_process_zero:
                watcher.step(step=state.global_step, **self.figures)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **more: Any) -> None:
            self.figures |= {k: logs[k] for k in ("loss", "eval_loss") if logs and k in logs}

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            watcher.close()

    return Watching()
