"""Relevance propagation: the score is handed back layer by layer, and none of it is meant to get lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from pellucid.changes.relevance import composite as composed
from pellucid.numbers.estimate import Estimate
from pellucid.words.ask import together
from pellucid.words.case import Case
from pellucid.words.errors import Disconnected, OptionError
from pellucid.words.method import AUTO, Law, Need, method
from pellucid.words.site import Site


@method(
    asks="gradient", paper="doi:10.1371/journal.pone.0130140", laws=[Law.DUMMY, Law.SYMMETRIC, Law.LINEAR],
    needs=[Need.RULES], formula="R_i = Σ_j x_i w_ij / (z_j + ε sign z_j) R_j, from R = f, by the rule of each layer",
    cost="1 gradient, with up to eight more products of each layer's weights",
    use="deep networks, whose gradients are noisy: what spoke for and against the score, at the price of a gradient",
    avoid="models with operations that have no rule; where biases say much the values do not sum to the score",
)
async def lrp(
    case: Case, *, composite: str = AUTO, convolution: str | None = None, dense: str | None = None,
    first: str | None = None, attention: str | None = None, epsilon: float = 1e-9, gamma: float = 0.25,
    alpha: float = 2.0, low: float | tuple[float, ...] | None = None, high: float | tuple[float, ...] | None = None,
    layers: str | tuple[str, ...] = AUTO,
) -> Estimate:
    """How much of the score came from each element, handed back from layer to layer by rules that keep its sum.

    Starts with the score itself. `composite` says which rules: `epsilon`, `epsilon_plus` (convolutions share out by
    positive contributions alone), `epsilon_alpha2_beta1`, `epsilon_gamma_box`; with `_flat` the first layer gives
    equal parts. For transformers `attnlrp` (arXiv:2402.05602) or `cp_lrp` (arXiv:2202.07304), which takes attention
    as constant. `convolution`, `dense` (epsilon, gamma, z_plus, alpha_beta), `first` (box, flat, w_square) and
    `attention` (halves, values) replace the composite's own. `epsilon` is in units of a layer's values; `gamma` adds
    to contributions of an output's own sign; `alpha` is for alpha_beta. `low` and `high` are the least and the
    greatest value of an input, or of each channel. `layers` are where `conservation` in the details is told: the sum
    of the relevance that passes through each.

    BatchNorms are merged with the layer before them; what values are divided by (deviations, norms) is taken as
    constant, and of two factors the one that came out of a sigmoid, softmax or tanh. Biases, and what an activation
    says of zero, keep their share, so that the values need not sum to the score: a sigmoid passes on what is above ½,
    not all of it. Only at the input of the model is there a first layer. Raises `method.unfit` at an operation without
    a rule.
    """
    rules = composed(
        "epsilon" if composite == AUTO else composite, convolution=convolution, dense=dense, attention=attention,
        first=first, epsilon=epsilon, gamma=gamma, alpha=alpha, low=_bounds("low", low), high=_bounds("high", high))
    rules = rules if case.site.is_input else rules.without_first()
    changed = case.under(rules)
    names = () if layers == AUTO else layers.split(",") if isinstance(layers, str) else layers
    sites = [Site.parse(n.strip()) for n in dict.fromkeys(names)]
    while True:
        try:
            slope, score, sums = await _passed(changed, sites)
            break
        except Disconnected as error:  # a branch that the score does not depend on must not take the others along
            left = [s for s in sites if str(s) != error.site]
            if len(left) == len(sites):
                raise
            sites = left
    values = slope if rules.first else changed.x * slope
    kept = _total(values)
    notes = ("relevance.apart",) if abs(kept - score) > 0.5 * abs(score) else ()
    return replace(Estimate.exact(values), notes=notes,
                   details={"conservation": (("input", kept), *sums, ("score", score))})


Sums = tuple[tuple[str, float], ...]


async def _passed(case: Case, layers: Sequence[Site]) -> tuple[Tensor, float, Sums]:
    """The changed gradient, the score, and the relevance that passes through each layer, from one pass."""
    slopes, seen = [case.gradient(case.here, wrt=s) for s in layers], [case.reading(case.here, of=s) for s in layers]
    slope, score, *rest = await together(case.gradient(case.here), case.score(case.here), *slopes, *seen)
    pairs = zip(layers, rest[: len(layers)], rest[len(layers) :], strict=True)
    return slope[0], float(score), tuple((str(s), _total(g * y)) for s, g, y in pairs)


def _total(relevance: Tensor) -> float:
    return float(relevance.double().sum())


def _bounds(name: str, given: Any) -> tuple[float, ...]:
    """A bound of the inputs as a tuple: one for all, or one per channel."""
    found = () if given is None else tuple(given) if isinstance(given, tuple | list) else (given,)
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in found):
        raise OptionError("option.value", f"{name}={given!r}", "a number, or one per channel",
                          "write low=0.0, high=1.0")
    return tuple(float(v) for v in found)
