"""The conversation that climbs: a picture that is changed step by step until a unit says most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.numbers.fourier import Basis, moved
from pellucid.numbers.ranking import lots
from pellucid.words.ask import together
from pellucid.words.case import Case

FIRST, SECOND, SMALL = 0.9, 0.999, 1e-8
"""Adam's decays of the mean gradient and its square, and what keeps its step finite (arXiv:1412.6980)."""

TRIES = 8
"""Starts that are tried where the unit does not react at all (behind a ReLU); each has twice the contrast."""

LAST = 4
"""Moves shrink over the last so-manieth part of the steps."""

TOLD = 16
"""So many activations are told of on the way."""


@dataclass(frozen=True, eq=False)
class Climbed:
    """Where a climb ended: the value, its activation, that of the start, of `controls`, and of steps on the way.

    `reacted` is False where no start gave a gradient.
    """

    value: Tensor
    reached: float
    start: float
    controls: tuple[float, ...]
    history: tuple[tuple[int, float], ...]
    reacted: bool


async def climb(case: Case, basis: Basis, painted: Callable[[Tensor], Tensor], *, steps: int, rate: float, copies: int,
                jitter: float, scale: float, rotate: float, controls: int, seed: int) -> Climbed:
    """Adam's way up the target's score, over the spectrum of a picture.

    `painted` turns a picture around zero into a value that the model takes. Every step asks for gradients at `copies`
    of it, shifted, enlarged and turned by lot: what only one exact position shows does not survive. Over the last
    quarter of the steps these moves shrink to nothing, since the activation is told of the picture itself. Controls are
    pictures with the same spectrum and other phases: as strong at every frequency, with nothing in its place.
    """
    device = case.origin.device
    generator, every = lots(seed, 83), max(1, steps // TOLD)
    spectrum, slope = await _started(case, basis, painted, seed)
    reacted = bool(slope.any())
    start = spectrum
    mean, square, history = torch.zeros_like(spectrum), torch.zeros_like(spectrum), list[tuple[int, float]]()
    for step in range(steps if reacted else 0):
        with torch.enable_grad():
            leaf = spectrum.detach().requires_grad_()
            far = min(1.0, LAST * (1 - step / steps))
            rows = moved(painted(basis.picture(leaf)), copies, jitter=far * jitter, scale=far * scale,
                         rotate=far * rotate, generator=generator)
        slope = await case.gradient(case.given(rows.detach()))
        (up,) = torch.autograd.grad(rows, leaf, slope.to(rows) / copies)
        mean, square = FIRST * mean + (1 - FIRST) * up, SECOND * square + (1 - SECOND) * up.square()
        even = mean / (1 - FIRST ** (step + 1)), square / (1 - SECOND ** (step + 1))
        spectrum = spectrum + rate * even[0] / (even[1].sqrt() + SMALL)
        if (step + 1) % every == 0 and step + 1 < steps:
            history.append((step + 1, float(await case.score(case.given(painted(basis.picture(spectrum))[None])))))
    # One at a time: the number of controls does not show in the memory.
    pictures = [spectrum, start, *(basis.scrambled(spectrum, seed * 1009 + k) for k in range(controls))]
    told = await together(*(case.score(case.given(painted(basis.picture(s))[None])) for s in pictures))
    reached, first, *others = (float(t) for t in told)
    value = painted(basis.picture(spectrum)).to(device)
    return Climbed(value, reached, first, tuple(others), ((0, first), *history, (steps, reached)), reacted)


async def _started(case: Case, basis: Basis, painted: Callable[[Tensor], Tensor], seed: int) -> tuple[Tensor, Tensor]:
    """A start at which the score has a gradient, if there is one to be found."""
    spectrum = slope = torch.zeros(())
    for k in range(TRIES):
        spectrum = basis.start(seed, 100 * k).to(case.origin.device) * 2**k
        slope = await case.gradient(case.given(painted(basis.picture(spectrum))[None]))
        if bool(slope.any()):
            break
    return spectrum, slope
