"""Where the value of a layer has its places: rows and columns, or tokens, told from one run and by a measurement.

Channels may come first (convolutions) or last (Swin, ConvNeXt's blocks), and tokens may stand in a row of their
own (vision transformers), behind a class token, a distillation token or registers. Nobody has to say which: sizes
are those that convolutions and poolings made, and that tokens follow the patches is seen by changing single
patches. Where neither settles it, nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.engine.passes import Heard
from pellucid.engine.run import run, surveyed
from pellucid.engine.settings import Settings
from pellucid.models.subject import Example, Subject
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import PellucidError
from pellucid.words.features import units
from pellucid.words.points import draw
from pellucid.words.site import Site
from pellucid.words.target import Predicted

Grid = tuple[int, ...]

PREFIX = 16
"""At most so many tokens (class, distillation, registers) stand before the patches."""

SIZED = re.compile("Conv|Pool|BatchNorm|Upsample")
"""Types whose values have channels first and places after: their sizes are those of a picture."""

LAST = re.compile("LayerNorm|RMSNorm|Linear")
"""Types that work along the last axis, where a size alone does not tell channels from places."""

MERGING = re.compile("[Mm]erging")
"""Types that make one token of two by two."""

TOKENS = {"class": "cls|cls_token|class_token|class_embedding", "distillation": "dist_token|distillation_token",
          "register": "reg_token|register_token|register_tokens|registers"}
"""What stands before the patches, by the names of the parameters that hold it."""

LOOKED_AT = 12
"""So many layers are watched while single patches are changed: attention follows soon, and mixes them."""

SURE = 0.9
"""How well the places that react must follow those that were changed (a cosine), where single tokens do not tell."""


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
        self.sizes = {s[1:] for c in self.calls if SIZED.search(c.kind) and (s := shape_of(c)) and len(s) > 1}
        if self.picture is not None:
            self.sizes.add(self.picture)
        self.flat = self.picture is not None or any(len(s) == 2 for s in self.sizes)
        self.known: dict[int, Laid | None] = {}

    def laid(self, call: Heard) -> Laid | None:
        """How a call's value lies; None where it has no places, or where it is not sure which they are."""
        if id(call) not in self.known:
            self.known[id(call)] = None  # what the tokens of an earlier call say is asked on the way
            shape = shape_of(call) if call.layer else ()
            tokens = self._tokens(call, shape) if len(shape) == 2 and self.flat else None
            found = tokens or self._axes(call, shape)
            self.known[id(call)] = found if found is not None and math.prod(found.size) > 1 else None
        return self.known[id(call)]

    def of(self, layer: str) -> tuple[Heard | None, Laid | None]:
        """The call that a layer's name means, and how its value lies."""
        site = Site.parse(layer)
        mine = [c for c in self.calls if c.layer == site.layer and c.call == (site.call or c.call)]
        return (mine[-1], self.laid(mine[-1])) if mine else (None, None)

    def some(self, count: int = 6) -> list[str]:
        """Layers with places to choose from, the last ones."""
        found = [named(c, self.calls) for c in self.calls if c.layer and self.laid(c) is not None]
        return found[-count:]

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
            facts[key] = self._measured(some[:LOOKED_AT], grid, before)
        return next(k for k, c in enumerate(some) if c is call) < facts[key]

    def _measured(self, some: list[Heard], grid: Grid, before: int) -> float:
        """In how many of these layers the tokens follow the patches, before the first in which they do not."""
        x = self.example.x
        if self.picture is None or x is None:
            return 0
        (rows, columns), (height, width) = grid, self.picture
        probes = list(dict.fromkeys([(0, 0), (0, columns - 1), (rows - 1, 0), (rows // 2, columns // 3)]))
        changed = x.repeat(len(probes) + 1, 1, 1, 1)
        noise = draw(tuple(x.shape), 0, 0).to(x) * (x.std() + 0.1)
        for k, (r, c) in enumerate(probes, 1):
            patch = (slice(None), slice(r * height // rows, -(-(r + 1) * height // rows)),
                     slice(c * width // columns, -(-(c + 1) * width // columns)))
            changed[k][patch] += noise[patch]
        moved = [(v[1:] - v[:1]).abs().double().sum(-1) for v in self._read(some, changed)]
        return follow([(m[:, :before].sum(1), m[:, before:].unflatten(1, grid)) for m in moved], probes)

    def _read(self, calls: list[Heard], rows: Tensor) -> list[Tensor]:
        """What layers say of these rows; nothing where they cannot be asked."""
        x = self.example.x
        assert x is not None
        start = Case(self.example.carrier, x, torch.zeros_like(x), units(tuple(x.shape)), Predicted(),
                     self.example.site)
        points = start.given(rows)

        async def reading() -> Any:
            return await together(*(start.reading(points, of=named(c, self.calls)) for c in calls))

        (found,), _ = run(self.subject.module, [reading()], facts=self.subject.facts,
                          settings=Settings(precision="exact"))
        return [] if isinstance(found, PellucidError) else found

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


def follow(moved: list[tuple[Tensor, Tensor]], probes: list[tuple[int, int]]) -> float:
    """In how many layers the tokens that moved are those of the patches that were changed; infinite if in all.

    `moved` is how much, of the tokens before (probes,) and of the patches' (probes, rows, columns), for one layer after
    the other. In the first, where nearly all of it is in one token, that must be the patch's own; where a convolution
    spread it, the middles of what moved must lie to one another as the patches do. In the layers that follow the
    same tokens must have moved, until attention has mixed them: nothing puts them in another order after that.
    """
    first: Tensor | None = None
    for k, (before, here) in enumerate(moved):
        flat = here.flatten(1).cpu()
        total = flat.sum(1)
        some = flat > 1e-4 * flat.amax(1, keepdim=True)
        if first is None:
            if not bool((total > 0).all()) or bool((before.cpu() > 0.1 * total).any()):
                return 0
            own = torch.tensor([r * here.shape[2] + c for r, c in probes])
            single = bool((flat.amax(1) > SURE * total).all())
            if not (bool((flat.argmax(1) == own).all()) if single
                    else _alike(flat / total[:, None], here.shape, probes)):
                return 0
            first = some
        elif int(some.sum()) > 2 * int(first.sum()):
            return math.inf
        elif int((some & first).sum()) < min(int(some.sum()), int(first.sum())) / 2:
            return k
    return math.inf if moved else 0


def _alike(shares: Tensor, shape: Sequence[int], probes: list[tuple[int, int]]) -> bool:
    """True where the middles of what moved (probes, tokens) lie to one another as the patches that were changed."""
    places = torch.cartesian_prod(*(torch.arange(s, dtype=torch.float64) for s in shape[1:]))
    a, b = (v - v.mean(0) for v in (shares @ places, torch.tensor(probes, dtype=torch.float64)))
    return float((a * b).sum()) > SURE * float(a.norm() * b.norm()) > 0


def shape_of(call: Heard) -> Grid:
    """The shape of one row of what a call says (of a tuple the first part); empty where it cannot be asked for."""
    path = next(iter(call.shapes), None)
    if path is None or call.axes[path] is None or (len(call.shapes) > 1 and not path.partition(".")[0].isdigit()):
        return ()
    return call.shapes[path]


def named(call: Heard, calls: list[Heard]) -> str:
    """The layer's name, with the call where there are several."""
    return call.layer if sum(c.layer == call.layer for c in calls) == 1 else f"{call.layer}#{call.call}"


def usual(subject: Subject, example: Example) -> Usual | None:
    """The layer for a class activation map: the last one with places, or the first norm of a ViT's last block.

    None where a guess could be silently wrong: fewer layers have known places than have unknown ones.
    """
    key = ("cam layer", example.carrier.signature)
    here = Places(subject, example)  # what is known of a model that has changed since is forgotten here
    if key not in subject.facts:
        found = _looked_for(here)
        subject.facts[key] = found
    return subject.facts[key]


def _looked_for(here: Places) -> Usual | None:
    laid = [(c, found) for c in here.calls
            if (found := here.laid(c)) is not None and (len(found.size) > 1 or found.grid is None)]
    headed, rest = [p for p in laid if p[1].before], [p for p in laid if not p[1].before]
    if len(headed) > len(rest):
        norm = _last_block_norm(headed, here.modules)
        return norm and Usual(named(norm[0], here.calls), norm[1], "the first norm of the last block: after it only "
                              "the class token is read")
    if not rest:
        return None
    known, last = {id(c) for c, _ in laid}, rest[-1]
    others = [c for c in here.calls if c.layer and id(c) not in known and math.prod((s := shape_of(c))[1:]) > 1
              and len(s) == len(shape_of(last[0]))]
    if len(others) > len(rest):
        return None
    same = [p for p in rest if p[1].size == last[1].size]
    once = [p for k, p in enumerate(same) if named(p[0], here.calls) == p[0].layer and k >= len(same) - 8
            and _ends(p[0], last[0])]
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
