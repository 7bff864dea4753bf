"""Relevance propagation as a change: values stay, gradients become relevance over value.

While it is open every operation on what depends on the input is seen. Most pass relevance on as gradients do, for
x · gradient shares out what comes; the others get another gradient. No module is looked at, so that functions,
in-place operations, modules that are used twice and sums of skips are all the same, and nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pellucid.changes.relevance_ops import FREE, GATES, HANDLERS, VIEWS, marked
from pellucid.changes.relevance_rules import FIRST, RULES, Affine, Settings
from pellucid.changes.relevance_trace import Call, Mark, Marks, place, ruled, tensors, unfit
from pellucid.words.errors import Disconnected, ModelError, OptionError, nearest

HALVES, VALUES = "halves", "values"
"""Attention: its products share out in halves and its softmax is expanded (AttnLRP, arXiv:2402.05602), or what it
looks at gets all and why it looks there nothing (Ali et al., arXiv:2202.07304)."""


@dataclass(frozen=True)
class Relevance:
    """Which rule applies where: `convolution`, `dense` (other weighted layers), `first` (those that read the input
    itself; empty: as the others), `attention`, and the numbers of the rules.

    With a first rule the gradient at the input is the relevance itself, else relevance is value times gradient.
    """

    convolution: str = "epsilon"
    dense: str = "epsilon"
    first: str = ""
    attention: str = HALVES
    numbers: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        for value, known in ((self.convolution, RULES), (self.dense, RULES), (self.first, {"": None, **FIRST}),
                             (self.attention, (HALVES, VALUES))):
            if value not in known:
                raise OptionError("rule.unknown", repr(value), "a rule's name", nearest(value, [k for k in known if k]))
        n = self.numbers
        good = (0 <= n.epsilon < math.inf and 0 <= n.gamma < math.inf and 1 <= n.alpha < math.inf
                and len(n.low) == len(n.high) and all(a < b for a, b in zip(n.low, n.high, strict=False)))
        if not good:
            raise OptionError("option.value", f"epsilon={n.epsilon}, gamma={n.gamma}, alpha={n.alpha}, low={n.low}, "
                              f"high={n.high}", "epsilon and gamma from 0, alpha from 1, each low below its high",
                              "leave them out for the usual ones")
        if self.first == "box" and not n.low:
            raise OptionError("option.value", "the rule box without low= and high=",
                              "the lowest and the highest value that an input can have",
                              "give a number, or one per channel, in units of what the model is fed")

    def without_first(self) -> Relevance:
        """The same behind the first layer."""
        return replace(self, first="")

    @property
    def name(self) -> str:
        kept = f"relevance: convolutions {self.convolution}, dense {self.dense}, attention {self.attention}"
        return kept + (f", first {self.first}" if self.first else "")

    @property
    def twin(self) -> bool:
        return False

    @contextmanager
    def on(self, model: nn.Module) -> Iterator[None]:
        refuse_hidden(model)
        watch = _Watch(self, model)
        try:
            with watch:
                yield
        except Disconnected as error:
            raise Disconnected(error.site, error.cut or watch.cut) from None


def refuse_hidden(model: nn.Module) -> None:
    """Raise `method.unfit` for a part whose operations nobody can see."""
    for name, module in model.named_modules():
        kind = ("a scripted module" if isinstance(module, torch.jit.ScriptModule)
                else "a compiled module" if hasattr(module, "_orig_mod") else "")
        if kind:
            raise ModelError("method.unfit", f"{kind} at {name or 'the model itself'}, whose operations are hidden",
                             "a model whose operations run one by one",
                             "give the module that it was made of, or choose integrated_gradients")


COMPOSITES = {
    "epsilon": Relevance(),
    "epsilon_plus": Relevance("z_plus"),
    "epsilon_plus_flat": Relevance("z_plus", first="flat"),
    "epsilon_alpha2_beta1": Relevance("alpha_beta"),
    "epsilon_alpha2_beta1_flat": Relevance("alpha_beta", first="flat"),
    "epsilon_gamma_box": Relevance("gamma", first="box", numbers=Settings(low=(-math.inf,), high=(math.inf,))),
    "attnlrp": Relevance(),
    "cp_lrp": Relevance(attention=VALUES),
}
"""Rules that are used together, by name."""


def composite(name: str, **changed: Any) -> Relevance:
    """The composite of a name, with rules and numbers that are given in the place of its own."""
    if name not in COMPOSITES:
        raise OptionError("composite.unknown", repr(name), "a composite's name", nearest(name, COMPOSITES))
    rules = {k: v for k, v in changed.items() if v is not None and k in ("convolution", "dense", "first", "attention")}
    numbers = {k: v for k, v in changed.items() if k not in ("convolution", "dense", "first", "attention")}
    return replace(COMPOSITES[name], **rules, numbers=Settings(**numbers))


class _Watch(TorchFunctionMode):
    """Sees every operation of a pass, and gives those that need one another way back."""

    def __init__(self, change: Relevance, model: nn.Module) -> None:
        super().__init__()
        self.change, self.model, self.marks, self.cut = change, model, Marks(), ""
        self.weighs = self.begun = False
        self.weights = {t.untyped_storage()._cdata for t in (*model.parameters(), *model.buffers())
                        if t.layout is torch.strided}

    @property
    def whole(self) -> bool:
        return self.change.attention == VALUES

    def weight(self, value: Tensor) -> bool:
        return value.layout is torch.strided and value.untyped_storage()._cdata in self.weights

    def constant(self, value: Tensor, call: Call) -> Tensor:
        self.cut = self.cut or f"{call.name} at {place(self.model)}"
        return value.detach()

    def weighted(self, layer: Affine, x: Tensor, value: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        known, change = self.marks.of(x) or Mark(), self.change
        rule = FIRST.get(change.first) if not known.after else None
        if rule is not None and change.first == "box" and len(change.numbers.low) not in (1, x.shape[1]):
            raise OptionError("option.value", f"{len(change.numbers.low)} bounds for {x.shape[1]} channels",
                              "one bound for all channels, or one for each", "give as many low= and high=")
        rule = rule or RULES[getattr(change, layer.kind)]
        numbers, signed = change.numbers, not known.positive

        def back(g: Tensor, t: Tensor) -> Tensor:
            return rule(layer.merged().to(t.dtype), t, g, numbers, signed)

        found, self.weighs = ruled(value or layer, back, x), True
        if layer.norm is None:
            self.marks.came(found, layer, x)
        return found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not torch.is_grad_enabled() or not any(t.requires_grad for t in tensors((args, kwargs))):
            return self._begun(func(*args, **kwargs))
        constants = [t for t in tensors((args, kwargs)) if t.requires_grad and not self._depends(t)]
        if constants:
            return self.__torch_function__(func, types, *_detached((args, kwargs), {id(t) for t in constants}))
        name, in_place = named(func)
        in_place = in_place or kwargs.get("inplace") is True or (name in GATES and any(a is True for a in args[1:]))
        call = Call(func, name, args, kwargs, in_place)
        known = [self.marks.of(call.tensors[k]) or Mark() for k in call.live]
        inner = unfolded(func) if name not in HANDLERS or name in FOLDED else None
        if inner is not None:
            with self:
                return inner(*args, **kwargs)
        self.weighs = False
        found = HANDLERS.get(name, _without)(self, call)
        if name in FREE:
            return found
        results = [t for t in tensors(found if name != "setitem" else args[0]) if t.requires_grad]
        if results and self.change.first and not all(m.after for m in known) and (
                name not in VIEWS or any(m.after for m in known)) and not self.weighs:
            raise ModelError("method.unfit", f"{name} at {place(self.model)}, between the input and the first layer "
                             "with weights", f"a layer that reads the input itself, for the rule {self.change.first}",
                             "choose a composite without a rule for the first layer, or move the step out of the model")
        if name in ("clone", "contiguous") and (made := self.marks.made(call.tensors[0])) is not None:
            self.marks.came(found, made.layer, made.x)
        mark = marked(call, known)
        mark = replace(mark, after=mark.after or self.weighs)
        for result in results:
            self.marks.put(result, mark, in_place=call.in_place or name == "setitem")
        return found

    def _begun(self, found: Any) -> Any:
        """What depends on the input from here on is known."""
        for result in tensors(found):
            if result.requires_grad and self.marks.of(result) is None:
                self.marks.put(result, Mark())
                self.begun = True
        return found

    def _depends(self, value: Tensor) -> bool:
        """True for a value that depends on the input; one that does and came about unseen is refused.

        A tensor that a model holds may want gradients of its own: it is a constant here.
        """
        if self.marks.of(value) is not None:
            return True
        if not self.begun:  # whoever opened this mode by himself gives the input first
            self._begun(value)
            return True
        if value.grad_fn is None or not any(self.marks.of(leaf) for leaf in _leaves(value.grad_fn)):
            return False
        raise unfit(self.model, f"a value that came about unseen ({value.grad_fn.name()}), read",
                    "made by a script or by an operation of its own")


def _leaves(node: Any) -> Iterator[Tensor]:
    """Where a value's graph begins."""
    seen, open_ = {node}, [node]
    while open_:
        node = open_.pop()
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            yield leaf
        after = [n for n, _ in node.next_functions if n is not None and n not in seen]
        seen.update(after)
        open_ += after


def _detached(value: Any, which: set[int]) -> Any:
    if isinstance(value, Tensor):
        return value.detach() if id(value) in which else value
    if type(value) in (list, tuple):
        return type(value)(_detached(v, which) for v in value)
    return {k: _detached(v, which) for k, v in value.items()} if type(value) is dict else value


def _without(trace: _Watch, call: Call) -> Any:
    """An operation that nothing is known of, which may have no gradient."""
    found = call.run()
    if any(t.requires_grad for t in tensors(found)) or call.in_place:
        raise unfit(trace.model, getattr(call.func, "__name__", call.name))
    return found


FOLDED = frozenset({"batchnorm", "layernorm", "groupnorm", "instancenorm", "rmsnorm"})
"""Functions of torch around operations of the same name, whose arguments stand in another order."""

ARITHMETIC = {"iadd": "add", "radd": "add", "isub": "sub", "imul": "mul", "rmul": "mul", "itruediv": "truediv",
              "ipow": "pow", "imatmul": "matmul"}


@cache
def named(func: Any) -> tuple[str, bool]:
    """An operation's plain name (`__iadd__`, `add_` and `aten.add.Tensor` are add), and whether it works in place."""
    raw = str(getattr(func, "__name__", "")).partition(".")[0]
    bare = plain(raw)
    inward = (raw.startswith("__i") and bare in ARITHMETIC) or (raw.endswith("_") and not raw.endswith("__"))
    return ARITHMETIC.get(bare, bare), inward


def plain(name: str) -> str:
    """A name without namespace, overload and underscores, in small letters."""
    name = name.rpartition("::")[2].removeprefix("aten.").partition(".")[0]
    return name.replace("_", "").lower()


@cache
def unfolded(func: Any) -> Callable[..., Any] | None:
    """A function of torch that is written in Python, in a copy that lets its parts be seen; None for any other."""
    if not isinstance(func, FunctionType) or func.__module__ not in ("torch.nn.functional", "torch.functional"):
        return None
    checks = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    own = FunctionType(func.__code__, {**func.__globals__, **dict.fromkeys(checks, lambda *_: False)}, func.__name__,
                       func.__defaults__, func.__closure__)
    own.__kwdefaults__ = func.__kwdefaults__
    return own


GRAPH = {"addmm": "linear", "nativelayernorm": "layernorm", "nativebatchnorm": "batchnorm",
         "cudnnbatchnorm": "batchnorm", "nativegroupnorm": "groupnorm", "convolution": "conv2d",
         "convolutionoverrideable": "conv2d", "mkldnnconvolution": "conv2d", "unsafeindex": "index",
         "nativedropout": "dropout", "copyslices": "setitem", "accumulategrad": "clone", "fusedrmsnorm": "rmsnorm",
         "gridsampler2d": "gridsampler", "gridsampler3d": "gridsampler"}
"""Operations by other names: as autograd's graph and the ATen operators call them."""


def unruled(operations: Iterable[str]) -> tuple[str, ...]:
    """Of operations those that relevance has no rule for, each once, as they were written.

    Names may be functions' (`layer_norm`), operators' (`aten.native_layer_norm.default`) or those of autograd's
    graph (`NativeLayerNorm`, `NativeLayerNormBackward0`).
    """
    return tuple(dict.fromkeys(o for o in operations if not _has_rule(plain(o))))


def _has_rule(name: str) -> bool:
    name = name.partition("backward")[0] if "backward" in name else name
    name = GRAPH.get(name, name)
    return name in HANDLERS or name.startswith("scaleddotproduct") or ARITHMETIC.get(name, name) in HANDLERS
