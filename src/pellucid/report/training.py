"""A watched training in a report: its drawing, and the last look layer by layer."""

from __future__ import annotations

from pellucid.views.svg import Element, Markup, el
from pellucid.views.training import draw, title
from pellucid.views.words import say
from pellucid.views.writing import number, visible
from pellucid.words.watch import Flow, Training, Watched


def section(training: Training, name: str, widths: tuple[float, float], lang: str, id: str) -> Element:
    """The drawing for wide and for narrow windows, then the figures that it is drawn from."""
    figure = el("figure")
    for kind, size in zip(("large", "small"), widths, strict=True):
        drawn = draw(training, lang=lang, width=size, id=f"{name}-{kind}")
        figure.add(Markup(drawn.replace("<svg ", f'<svg class="{kind}" ', 1)))
    return el("section", el("h2", title(training, lang), class_="unseen"), figure, _last(training, lang), id=id)


def _last(training: Training, lang: str) -> Element | None:
    """The last look as a table."""
    if not training.records:
        return None
    last = training.records[-1]
    heads = [say(lang, f"watched {k}") for k in ("gradient", "update", "spread", "dead")]
    body = el("tbody")
    for layer in dict.fromkeys([*last.layers, *last.flow]):
        body.add(el("tr", el("th", visible(layer, 120), scope="row"),
                    *(el("td", cell, class_="n") for cell in _cells(last.flow.get(layer), last.layers.get(layer)))))
    head = el("tr", el("td"), *(el("th", h, class_="n", scope="col") for h in heads))
    return el("div", el("h3", say(lang, "at step", n=last.step)), el("table", el("thead", head), body))


def _cells(flow: Flow | None, layer: Watched | None) -> list[str]:
    return [*(number(v, 2) for v in (flow.gradient if flow else None, flow.update if flow else None,
                                     layer.spread if layer else None)),
            "–" if layer is None or layer.dead is None else f"{layer.dead:.0%}"]
