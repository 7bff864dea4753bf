"""What a model computes between an input and its score, told by the graph of one run: which operation, where.

Autograd's own graph is walked, so that functional, in-place, scripted and exported operations are seen alike, and
only those through which the score depends on the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pellucid.engine.foreign import Score
from pellucid.words.modules import hookable


@dataclass(frozen=True)
class Operation:
    """An operation that lies between input and score: `Relu`, `Gelu`, `NativeLayerNorm`, …

    `layer` is the innermost module in which it runs, `kind` that module's type.
    """

    name: str
    layer: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.name} at {self.layer or 'the model itself'}"


def operations(score: Score) -> list[Operation]:
    """The operations between the value at a case's site and its score, input first, each place once.

    Empty where no gradient leads from the score back to the value.
    """
    rows, placing = score.case.x[None].detach().requires_grad_(), _Placing()
    with placing.tracking(score.model):
        found = score(rows)
    if not found.requires_grad:
        return []
    kinds = {name: type(module).__name__ for name, module in score.model.named_modules()}
    return [Operation(name, layer, kinds[layer]) for name, layer in _between(found, rows, placing.layers)]


operations.looks = True  # pyright: ignore[reportFunctionMemberAccess]


class _Placing(TorchFunctionMode):
    """Notes in which module each value got its place in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = [""]
        self.layers: dict[Any, str] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in found if isinstance(found, tuple | list) else (found,):
            if isinstance(value, Tensor) and value.grad_fn is not None:
                self.layers.setdefault(value.grad_fn, self.open[-1])
        return found

    @contextmanager
    def tracking(self, model: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            for name, module in hookable(model):
                stack.callback(module.register_forward_pre_hook(partial(self._begins, name)).remove)
                stack.callback(module.register_forward_hook(self._ends, always_call=True).remove)
            stack.enter_context(self)
            yield

    def _begins(self, name: str, module: nn.Module, args: Any) -> None:
        self.open.append(name)

    def _ends(self, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.grad_fn is not None:
            self.layers.setdefault(output.grad_fn, self.open[-1])
        self.open.pop()


def _between(score: Tensor, rows: Tensor, layers: dict[Any, str]) -> list[tuple[str, str]]:
    """Nodes on a way from the rows to the score; one without a place of its own stands where its reader does."""
    order: list[Any] = []
    leads: dict[Any, bool] = {}
    places: dict[Any, str] = {}
    stack: list[tuple[Any, str, bool]] = [(score.grad_fn, "", False)]
    while stack:
        node, place, done = stack.pop()
        before = [n for n, _ in node.next_functions if n is not None]
        if done:
            leads[node] = any(leads[n] for n in before)
            order.append(node)
        elif node not in leads:
            places[node] = place = layers.get(node, place)
            leads[node] = getattr(node, "variable", None) is rows
            if not leads[node]:
                stack += [(node, place, True), *((n, place, False) for n in before if n not in leads)]
    return list(dict.fromkeys((_name(n), places[n]) for n in order if leads[n]))


def _name(node: Any) -> str:
    """`ReluBackward0` is Relu, `MyActivationBackward` MyActivation."""
    name = node.name().rpartition("::")[2]
    head, found, _ = name.rpartition("Backward")
    return head if found else name
