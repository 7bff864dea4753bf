"""What is chosen for methods that read attention: which attentions, in which order, and how a picture's tokens lie."""

from __future__ import annotations

from typing import Any

from pellucid.changes.attentions import Attended, sites
from pellucid.choices.places import Places, shape_of
from pellucid.engine.run import attentions
from pellucid.methods.queries import crossed, sites_named
from pellucid.models.subject import Example, Subject
from pellucid.words.errors import LayerError
from pellucid.words.method import AUTO, Method, Need


def settle(method: Method, chosen: dict[str, Any], subject: Subject, example: Example) -> dict[str, str]:
    """Fill in the automatic options, and say why; refuse attention that a method has no meaning for."""
    found, why = sites(attentions(subject.module, example.carrier, subject.facts)), dict[str, str]()
    if not found:
        raise LayerError("layer.no_attention", f"{subject.name}, which computes no softmax over keys",
                         Need.ATTENTION.value, "choose a method that does not read attention: pellucid methods")
    names = tuple(found)
    if chosen.get("layers") == AUTO:
        chosen["layers"], why["layers"] = names, f"all {len(names)} attentions, in the order in which they run"
    chain = Need.SELF_ATTENTION in method.card.needs
    if not chain and chosen.get("layer") == AUTO:
        chosen["layer"], why["layer"] = names[-1], f"the last of {len(names)} attentions"
    option = "layers" if chain else "layer"
    read = [(str(s), found[str(s)]) for s in sites_named(chosen[option], option) if str(s) in found]
    for name, mine in read if chain else []:
        if mine.crossed:
            raise crossed(name, "queries that look at another sequence")
    if "grid" in chosen and chosen["grid"] is None:
        chosen["grid"], told = _grid([mine for _, mine in read], subject, example)
        if told:
            why["grid"] = told
    return why


def _grid(read: list[Attended], subject: Subject, example: Example) -> tuple[tuple[int, ...] | None, str]:
    """Rows and columns of the patches that the tokens are, where the example is a picture."""
    here = Places(subject, example)
    if here.picture is None or not read:
        return None, ""
    keys = read[-1].keys
    for call in here.calls:
        laid = here.laid(call) if shape_of(call)[:1] == (keys,) and len(shape_of(call)) == 2 else None
        if laid is not None and laid.grid is not None and len(laid.grid) == 2:
            return laid.grid, laid.said
    return None, ""
