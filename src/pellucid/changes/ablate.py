"""Heads of attention taken out for a pass: what they add is nothing, or always the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from pellucid.changes.attending import ATTENTION, WHOLE, Attending
from pellucid.changes.attentions import PRODUCTS
from pellucid.words.errors import LayerError, ModelError
from pellucid.words.site import Site


@dataclass(frozen=True, order=True)
class Head:
    """Head number `head` (from 0) of the `of` heads of an attention, which `site` names as `layer:attention`."""

    site: str
    head: int
    of: int

    @property
    def layer(self) -> str:
        """The attention's layer, with the call where there are several."""
        return self.site.removesuffix(f":{ATTENTION}")

    def __str__(self) -> str:
        return f"{self.layer}[{self.head}]"


@dataclass(frozen=True)
class HeadsOff:
    """Heads whose sum over values is zero, or a mean that is given: what the layer after them gets of a head.

    With zeros it is the same as zeros in the columns of the output projection that belong to the head. `means` holds
    a vector per head in the order of `heads` (numbers per head dimension), None for zeros. All other heads, and the
    kernel that computes them, stay as they are.
    """

    heads: tuple[Head, ...]
    means: tuple[tuple[float, ...], ...] | None = None

    @property
    def name(self) -> str:
        return f"without {', '.join(map(str, self.heads))}"

    @property
    def twin(self) -> bool:
        return False

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        off = _by_site(self.heads)
        means = dict(zip(self.heads, self.means or (), strict=self.means is not None))

        def silenced(site: str, said: Tensor) -> Tensor:
            mine = off[site]
            if mine[0].of != said.shape[-3]:
                raise LayerError("head.count", f"{site} with {said.shape[-3]} heads", f"the {mine[0].of} heads that "
                                 "were named", "name the heads of this model")
            gone = torch.zeros(mine[0].of, dtype=torch.bool, device=said.device)
            gone[[h.head for h in mine]] = True
            put = said.new_zeros(mine[0].of, 1, said.shape[-1])
            for h in mine if means else ():
                put[h.head, 0] = torch.tensor(means[h], dtype=said.dtype, device=said.device)
            return torch.where(gone[:, None, None], put, said)

        with _over(model, off, silenced):
            yield


@dataclass(eq=False)
class HeadMeans:
    """Nothing is changed: what every head says in the mean over queries is noted, (heads, numbers) by site.

    Each example needs one of its own, so that it shares no pass: a pass that is repeated notes the same again.
    """

    heads: tuple[Head, ...]
    found: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    @property
    def name(self) -> str:
        return "head means"

    @property
    def twin(self) -> bool:
        return False

    @property
    def quiet(self) -> bool:
        return True

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        def noted(site: str, said: Tensor) -> Tensor:
            self.found[site] = said.detach().double().movedim(-3, 0).flatten(1, -2).mean(1).cpu()
            return said

        with _over(model, _by_site(self.heads), noted):
            yield


def _by_site(heads: Sequence[Head]) -> dict[str, list[Head]]:
    found: dict[str, list[Head]] = {}
    for head in heads:
        found.setdefault(head.site, []).append(head)
    return found


@contextmanager
def _over(model: nn.Module, off: Mapping[str, Sequence[Head]], said: Any) -> Iterator[None]:
    """While open, what the heads of these attentions say goes through `said(site, value)`."""
    modules = {WHOLE: model, **dict(model.named_modules())}
    sites = {Site.parse(name): (name, heads[0].of) for name, heads in off.items()}
    for site in sites:
        if site.layer not in modules:
            raise LayerError("layer.unknown", repr(site.layer), "a module's name", "name an attention of this model")
    mode, ended = _Said(sites, said), False

    def end(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal ended
        ended = True

    hook = model.register_forward_hook(end)
    try:
        with mode.tracking({s.layer: modules[s.layer] for s in sites}):
            yield
    finally:
        hook.remove()
    missed = [name for name, _ in sites.values() if name not in mode.reached]
    if ended and missed:
        raise LayerError("layer.no_attention", f"no attention at {missed[0]} in this forward", "a layer with attention",
                         "name attentions of this model: see look(model, x, 'attention')")


class _Said(Attending):
    """Hands sums over values (…, heads, queries, numbers) of chosen attentions to `passes`; fused ones stay fused."""

    follows = True

    def __init__(self, sites: Mapping[Site, tuple[str, int]], passes: Any) -> None:
        super().__init__(lambda open_, value: value)
        self.sites, self.passes = sites, passes
        self.calls: dict[str, int] = {}
        self.reached: set[str] = set()
        self.followed = WeakIdKeyDictionary()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_function__(func, types, args, kwargs)
        return self._product(func, args, kwargs or {}, out) if self.followed else out

    def _attended(self, query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = F.scaled_dot_product_attention(query, *args, **kwargs)
        due = self._due() if out.dim() in (3, 4) else []
        for name, heads in due:
            out = self._passed(name, heads, out)
        return out

    def _told(self, found: Tensor, own: bool = False) -> Tensor:
        due = self._due()
        if due:
            self.followed[found] = due, tuple(found.shape)
        return found

    def _due(self) -> list[tuple[str, int]]:
        """The attentions that this one is meant by."""
        found: list[tuple[str, int]] = []
        for layer in self.open:
            self.calls[layer] = self.calls.get(layer, 0) + 1
            found += [named for site, named in self.sites.items()
                      if site.layer == layer and site.call in (None, self.calls[layer])]
        return found

    def _product(self, func: Any, args: Any, kwargs: Any, out: Any) -> Any:
        """Probabilities on their way (dropout, another shape), or their product with values."""
        for value in [v for g in (*args, *kwargs.values()) for v in (g if isinstance(g, list | tuple) else (g,))]:
            known = self.followed.get(value) if isinstance(value, Tensor) else None
            if known is None or not isinstance(out, Tensor) or out is value:
                continue
            due, shape = known
            if getattr(func, "__name__", "") in PRODUCTS:
                if out.shape[:-1] != value.shape[:-1] or (value.dim() != len(shape)):
                    raise ModelError("ablate.layout", f"sums of shape {tuple(out.shape)} from probabilities {shape}",
                                     "heads before queries, (rows, heads, queries, numbers)",
                                     "this way to write attention is not known: its heads cannot be taken out")
                for name, heads in due:
                    out = self._passed(name, heads, out)
                return out
            if out.numel() == value.numel():
                self.followed[out] = known
        return out

    def _passed(self, name: str, heads: int, out: Tensor) -> Tensor:
        self.reached.add(name)
        if out.dim() == 3:
            return self.passes(name, out.unflatten(0, (-1, heads))).flatten(0, 1)
        return self.passes(name, out)
