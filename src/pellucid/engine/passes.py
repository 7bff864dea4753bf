"""The one place that calls a model or autograd: a pass takes rows and brings back what was asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode

from pellucid.changes.attending import ATTENTION
from pellucid.changes.attentions import Attended, attended
from pellucid.engine import interrupt
from pellucid.engine.capture import listening, module_of, not_reached, parts
from pellucid.engine.order import Order, Outcome
from pellucid.engine.recompute import recomputing
from pellucid.words.errors import Disconnected, ModelError, PellucidError, TargetError
from pellucid.words.modules import hookable
from pellucid.words.site import Site
from pellucid.words.target import Target, is_open, takes_whole

SQUASHING = frozenset({"softmax", "sigmoid", "sigmoid_", "expit"})
"""Functions whose values are probabilities, by name."""


class _Enough(BaseException):
    """Ends a forward whose remaining layers nobody asked about."""


class _Steady(TorchFunctionMode):
    """Keeps grad mode as the pass wants it, and widens the partners of widened rows.

    A forward that turns gradients off inside would cut the explanation; being in a function mode also
    keeps transformers off their fused fast path, which never calls its submodules.
    """

    def __init__(self, rows: int | None) -> None:
        super().__init__()
        self.rows = rows
        self.squashed: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch._C._set_grad_enabled:
            return None
        if getattr(func, "__name__", "") in SQUASHING:
            result = func(*args, **kwargs)
            # An attention's probabilities, which are large, are not held on to.
            self.squashed = result if isinstance(result, Tensor) and result.dim() <= 2 else self.squashed
            return result
        if self.rows is not None and args:
            name = getattr(func, "__name__", "")
            if name in ("cat", "concat", "concatenate") and isinstance(args[0], list | tuple):
                return func([self._wide(t, args[0]) for t in args[0]], *args[1:], **kwargs)
            if name in ("__iadd__", "add_", "__imul__", "mul_", "__isub__", "sub_") and len(args) == 2:
                mine, other = args
                if isinstance(other, Tensor) and self._narrow(mine, other):
                    args = (self._wide(mine, [other]).clone(), other)
        return func(*args, **kwargs)

    def _narrow(self, tensor: Any, other: Tensor) -> bool:
        return (isinstance(tensor, Tensor) and tensor.dim() == other.dim() > 0
                and len(tensor) == 1 and len(other) == self.rows)

    def _wide(self, tensor: Any, others: Sequence[Any]) -> Any:
        if any(isinstance(o, Tensor) and self._narrow(tensor, o) for o in others):
            return tensor.expand(self.rows, *tensor.shape[1:])
        return tensor


def run(model: nn.Module, order: Order, batch_axes: Mapping[Site, int] | None = None) -> Outcome:
    """Run one pass on a shadow. Errors of the model come out as they are; the caller names them."""
    return _Pass(model, order, dict(batch_axes or {})).run()


class _Pass:
    def __init__(self, model: nn.Module, order: Order, axes: dict[Site, int]) -> None:
        self.model, self.order, self.axes = model, order, axes
        self.values: dict[Site, Tensor] = {}
        self.outcome = Outcome()
        self.scored = {t.of for t in order.targets if t.of is not None}
        own = () if order.site.is_input or order.rows is None else (order.site,)
        self.sites = {s for s in (*own, *order.gradients, *order.readings, *self.scored) if not s.is_input}
        self.graded = bool(order.gradients)
        self.given: Tensor | None = None
        self.version = 0

    def run(self) -> Outcome:
        order = self.order
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.set_grad_enabled(self.graded))
            for kind in ("cpu", "cuda"):
                stack.enter_context(torch.autocast(kind, torch.bfloat16, enabled=kind == order.half))
            if self.graded and _has_rnn(self.model) and torch.backends.cudnn.is_available():
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            if order.change is not None:
                stack.enter_context(order.change.on(self.model))
            inputs = self._inputs()  # made in this grad mode, for the caller's may be off, and seen by the change
            if order.recompute:
                stack.enter_context(recomputing(self.model, [module_of(self.model, s) for s in self.sites]))
            self.steady = stack.enter_context(_Steady(order.n if order.widen else None))
            reached = stack.enter_context(listening(self.model, dict.fromkeys(self.sites, self._seen), order.n))
            output: Any = None
            with suppress(_Enough):
                output = _called(self.model, inputs)
            for site in self.sites:
                if site not in reached:
                    raise not_reached(self.model, site)
            if order.targets:
                self._score(output)
            if self.graded:
                self._differentiate()
        self.outcome.readings = {s: self._rows_first(s, self.values[s].detach()) for s in order.readings}
        for site, value in self.outcome.readings.items():
            if order.rows is not None and value.untyped_storage()._cdata == order.rows.untyped_storage()._cdata:
                self.outcome.readings[site] = value.clone()  # the next pass overwrites the rows
        if self.given is not None:
            self.outcome.wrote = self.given._version != self.version
        return self.outcome

    def _inputs(self) -> dict[str | int, Any]:
        """Fresh tensors for the model, so that it can write into its input and nobody minds."""
        order, out = self.order, dict[str | int, Any]()
        replaced = input_key(order.inputs, order.site) if order.site.is_input and order.rows is not None else None
        for key, value in order.inputs.items():
            out[key] = value.clone() if isinstance(value, Tensor) and key != replaced else value
        if order.rows is not None and replaced is not None:
            given = order.inputs[replaced]
            rows = order.rows.to(given.dtype) if isinstance(given, Tensor) else order.rows
            if order.site in order.gradients:
                rows = rows.detach().requires_grad_()
            self.values[order.site] = rows
            out[replaced] = self._given(rows)
        for site in (*order.gradients, *order.readings):
            if site.is_input and site not in self.values:
                value = order.inputs[input_key(order.inputs, site)]
                value = value.detach().clone()
                self.values[site] = value.requires_grad_() if site in order.gradients else value
                out[input_key(order.inputs, site)] = self.values[site].clone()
        return out

    def _seen(self, site: Site, value: Tensor) -> Tensor:
        order = self.order
        if site == order.site and order.rows is not None:
            axis = self.axes.get(site, 0)
            for pad in order.pads:
                order.rows[pad] = self._rows_first(site, value.detach())[pad].to(order.rows)
            value = order.rows.to(device=value.device, dtype=value.dtype).movedim(0, axis)
        if site in order.gradients and not value.requires_grad:
            # The island: everything before this layer ran without autograd.
            value = value.detach().requires_grad_()
        self.values[site] = value
        if order.last and all(s in self.values for s in self.sites):
            raise _Enough
        if site == order.site and order.rows is not None:
            return self._given(value)
        # Handing on a copy keeps what was seen when the next layer works in place; of attention its capture does so.
        return value if site.part == ATTENTION else value.clone()

    def _given(self, rows: Tensor) -> Tensor:
        """What the model gets of the rows: a copy where it may write into them, or where they are read afterwards."""
        site = self.order.site
        self.given = rows.clone() if self.order.copy or site in self.order.readings or site in self.scored else rows
        self.version = self.given._version
        return self.given

    def _score(self, output: Any) -> None:
        scores: list[Tensor] = []
        for target in self.order.targets:
            value = self.values[target.of] if target.of is not None else output
            if target.of is not None:
                value = self._rows_first(target.of, value)
            elif not takes_whole(target):
                value = chosen_output(output)
            if isinstance(value, Tensor) and (value.dim() == 0 or len(value) != self.order.n):
                raise ModelError("output.rows", f"an output of shape {tuple(value.shape)} for {self.order.n} rows",
                                 "one row of output per row of input",
                                 "give the model with its batch axis first, or a target function that scores each row")
            score = rated(target, value, self.order.n)
            settle = getattr(target, "settle", None) if is_open(target) else None
            self.outcome.settled.append(settle(_detached(value)) if settle is not None else None)
            self.outcome.probable.append(target.of is None and _probable(value, score, self.steady.squashed))
            scores.append(score)
        mixed = len({s.dtype for s in scores}) > 1
        self.live = torch.stack([s.float() for s in scores] if mixed else scores)
        self.outcome.scores = self.live.detach()

    def _differentiate(self) -> None:
        order = self.order
        graded = torch.zeros(order.n, dtype=torch.int64) if order.graded is None else order.graded
        total = self.live.gather(0, graded.to(self.live.device)[None]).sum()
        leaves = [self.values[s] for s in order.gradients]
        found: Sequence[Tensor | None] = [None] * len(leaves)
        if total.requires_grad:
            found = torch.autograd.grad(total, leaves, allow_unused=True)
        for site, leaf, gradient in zip(order.gradients, leaves, found, strict=True):
            if gradient is None and site.part == ATTENTION:
                gradient = torch.zeros_like(leaf)  # a score may well do without an attention: of a later layer, say
            if gradient is None:
                raise Disconnected(str(site))
            self.outcome.gradients[site] = self._rows_first(site, gradient.detach()).reshape(
                self._rows_first(site, leaf).shape)

    def _rows_first(self, site: Site, value: Tensor) -> Tensor:
        axis = self.axes.get(site, 0)
        return value.movedim(axis, 0) if axis else value


def _probable(value: Any, score: Tensor, squashed: Tensor | None) -> bool:
    """Whether scores are what a softmax or a sigmoid said last, or taken from rows of an output that sum to 1."""
    if squashed is not None:
        last = squashed.untyped_storage()._cdata
        if any(isinstance(t, Tensor) and t.untyped_storage()._cdata == last for t in (value, score)):
            return True
    if not (isinstance(value, Tensor) and value.dim() == 2 and value.shape[1] > 1 and value.is_floating_point()):
        return False
    rows = value.detach()
    if isinstance(rows, FakeTensor):  # memory is foreseen on tensors without values
        return False
    near = 1e-5 if rows.dtype in (torch.float32, torch.float64) else 1e-2
    return bool(((rows >= 0).all(1) & ((rows.sum(1) - 1).abs() < near)).all())


def rated(target: Target, value: Any, n: int) -> Tensor:
    """A target's scores (n,) of an output; a function of the user's that fails is named."""
    try:
        score = target.score(value)
    except PellucidError:
        raise
    except Exception as error:
        raise TargetError("target.failed", f"{type(error).__name__} in the target's function",
                          "a function from the model's output to one score per row",
                          "see the cause below; the model itself ran") from error
    if score.shape != (n,):
        raise ModelError("target.shape", f"scores of shape {tuple(score.shape)}", f"({n},)",
                         "let the target give one number per row")
    return score


def _has_rnn(model: nn.Module) -> bool:
    """cuDNN's recurrent layers have no gradient in evaluation."""
    return any(isinstance(m, nn.RNNBase) and m.weight_ih_l0.is_cuda for m in model.modules())


def scored(model: nn.Module, inputs: Mapping[str | int, Any], site: Site, rows: Tensor, target: Target,
           axes: Mapping[Site, int], change: Any) -> Tensor:
    """Scores (n,) of rows at a site, with whatever graph the caller wants on them: another library asks."""
    seen: dict[Site, Tensor] = {}

    def at(where: Site, value: Tensor) -> Tensor:
        axis = axes.get(where, 0)
        value = rows.to(value).movedim(0, axis) if where == site else value
        seen[where] = value
        return value.clone()

    sites = {s for s in (site, target.of) if s is not None and not s.is_input}
    given = {k: v.clone() if isinstance(v, Tensor) else v for k, v in inputs.items()}
    if site.is_input:
        key = input_key(inputs, site)
        given[key] = rows.to(given[key].dtype).clone()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        if torch.is_grad_enabled() and _has_rnn(model) and torch.backends.cudnn.is_available():
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        if change is not None:
            stack.enter_context(change.on(model))
        stack.enter_context(_Steady(None))
        reached = stack.enter_context(listening(model, dict.fromkeys(sites, at), len(rows)))
        output = _called(model, given)
        for where in sites - reached:
            raise not_reached(model, where)
    value: Any = output if takes_whole(target) else chosen_output(output)
    if target.of is not None:
        value = seen[target.of].movedim(axes.get(target.of, 0), 0)
    return rated(target, value, len(rows))


@dataclass(frozen=True)
class Heard:
    """What a survey heard of one call of a module: shapes are of one row, `axis` is its batch axis.

    `before` is the share of all values that modules said when it had spoken.
    """

    layer: str
    call: int
    kind: str
    shapes: Mapping[str, tuple[int, ...]]
    axes: Mapping[str, int | None]
    before: float = 1.0


def survey(model: nn.Module, inputs: Sequence[Mapping[str | int, Any]]) -> list[Heard]:
    """Every call of every module in order, from one run with one row and one with two."""
    one, two = (_listened(model, given) for given in inputs)
    if [h[:3] for h in one] != [h[:3] for h in two]:
        two = one  # a forward that depends on its rows: no batch axis can be told
    whole = max((h[4] for h in one), default=0) or 1
    return [Heard(n, c, k, {p: _without(s, _axis(s, t.get(p, s))) for p, s in shapes.items()},
                  {p: _axis(s, t.get(p, s)) for p, s in shapes.items()}, made / whole)
            for (n, c, k, shapes, made), (_, _, _, t, _) in zip(one, two, strict=True)]


def attentions(model: nn.Module, inputs: Sequence[Mapping[str | int, Any]]) -> list[Attended]:
    """Every attention of a run, from one run with one row and one with two."""
    with torch.inference_mode(False), torch.no_grad(), _Steady(None):
        return attended(model, lambda rows: _called(model, {k: v.clone() if isinstance(v, Tensor) else v
                                                            for k, v in inputs[rows - 1].items()}))


Call = tuple[str, int, str, dict[str, tuple[int, ...]], int]


def _listened(model: nn.Module, given: Mapping[str | int, Any]) -> list[Call]:
    """Layer, call, type, the shapes of the output and the values said so far of every call in one run."""
    heard: list[Call] = []
    calls: dict[str, int] = {}
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        stack.enter_context(_Steady(None))
        for name, module in hookable(model):

            def hook(m: nn.Module, _a: Any, output: Any, name: str = name) -> None:
                calls[name] = calls.get(name, 0) + 1
                shapes = {k: tuple(v.shape) for k, v in parts(output).items()}
                said = (heard[-1][4] if heard else 0) + sum(map(math.prod, shapes.values()))
                heard.append((name, calls[name], type(m).__name__, shapes, said))

            stack.callback(module.register_forward_hook(hook).remove)
        _called(model, {k: v.clone() if isinstance(v, Tensor) else v for k, v in given.items()})
    return heard


def _called(model: nn.Module, inputs: Mapping[str | int, Any]) -> Any:
    """The model on its arguments: whole numbers are places, words are names."""
    interrupt.pause()
    places = sorted(k for k in inputs if isinstance(k, int))
    return model(*(inputs[k] for k in places), **{k: v for k, v in inputs.items() if isinstance(k, str)})


def _axis(one: tuple[int, ...], two: tuple[int, ...]) -> int | None:
    """The axis that is 1 for one row and 2 for two; where rows were folded into another axis there is none."""
    grown = [k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b]
    apart = len(grown) == 1 and len(one) == len(two) and (one[grown[0]], two[grown[0]]) == (1, 2)
    return grown[0] if apart else None


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


def input_key(inputs: Mapping[str | int, Any], site: Site) -> str | int:
    """The argument a site on the input means."""
    return site.part if site.part in inputs else int(site.part or 0)


def _detached(value: Any) -> Any:
    """The same without its graph: a prediction is settled from values alone."""
    if isinstance(value, Tensor):
        return value.detach()
    with torch.no_grad():
        return {k: v.detach() for k, v in parts(value).items()} if not isinstance(value, list | tuple) else [
            _detached(v) for v in value]


def was_written(error: Exception) -> bool:
    """autograd's ways to say that a model wrote into the rows that gradients are asked of."""
    return isinstance(error, RuntimeError) and any(w in str(error) for w in ("in-place operation", "inplace operation"))


def chosen_output(output: Any) -> Tensor:
    """The scores in a model's output: a tensor, `logits`, or the only part that can be scores."""
    if isinstance(output, Tensor):
        return output
    found = parts(output)
    if not found:
        raise ModelError("output.no_score", f"an output of type {type(output).__name__}", "a tensor of scores",
                         "give a target function that reads the score from it")
    if "logits" in found:
        return found["logits"]
    able = {k: v for k, v in found.items() if v.dim() in (1, 2) and v.is_floating_point()}
    if len(able) == 1:
        return next(iter(able.values()))
    raise ModelError("output.ambiguous", f"an output with the parts {', '.join(found)}", "one part that holds scores",
                     "say which: target=lambda output: output[...][:, class]")
