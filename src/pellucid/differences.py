"""What a comparison's differences say: which features contradict, and the reasons of its verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from pellucid.numbers import agreement
from pellucid.words.comparison import Comparison, Contradiction, named
from pellucid.words.explanation import Explanation, Finding
from pellucid.words.features import Features

LOW = 0.3
"""Below this median rank correlation explanations do not tell the same story."""

PART = 0.1
"""Features that hold less of the values' size than this, together, contradict in a detail."""

KNOWN = 0.5
"""A baseline from which the score moves less than this share of the usual distance is something to the model."""


@dataclass(frozen=True, eq=False)
class Found:
    """An explanation, its values over the common layout with their error there, and its baseline's score."""

    e: Explanation
    values: Tensor
    error: Tensor | None
    there: float


def contradictions(effects: Mapping[str, Found], layout: Features) -> tuple[Contradiction, ...]:
    """The features that one effect says raises the score and another that it lowers it, the largest first.

    Only values count that are a tenth of their own explanation's largest or more, and outside their own interval.
    """
    signs = {name: agreement.spoken(f.values, f.error) for name, f in effects.items()}
    units = {name: agreement.unit(f.values).abs() for name, f in effects.items()}
    names, made = named(layout), list[Contradiction]()
    for at in range(layout.n):
        above = tuple(n for n, s in signs.items() if s[at] > 0)
        below = tuple(n for n, s in signs.items() if s[at] < 0)
        if above and below:
            size = min(max(float(units[n][at]) for n in side) for side in (above, below))
            made.append(Contradiction(at, names[at], above, below, size))
    return tuple(sorted(made, key=lambda c: -c.size))


def method_reasons(c: Comparison) -> Iterator[Finding]:
    """How far several methods can be read together."""
    judged = {n: v for n, v in c.evaluations.items() if any(m.p is not None for m in v.values())}
    lost = [n for n, v in judged.items() if ("faithful.not", "fail") in {(f.code, f.level) for f in v.verdict.findings}]
    if judged and len(lost) == len(judged):
        yield Finding("compare.none_faithful", "fail", "no method is better than its own values at other places",
                      "read none of them as what the model looks at: try other methods, layers or a baseline")
    elif lost:
        yield Finding("compare.unfaithful", "warn", f"no better than their values at other places: {', '.join(lost)}",
                      "read the others")
    bad = [n for n, e in c.items() if e.verdict.status == "fail"]
    if bad:
        yield Finding("compare.failed_checks", "fail" if len(bad) == len(c) else "warn",
                      f"checks failed for {', '.join(bad)}", "see each one's own verdict, and leave these out")
    typical = c.typical()
    if typical < LOW:
        yield Finding("compare.disagree", "warn", f"the methods order the features differently: ranks agree to "
                      f"{typical:.2f} in the median", "trust what is in the consensus and beats its controls, not one "
                      "map alone")
    yield from _signs(c, "compare.contradict", "raises the score by some methods and lowers it by others",
                      "do not say which way these work")
    yield from _missing(c)


def baseline_reasons(c: Comparison) -> Iterator[Finding]:
    """How far an explanation hangs on its baseline."""
    distance = {n: abs(c.score - there) for n, there in c.baselines.items()}
    middle = sorted(distance.values())[len(distance) // 2]
    seen = [n for n, d in distance.items() if d < KNOWN * middle]
    if seen:
        listed = ", ".join(f"{n} (scores {c.baselines[n]:.3g})" for n in seen)
        yield Finding("baseline.known", "warn", f"to the model the baseline is much the same as the input: {listed}",
                      "choose another baseline: from this one little is left to explain")
    yield from _signs(c, "baseline.flips", "raises the score from some baselines and lowers it from others",
                      "say from which baseline, or read the average")
    typical = c.typical()
    if typical < LOW:
        yield Finding("baseline.decides", "warn", "the baseline decides what comes first: ranks agree to "
                      f"{typical:.2f} in the median", "choose the baseline that means 'absent' here, and name it")
    bad = [n for n, e in c.items() if e.verdict.status == "fail"]
    if len(bad) == len(c):
        yield Finding("compare.failed_checks", "fail", f"checks failed from every baseline: {', '.join(bad)}",
                      "see each one's own verdict")
    yield from _missing(c)


def _signs(c: Comparison, code: str, says: str, do: str) -> Iterator[Finding]:
    if not c.contradictions or c.consensus is None:
        return
    effects = [agreement.unit(c.laid[n]).abs() for n, e in c.items() if e.means == "effect"]
    held = sum(float(sum(u[f.at] for u in effects)) for f in c.contradictions) / len(effects)
    first = ", ".join(f.name for f in c.contradictions[:3])
    more = len(c.contradictions) - 3
    listed = first + (f" and {more} more" if more > 0 else "")
    one = len(c.contradictions) == 1
    yield Finding(code, "warn" if held >= PART else "pass",
                  f"{listed}: {says if one else says.replace('raises', 'raise').replace('lowers', 'lower')} "
                  f"({held:.0%} of the size of all values)", do if held >= PART else "")


def _missing(c: Comparison) -> Iterator[Finding]:
    if c.errors:
        listed = "; ".join(f"{n}: {e.found}" for n, e in list(c.errors.items())[:3])
        yield Finding("compare.left_out", "warn", f"left out: {listed}", "see errors for what to do about each")
