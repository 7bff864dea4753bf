"""Whether a method means something on the model at hand, and why not: said before it runs, by name and place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pellucid.changes.relevance import unruled
from pellucid.engine.graph import Operation, operations
from pellucid.models.subject import Example, Subject
from pellucid.words.case import Case
from pellucid.words.errors import ModelError
from pellucid.words.explanation import Finding
from pellucid.words.method import Method, Need

RELUS = {"Relu", "Hardtanh", "Threshold", "CopySlices"}
"""Gates whose gradient guided backpropagation and deconvnet are defined for.

What works in place on a part of a value may be one: the graph does not tell, and the change itself sees to it.
"""

GATES = {
    "Gelu": "GELU", "Silu": "SiLU", "LeakyRelu": "leaky ReLU", "Elu": "ELU", "Celu": "CELU", "PreluKernel": "PReLU",
    "Prelu": "PReLU", "RreluWithNoise": "RReLU", "Softplus": "softplus", "Mish": "Mish", "Hardswish": "hard swish",
    "Hardsigmoid": "hard sigmoid", "LogSigmoid": "log sigmoid", "Glu": "GLU", "Sigmoid": "sigmoid", "Tanh": "tanh",
    "Clamp": "clamp", "ClampMin": "clamp", "ClampMax": "clamp", "Maximum": "maximum", "Minimum": "minimum",
    "Where": "where", "MkldnnRnnLayer": "a recurrent layer", "CudnnRnn": "a recurrent layer", "Erf": "erf",
    "ThnnFusedLstmCell": "a recurrent layer", "ThnnFusedGruCell": "a recurrent layer", "Exp": "exp",
    "DifferentiableGraph": "a scripted function", "CompiledFunction": "a compiled part",
}
"""Other operations that open and close for a value, by their name in autograd's graph."""

CURVED = {**GATES, "NativeLayerNorm": "LayerNorm", "NativeGroupNorm": "GroupNorm", "Softmax": "softmax",
          "Pow": "a power", "ScaledDotProductFlashAttentionForCpu": "attention",
          "ScaledDotProductEfficientAttention": "attention", "ScaledDotProductFlashAttention": "attention",
          "LogSoftmax": "log-softmax", "Mul": "a product of values"}
"""What is no piecewise linear function of its input: of a product or a norm the biases do not tell the rest."""

STRAIGHT = {"LeakyRelu", "Prelu", "PreluKernel", "RreluWithNoise"}
"""Gates without a bias of their own: a multiple of the input is a multiple of what comes out."""

INSTEAD = "choose integrated_gradients, which needs only a gradient"


async def examined(method: Method, case: Case, subject: Subject, example: Example) -> tuple[Finding, ...]:
    """Caveats for the verdict; a ModelError `method.unfit` where the method is not valid here at all."""
    needs = dict.fromkeys((*method.card.needs, *getattr(case.change, "needs", ())))
    asked = [CHECKS[need] for need in needs if need in CHECKS]
    if method.card.hooks:
        asked.append(_hooked)
    if not asked:
        return ()
    computed = await graph(case, subject, example)
    found = tuple(f for check in asked for f in check(method, computed))
    for finding in found:
        if finding.level == "fail":
            raise ModelError("method.unfit", finding.reason, f"what {method.name} is defined for", finding.do)
    return found


async def graph(case: Case, subject: Subject, example: Example) -> list[Operation]:
    """What the model computes between the case's value and its score; kept with what is known of the model."""
    key = ("operations", example.carrier.kind, case.site, type(case.target), case.target.of)
    if key not in subject.facts:
        found: Any = await replace(case, change=None).foreign(operations)  # pyright: ignore[reportArgumentType]
        subject.facts[key] = found
    return subject.facts[key]


Check = Callable[[Method, Sequence[Operation]], list[Finding]]


def _gates(method: Method, computed: Sequence[Operation]) -> list[Finding]:
    """ReLUs there must be; gates of another kind keep their own gradient, which is a caveat."""
    others = [o for o in computed if o.name in GATES]
    if not any(o.name in RELUS for o in computed):
        where = f"{GATES[others[0].name]} at {_place(others[0])} and no ReLU" if others else "no ReLU"
        return [Finding("method.unfit", "fail", f"{where}: {method.name} would be the plain gradient", INSTEAD)]
    told = f"gates that are no ReLUs keep their own gradient: {_listed(others, GATES)}"
    return [_caveat(told, INSTEAD)] if others else []


def _rules(method: Method, computed: Sequence[Operation]) -> list[Finding]:
    """Every operation needs a rule: one without would hand on the plain gradient, in silence."""
    lacking = set(unruled([o.name for o in computed]))
    first = next((o for o in computed if o.name in lacking), None)
    if first is None:
        return []
    told = CURVED.get(first.name, first.name.lower())
    return [Finding("method.unfit", "fail", f"{told} at {_place(first)}, for which relevance has no rule", INSTEAD)]


def _biases(method: Method, computed: Sequence[Operation]) -> list[Finding]:
    """Input and biases add up to the score of piecewise linear networks only."""
    curved = [o for o in computed if o.name in CURVED and o.name not in STRAIGHT]
    told = f"input and biases need not add up to the score behind {_listed(curved, CURVED)}"
    return [_caveat(told, INSTEAD)] if curved else []


def _hooked(method: Method, computed: Sequence[Operation]) -> list[Finding]:
    """Rules that are put on modules pass by an operation that is none of these; a sum, where there is one, tells."""
    names = {n: told for n, told in {**CURVED, **dict.fromkeys(RELUS, "ReLU")}.items() if n != "Mul"}
    others = [o for o in computed if o.name in names and o.kind not in method.card.hooks]
    kinds = ", ".join(method.card.hooks)
    told = f"{method.name} has rules for modules ({kinds}), and none for {_listed(others, names)}"
    if others and not method.card.complete:
        return [Finding("method.unfit", "fail", told, INSTEAD)]
    return [_caveat(told, INSTEAD)] if others else []


def _caveat(reason: str, do: str) -> Finding:
    return Finding("method.caveat", "warn", reason, do)


def _listed(some: Sequence[Operation], names: dict[str, str], most: int = 3) -> str:
    """The first few by name and place."""
    told = [f"{names[o.name]} at {_place(o)}" for o in some[:most]]
    return ", ".join(told) + (f" and {len(some) - most} more" if len(some) > most else "")


def _place(operation: Operation) -> str:
    return operation.layer or "the model's own forward"


CHECKS: dict[Need, Check] = {Need.GATES: _gates, Need.BIASES: _biases, Need.RULES: _rules}
"""What is looked for in the graph; other needs are met, or refused, where the layer or the rows are chosen."""
