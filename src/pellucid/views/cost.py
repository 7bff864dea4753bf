"""Where the time of an explanation went, as text: a bar for each part, then energy and memory."""

from __future__ import annotations

from pellucid.views.words import say
from pellucid.views.writing import columns, number, pad
from pellucid.words.explanation import Explanation

PARTS = ("reading", "model", "checks", "method", "transfers", "python", "waiting")
"""The keys of `Evidence.time`, in the order in which they are told."""

BAR = 24


def text(e: Explanation, lang: str = "en") -> str:
    """One line per part of the time, the longest part with the longest bar; then what else it took."""
    spent = {part: e.evidence.time.get(part, 0.0) for part in PARTS}
    total = sum(spent.values())
    lines = [say(lang, "time", seconds=taken(total))]
    width = max(columns(say(lang, f"time {part}")) for part in PARTS)
    for part, seconds in spent.items():
        if seconds <= 0:
            continue
        share = seconds / total
        bar = pad("█" * round(BAR * share) or "▏", BAR)
        lines.append(f"  {pad(say(lang, f'time {part}'), width)}  {bar}  {share:>5.1%}  {taken(seconds)}")
    known = e.evidence
    rest = [say(lang, "time passes", passes=known.passes, forwards=known.forwards, rows=known.rows)]
    if known.peak_bytes is not None:
        rest.append(say(lang, "time memory", peak=f"{known.peak_bytes / 2**20:.1f}", chunk=known.chunk))
    rest.append(say(lang, "energy unknown") if known.joules is None
                else say(lang, "energy", joules=number(known.joules), shared=known.shared_by))
    return "\n".join([*lines, *(f"  {line}" for line in rest)])


def taken(seconds: float) -> str:
    """A time as a reader wants it."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
