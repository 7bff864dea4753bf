"""Reading and replacing what named modules say: one hook per module and pass, calls counted.

Besides its output, a module has two values that it says to nobody: `layer:attention`, the probabilities of an
attention that runs inside it, and `layer:bias`, what a layer that is linear but for a bias says of zeros.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.changes.attending import ATTENTION, WHOLE, Attending
from pellucid.words.errors import LayerError, nearest
from pellucid.words.outputs import parts
from pellucid.words.site import Site

BIAS = "bias"
"""The part of a site that means what a layer adds on its own."""

Seen = Callable[[Site, Tensor], Tensor]
"""What to do with the value at a site: keep it, replace it, or both; it returns what runs on."""


def module_of(model: nn.Module, site: Site, known: Mapping[str, nn.Module] | None = None) -> nn.Module:
    """The module a site names, or an error with the nearest names; `known` are all modules, where they are at hand."""
    modules = {WHOLE: model, **(dict(model.named_modules()) if known is None else known)}
    if site.layer not in modules:
        others = [name for name in modules if name not in ("", WHOLE)]
        raise LayerError("layer.unknown", repr(site.layer), "a module's name", nearest(site.layer, others))
    found = modules[site.layer]
    if isinstance(found, torch.jit.ScriptModule):
        raise LayerError("layer.scripted", f"{site.layer}, a scripted module, which takes no hooks",
                         "a layer of an ordinary module", "give the module that it was scripted or traced from")
    return found


def replaced(value: Any, path: str, tensor: Tensor) -> Any:
    """A structured output with the tensor at `path` replaced; the rest is passed on as it is."""
    if not path:
        return tensor
    head, _, rest = path.partition(".")
    if isinstance(value, Mapping):
        key = next(k for k in value if str(k) == head)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        inner = replaced(value[key], rest, tensor)
        changed = {**value, key: inner}  # pyright: ignore[reportUnknownVariableType]
        if type(value) is dict:  # pyright: ignore[reportUnknownArgumentType]
            return changed  # pyright: ignore[reportUnknownVariableType]
        return type(value)(**changed)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, tuple | list):
        items = list(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        items[int(head)] = replaced(items[int(head)], rest, tensor)
        named = hasattr(value, "_fields")
        return type(value)(*items) if named else type(value)(items)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportCallIssue]
    return dataclasses.replace(value, **{head: replaced(getattr(value, head), rest, tensor)})


def part_of(value: Any, site: Site) -> tuple[str, Tensor]:
    """The tensor a site means in a module's output, with its path; the only one where none is named."""
    found = parts(value)
    if site.part in found:
        return site.part, found[site.part]
    if not found:
        raise LayerError("layer.no_tensor", f"an output of type {type(value).__name__} at {site}", "a tensor",
                         "choose a layer that returns a tensor")
    if not site.part and (len(found) == 1 or isinstance(value, tuple)):
        # Of a tuple the first part is the layer's value: (output, weights), (hidden, state) by convention.
        return next(iter(found.items()))
    raise LayerError("layer.part", f"{site} with the parts {', '.join(found)}", "one part",
                     f"name it: '{site.layer}:{next(iter(found))}'")


@contextmanager
def listening(model: nn.Module, sites: Mapping[Site, Seen], rows: int = 1) -> Any:
    """While open, every value that passes a site goes through its function; yields the calls seen.

    `rows` is how many examples run. A module that is called several times must be named with the call
    (`layer#2`); a site that no forward reaches is the caller's to find in the counts.
    """
    calls: dict[str, int] = {}
    reached: set[Site] = set()
    by_layer: dict[str, list[Site]] = {}
    attending: dict[str, list[Site]] = {}
    for site in sites:
        (attending if site.part == ATTENTION else by_layer).setdefault(site.layer, []).append(site)

    def due(name: str, sites_: list[Site], what: str = "") -> list[Site]:
        """The sites that this call of a layer (or of an attention in it) is meant by."""
        counted = name + what
        calls[counted] = calls.get(counted, 0) + 1
        if calls[counted] == 2 and any(s.call is None for s in sites_):
            raise LayerError("layer.reused", f"{what or name} {f'of {name} ' if what else ''}called more than once",
                             "the call to look at", f"name it: '{name}#1{what}', '{name}#2{what}'")
        found = [s for s in sites_ if s.call in (None, calls[counted])]
        reached.update(found)
        return found

    def heard(name: str, module: nn.Module, args: Any, output: Any) -> Any:
        changed = False
        for site in due(name, by_layer[name]):
            if site.part == BIAS:
                path, value = part_of(output, Site(site.layer))
                own = constant(module, args, value)
                after = value + (sites[site](site, own) - own)  # a zero that carries the gradient
            else:
                path, value = part_of(output, site)
                after = sites[site](site, value)
            if after is not value:
                output, changed = replaced(output, path, after), True
        return output if changed else None

    def attended(open_: tuple[str, ...], value: Tensor) -> Tensor:
        for name in open_:
            for site in due(name, attending[name], ":" + ATTENTION):
                value = sites[site](site, value)
        return value

    known = dict(model.named_modules()) if sites else {}
    with ExitStack() as stack:
        for name in by_layer:
            module = module_of(model, Site(name), known)

            def hook(module: nn.Module, args: Any, output: Any, name: str = name) -> Any:
                return heard(name, module, args, output)

            stack.callback(module.register_forward_hook(hook).remove)
        if attending:
            tracked = {name: module_of(model, Site(name), known) for name in attending}
            stack.enter_context(Attending(attended, rows, keeps=True).tracking(tracked))
        yield reached


def constant(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """What a layer that is linear but for a bias says of zeros, as large as what it said just now."""
    zeros = tuple(torch.zeros_like(a[:1]) if isinstance(a, Tensor) else a for a in args)
    with torch.no_grad():
        said = type(module).forward(module, *zeros)
    return said.detach().expand_as(output).clone()


def not_reached(model: nn.Module, site: Site) -> LayerError:
    """The error for a layer that the forward never called, or not that often."""
    return LayerError("layer.not_reached", f"{site}, which this forward never reaches", "a layer that is called",
                      "choose another layer or call; a fused or scripted parent may skip it")
