"""Methods broken on purpose: each must fail its own law, with that law's own words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pellucid.numbers.quadrature import gauss_legendre
from pellucid.testing.toys import Toy
from pellucid.words.case import Case
from pellucid.words.features import Features
from pellucid.words.method import Card, Law, Method

Conversation = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True)
class Saboteur:
    """A broken method for a toy, and a part of the message that must come of it.

    `breaks_too` names the laws that cannot hold where this one is broken in this way.
    """

    name: str
    build: Callable[[Toy], Method]
    expects: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    on: str = "gelu_mlp"
    breaks_too: tuple[str, ...] = ()


def plain(run: Conversation) -> Method:
    """A method that stands in no catalogue, made from a coroutine over a case."""
    return _method(run)


def _method(run: Conversation, law: Law | None = None, *, asks: str = "gradient", gives: str = "elements",
            **defaults: Any) -> Method:
    return Method(run.__name__, run, Card(asks, "", (law,) if law else (), gives, asks == "score", law is Law.COMPLETE),
                  "", defaults)


def _lossy(toy: Toy) -> Method:
    async def loses_two_percent(case: Case) -> Tensor:
        t, weights = gauss_legendre(32)
        return 0.98 * case.difference * (await case.gradient(case.line(t), weights=weights[None]))[0]

    return _method(loses_two_percent, Law.COMPLETE)


def _generous(toy: Toy) -> Method:
    async def gives_everyone_a_share(case: Case) -> Tensor:
        slope = (await case.gradient(case.here))[0].abs()
        return slope + 0.01 * slope.mean()

    return _method(gives_everyone_a_share, Law.DUMMY)


def _biased(toy: Toy) -> Method:
    async def prefers_the_first(case: Case) -> Tensor:
        slope = (await case.gradient(case.here))[0]
        return slope * torch.linspace(1.01, 0.99, slope.numel()).to(slope).reshape(slope.shape)

    return _method(prefers_the_first, Law.SYMMETRIC)


def _folded(toy: Toy) -> Method:
    async def forgets_the_sign(case: Case) -> Tensor:
        return (await case.gradient(case.here))[0].abs()

    return _method(forgets_the_sign, Law.LINEAR)


def _sociable(toy: Toy) -> Method:
    present: list[int] = []

    async def counts_its_neighbours(case: Case) -> Tensor:
        present.append(1)
        try:
            (slope,) = await case.gradient(case.here)
            return slope * (1 + 0.001 * len(present))
        finally:
            present.pop()

    return _method(counts_its_neighbours)


@dataclass(frozen=True)
class _Restarting:
    """Noise that begins anew wherever the rows are cut."""

    n: int

    @property
    def key(self) -> Hashable:
        return ("restarting", self.n)

    @property
    def uses(self) -> str:
        return "xb"

    def rows(self, x: Tensor, baseline: Tensor, features: Features, start: int, stop: int,
             out: Tensor | None = None) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(stop - start, *x.shape[1:], generator=generator).to(x)
        return torch.add(x.unsqueeze(1), noise, alpha=0.1, out=out)


def _cut(toy: Toy) -> Method:
    async def draws_anew_in_every_pass(case: Case) -> Tensor:
        return (await case.gradient(_Restarting(12), weights=torch.full((1, 12), 1 / 12)))[0]

    return _method(draws_anew_in_every_pass)


def _counting(toy: Toy) -> Method:
    counter = itertools.count(1)

    async def counts_its_calls(case: Case) -> Tensor:
        return (await case.gradient(case.here))[0] * (1 + 1e-6 * next(counter))

    return _method(counts_its_calls)


def _reseeding(toy: Toy) -> Method:
    async def reseeds_torch(case: Case, *, samples: int) -> Tensor:
        torch.manual_seed(case.seed)
        noise = torch.randn(samples).mean()
        return (await case.gradient(case.here))[0] + noise.to(case.x)

    return _method(reseeds_torch, samples=16)


def _deaf(toy: Toy) -> Method:
    async def ignores_the_seed(case: Case, *, samples: int) -> Tensor:
        noise = torch.randn(samples, generator=torch.Generator().manual_seed(5)).mean()
        return (await case.gradient(case.here))[0] + noise.to(case.x)

    return _method(ignores_the_seed, samples=16)


def _leaking(toy: Toy) -> Method:
    async def leaves_a_hook(case: Case) -> Tensor:
        next(toy.model.modules()).register_forward_hook(lambda module, args, output: None)
        return (await case.gradient(case.here))[0]

    return _method(leaves_a_hook)


def _unprotected(toy: Toy) -> Method:
    async def cleans_up_only_after_success(case: Case) -> Tensor:
        handle = next(toy.model.modules()).register_forward_hook(lambda module, args, output: None)
        (slope,) = await case.gradient(case.here)
        handle.remove()
        return slope

    return _method(cleans_up_only_after_success)


def _training(toy: Toy) -> Method:
    async def switches_to_evaluation(case: Case) -> Tensor:
        toy.model.eval()
        return (await case.gradient(case.here))[0]

    return _method(switches_to_evaluation)


def _hoarding(toy: Toy) -> Method:
    async def keeps_every_gradient(case: Case, *, steps: int) -> Tensor:
        t, weights = gauss_legendre(steps)
        slopes = await case.gradient(case.line(t))
        return case.difference * torch.einsum("n,n...->...", weights.to(slopes), slopes)

    return _method(keeps_every_gradient, steps=16)


OF: dict[str, tuple[Saboteur, ...]] = {
    "COMPLETE": (Saboteur("loses 2 % of the sum", _lossy, "the values sum to"),),
    "DUMMY": (Saboteur("gives everyone a share", _generous, "that the model ignores got"),),
    "SYMMETRIC": (Saboteur("prefers the first", _biased, "play the same part got"),),
    "LINEAR": (Saboteur("forgets the sign", _folded, "differ from the sum"),),
    "ALONE": (Saboteur("counts its neighbours", _sociable, "among other examples"),),
    "CHUNK": (Saboteur("draws anew in every pass", _cut, "rows a pass differ", breaks_too=("ALONE", "REPEATABLE")),),
    "REPEATABLE": (
        Saboteur("counts its calls", _counting, "the same seed gave other numbers", breaks_too=("ALONE", "CHUNK")),
        Saboteur("reseeds torch", _reseeding, "a global random state has moved", breaks_too=("UNTOUCHED",)),
        Saboteur("ignores the seed", _deaf, "another seed gave the same numbers"),
    ),
    "UNTOUCHED": (
        Saboteur("leaves a hook", _leaking, "after a run"),
        Saboteur("cleans up only after success", _unprotected, "at operation"),
        Saboteur("switches to evaluation", _training, "after a run", on="training"),
    ),
    "FLAT": (Saboteur("keeps every gradient", _hoarding, "the peak grows", on="vit"),),
}
"""The broken methods by the name of the law that must find them."""
