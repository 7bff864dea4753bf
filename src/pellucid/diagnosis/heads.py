"""What one input says about every head: what changes without it, what it does for the score, where it looks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.changes.ablate import Head, HeadMeans, HeadsOff
from pellucid.numbers.entropy import AttentionEntropy
from pellucid.numbers.heads import Reach, Worth, by_head, correlations, divergences
from pellucid.words.ask import Ask, Each, together
from pellucid.words.case import Case
from pellucid.words.errors import OptionError
from pellucid.words.points import AsIs
from pellucid.words.site import Site
from pellucid.words.target import Class, Contrast, Predicted, Target, classes, is_open

SAME = 0.999
"""Two heads whose patterns correlate so far are one: what heads of healthy models share stays well below."""

LEAST = 64
"""Probabilities that two heads must have had the chance to differ in, over all inputs, before they are called one."""


class _Row:
    """A number of every row that is no score to be explained."""

    @property
    def of(self) -> None:
        return None

    @property
    def key(self) -> Hashable:
        return self

    def describe(self, labels: Sequence[str]) -> str:
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Width(_Row):
    """How many classes there are."""

    def score(self, value: Tensor) -> Tensor:
        return torch.full((len(value),), float(classes(value)), dtype=torch.float64, device=value.device)


@dataclass(frozen=True)
class Best(_Row):
    """The class with the highest score; of all but `without`."""

    without: int | None = None

    def score(self, value: Tensor) -> Tensor:
        every = value.reshape(len(value), classes(value)).double()
        if self.without is not None:
            every = every.index_fill(1, torch.tensor([self.without], device=value.device), -torch.inf)
        return every.argmax(1).double()


@dataclass(frozen=True)
class Loss(_Row):
    """Cross-entropy with a label."""

    label: int

    def score(self, value: Tensor) -> Tensor:
        count = classes(value)
        return F.cross_entropy(value.reshape(len(value), count).float(),
                               torch.full((len(value),), self.label, device=value.device), reduction="none")


@dataclass(frozen=True, eq=False)
class Told:
    """What one input says: numbers of the model itself, and (heads,) or (heads, heads) of its heads."""

    clean: dict[str, float]
    without: dict[str, Tensor]
    gradient: Tensor | None
    entropy: Tensor
    distance: Tensor
    similarity: Tensor | None = None
    divergence: Tensor | None = None
    seen: int = 0


@dataclass(frozen=True)
class Asked:
    """Which heads, and what of them: by ablation, by gradient, how alike (`compare`)."""

    heads: tuple[Head, ...]
    ablate: bool = True
    gradient: bool = True
    compare: bool = True
    grid: tuple[int, ...] | None = None
    before: int = 0
    means: tuple[tuple[float, ...], ...] | None = None

    @property
    def sites(self) -> list[Site]:
        return [Site.parse(s) for s in dict.fromkeys(h.site for h in self.heads)]


async def told(case: Case, asked: Asked, label: int | None) -> Told:
    """The conversation about one input; the target of the case is whose score falls."""
    goals = await _goals(case, label)
    every: list[HeadsOff | None] = [None]
    if asked.ablate:
        every += [HeadsOff((h,), None if asked.means is None else (asked.means[k],))
                  for k, h in enumerate(asked.heads)]
    scores = await together(*(_ask(case, goal, change) for change in every for goal in goals.values()))
    values = torch.tensor([float(s) for s in scores], dtype=torch.float64).reshape(len(every), len(goals))
    columns = dict(zip(goals, values.T, strict=True))
    sites = asked.sites
    folds: list[Ask] = [Ask("reading", case, AsIs(), s, Each(of)) for s in sites
                        for of in (AttentionEntropy(), Reach(asked.grid, asked.before))]
    whole = [case.own(of=s) for s in sites] if asked.compare else []
    read = await together(*folds, *whole)
    maps = [head for a in read[len(folds) :] for head in by_head(a[0])]
    slopes = await together(*(Ask("gradient", case.towards(goals.get("loss", goals["score"])), AsIs(), s,
                                  Each(Worth(), s)) for s in sites)) if asked.gradient else []
    return Told({k: float(v[0]) for k, v in columns.items()}, {k: v[1:] for k, v in columns.items()},
                torch.cat([s[0].double().cpu() for s in slopes]) if slopes else None,
                torch.cat([r[0].double().cpu() for r in read[0 : len(folds) : 2]]),
                torch.cat([r[0].double().cpu() for r in read[1 : len(folds) : 2]]),
                correlations(maps) if maps else None, divergences(maps) if maps else None,
                min((m.numel() for m in maps), default=0))


def _no_label(label: int, classes: int) -> OptionError:
    return OptionError("labels.unknown", f"the label {label} for {classes} classes", f"labels from 0 to {classes - 1}",
                       "give the classes of this model")


async def _goals(case: Case, label: int | None) -> dict[str, Target]:
    """What is asked of the model with and without each head: a score, and where there are classes more."""
    own = case.target
    if isinstance(own, Class) or (isinstance(own, Predicted) and own.of is None):
        width = int(await _ask(case, Width(), None))
        if label is not None and label >= width > 1:
            raise _no_label(label, width)
        if width > 1:
            best = int(await _ask(case, Best(), None)) if label is None else label
            rival = int(await _ask(case, Best(best), None))
            goals: dict[str, Target] = {"score": own if isinstance(own, Class) else Class(best),
                                        "margin": Contrast(Class(best), Class(rival)), "class": Best()}
            return goals if label is None else goals | {"loss": Loss(label)}
        own = Class(0)
    if is_open(own):
        raise OptionError("target.unfit", "a target that is settled by each input", "one and the same number",
                          "name the class, unit or function whose score is measured")
    return {"score": own}


def _ask(case: Case, target: Target, change: HeadsOff | None) -> Ask:
    about = case.towards(target)
    return Ask("score", about if change is None else about.under(change), AsIs())


async def means(case: Case, heads: tuple[Head, ...]) -> dict[str, Tensor]:
    """What every head says of this input in the mean, (heads, numbers) by site."""
    noting = HeadMeans(heads)
    plain = isinstance(case.target, Class | Predicted) and case.target.of is None
    await Ask("score", replace(case, change=noting, target=Width() if plain else case.target), AsIs())
    return noting.found


def same(names: Sequence[tuple[str, int]], similarity: Tensor | None, seen: int) -> list[dict[str, str]]:
    """Groups of heads that look at the same, as facts; `seen` is how many probabilities two could differ in."""
    if similarity is None or seen < LEAST:
        return []
    left, out = set(range(len(names))), list[dict[str, str]]()
    for k in range(len(names)):
        group = [j for j in range(k, len(names)) if j in left and (j == k or float(similarity[k, j]) >= SAME)]
        if k not in left or len(group) < 2:
            continue
        left -= set(group)
        out.append({"layer": names[k][0], "list": ", ".join(f"{names[j][0]}[{names[j][1]}]" for j in group),
                    "least": f"{min(float(similarity[k, j]) for j in group[1:]):.4f}"})
    return out
