"""`pellucid methods [MODEL [INPUT]]`: what can be asked; of a model what is valid, what it costs, what is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import output, table
from pellucid.languages.sentences import translated

if TYPE_CHECKING:
    from pellucid.models.subject import Subject


Model = Annotated[str | None, typer.Argument(
    metavar="MODEL", help="Say which are valid for this model, and what they cost.")]
Input = Annotated[str | None, typer.Argument(
    metavar="INPUT", help="An input of the model; one is made up if left out.")]


def methods(
    model: Model = None,
    input: Input = None,
    json: output.Json = False,
    lang: output.Lang = "en",
    trust: Annotated[bool, typer.Option("--trust", help="Load files that can run commands of their author.")] = False,
) -> int:
    """List the methods with their options, and the compositions; for a model, which are valid and what they cost."""
    lang = output.language(lang)
    from pellucid import catalog

    known = [_card(m) for m in catalog.methods().values()]
    outer = [{"name": f"{name}(METHOD)", "summary": (fn.__doc__ or "").strip().partition("\n")[0],
              "options": _added(fn)} for name, fn in catalog.compositions().items()]
    chosen, rows = None, list[Any]()
    if model is not None:
        from pellucid.cli import inputs
        from pellucid.models.sources import load

        with output.progress("loading the model", json, lang):
            subject = load(model, trust=trust)
        raw = None if input is None else inputs.read(subject, input)
        from pellucid.overview import overview

        with output.progress("looking at every method", json, lang):
            raw = _made_up(subject) if raw is None else raw[0] if isinstance(raw, list) else raw
            chosen = usual(subject, raw)
            rows = overview(subject, raw) if raw is not None else []
    if json:
        families = {name: [f"{name}:{m}" for m in theirs] for name, theirs in catalog.families().items()}
        output.say_json({"methods": known, "compositions": outer, "families": families,
                         **({"model": {**chosen, "overview": [table.as_dict(r) for r in rows]}} if chosen else {})})
    elif chosen is not None:
        output.show(*_chosen(model or "", chosen, lang), *table.shown(rows, given=input is not None, lang=lang))
    else:
        _print(known, outer, lang)
    return output.FINE


def usual(subject: Subject, raw: Any) -> dict[str, Any]:
    """What explain() chooses for a subject and an input."""
    from pellucid.choices import choose
    from pellucid.words.errors import PellucidError

    found: dict[str, Any] = {"name": subject.name, "task": subject.task, "labels": list(subject.labels)}
    try:
        example = subject.read(raw)
        name, why = choose.method_for(subject, example)
        found |= {"method": name, "why": why, "features": subject.reader.layout_of(None, False),
                  "baseline": subject.reader.baseline_of(None)}
    except (PellucidError, TypeError) as error:
        return found | {"method": None, "why": "decided when an input is seen"
                        + (f" ({error.found})" if isinstance(error, PellucidError) else "")}
    try:
        from pellucid import catalog

        settled, reasons = choose.settle(catalog.find("grad_cam"), {}, subject, example)
        found |= {"layer": settled["layer"], "why_layer": reasons.get("layer", "")}
    except PellucidError:
        found["layer"] = None
    return found


def _made_up(subject: Subject) -> Any:
    """An input of the right kind; what it says does not matter here."""
    import numpy as np
    import torch

    if subject.task == "image":
        return np.full((256, 256, 3), 128, np.uint8)
    if subject.task == "text":
        return "A text."
    if subject.task == "table":
        return torch.zeros(sum(c.width for c in getattr(subject.reader, "columns", ())))
    return None


def _card(m: Any) -> dict[str, Any]:
    from pellucid.cli.flags import kind_of

    return {"name": m.name, "asks": m.card.asks, "complete": m.card.complete, "gives": m.card.gives,
            "summary": m.summary, "paper": m.card.paper, "laws": [law.name.lower() for law in m.card.laws],
            "options": {k: {"default": v, "takes": kind_of(m, k)} for k, v in m.defaults.items()}}


def _added(fn: Any) -> dict[str, Any]:
    """The options that a composition brings, seen by composing a method without any."""
    from pellucid import catalog

    plain = catalog.find("input_x_gradient")
    return {k: {"default": v} for k, v in fn(plain).defaults.items() if k not in plain.defaults}


def _print(known: list[dict[str, Any]], outer: list[dict[str, Any]], lang: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from pellucid.catalog import families

    shown: list[Any] = []
    for m in known:
        asks = f"asks {m['asks']}s" + (", complete" if m["complete"] else "")
        shown.append(Text.assemble((m["name"], "bold"), "  ", (translated("shell", asks, lang), "dim")))
        shown.append(Padding(_about(m, lang), (0, 0, 0, 4)))
    shown.append(Text("\n" + translated("shell", "Around a method, as in 'smooth(saliency)':", lang), style="bold"))
    for c in outer:
        shown.append(Text(c["name"], style="bold"))
        shown.append(Padding(_about(c, lang), (0, 0, 0, 4)))
    for name, theirs in families().items():
        about = translated("shell", f"Methods of {name}, as in '{name}:{theirs[0]}':", lang)
        shown.append(Text("\n" + about, style="bold"))
        shown.append(Padding(Text(", ".join(theirs)), (0, 0, 0, 4)))
    about = translated("shell", "Complete: the values sum to the score minus the baseline's score. Options stand with "
                       "their defaults; none means chosen or without.", lang)
    shown.append(Text("\n" + about, style="dim"))
    output.show(*shown)


def _chosen(model: str, chosen: dict[str, Any], lang: str) -> list[Any]:
    """What is chosen for a model, with the reasons."""
    from rich.table import Table
    from rich.text import Text

    colon = "：" if lang == "zh" else ": "
    lines = [("method", f"{chosen['method'] or '?'}{colon}{translated('choice', chosen['why'], lang)}")]
    if chosen.get("layer"):
        lines.append(("layer", f"{chosen['layer']}{colon}{translated('choice', chosen['why_layer'], lang)}"))
    lines += [(k, str(chosen[k])) for k in ("features", "baseline") if chosen.get(k)]
    if chosen["labels"]:
        some = ", ".join(chosen["labels"][:10])
        lines.append(("labels", f"{len(chosen['labels'])}{colon}{some}" + ("…" if len(chosen["labels"]) > 10 else "")))
    grid = Table.grid(padding=(0, 2))
    for name, text in lines:
        grid.add_row(Text(translated("shell", name, lang)), Text(text))
    return ["", Text(translated("shell", f"{model}: task {chosen['task']}", lang), style="bold"), grid]


def _about(m: dict[str, Any], lang: str) -> Any:
    from rich.text import Text

    text = Text(translated("summary", m["summary"], lang))
    options = "  ".join(f"--{k.replace('_', '-')} {_shown(o['default'])}" for k, o in m["options"].items())
    for line in (options, m.get("paper")):
        if line:
            text.append("\n" + line, style="dim")
    return text


def _shown(default: Any) -> str:
    if default is None or default == ():
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default)
