"""BatchNorm folded into the layer before it: found by watching one run, done on a copy of the model.

Any architecture will do, whatever its forward looks like: what counts is which tensors were read, how
often and by whom. A fold changes two modules of the copy and writes no weight: new tensors take their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd  # pyright: ignore[reportPrivateUsage]
from torch.overrides import TorchFunctionMode

from pellucid.engine.capture import parts
from pellucid.words.modes import Watching


@dataclass(frozen=True)
class Fold:
    """A layer whose value is read once, by a BatchNorm. `names` are the modules whose value is the layer's own."""

    layer: str
    norm: str
    names: frozenset[str]


@dataclass(eq=False)
class _Made:
    """A value that a layer made: the modules that returned it, and who read it."""

    layer: str
    alive: StorageWeakRef
    shape: tuple[int, ...]
    names: set[str] = field(default_factory=set[str])
    readers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


class Reads(Watching):
    """Watches one run of a model: who reads which weight, and who reads what a layer made.

    Storages are watched, so that a view counts as what it looks at. Use `watching` around the run.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.modules = dict(model.named_modules())
        self.output: Any = None
        self._inside: list[str] = []
        self._weights: dict[int, list[tuple[str, str]]] = {
            _storage(t): [] for t in (*model.parameters(), *model.buffers()) if t.layout is torch.strided}
        self._made: dict[int, _Made] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, inside = func.overloadpacket.__name__, self._inside[-1] if self._inside else ""
        for tensor in _tensors((args, kwargs or {})):
            found = _storage(tensor)
            if found in self._weights:
                self._weights[found].append((name, inside))
            if found in self._made:
                self._made[found].readers.append((name, inside))
        out = func(*args, **(kwargs or {}))
        if name in ("convolution", "addmm", "mm") and isinstance(out, Tensor) and self._weighs(inside, name, args):
            alive = StorageWeakRef(out.untyped_storage())
            self._made[alive.cdata] = _Made(inside, alive, tuple(out.shape))
        return out

    def _weighs(self, inside: str, name: str, args: Any) -> bool:
        """True where the operation is the layer's own: rows come first, and its weight goes in as it is."""
        module = self.modules[inside]
        if isinstance(module, _ConvNd) and name == "convolution":
            weight = module._parameters.get("weight")
            return (weight is not None and _storage(args[1]) == _storage(weight)
                    and args[1].shape == weight.shape and args[0].dim() == weight.dim())
        return type(module) is nn.Linear and name in ("addmm", "mm")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Everything that runs the model meanwhile is one run; its output is kept in `output`."""
        with ExitStack() as stack:
            for name, module in self.modules.items():
                stack.callback(module.register_forward_pre_hook(partial(self._begins, name)).remove)
                stack.callback(module.register_forward_hook(partial(self._ends, name)).remove)
            stack.enter_context(self)
            yield

    def _begins(self, name: str, module: nn.Module, args: Any) -> None:
        self._inside.append(name)

    def _ends(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        self._inside.pop()
        for tensor in parts(output).values():
            if tensor.layout is torch.strided and (made := self._made.get(_storage(tensor))) is not None:
                made.names.add(name)
        if not name:
            self.output = output

    def folds(self) -> list[Fold]:
        """The layers whose value nobody but one BatchNorm read, and once."""
        return [Fold(m.layer, m.readers[0][1], frozenset(m.names)) for m in self._made.values() if self._may(m)]

    def _may(self, made: _Made) -> bool:
        if len(made.readers) != 1 or "" in made.names or "batch_norm" not in made.readers[0][0]:
            return False
        layer, norm = self.modules[made.layer], self.modules[made.readers[0][1]]
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None or norm.training:
            return False
        if _has_hooks(layer) or _has_hooks(norm) or "forward" in vars(layer) or "forward" in vars(norm):
            return False
        if type(layer) is nn.Linear and len(made.shape) != 2:
            return False  # its units lie on the last axis, a BatchNorm's on the second
        # A layer reads its weight once (a Linear looks at it transposed first); nobody else does.
        once = [(("convolution", made.layer),), (("addmm", made.layer),),
                (("t", made.layer), ("addmm", made.layer)), (("t", made.layer), ("mm", made.layer))]
        norms = [((made.readers[0][0], made.readers[0][1]),)]
        return (self._read(layer, once) and self._read(norm, norms)
                and made.shape[1] == norm.num_features == len(norm.running_mean))

    def _read(self, module: nn.Module, allowed: Sequence[tuple[tuple[str, str], ...]]) -> bool:
        """True where every weight of a module was read in one of the allowed ways."""
        own = {**module._parameters, **module._buffers}
        used = [t for name, t in own.items() if t is not None and name != "num_batches_tracked"]
        return set(own) <= _PLAIN and all(tuple(self._weights[_storage(t)]) in allowed for t in used)


_PLAIN = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def fold(model: nn.Module, found: Sequence[Fold]) -> None:
    """Fold on this copy: the layers get new weights, the BatchNorms pass their input on."""
    for one in found:
        layer, norm = model.get_submodule(one.layer), model.get_submodule(one.norm)
        assert isinstance(norm, _BatchNorm)
        weight, bias = folded(layer, norm)
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.bias = nn.Parameter(bias, requires_grad=False)
        plain = type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
        vars(norm)["forward"] = _same if plain else partial(_unnormalised, norm)


def folded(layer: nn.Module, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias that give, in one layer, what layer and BatchNorm give; computed in float64."""
    old, bias = layer._parameters["weight"], layer._parameters["bias"]
    assert old is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean = norm.running_mean.double()
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.detach().double()
    wide = old.detach().double()
    if isinstance(layer, _ConvNd) and layer.transposed:
        # (in, out / groups, *kernel): the output channels of a group lie on the second axis.
        grouped = wide.unflatten(0, (layer.groups, -1))
        weight = (grouped * scale.view(layer.groups, 1, -1, *[1] * (wide.dim() - 2))).flatten(0, 1)
    else:
        weight = wide * scale.view(-1, *[1] * (wide.dim() - 1))
    shift = (-mean if bias is None else bias.detach().double() - mean) * scale
    shift = shift if norm.bias is None else shift + norm.bias.detach().double()
    return weight.to(old.dtype), shift.to(old.dtype)


def lay(model: nn.Module, layout: torch.memory_format) -> int:
    """Give this copy's two-dimensional convolutions weights in a memory layout; how many there were.

    Their values take the layout of the weights, and hand it on to whatever comes after.
    """
    count = 0
    for module in model.modules():
        weight = module._parameters.get("weight")
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and weight is not None:
            laid = weight.detach().contiguous(memory_format=layout)
            module.weight = nn.Parameter(laid, requires_grad=False)
            count += 1
    return count


def _same(value: Tensor) -> Tensor:
    """What is left of a BatchNorm that was folded."""
    return value


def _unnormalised(norm: nn.Module, value: Tensor) -> Any:
    """A kind of BatchNorm that does more (an activation, say): everything but the normalisation."""
    with _Passing():
        return type(norm).forward(norm, value)


class _Passing(TorchFunctionMode):
    """Meanwhile batch_norm hands on its input."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") == "batch_norm":
            return args[0] if args else (kwargs or {})["input"]
        return func(*args, **(kwargs or {}))


def _has_hooks(module: nn.Module) -> bool:
    return any(value for key, value in vars(module).items() if key.endswith("_hooks") and isinstance(value, dict))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.layout is torch.strided:
            yield value
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
