"""Parameters drawn by lot in the place of those that were learnt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.words.errors import LayerError, nearest

SMALL, TENTH = 0.02, 0.1
"""The spread of what is drawn for zeros, and for a constant in units of itself: nothing may stay as it is."""


@dataclass(frozen=True)
class Shuffled:
    """Other numbers in these parameters, as if they had never been learnt.

    `parameters` names parameters, or modules for all they hold. Weights of two axes and more become normal numbers
    about zero with the root mean square of the learnt ones; vectors (biases, scales of a norm) keep their mean and
    their standard deviation. A constant gets a spread of a tenth of itself, zeros one of 0.02. Draws depend on the
    seed and the parameter's name alone: layers of one shape differ, parameters of two names stay one, and no other
    generator is touched. Buffers, such as a BatchNorm's statistics, stay.
    """

    parameters: tuple[str, ...]
    seed: int = 0

    @property
    def name(self) -> str:
        some = ", ".join(self.parameters[:3]) + (", …" if len(self.parameters) > 3 else "")
        return f"shuffled({some}; seed {self.seed})"

    @property
    def twin(self) -> bool:
        return False

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        with put(model, {p: drawn(p, name, self.seed) for name, p in chosen(model, self.parameters).items()}):
            yield


@contextmanager
def put(model: nn.Module, values: Mapping[nn.Parameter, Tensor]) -> Iterator[None]:
    """While open, parameters hold other values; nobody's memory is written.

    A shadow's parameters are its own objects over the user's memory. They are given other memory here, and theirs
    back at the end: so whoever holds one by another name, or in a list of its own as an LSTM does, sees the same.
    """
    before = [(p, p.data) for p in values]
    try:
        for parameter, value in values.items():
            parameter.data = value
        yield
    finally:
        for parameter, value in before:
            parameter.data = value


def chosen(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters of these names, or inside modules of these names, each once, by the first of its names."""
    every = dict(model.named_parameters(remove_duplicate=False))
    first: dict[nn.Parameter, str] = {}
    for name, parameter in every.items():
        first.setdefault(parameter, name)
    found: dict[str, nn.Parameter] = {}
    for asked in names:
        mine = [p for n, p in every.items() if n == asked or not asked or n.startswith(asked + ".")]
        if not mine:
            known = [*every, *(n for n, _ in model.named_modules() if n)]
            raise LayerError("layer.unknown", repr(asked), "a parameter, or a module with parameters",
                             nearest(asked, known))
        found |= {first[p]: p for p in mine}
    return found


def drawn(parameter: nn.Parameter, name: str, seed: int) -> Tensor:
    """What stands in a parameter's place; numbers that are not real are put in another order."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=7).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "big"))
    with torch.inference_mode(parameter.is_inference()):
        learnt = parameter.detach()
        if not learnt.is_floating_point():
            order = torch.randperm(learnt.numel(), generator=generator).to(learnt.device)
            return learnt.flatten()[order].reshape(learnt.shape)
        wide = learnt.double() if learnt.dtype == torch.float64 else learnt.float()
        mean = wide.mean() if wide.dim() < 2 and wide.numel() else torch.zeros((), device=wide.device)
        spread = (wide - mean).square().mean().sqrt() if wide.numel() else mean
        # A constant's spread is rounding.
        constant = not bool(spread > 1e-6 * wide.abs().max()) if wide.numel() else True
        if constant:
            spread = TENTH * mean.abs() if bool(mean) else torch.full_like(spread, SMALL)
        noise = torch.randn(learnt.shape, generator=generator, dtype=torch.float32).to(wide)
        return (mean + spread * noise).to(learnt.dtype)
