"""What relevance propagation chooses for the model at hand: its composite, the range of pixels, and the stages at
which conservation is told."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd  # pyright: ignore[reportPrivateUsage]

from pellucid.changes.relevance import refuse_hidden
from pellucid.choices.places import named, shape_of
from pellucid.engine.passes import Heard
from pellucid.engine.run import attentions, surveyed
from pellucid.engine.shadow import unwrapped
from pellucid.models.subject import Example, Subject
from pellucid.words.method import AUTO

MOST = 12
"""At so many stages at most: each one's value is kept until the pass is over."""


def settle(chosen: dict[str, Any], subject: Subject, example: Example) -> dict[str, str]:
    """Put choices in the place of what was left open; the reasons come back."""
    why: dict[str, str] = {}
    refuse_hidden(unwrapped(subject.module))
    if chosen["composite"] == AUTO:
        chosen["composite"], why["composite"] = composite(subject, example)
    if chosen["layers"] == AUTO:
        chosen["layers"], why["layers"] = stages(subject, example)
    boxed = "box" in (chosen["first"], str(chosen["composite"]).rpartition("_")[2])
    if boxed and chosen["low"] is None and chosen["high"] is None and (found := bounds(subject, example)) is not None:
        (chosen["low"], chosen["high"]), why["low"] = found, "black and white, in units of what the model is fed"
    return why


def composite(subject: Subject, example: Example) -> tuple[str, str]:
    """The usual rules for a model, and why."""
    found = attentions(subject.module, example.carrier, subject.facts)
    if found:
        return "attnlrp", f"attention at {found[0].layer or 'the model itself'}: rules for transformers"
    modules = dict(subject.module.named_modules())
    heard = surveyed(subject.module, example.carrier, subject.facts)
    if any(isinstance(modules[c.layer], _ConvNd) for c in heard):
        return "epsilon_plus", "convolutions: their positive contributions share out, layers behind them by all"
    return "epsilon", "dense layers: all contributions share out"


def bounds(subject: Subject, example: Example) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The lowest and the highest value of each channel of a picture; None where black and white are not known."""
    if subject.task != "image" or example.x is None:
        return None
    x, found = example.x, list[tuple[float, ...]]()
    for colour in ("black", "white"):
        value = subject.reader.baseline(example, colour)
        assert isinstance(value, Tensor)
        found.append(tuple(value.to(x).expand_as(x).flatten(1)[:, 0].tolist()))
    return found[0], found[1]


def stages(subject: Subject, example: Example) -> tuple[tuple[str, ...], str]:
    """The parts that a model is made of, in the order in which they run: what holds most of it is taken apart."""
    calls = surveyed(subject.module, example.carrier, subject.facts)
    modules, spoke = dict(subject.module.named_modules()), {c.layer for c in calls}
    chosen = _parts("", modules, spoke)
    while True:
        trunk = next((n for n in chosen if 2 * _held(n, spoke) > len(spoke) and len(_parts(n, modules, spoke)) > 1), "")
        if not trunk:
            break
        chosen = [n for name in chosen for n in (_parts(name, modules, spoke) if name == trunk else [name])]
    found = [named(c, calls) for k, c in enumerate(calls)
             if c.layer in chosen and shape_of(c) and not _merges(k, calls, modules)]
    if len(found) > MOST:
        found = [found[round(k * (len(found) - 1) / (MOST - 1))] for k in range(MOST)]
    return tuple(found), f"{len(found)} stages of the model"


def _parts(name: str, modules: dict[str, nn.Module], spoke: set[str]) -> list[str]:
    """The modules inside one that are called; a list of modules, which is not, is replaced by its members."""
    found: list[str] = []
    for child, _ in modules[name].named_children():
        full = f"{name}.{child}" if name else child
        found += [full] if full in spoke else _parts(full, modules, spoke) if full in modules else []
    return found


def _held(name: str, spoke: set[str]) -> int:
    """How many modules run inside one."""
    return sum(n.startswith(name + ".") for n in spoke)


def _merges(k: int, calls: list[Heard], modules: dict[str, nn.Module]) -> bool:
    """True where a BatchNorm reads what a layer of this call made: the two are one, with no value between them."""
    call = calls[k]
    made = next((c for c in reversed(calls[: k + 1]) if not any(True for _ in modules[c.layer].children())), call)
    after = next((c for c in calls[k + 1 :] if c.layer and not call.layer.startswith(c.layer + ".")), None)
    return (after is not None and isinstance(modules[after.layer], _BatchNorm)
            and isinstance(modules[made.layer], _ConvNd | nn.Linear) and shape_of(made) == shape_of(call))
