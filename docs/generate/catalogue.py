"""docs/catalogue.md: every method from its card, with a picture on a demo subject."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pellucid
from pellucid import catalog
from pellucid.words.method import Method, Need

DOCS = Path(__file__).parents[1]
PAGE, PICTURES = DOCS / "catalogue.md", DOCS / "pictures"

FAMILIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Gradients", ("gradients", "gates", "noise", "fullgrad")),
    ("Paths", ("paths", "expected", "blur", "guided_path", "neurons")),
    ("Class activation maps", ("cam", "cam_scores")),
    ("Perturbation", ("perturbation", "rise", "surrogate")),
    ("Shapley values", ("shapley", "games", "owen", "interactions")),
    ("Relevance", ("relevance",)),
    ("Attention", ("attention",)),
)
"""Headings, and the modules of `pellucid.methods` below each."""

HEAD = """# The catalogue of methods

*Made from the methods' own cards by `make docs`; do not edit.*

Each method is a short conversation about one example. **Asks** names its dearest question, **cost** the rows that go
through the model, **laws** what it promises and what the test suite runs. Which of them are valid on a model of
yours, and what they cost there, says `pellucid methods MODEL`. Every layer and neuron version comes from
composition: `inside(METHOD)` moves a method to a layer, `target="layer[unit]"` explains a neuron.
"""


def family_of(method: Method) -> str:
    module = method.run.__module__.rpartition(".")[2]
    return next((title for title, modules in FAMILIES if module in modules), "")


def ours() -> list[Method]:
    """The methods of the package, by family and name."""
    titles = [title for title, _ in FAMILIES]
    mine = [m for m in catalog.methods().values() if m.run.__module__.startswith("pellucid.methods")]
    return sorted(mine, key=lambda m: (titles.index(family_of(m)) if family_of(m) in titles else len(titles), m.name))


def page() -> str:
    """The whole page."""
    parts, family = [HEAD], ""
    for method in ours():
        if family_of(method) != family:
            family = family_of(method)
            parts.append(f"\n## {family}\n")
        parts.append(entry(method))
    around = "\n".join(composition(name, make) for name, make in catalog.compositions().items())
    head = "\n## Around a method\n\n| composition | what it does | options it adds |\n|---|---|---|\n"
    return "\n".join([*parts, f"{head}{around}\n"])


def entry(method: Method) -> str:
    """One method: what it does, its formula, when to use it, what it costs and promises, its options."""
    card, doc = method.card, method.doc.strip()
    needs = "; ".join(n.value for n in card.needs)
    rows = [("formula", f"`{card.formula}`"), ("use it for", card.use), ("not for", card.avoid), ("asks", card.asks),
            ("cost", card.cost), ("gives", GIVES[card.gives]), ("needs", needs),
            ("laws", ", ".join(law.name.lower() for law in card.laws)), ("paper", paper(card.paper)),
            ("options", options(method))]
    table = "\n".join(f"| {name} | {text} |" for name, text in rows if text and text != "``")
    return (f"### {method.name}\n\n{first(doc)}\n\n| | |\n|---|---|\n{table}\n\n"
            f"![{method.name} of {shown_on(method)}](pictures/{method.name}.svg)\n")


GIVES = {"elements": "a value per element of the input, summed by feature", "features": "a value per feature",
         "map": "a map over the places of a layer", "units": "a value per unit of a layer"}


def first(doc: str) -> str:
    return doc.partition("\n")[0]


def options(method: Method) -> str:
    return ", ".join(f"`{k}={v!r}`" for k, v in method.defaults.items())


def paper(written: str) -> str:
    """References with links where they can have them."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", written)


def composition(name: str, make: Any) -> str:
    inner = catalog.find("input_x_gradient")
    made = make(inner)
    added = ", ".join(f"`{k}={v!r}`" for k, v in made.defaults.items() if k not in inner.defaults)
    return f"| `{name}(METHOD)` | {first(made.doc)} | {added} |"


def shown_on(method: Method) -> str:
    """The demo subject on which a method is shown."""
    if Need.ATTENTION in method.card.needs:
        return "demo:reviews"
    by_columns = family_of(method) == "Shapley values" or Need.BACKGROUND in method.card.needs
    return "demo:recommender" if by_columns else "demo:digits"


SETTINGS: dict[str, dict[str, Any]] = {
    "neuron_conductance": {"layer": "layer3"},
}
"""What a picture needs beside the defaults."""


def picture(method: Method) -> str:
    """The method's drawing on its demo subject."""
    name = shown_on(method)
    sample = pellucid.samples(name.partition(":")[2])[0]
    drawn = pellucid.explain(pellucid.load(name), sample, method, **SETTINGS.get(method.name, {})).svg()
    return re.sub(r' data-[a-z]+="\[[^"]*\]"', "", drawn)  # the numbers are for scripts, of which a page has none


def write() -> None:
    """The page and its pictures."""
    PICTURES.mkdir(exist_ok=True)
    for method in ours():
        (PICTURES / f"{method.name}.svg").write_text(picture(method), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
