"""docs/metrics.md: every metric from its card."""

from __future__ import annotations

from docs.generate.catalogue import DOCS, paper
from pellucid import catalog
from pellucid.words.metric import KINDS, Metric

PAGE = DOCS / "metrics.md"

HEAD = """# How good is an explanation?

*Made from the metrics' own cards by `make docs`; do not edit.*

`pellucid.evaluate(e)` (in the shell `pellucid evaluate MODEL INPUT`) measures an explanation. A number alone says
little: beside each stand **controls**, the same values laid at other places (a picture's map shifted round its edges
and turned, others shuffled), and `p` is how often such a map, which knows nothing of the model, does at least as well.
An interval holds the metric's own draws, and what the explanation's error leaves open. Like a method a metric is a
short conversation; all of them, and all controls, share passes through the model.

```python
import pellucid

e = pellucid.explain(pellucid.load("demo:digits"), pellucid.samples("digits")[0])
found = pellucid.evaluate(e, metrics=["deletion", "insertion", "sparseness"])
print(found["deletion"].value, found["deletion"].control, found["deletion"].p, found.verdict.status)
```
"""

TITLES = {
    "faithfulness": "Faithfulness: does the score follow the values?",
    "robustness": "Robustness: is the explanation the same nearby?",
    "localisation": "Localisation: do the values lie where they should?",
    "complexity": "Complexity: how many features does it take?",
    "sanity": "Sanity: does the explanation depend on what was learnt?",
}
BETTER = {"high": "higher", "low": "lower", "": "neither"}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for kind in KINDS:
        mine = sorted((m for m in catalog.metrics().values() if m.card.kind == kind and _ours(m)), key=lambda m: m.name)
        if mine:
            parts.append(f"\n## {TITLES[kind]}\n")
            parts += [entry(m) for m in mine]
    return "\n".join(parts)


def _ours(metric: Metric) -> bool:
    return metric.run.__module__.startswith("pellucid.metrics")


def entry(metric: Metric) -> str:
    """One metric: what it says, its formula, when to use it, what it costs."""
    card = metric.card
    rows = [("formula", f"`{card.formula}`"), ("use it for", card.use), ("not for", card.avoid),
            ("better", BETTER[card.better]), ("cost", card.cost), ("controls", "" if card.control else "none"),
            ("needs", ", ".join(f"`{n}=`" for n in card.needs)), ("paper", paper(card.paper)),
            ("options", ", ".join(f"`{k}={v!r}`" for k, v in metric.defaults.items()))]
    table = "\n".join(f"| {name} | {text} |" for name, text in rows if text and text != "``")
    return f"### {metric.name}\n\n{metric.summary}\n\n| | |\n|---|---|\n{table}\n"


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")
