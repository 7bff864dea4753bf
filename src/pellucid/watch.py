"""The verb: watch(module), a network looked at while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from pellucid.explain import wrapped
from pellucid.models.subject import Subject
from pellucid.watching.observing import Probe, owned, probe_of
from pellucid.watching.pace import Pace
from pellucid.watching.watcher import Watcher
from pellucid.watching.writers import opened
from pellucid.words.errors import LayerError, OptionError, nearest

SHARE = 0.05
"""Of the training's time that looking may take, where nobody says how often to look."""


def watch(
    module: Subject | nn.Module,
    layers: str | Sequence[str] = "stages",
    to: Any = "run",
    *,
    probe: Any = None,
    method: Any = None,
    target: Any = None,
    suspect: Any = None,
    explained: bool = True,
    every: int | None = None,
    share: float = SHARE,
    start: int | None = None,
) -> Watcher:
    """What happens in a network while it learns?

    Returns a `Watcher`, to be told of every step: `watcher.step(loss=loss)`. At some steps it looks: at the gradients
    and the weights as they lie there, and, where `probe` inputs are given, at what the layers say of these, how spread
    attention is, and how the inputs are explained. Nothing is hooked into the module, its mode, gradients, random
    states and buffers stay as they are: the probe runs through a shadow of the model (in evaluation, as `explain`
    does).

    `layers` is `"stages"`, `"attention"`, a layer's name or a list of these. `to` says where the records go: a folder
    (an archive that survives a crash and is gone on with), `"tensorboard:FOLDER"` or a SummaryWriter, `"mlflow:"` or
    the module mlflow, a function, or a list of these. `probe` is 1 to 64 inputs, always the same: a batch, a list, or
    what the subject reads. `method` is how they are explained, by one pass if left out (`grad_cam` for pictures where
    it fits, otherwise `input_x_gradient`), `explained=False` leaves that out. `target` is what is explained, best the
    true classes: with the predicted ones the question itself changes while the network learns. `suspect` is where an
    explanation should not lie: a box (left, top, right, bottom) in the model's pixels, a mask, names of features, or a
    list with one per input (None for none).

    `every` looks at steps that it divides; left out, steps are chosen so that looking takes at most `share` of the
    training's time, a last look at the end included; setting up and the first look, before the training, are counted
    apart (`watcher.cost`). `start` is how many steps were done before, for a training that goes on; left out, it goes
    on after the last record.

    Raises what `look` and `explain` raise for the probe, `run.other` for a folder with the records of another run,
    `extra.missing` where TensorBoard or MLflow is not installed.
    """
    if every is not None and every < 1:
        raise OptionError("option.value", f"every={every}", "1 or more steps", "leave it out to let time decide")
    if not 0 < share <= 1:
        raise OptionError("option.value", f"share={share}", "above 0, at most 1", "leave it out for 0.05")
    pace = Pace(every, share)
    subject = module if isinstance(module, Subject) else wrapped(module)
    seen: Probe | None = None
    if probe is not None:
        seen = probe_of(subject, probe, layers=layers, method=method, target=target, suspect=suspect)
        names = [p.name for p in seen.places]
    elif method is not None or suspect is not None or target is not None:
        raise OptionError("probe.missing", "something to explain with no probe inputs", "probe=, a few inputs",
                          "give the inputs that are to be explained at every look")
    else:
        names = _named(subject.module, layers)
    return Watcher(subject.module, subject.name, names, seen, explained and seen is not None, opened(to), pace, start)


def _named(module: nn.Module, layers: str | Sequence[str]) -> list[str]:
    """Layers whose parameters are watched, where there is no input to run."""
    wanted = [layers] if isinstance(layers, str) else list(layers)
    known = [name for name, _ in module.named_modules() if name]
    for name in wanted:
        if name not in ("stages", "attention", *known):
            raise LayerError("layer.unknown", repr(name), "a module's name", nearest(name, known))
    return [n for n in wanted if n in known] if set(wanted) & set(known) else owned(module)
