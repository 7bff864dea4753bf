"""A watched training in a report: the last look, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

from pellucid.report.document import Block, Grid
from pellucid.views.words import say
from pellucid.views.writing import number, visible
from pellucid.words.watch import Flow, Training, Watched

FIGURES = ("gradient", "update", "spread", "dead")


def last(training: Training, lang: str) -> Iterable[Block]:
    """The figures of every layer at the last look."""
    if not training.records:
        return
    record = training.records[-1]
    layers = dict.fromkeys([*record.layers, *record.flow])
    rows = tuple((visible(layer, 120), *_cells(record.flow.get(layer), record.layers.get(layer))) for layer in layers)
    heads = (say(lang, "layer"), *(say(lang, f"watched {figure}") for figure in FIGURES))
    yield Block(say(lang, "at step", n=record.step), (Grid(heads, rows),))


def _cells(flow: Flow | None, layer: Watched | None) -> list[str]:
    return [*(number(v, 2) for v in (flow.gradient if flow else None, flow.update if flow else None,
                                     layer.spread if layer else None)),
            "–" if layer is None or layer.dead is None else f"{layer.dead:.0%}"]
