"""The verb: visualise(model, "layer[unit]"), a picture that excites a unit, a channel or a concept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.choices import places, stages
from pellucid.concepts import case_of, evidence_of
from pellucid.engine import interrupt, memory
from pellucid.engine.probe import device_of
from pellucid.engine.run import run, surveyed
from pellucid.engine.settings import Settings
from pellucid.explain import wrapped
from pellucid.look import Layer, layer_of
from pellucid.methods.visualise import Climbed, climb
from pellucid.models.subject import Example, Subject
from pellucid.numbers.fourier import Basis
from pellucid.provenance import Provenance
from pellucid.words.concepts import Tested
from pellucid.words.craft import Part
from pellucid.words.direction import Direction
from pellucid.words.errors import OptionError, PellucidError, TargetError
from pellucid.words.explanation import Finding
from pellucid.words.features import units
from pellucid.words.size import size as bytes_of
from pellucid.words.target import Neuron, Target, read
from pellucid.words.visualised import Visualised


@interrupt.between_passes
@torch.inference_mode(False)
@torch.no_grad()
@memory.named("to hold the picture")
def visualise(
    subject: Subject | nn.Module,
    unit: Any,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int = 3,
    between: tuple[float, float] | None = None,
    steps: int = 256,
    rate: float = 0.05,
    copies: int = 4,
    jitter: float | None = None,
    scale: float = 0.1,
    rotate: float = 5.0,
    decorrelated: bool = True,
    controls: int = 16,
    seed: int = 0,
    budget: int | str | None = None,
    chunk: int | None = None,
    precision: str = "exact",
    progress: Callable[[int, int], None] | None = None,
) -> Visualised:
    """Which picture excites a unit most?

    `unit` is `"layer[3]"` (a channel, its mean over places), `"layer[3,5,7]"` (a neuron), a class, a concept of `tcav`,
    a layer and its vector (`("layer4", part.vector)`), over channels or over the whole layer, or any target of
    `explain`. `size` is the picture's side or (rows, columns), needed where the model does not say; of a bare module
    also `channels`, and the values that pixels lie `between`, (0, 1) if left out.

    The picture is climbed to in `steps` of Adam at `rate`, over the coefficients of its Fourier transform divided by
    their frequencies, in colours that vary by themselves (`decorrelated`), and squeezed between black and white by a
    sigmoid. Each step looks at `copies`, shifted by up to `jitter` pixels (a 32nd of the shorter side if left out),
    enlarged by up to 1 + `scale`, turned by up to `rotate` degrees; over the last quarter of the steps by less and
    less. `controls` random pictures with the same spectrum say what any would reach. The others are as
    in `explain`; the same `seed` gives the same picture.

    Raises `target.unknown`, `layer.unknown`, `visualise.size` where the model does not say how large its pictures are.

    doi:10.23915/distill.00007.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    if steps < 1 or copies < 1 or controls < 1 or not (
            rate > 0 and (jitter or 0) >= 0 and scale >= 0 and rotate >= 0):
        raise OptionError("option.value", f"steps={steps}, copies={copies}, controls={controls}, rate={rate}, "
                          f"jitter={jitter}, scale={scale}, rotate={rotate}", "whole numbers from 1, a rate above 0, "
                          "transformations from 0", "leave them out")
    settings = Settings(None if budget is None else bytes_of(budget), chunk, False, progress, False, precision)
    example = _blank(subject, size, channels)
    assert example.x is not None
    target = _target(subject, example, unit)
    device = device_of(subject.module, [])
    low, high = _ends(subject, example, between)
    dtype = example.x.dtype if example.x.dtype == torch.float64 else torch.float32
    low, high = low.to(device, dtype), high.to(device, dtype)

    def painted(picture: Tensor) -> Tensor:
        return low + (high - low) * torch.sigmoid(picture.to(dtype))

    x = example.x.to(device, dtype)
    case = case_of(example, target).at(example.site, x, x, units(tuple(x.shape)))
    shape = x.shape[0], x.shape[1], x.shape[2]
    jitter = min(shape[1:]) / 32 if jitter is None else jitter
    job = climb(case, Basis(shape, decorrelated), painted, steps=steps, rate=rate, copies=copies, jitter=jitter,
                scale=scale, rotate=rotate, controls=controls, seed=seed)
    (found,), tally = run(subject.module, [job], facts=subject.facts, settings=settings)
    if isinstance(found, PellucidError):
        raise found
    shown = (found.value - low) / (high - low)
    return Visualised(_bytes(shown), found.value.cpu(), target.describe(subject.labels), found.reached, found.start,
                      found.controls, found.history, steps, seed, subject.name, _findings(found), evidence_of(tally),
                      Provenance(subject, seed))


def _blank(subject: Subject, size: int | tuple[int, int] | None, channels: int) -> Example:
    """A grey picture of the size that is made."""
    if subject.task not in ("image", "tensor"):
        raise OptionError("visualise.picture", f"a model of {subject.task}", "a model of pictures",
                          "texts and rows cannot be climbed to")
    if size is None:
        recipe = getattr(subject.reader, "preprocess", None)
        size = getattr(recipe, "fixed", None)
    if size is None:
        raise OptionError("visualise.size", "a model that does not say how large its pictures are", "size=",
                          "give the side in pixels, or (rows, columns)")
    height, width = (size, size) if isinstance(size, int) else size
    if subject.task == "image":
        return subject.read(np.full((height, width, 3), 128, np.uint8))
    return subject.read(torch.zeros(1, channels, height, width))


def _ends(subject: Subject, example: Example, between: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """Black and white as the model is fed them, (channels, 1, 1)."""
    assert example.x is not None
    count = example.x.shape[0]
    found = stages.bounds(subject, example) if between is None else None
    low, high = found if found is not None else ((v,) * count for v in between or (0.0, 1.0))
    return torch.tensor(low).reshape(-1, 1, 1), torch.tensor(high).reshape(-1, 1, 1)


def _target(subject: Subject, example: Example, unit: Any) -> Target:
    """What is climbed: a unit by name, or a direction."""
    if isinstance(unit, Tested):
        return _direction(subject, example, unit.layer, unit.vector, unit.concept)
    if isinstance(unit, Sequence) and not isinstance(unit, str) and len(unit) == 2 and isinstance(unit[0], str):
        vector, name = unit[1], "a direction"
        if isinstance(vector, Part):
            vector, name = vector.vector, f"part {vector.number}"
        if isinstance(vector, Tensor):
            return _direction(subject, example, unit[0], vector, name)
    target = read(unit, subject.labels)
    if target.of is None or target.of.is_input:
        return target
    laid = _layer(subject, example, str(target.of))
    if isinstance(target, Neuron) and len(target.index) == 1 and laid.axis > 0:
        return _channel(laid, target.index[0])
    return target


def _channel(laid: Layer, number: int) -> Direction:
    """A channel of a layer whose channels come last, as they do where places are tokens."""
    count = laid.shape[laid.axis]
    if not 0 <= number < count:
        raise TargetError("target.out_of_range", f"channel {number} of {laid.name}", f"0 to {count - 1}",
                          "choose a channel the layer has")
    vector = torch.zeros(count)
    vector[number] = 1
    return Direction(laid.site, vector, laid.axis, f"channel {number}")


def _direction(subject: Subject, example: Example, layer: str, vector: Tensor, name: str) -> Direction:
    laid = _layer(subject, example, layer)
    return Direction(laid.site, vector.detach(), laid.axis, name)


def _layer(subject: Subject, example: Example, name: str) -> Layer:
    """The layer, or the error that names what is nearest."""
    calls = surveyed(subject.module, example.carrier, subject.facts)
    return layer_of(subject, places.Places(subject, example), name, calls)


def _bytes(shown: Tensor) -> np.ndarray[Any, Any]:
    """Red, green and blue of each pixel; of other than three channels their mean in grey."""
    three = shown if shown.shape[0] == 3 else shown.mean(0, keepdim=True).expand(3, -1, -1)
    return (three.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().contiguous().numpy()


def _findings(found: Climbed) -> tuple[Finding, ...]:
    if not found.reacted:
        return (Finding("visualise.dead", "fail", "no start moved the unit: its gradient is zero everywhere",
                        "choose the layer before the activation function, or another unit"),)
    if found.reached <= max(found.controls):
        return (Finding("visualise.no_better", "warn", f"the climb reached {found.reached:.3g}, a random picture with "
                        f"the same spectrum {max(found.controls):.3g}", "take more steps, or weaker transformations"),)
    return ()
