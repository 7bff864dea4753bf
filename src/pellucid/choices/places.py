"""Where the value of a layer has its places: rows and columns, or tokens, told from one run and by a measurement.

Channels may come first (convolutions) or last (Swin, ConvNeXt's blocks), and tokens may stand in a row of their
own (vision transformers), behind a class token, a distillation token or registers. Nobody has to say which: sizes
are those that convolutions and poolings made, and that tokens follow the patches is seen by changing single
patches. Where neither settles it, nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from torch import nn

from pellucid.choices.tokens import LOOKED_AT, followed
from pellucid.engine.passes import Heard
from pellucid.engine.run import surveyed
from pellucid.models.subject import Example, Subject
from pellucid.words.errors import OptionError
from pellucid.words.site import Site

Grid = tuple[int, ...]
T = TypeVar("T")

PREFIX = 16
"""At most so many tokens (class, distillation, registers) stand before the patches."""

LATE = 8
"""More layers of unknown places than this behind the last known one, and that is not the last with places."""

SIZED = re.compile(r"(Conv|Pool|Norm|Upsample)[A-Za-z]*[123]d|^Upsample$")
"""Types whose values have channels first and places after: their sizes are those of a picture."""

LAST = re.compile("LayerNorm|RMSNorm|Linear")
"""Types that work along the last axis, where a size alone does not tell channels from places."""

MERGING = re.compile("[Mm]erging")
"""Types that make one token of two by two."""

TOKENS = {"class": "cls|cls_token|class_token|class_embedding", "distillation": "dist_token|distillation_token",
          "register": "reg_token|register_token|register_tokens|registers"}
"""What stands before the patches, by the names of the parameters that hold it."""

@dataclass(frozen=True)
class Laid:
    """How a value lies over places: `grid` is what a method is told, None where channels come first."""

    size: Grid
    grid: Grid | None
    said: str
    before: int = 0


@dataclass(frozen=True)
class Usual:
    """The layer that class activation maps take when none is named, how it lies, and why it."""

    layer: str
    laid: Laid
    why: str


class Places:
    """What one run of an example tells about the places of every layer."""

    def __init__(self, subject: Subject, example: Example) -> None:
        self.subject, self.example = subject, example
        self.calls = surveyed(subject.module, example.carrier, subject.facts)
        self.modules: dict[str, nn.Module] = dict(subject.module.named_modules())
        x = example.x
        self.picture = tuple(x.shape[1:]) if x is not None and x.dim() == 3 and example.site.is_input else None
        self.sizes: set[Grid] = {shape_of(c)[1:] for c in self.calls if SIZED.search(c.kind) and len(shape_of(c)) > 1}
        if self.picture is not None:
            self.sizes.add(self.picture)
        self.flat = self.picture is not None or any(len(s) == 2 for s in self.sizes)
        self.known: dict[int, Laid | None] = {}

    def laid(self, call: Heard) -> Laid | None:
        """How a call's value lies; None where it has no places, or where it is not sure which they are."""
        found = self.axes(call)
        return found if found is not None and math.prod(found.size) > 1 else None

    def axes(self, call: Heard) -> Laid | None:
        """The same, of a value with a single place too: what is pooled keeps its channels where they were."""
        if id(call) not in self.known:
            self.known[id(call)] = None  # what the tokens of an earlier call say is asked on the way
            shape = shape_of(call) if call.layer else ()
            tokens = self._tokens(call, shape) if len(shape) == 2 and self.flat else None
            self.known[id(call)] = tokens or self._axes(call, shape)
        return self.known[id(call)]

    def of(self, layer: str) -> tuple[Heard | None, Laid | None]:
        """The call that a layer's name means, and how its value lies."""
        site = Site.parse(layer)
        mine = [c for c in self.calls if c.layer == site.layer and c.call == (site.call or c.call)]
        return (mine[-1], self.laid(mine[-1])) if mine else (None, None)

    def some(self, count: int = 6) -> list[str]:
        """Layers with places to choose from, the last ones."""
        found = [c for c in self.calls if c.layer and self.laid(c) is not None]
        return [named(c, self.calls) for c in found[-count:]]

    def _axes(self, call: Heard, shape: Grid) -> Laid | None:
        """Channels first or last, by which of the two gives a size that the model is known to have."""
        if len(shape) < 2:
            return None
        first, last = (s in self.sizes | self.merged for s in (shape[1:], shape[:-1]))
        if first and last:
            first, last = self._as_before(call, shape)
        if first:
            return Laid(shape[1:], None, f"{_by(shape[1:])} places")
        if last and len(shape) > 2:
            return Laid(shape[:-1], shape[:-1], f"{_by(shape[:-1])} places, with channels last")
        if len(shape) == 2 and not self.flat and (last or not self.sizes):
            return Laid(shape[:1], shape[:1], f"{shape[0]} tokens in a line")
        return None

    def _as_before(self, call: Heard, shape: Grid) -> tuple[bool, bool]:
        """Where rows, columns and channels are equally many: as the latest layer lies whose type tells, if any."""
        until = next(k for k, c in enumerate(self.calls) if c is call)
        for c in reversed(self.calls[: until + 1]):
            if shape_of(c) == shape and (SIZED.search(c.kind) or LAST.fullmatch(c.kind) or "ermute" in c.kind):
                return bool(SIZED.search(c.kind)), bool(LAST.fullmatch(c.kind))
        return False, False

    @cached_property
    def merged(self) -> set[Grid]:
        """The sizes that two by two patches at a time become, where a layer of the model says that it merges them."""
        first = next((s[1:] for c in self.calls if "Conv" in c.kind and len(s := shape_of(c)) == 3), None)
        found: set[Grid] = set()
        for _ in range(sum(bool(MERGING.search(c.kind)) for c in self.calls) if first else 0):
            first = tuple(-(-s // 2) for s in first or ())
            found.add(first)
        return found

    def _tokens(self, call: Heard, shape: Grid) -> Laid | None:
        """A picture's patches, one token each, and what stands before them."""
        count = shape[0]
        if count < 2:
            return None
        for grid, before, merged in self._guesses(call, count):
            if merged or self._follows(call, grid, before):
                said = f"{_by(grid)} tokens" + (f" after {self._before(before)}" if before else "")
                return Laid(grid, grid, said, before)
        return None

    def _guesses(self, call: Heard, count: int) -> Iterator[tuple[Grid, int, bool]]:
        """Sizes and tokens before them that make this count: of convolutions before, the latest first."""
        until = next(k for k, c in enumerate(self.calls) if c is call)
        made = [s[1:] for c in self.calls[:until] if "Conv" in c.kind and len(s := shape_of(c)) == 3]
        made = list(dict.fromkeys(reversed(made)))
        for grid in made:
            if math.prod(grid) == count:
                yield grid, 0, False
        for grid in self.merged:
            if math.prod(grid) == count and grid not in made:
                yield grid, 0, True
        for grid in sorted(made, key=math.prod, reverse=True):
            if 1 < math.prod(grid) < count <= math.prod(grid) + PREFIX:
                yield grid, count - math.prod(grid), False
        if not made and self.picture is not None:  # patches that are cut without a convolution
            for side in (s for s in range(2, min(self.picture)) if not any(p % s for p in self.picture)):
                grid = tuple(p // side for p in self.picture)
                if math.prod(grid) <= count <= math.prod(grid) + PREFIX:
                    yield grid, count - math.prod(grid), False

    def _follows(self, call: Heard, grid: Grid, before: int) -> bool:
        """True where changed patches are seen at their tokens, from the first value with so many tokens to this one."""
        count, facts = shape_of(call)[0], self.subject.facts
        key = ("tokens follow", self.example.carrier.signature, count, grid, before)
        some = [c for c in self.calls if c.layer and len(s := shape_of(c)) == 2 and s[0] == count]
        if key not in facts:
            asked = [named(c, self.calls) for c in some[:LOOKED_AT]] if self.picture is not None else []
            facts[key] = followed(self.subject, self.example, asked, grid, before)
        return next(k for k, c in enumerate(some) if c is call) < facts[key]

    def _before(self, count: int) -> str:
        """What stands before the patches, by the names of the model's own parameters where they account for it."""
        held: dict[str, int] = {}
        for name, value in self.subject.module.named_parameters():
            kind = next((k for k, p in TOKENS.items() if re.fullmatch(p, name.rpartition(".")[2])), None)
            if kind is not None:
                held[kind] = held.get(kind, 0) + (value.shape[-2] if value.dim() > 1 else 1)
        if sum(held.values()) != count:
            return f"{count} {'token' if count == 1 else 'tokens'} of another kind"
        told = [f"{held[k]} {k} {'token' if held[k] == 1 else 'tokens'}" for k in TOKENS if k in held]
        return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def shape_of(call: Heard) -> Grid:
    """The shape of one row of what a call says (of a tuple the first part); empty where it cannot be asked for."""
    path = next(iter(call.shapes), None)
    if path is None or call.axes[path] is None or (len(call.shapes) > 1 and not path.partition(".")[0].isdigit()):
        return ()
    return call.shapes[path]


def asked(layers: str | Iterable[str]) -> list[str]:
    """The names that a verb was given for its layers. Raises `option.value` for what is no name, and for none."""
    found: list[Any] = [layers] if isinstance(layers, str) else list(layers) if isinstance(layers, Iterable) else []
    if not found or not all(isinstance(name, str) for name in found):
        raise OptionError("option.value", f"layers={layers!r}", "a layer's name, or several", "leave it out")
    return found


def named(call: Heard, calls: list[Heard]) -> str:
    """The layer's name, with the call where there are several."""
    return call.layer if sum(c.layer == call.layer for c in calls) == 1 else f"{call.layer}#{call.call}"


def usual(subject: Subject, example: Example) -> Usual | None:
    """The layer for a class activation map: the last one with places, or the first norm of a ViT's last block.

    None where a guess could be silently wrong: fewer layers have known places than have unknown ones.
    """
    return remembered(subject, example, "usual", _looked_for)


def remembered(subject: Subject, example: Example, what: Hashable, look: Callable[[Places], T]) -> T:
    """What was once found about inputs like this one, found now if it is not known or the model has changed."""
    key = ("places", example.carrier.signature, what)
    surveyed(subject.module, example.carrier, subject.facts)  # forgets what was known of a model that has changed
    if key not in subject.facts:
        found = look(Places(subject, example))  # looking may run the model, and forget
        subject.facts[key] = found
    return subject.facts[key]


def _looked_for(here: Places) -> Usual | None:
    laid = [(c, found) for c in here.calls
            if (found := here.laid(c)) is not None and (len(found.size) == 2 if here.flat else found.grid is None)]
    headed, rest = [p for p in laid if p[1].before], [p for p in laid if not p[1].before]
    if len(headed) > len(rest):
        norm = _last_block_norm(headed, here.modules)
        return norm and Usual(named(norm[0], here.calls), norm[1], "the first norm of the last block: after it only "
                              "the class token is read")
    if not rest:
        return None
    known, last = {id(c) for c, _ in laid}, rest[-1]
    others = [c for c in here.calls if c.layer and id(c) not in known and len(s := shape_of(c)) == len(
              shape_of(last[0])) and math.prod(s[1:]) > 1 and math.prod(s[:-1]) > 1]
    after = {id(c) for c in here.calls[here.calls.index(last[0]) :]}
    if len(others) > len(rest) or sum(id(c) in after for c in others) > LATE:
        return None
    same = [p for p in rest if p[1].size == last[1].size]
    once = [p for p in same[-8:] if named(p[0], here.calls) == p[0].layer and _ends(p[0], last[0])]
    call, how = min(once, key=lambda p: p[0].layer.count("."), default=last)
    return Usual(named(call, here.calls), how, f"the last layer with places ({_by(how.size)}) before the pooling")


def _ends(call: Heard, last: Heard) -> bool:
    """True for the modules that end with the last value of this size: it and the ones around it."""
    return call is last or last.layer.startswith(call.layer + ".") or call.layer.startswith(last.layer + ".")


def _last_block_norm(tokens: list[tuple[Heard, Laid]], modules: dict[str, nn.Module]) -> tuple[Heard, Laid] | None:
    """The norm that runs first inside the last of the repeated blocks."""
    numbered = [c for c, _ in tokens if re.search(r"(^|[._])\d+$", c.layer)]
    if not numbered:
        return None
    block = numbered[-1].layer + "."
    norms = [p for p in tokens if p[0].layer.startswith(block)
             and "norm" in type(modules.get(p[0].layer)).__name__.lower()]
    return norms[0] if norms else None


def _by(size: Grid) -> str:
    return " by ".join(map(str, size))
