"""An explanation in plain words: what moved the score most, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pellucid.languages.sentences import translated
from pellucid.views.words import Phrase, say
from pellucid.views.writing import isolate, number, signed, visible
from pellucid.words.explanation import Explanation, Finding, Verdict

INTERVAL = 1.96
"""Standard errors to either side of a 95 % interval."""

NINTHS = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")


@dataclass(frozen=True)
class Item:
    """A named value, as bars, tables and sentences show it; `half` is half its 95 % interval, `at` its number."""

    name: str
    value: float
    half: float | None = None
    at: int | None = None

    @property
    def open(self) -> bool:
        """Whether zero lies inside the interval."""
        return self.half is not None and abs(self.value) <= self.half


def uncertain(e: Explanation) -> bool:
    """Whether the values carry an error; None is unknown, zero throughout is exact, and neither has an interval."""
    return e.error is not None and bool((e.error != 0).any())


def items(e: Explanation, lang: str = "en") -> list[Item]:
    """Every value with its name, largest size first; a table's names carry their cells."""
    flat = e.values.detach().cpu().double().flatten().tolist()
    halves: list[float | None] = [None] * len(flat)
    if e.error is not None and uncertain(e):
        halves = (INTERVAL * e.error.detach().cpu().double().flatten()).tolist()
    names = list(e.names)
    if not e.features.names and len(e.features.shape) == 1:
        names = [say(lang, "region", n=i + 1) for i in range(len(flat))] if e.features.kind == "image" else names
    cells = e.shown.cells if e.shown else ()
    if len(cells) == len(names):
        names = [n if not c or c.startswith(n) else f"{n} = {c}" for n, c in zip(names, cells, strict=True)]
    made = [Item(n, v, h, k) for k, (n, v, h) in enumerate(zip(names, flat, halves, strict=True))]
    return sorted(made, key=lambda i: -abs(i.value) if np.isfinite(i.value) else 0.0)


def painted(e: Explanation, share: bool = False) -> np.ndarray | None:
    """Values over the positions of a picture (H, W); None where the features are not laid over one.

    A feature's value stands at each of its positions, or is shared among them if `share`.
    """
    f, values = e.features, e.values.detach().cpu().double().numpy()
    if f.kind == "image" and f.index.dim() == 2 and values.size == f.n:
        each = values.ravel() / np.maximum(f.sizes.numpy(), 1) if share else values.ravel()
        return np.append(each, 0.0)[f.index.cpu().numpy()]  # -1, never switched off, takes the zero
    if values.ndim == 2 and f.kind == "image":
        return values
    if values.ndim == 3 and f.kind in ("units", "image"):
        return np.where(np.isfinite(values).any(0), known(values).sum(0), np.nan)
    return None


def known(values: np.ndarray) -> np.ndarray:
    """The values with zero in place of what is not finite: what is not known adds nothing to a sum."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def ninths(e: Explanation, lang: str = "en") -> list[Item]:
    """The sums over the nine parts of a picture, largest size first."""
    grid = painted(e, share=True)
    if grid is None:
        return []
    rows, across = (np.minimum(np.arange(n) * 3 // max(n, 1), 2) for n in grid.shape)
    sums = np.zeros(9)
    np.add.at(sums, rows[:, None] * 3 + across[None, :], known(grid))
    made = [Item(say(lang, name), float(v)) for name, v in zip(NINTHS, sums, strict=True)]
    return sorted(made, key=lambda i: -abs(i.value))


def strongest(e: Explanation, k: int = 3, lang: str = "en") -> list[Item]:
    """The k strongest named parts that are not zero: words, columns, or parts of the picture."""
    found = items(e, lang) if painted(e) is None else ninths(e, lang)
    return [i for i in found if i.value and np.isfinite(i.value)][:k]


def means(e: Explanation) -> str:
    """What a value says: effect, reaction or strength; files of old do not tell."""
    return "reaction" if e.recipe.get("absolute") is True else e.means


def unsigned(e: Explanation) -> bool:
    """Whether the values are strengths without a direction: nothing may then be said to raise a score."""
    return means(e) != "effect" and not bool((e.values < 0).any())


def map_title(e: Explanation, lang: str) -> str:
    """The heading of a map."""
    return say(lang, "map strength" if means(e) == "strength" else "map")


def effect(e: Explanation, lang: str) -> str:
    """What a value measures, as the caption of a scale."""
    return say(lang, means(e), target=e.target)


def beside(value: object, lang: str) -> Phrase:
    """What a method says beside its values: a number, text, or names with numbers."""
    if isinstance(value, bool | str):
        return Phrase(visible(str(value), 300))
    if isinstance(value, int | float):
        return Phrase(number(value))
    if isinstance(value, list | tuple):
        told = [f"{isolate(visible(str(v[0]), 80))} {beside(v[1], lang)}" if isinstance(v, list | tuple) and len(v) == 2
                else beside(v, lang) for v in value]
        return Phrase(say(lang, "comma").join(told))
    return Phrase(visible(str(value), 300))


def listed(found: list[Item], lang: str, plain: bool = False) -> Phrase:
    """Names with values in one line, `plain` without a plus sign."""
    told = number if plain else signed
    return Phrase(say(lang, "comma").join(f"{isolate(i.name.strip())} ({told(i.value)})" for i in found))


def facts(e: Explanation, lang: str) -> str:
    """The score, the baseline's score, and which model said it."""
    parts = [say(lang, "score", score=number(e.score))]
    if e.baseline_score is not None:
        parts.append(say(lang, "baseline", baseline=number(e.baseline_score)))
    if e.provenance.get("model"):
        parts.append(isolate(visible(str(e.provenance["model"]), 60)))
    return say(lang, "joint").join(parts)


def answered_by(e: Explanation, lang: str) -> str:
    """Whose layers answered, and how far a copy was from the model itself."""
    found = e.evidence
    if found.twin is None:
        why = say(lang, "because", why=said("twin", found.untuned, lang)) if found.untuned else ""
        return say(lang, "own layers") + why
    apart = [say(lang, f"apart {key}", d=number(found.agreement[key], 2))
             for key in ("score", "gradient", "reading") if key in found.agreement]
    if "cosine" in found.agreement:
        apart.append(say(lang, "cosine", c=f"{found.agreement['cosine']:.5f}"))
    measured = say(lang, "colon") + say(lang, "comma").join(apart) if apart else ""
    return say(lang, "twin", name=found.twin) + measured


def remark(f: Finding, lang: str) -> str:
    """A finding in one line: its code, what was seen, what to do."""
    seen, do = f.told(lang)
    more = say(lang, "stop") + say(lang, "do", do=do) if do else ""
    return f"{f.code}{say(lang, 'colon')}{visible(seen, 900)}{more}"


def said(code: str, text: str, lang: str) -> Phrase:
    """Reasons that stand one behind the other, each in the language."""
    return Phrase(say(lang, "semicolon").join(isolate(translated(code, t, lang)) for t in text.split("; ")))


def sentence(e: Explanation, lang: str = "en", k: int = 3) -> str:
    """One sentence for a reader in a hurry."""
    model = visible(str(e.provenance.get("model") or ""), 60)
    start = (isolate(model) + say(lang, "colon") if model else "") + say(
        lang, "hurry", target=e.target, score=number(e.score))
    if e.baseline_score is not None:
        start += say(lang, "from baseline", baseline=number(e.baseline_score))
    found = strongest(e, k, lang)
    above, below = [i for i in found if i.value > 0], [i for i in found if i.value < 0]
    told = {"reaction": "reacts to", "strength": "strongest"}.get(means(e), "for it")
    sides = ((told, above), ("against it" if told == "for it" else "weakest", below))
    parts = [say(lang, key, list=listed(some, lang, unsigned(e))) for key, some in sides if some]
    return start + say(lang, "colon") + (say(lang, "semicolon").join(parts) or say(lang, "nothing"))


class Checked(Protocol):
    """What has a verdict: an explanation, its evaluation, a comparison of several."""

    @property
    def verdict(self) -> Verdict: ...


def findings(e: Checked) -> list[Finding]:
    """The reasons of the verdict, the gravest first."""
    order = {"fail": 0, "warn": 1}
    return sorted(e.verdict.findings, key=lambda f: order.get(f.level, 2))


def verdict(e: Checked, lang: str = "en", most: int = 3) -> list[str]:
    """The verdict in lines: its word with the first reason, what to do, further reasons."""
    found = findings(e)
    if not found:
        return [say(lang, e.verdict.status) + say(lang, "colon") + say(lang, "quiet")]
    lines = list[str]()
    for i, f in enumerate(found[:most]):
        lead = say(lang, e.verdict.status) + say(lang, "colon") if not i else ""
        seen, do = f.told(lang)
        lines.append(lead + isolate(seen))
        if do:
            lines.append(say(lang, "do", do=do))
    if len(found) > most:
        lines.append(say(lang, "more findings", n=len(found) - most))
    return lines
