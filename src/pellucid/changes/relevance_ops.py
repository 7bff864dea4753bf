"""What relevance does at each operation: which pass it on as gradients do, and what the others do instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.changes.relevance_rules import Affine, Norm, share
from pellucid.changes.relevance_trace import Call, Mark, Marks, factor, ruled, unfit


class Trace(Protocol):
    """What the operations need of the pass: what is known of its values, and the rules to apply."""

    model: nn.Module
    marks: Marks

    @property
    def whole(self) -> bool:
        """True where all goes through what attention looks at, and nothing through why it looks there."""
        ...

    def constant(self, value: Tensor, call: Call) -> Tensor:
        """The value, without the way back."""
        ...

    def weighted(self, layer: Affine, x: Tensor, value: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """A layer's output, under the rule that the layer gets."""
        ...

    def weight(self, value: Tensor) -> bool:
        """True for (a view of) a parameter."""
        ...


Handler = Callable[[Trace, Call], Any]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIEWS = _names("""
    view viewas reshape reshapeas reshapealias flatten unflatten ravel permute transpose t mt h movedim moveaxis
    swapaxes swapdims squeeze unsqueeze expand expandas broadcastto broadcasttensors contiguous clone alias to tocopy
    type typeas float double half bfloat16 cpu cuda getitem select slice narrow chunk split splitwithsizes unbind
    tensorsplit unsafechunk unsafesplit unsafeview asstrided dropout dropout1d dropout2d dropout3d alphadropout
    featuredropout featurealphadropout pad constantpadnd reflectionpad1d reflectionpad2d replicationpad2d roll flip
    fliplr flipud rot90 pixelshuffle pixelunshuffle channelshuffle index indexselect gather takealongdim maskedselect
    diagonal tril triu unfold im2col repeat repeatinterleave tile stack cat concat concatenate hstack vstack dstack
    get requiresgrad copy liftfresh
""")
"""The same values in other places: the input is still the input behind them."""

SUMS = _names("""
    add sum meandim mean avgpool1d avgpool2d avgpool3d adaptiveavgpool1d adaptiveavgpool2d adaptiveavgpool3d maxpool1d
    maxpool2d maxpool3d maxpool2dwithindices adaptivemaxpool1d adaptivemaxpool2d adaptivemaxpool3d amax topk cumsum
""")
"""Sums and choices: nowhere below zero where none of their parts is."""

LINEAR = _names("""
    sub rsub neg negative where maskedfill maskedscatter indexfill fill zero indexadd indexcopy indexput setitem scatter
    scatteradd slicescatter selectscatter col2im fold interpolate upsamplenearest1d upsamplenearest2d upsamplenearest3d
    upsamplenearestexact1d upsamplenearestexact2d upsamplelinear1d upsamplebilinear2d upsamplebicubic2d
    upsampletrilinear3d diff max min amin maximum minimum sort median kthvalue cummax cummin relu leakyrelu
    rrelu abs absolute trace fractionalmaxpool2d
""")
"""Sums, choices, and what grows with its input: x · gradient shares out what comes, and keeps its sum."""

ALONE = _names("prelu prelukernel gridsample gridsampler lerp")
"""The same in their first values, and in nothing else."""

GATES = _names("""
    gelu silu elu selu celu mish hardswish hardtanh relu6 hardshrink softshrink tanhshrink softsign threshold clamp clip
    clampmin clampmax tanh sigmoid expit hardsigmoid logsigmoid softplus exp expm1 log1p erf sin cos atan arctan square
    pow rpow
""")
"""Functions of single values."""

OFF_ZERO = _names("sigmoid expit logsigmoid softplus exp cos rpow")
"""Gates that are not zero at zero: the chord from there needs all its digits."""

BOUNDED = {"sigmoid": 2, "expit": 2, "hardsigmoid": 2, "softmax": 2, "tanh": 1, "erf": 1}
"""How much of a gate a value is that came out of these."""

POSITIVE = _names("relu relu6 sigmoid expit hardsigmoid exp softplus square abs absolute softmax")

STATISTICS = _names("sqrt rsqrt std var norm vectornorm linalgnorm linalgvectornorm reciprocal")
"""What values are measured by is taken as constant, as in the rule for LayerNorm (arXiv:2202.07304)."""

BIASED = _names("addmm baddbmm addbmm addmv")
PRODUCTS = BIASED | _names("matmul rmatmul mm bmm mv dot vdot inner outer tensordot einsum")
CONVOLUTIONS = _names("conv1d conv2d conv3d convtranspose1d convtranspose2d convtranspose3d")

FREE = _names("grad backward registerhook retaingrad")
"""No steps of the model."""


def plain(trace: Trace, call: Call) -> Any:
    """As gradients do."""
    return call.run()


def alone(trace: Trace, call: Call) -> Any:
    """As gradients do, where only the first values depend on the input."""
    if any(k > int(call.name == "lerp") for k in call.live):
        raise unfit(trace.model, f"{call.name} by values that depend on the input")
    return call.run()


def statistic(trace: Trace, call: Call) -> Any:
    if call.in_place:
        raise unfit(trace.model, f"{call.name} in place", "whose result is taken as constant, and its input is not")
    return trace.constant(call.run(), call)


def gate(trace: Trace, call: Call) -> Any:
    """The slope of the chord from f(0) to f(x): what is above f(0) is passed on, f(0) is a bias."""
    if len(call.live) > 1:
        raise unfit(trace.model, f"{call.name} of several values that depend on the input")
    x, f = call.tensors[call.live[0]], call.over(call.live[0])
    power = call.args[1] if call.name == "pow" and len(call.args) > 1 else 1
    if isinstance(power, int | float) and power < 1:
        return statistic(trace, call)
    in_place, exact = call.in_place, call.name in OFF_ZERO

    def back(g: Tensor, t: Tensor) -> Tensor:
        with torch.no_grad():
            wide = t.double() if exact else t
            zero = f(wide.new_zeros(()))
            return g * share(f(wide.clone() if in_place else wide) - zero, wide).to(g)

    found = ruled(lambda t: f(t.clone() if in_place else t), back, x.clone() if in_place else x)
    return _written(call, x, found)


def _written(call: Call, x: Tensor, found: Tensor) -> Tensor:
    """What was found, in the place of x where the operation works in place."""
    return x.copy_(found) if call.in_place else found


def multiply(trace: Trace, call: Call) -> Any:
    """Each factor gets half of what the product has; a gate gets nothing, for it is taken as constant."""
    if len(call.live) < 2:
        return call.run()
    x, y = call.tensors
    a = x.clone() if call.in_place else x
    return _written(call, x, torch.mul(*_shared(trace, call, (x, y), (a, a if y is x else y))))


def _shared(trace: Trace, call: Call, known: tuple[Tensor, Tensor], factors: tuple[Tensor, Tensor]
            ) -> tuple[Tensor, Tensor]:
    """Two factors, of which as much is known as of `known`: each with half the way back, or the gate with none."""
    (mine, others), (a, b) = (_gate(trace, t) for t in known), factors
    if mine == others:
        return factor(a), factor(b)
    return (trace.constant(a, call), b) if mine > others else (a, trace.constant(b, call))


def _gate(trace: Trace, value: Tensor) -> int:
    return (trace.marks.of(value) or Mark()).gate


def added_product(trace: Trace, call: Call) -> Any:
    """A value and a product; of a quotient what is divided by is constant."""
    if call.name == "addcdiv" and 2 in call.live:
        return call.over(2)(trace.constant(call.tensors[2], call))
    if not {1, 2} <= set(call.live):
        return call.run()
    both = call.tensors[1], call.tensors[2]
    return call.over(1, 2)(*_shared(trace, call, both, both))


def divide(trace: Trace, call: Call) -> Any:
    """What a value is divided by is taken as constant."""
    below = int(call.name != "rtruediv" and call.args[:1] != () and call.args[0] is call.tensors[0])
    if below not in call.live:
        return call.run()
    return call.over(below)(trace.constant(call.tensors[below], call))


def product(trace: Trace, call: Call) -> Any:
    """Matrix products: with a weight a layer, with a constant linear, of several values equal parts to each.

    Where attention is a constant, so are weights over a single vector's entries, which may be no attention elsewhere.
    """
    added = int(call.name in BIASED)
    factors = [k for k in call.live if k >= added]
    if len(factors) > 1:
        some = [k for k in factors if not (trace.whole and _gate(trace, call.tensors[k]) == 2)] or factors
        return call.over(*factors)(*(factor(call.tensors[k], len(some)) if k in some
                                     else trace.constant(call.tensors[k], call) for k in factors))
    if len(call.tensors) != 2 + added or not factors or (added and 0 in call.live):
        return call.run()
    (at,), other = factors, 2 * added + 1 - factors[0]
    scaled = call.kwargs.get("beta", 1) != 1 or call.kwargs.get("alpha", 1) != 1
    if scaled or not trace.weight(call.tensors[other]):
        return call.run()
    bias = call.tensors[0] if added else None
    f = call.over(0, at, other) if added else call.over(at, other)
    none = None if bias is None else torch.zeros_like(bias)

    def apply(t: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return f(t, weight) if none is None else f((none if bias is None else bias).to(t), t, weight)

    return trace.weighted(Affine(apply, call.tensors[other], bias, "dense"), call.tensors[at])


def linear(trace: Trace, call: Call) -> Any:
    x, w, b = _fixed(trace, call)
    return trace.weighted(Affine(F.linear, w, b, "dense", "first" if x.dim() == 2 else ""), x)


def convolution(trace: Trace, call: Call) -> Any:
    (x, w, b), func, rest = _fixed(trace, call), call.func, call.args[3:]
    named = {k: v for k, v in call.kwargs.items() if k not in ("input", "weight", "bias")}
    outputs = "first"
    if "transpose" in call.name:
        outputs = f"grouped:{rest[3] if len(rest) > 3 else named.get('groups', 1)}"

    def apply(t: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return func(t, weight, bias, *rest, **named)

    return trace.weighted(Affine(apply, w, b, "convolution", outputs), x)


def _fixed(trace: Trace, call: Call) -> list[Any]:
    """Input, weight and bias of a layer; the weights must be its own."""
    x, w, b = call.given("input", "weight", "bias")
    if w.requires_grad or (b is not None and b.requires_grad):
        raise unfit(trace.model, f"{call.name} with weights that depend on the input")
    return [x, w, b]


def batch_norm(trace: Trace, call: Call) -> Any:
    """Merged with the layer that made its input; behind anything else a line whose shift is a bias."""
    x, weight, bias, mean, variance, training, _, eps = call.given(
        "input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
    if training or mean is None or variance is None:
        raise unfit(trace.model, f"{call.name} by the statistics of the batch")
    made = trace.marks.made(x)
    if made is None or not made.layer.outputs:
        return call.run()
    f, held = call.over(call.live[0]), x.detach()
    return trace.weighted(made.layer.then(Norm(mean, variance, weight, bias, eps)), made.x, lambda _: f(held))


def normalised(trace: Trace, call: Call) -> Any:
    """LayerNorm and its kin: the deviation is a constant, the mean is taken off as ever."""
    if call.live != [0]:
        raise unfit(trace.model, f"{call.name} with weights that depend on the input")
    if call.name == "instancenorm":
        _, scale, _, _, _, batch, _, eps = call.given("input", "weight", "bias", "mean", "var", "batch", "mo", "eps")
        if not batch:
            return call.run()
        apart: Any = call.tensors[0].shape[1]
    elif call.name == "rmsnorm":
        _, apart, scale, eps = call.given("input", "shape", "weight", "eps")
        eps = torch.finfo(call.tensors[0].dtype).eps if eps is None else eps
    else:
        _, apart, scale, _, eps = call.given("input", "shape", "weight", "bias", "eps")
        eps = 1e-5 if eps is None else eps
    grouped, centred = isinstance(apart, int), call.name != "rmsnorm"

    def back(g: Tensor, t: Tensor) -> Tensor:
        shape = t.shape
        if grouped:
            g = g if scale is None else g * scale.to(g).view(-1, *[1] * (t.dim() - 2))
            g, t = (v.unflatten(1, (apart, -1)) for v in (g, t))
        else:
            g = g if scale is None else g * scale.to(g)
        axes = tuple(range(2, t.dim())) if grouped else tuple(range(t.dim() - len(apart), t.dim()))
        spread = t.var(axes, unbiased=False, keepdim=True) if centred else t.square().mean(axes, keepdim=True)
        g = g * (spread + eps).rsqrt()
        return (g - g.mean(axes, keepdim=True) if centred else g).reshape(shape)

    return ruled(lambda _: call.run(), back, call.tensors[0])


def softmax(trace: Trace, call: Call) -> Any:
    """Of attention a constant, or as gradients do (a Taylor expansion at x, as in AttnLRP); elsewhere always that."""
    found = call.run()
    return trace.constant(found, call) if trace.whole and found.dim() > 2 else found


def attention(trace: Trace, call: Call) -> Any:
    """Fused attention, with its two products and its softmax as if they were written out."""
    q, k, v, mask, _, causal, scale, grouped = call.given(
        "query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
    scale, whole = 1 / math.sqrt(q.shape[-1]) if scale is None else scale, trace.whole
    times = q.shape[-3] // k.shape[-3] if grouped else 1

    def back(g: Tensor, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor]:
        keys, values = (t.repeat_interleave(times, -3) if times > 1 else t for t in (k, v))
        logits = q @ keys.transpose(-2, -1) * scale
        if causal:
            before = torch.ones(logits.shape[-2:], dtype=torch.bool, device=g.device).tril()
            logits = logits.masked_fill(~before, -torch.inf)
        if mask is not None:
            logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
        looks = logits.softmax(-1).nan_to_num(0.0)  # a query that may look at nothing
        if whole:
            return None, None, _gathered(looks.transpose(-2, -1) @ g, times)
        to_values, to_looks = 0.5 * looks.transpose(-2, -1) @ g, 0.5 * g @ values.transpose(-2, -1)
        slope = looks * (to_looks - (looks * to_looks).sum(-1, keepdim=True)) * (0.5 * scale)
        return slope @ keys, _gathered(slope.transpose(-2, -1) @ q, times), _gathered(to_values, times)

    if whole:
        trace.constant(q, call)
    return ruled(lambda *_: call.run(), back, q, k, v)


def _gathered(value: Tensor, times: int) -> Tensor:
    """Of heads that share their keys one sum per group."""
    return value if times == 1 else value.unflatten(-3, (-1, times)).sum(-3)


def gated_linear(trace: Trace, call: Call) -> Any:
    x, dim = call.given("input", "dim")
    a, b = x.chunk(2, -1 if dim is None else dim)
    return a * trace.constant(b.sigmoid(), call)


def cosine(trace: Trace, call: Call) -> Any:
    """A product over two lengths, which are constants."""
    a, b, dim, eps = call.given("x1", "x2", "dim", "eps")
    dim, eps = 1 if dim is None else dim, 1e-8 if eps is None else eps
    a, b = torch.broadcast_tensors(a, b)
    lengths = (a.detach().norm(dim=dim) * b.detach().norm(dim=dim)).clamp(min=eps)
    return (factor(a) * factor(b) if len(call.live) > 1 else a * b).sum(dim) / lengths


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(VIEWS | SUMS | LINEAR | FREE, plain), **dict.fromkeys(GATES, gate),
    **dict.fromkeys(STATISTICS, statistic), **dict.fromkeys(ALONE, alone),
    **dict.fromkeys(("addcmul", "addcdiv"), added_product), **dict.fromkeys(PRODUCTS, product),
    **dict.fromkeys(CONVOLUTIONS, convolution), **dict.fromkeys(("mul", "multiply"), multiply),
    **dict.fromkeys(("div", "divide", "truediv", "truedivide", "rtruediv"), divide),
    **dict.fromkeys(("layernorm", "groupnorm", "instancenorm", "rmsnorm"), normalised),
    **dict.fromkeys(("softmax", "softmin"), softmax), "logsoftmax": plain,
    "linear": linear, "batchnorm": batch_norm, "scaleddotproductattention": attention, "glu": gated_linear,
    "cosinesimilarity": cosine,
}
"""What happens at an operation, by its plain name: without underscores, overload or the marks of its spelling."""


def marked(call: Call, marks: list[Mark]) -> Mark:
    """What is known of a result, given what is known of the live values that went in."""
    name, alone = call.name, len(marks) == sum(t.is_floating_point() for t in call.tensors)
    numbers = [v for v in (*call.args, *call.kwargs.values()) if isinstance(v, int | float)]
    keeps = name in VIEWS or name in SUMS
    shifted = name in ("add", "pad", "constantpadnd") and any(v < 0 for v in numbers)
    positive = (keeps and alone and all(m.positive for m in marks) and not shifted) or name in POSITIVE
    still = name in VIEWS or (name in ("add", "sub", "rsub", "mul", "div", "truediv", "neg") and len(marks) == 1)
    gates = min(m.gate for m in marks) if still else BOUNDED.get(name, 0)
    return Mark(name in WEIGHTED or any(m.after for m in marks), positive, gates)


WEIGHTED = CONVOLUTIONS | {"linear"}
"""What always has weights; matrix products may."""
