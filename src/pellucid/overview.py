"""Every method on one model: valid, valid with a caveat or not at all, and what it costs there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from pellucid import catalog, fitness
from pellucid.changes.attending import ATTENTION
from pellucid.changes.attentions import within
from pellucid.engine.interrupt import between_passes
from pellucid.engine.probe import device_of
from pellucid.engine.run import attentions, run, surveyed
from pellucid.engine.settings import Settings
from pellucid.explain import wrapped
from pellucid.languages.choice import chosen
from pellucid.languages.sentences import translated
from pellucid.models.subject import Example, Subject
from pellucid.plan import Plan, Shared, case_of, planned
from pellucid.price import Price, price
from pellucid.words.case import Case
from pellucid.words.errors import LayerError, PellucidError
from pellucid.words.method import Method
from pellucid.words.site import Site


@dataclass(frozen=True)
class Row:
    """One method on one model.

    `status` is valid, caveat, open (an option has to be given: `do` says which) or invalid; `price` is None where
    it is not known.
    """

    method: Method
    status: str
    reason: str = ""
    do: str = ""
    price: Price | None = None
    options: tuple[tuple[str, Any], ...] = ()
    code: str = ""

    def told(self, lang: str | None = None) -> tuple[str, str]:
        """The reason and what to do, in a language; None is PELLUCID_LANG, else English."""
        reasons = (translated(self.code, one, lang) for one in self.reason.split("; "))
        return ("；" if chosen(lang) == "zh" else "; ").join(reasons), translated(self.code, self.do, lang)


@between_passes
def overview(subject: Subject | nn.Module, x: Any) -> list[Row]:
    """What every method of the catalogue would do with this input, with its defaults; no explanation is made.

    The graph between input and score is recorded once; conversations are held with made-up answers to count their
    rows. Raises a PellucidError where the input itself cannot be read.
    """
    subject = subject if isinstance(subject, Subject) else wrapped(subject)
    example = subject.read(x)
    shared: Shared = {"device": device_of(subject.module, [])}
    rows: list[Row] = []
    for method in catalog.methods().values():
        try:
            plan = planned(subject, example, method, None, None, None, 0, {}, 0, 0.0)
        except PellucidError as error:
            rows.append(_refused(method, error))
            continue
        ((result,), _) = run(subject.module, [_weighed(plan, shared)], facts=subject.facts,
                             settings=Settings(precision="exact"))
        rows.append(_refused(method, result) if isinstance(result, PellucidError) else result)
    return rows


OPEN = ("layer.needed", "option.missing", "background.missing", "target.needed")
"""Refusals that an option mends."""


def _refused(method: Method, error: PellucidError) -> Row:
    return Row(method, "open" if error.code in OPEN else "invalid", error.found, error.do,
               code=error.code)


async def _weighed(plan: Plan, shared: Shared) -> Row:
    """The conversation of one row: the example as a case, fitness, price."""
    case = plan.method.prepare(await case_of(plan, shared), plan.options)
    found = await fitness.examined(plan.method, case, plan.subject, plan.example)
    if plan.method.card.asks == "gradient" and not await fitness.graph(case, plan.subject, plan.example):
        return Row(plan.method, "invalid", "a score without a gradient at the input",
                   "choose a method that asks for scores only: kernel_shap, occlusion, ablation", code="choice")
    cost = price(plan.method, case, plan.options, _shapes(case, plan.subject, plan.example))
    options = tuple((k, plan.options[k]) for k in ("layer", "layers") if k in plan.options)
    if found:
        return Row(plan.method, "caveat", "; ".join(f.reason for f in found), found[0].do, cost, options,
                   found[0].code)
    return Row(plan.method, "valid", "", "", cost, options)


def _shapes(case: Case, subject: Subject, example: Example) -> Callable[[Site], tuple[int, ...]]:
    """Shapes at the case's own site and at every layer that the model calls."""

    def shape(site: Site) -> tuple[int, ...]:
        if site == case.site:
            return tuple(case.origin.shape)
        if site.part == ATTENTION:
            here = within(attentions(subject.module, example.carrier, subject.facts), site.layer)
            if here:
                one = here[(site.call or 1) - 1]
                return one.heads, one.queries, one.keys
        calls = [c for c in surveyed(subject.module, example.carrier, subject.facts) if c.layer == site.layer]
        if len(calls) < (site.call or 1):
            raise LayerError("layer.not_reached", f"{site}, which this forward never reaches", "a layer that is called",
                             "choose another layer")
        shapes = calls[(site.call or 1) - 1].shapes
        return shapes[site.part] if site.part in shapes else next(iter(shapes.values()))

    return shape
