"""The quick copy of a module is the copy that deepcopy makes: same parts, same values, same sharing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.engine.copying import copied


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.sizes, self.kept, self.name = [1, 2], {"a": torch.ones(2)}, "plain"


class Aliased(nn.Module):
    """Buffers and attributes that look at one piece of memory, some at a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("whole", torch.arange(6.0))
        self.register_buffer("again", self.whole.detach())
        self.register_buffer("part", self.whole[2:4])
        self.seen = self.whole.view(2, 3)


class Early(Aliased):
    """The attribute comes before the buffer that it looks at."""

    def __init__(self) -> None:
        super().__init__()
        first = {"seen": self.seen, "_buffers": self.__dict__.pop("_buffers")}
        rest = dict(self.__dict__)
        self.__dict__.clear()
        self.__dict__.update({"seen": first["seen"], **rest, "_buffers": first["_buffers"]})


class Common(nn.Module):
    """Two layers that write into one dictionary, one layer under two names, a child that knows its parent."""

    def __init__(self) -> None:
        super().__init__()
        common: dict[str, Any] = {}
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.a.cache = self.b.cache = common
        self.c = self.a
        self.b.__dict__["parent"] = self


class Own(nn.Linear):
    """Says itself how it is copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Own:
        made = Own(self.in_features, self.out_features)
        made.marked = True
        for weight in made.parameters():
            nn.init.ones_(weight)
        return made


class State(nn.Linear):
    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.restored = True


def hooked() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    net[0].register_forward_hook(lambda m, a, out: out * 2)
    return net


def tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    return net


CASES = {
    "plain": Plain, "aliased": Aliased, "early": Early, "common": Common, "own": lambda: nn.Sequential(Own(2, 2)),
    "state": lambda: nn.Sequential(State(2, 2)), "hooked": hooked, "tied": tied,
    "lstm": lambda: nn.LSTM(3, 4, 2), "attention": lambda: nn.MultiheadAttention(4, 2),
    "normed": lambda: torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
    "spectral": lambda: torch.nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)),
    "lists": lambda: nn.ModuleDict({"a": nn.ModuleList([nn.Linear(1, 1)]),
                                    "b": nn.ParameterList([nn.Parameter(torch.ones(2))])}),
    "lazy": lambda: nn.Sequential(nn.LazyLinear(3)),
}


def described(thing: Any, seen: dict[int, int], storages: dict[int, int]) -> Any:
    """What a module is made of, with numbers for what is the same thing and the same memory."""
    if isinstance(thing, Tensor) and not torch.nn.parameter.is_lazy(thing):
        memory = storages.setdefault(thing.untyped_storage().data_ptr(), len(storages))
        first = seen.setdefault(id(thing), len(seen))
        return (type(thing), first, memory, thing.dtype, thing.stride(), thing.storage_offset(), thing.requires_grad,
                thing.tolist())
    if isinstance(thing, dict | list | tuple | nn.Module):
        if id(thing) in seen:
            return ("seen", seen[id(thing)])
        seen[id(thing)] = len(seen)
        if isinstance(thing, list | tuple):
            return (type(thing), [described(v, seen, storages) for v in thing])
        inside = thing.__dict__ if isinstance(thing, nn.Module) else thing
        return (type(thing).__name__, {str(k): described(inside[k], seen, storages) for k in sorted(inside, key=str)})
    return thing if isinstance(thing, (int, float, str, bool, type(None))) else type(thing)


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("name", CASES)
def test_the_copy_is_the_one_that_deepcopy_makes(name: str) -> None:
    torch.manual_seed(0)
    model = CASES[name]()
    wanted, found = copy.deepcopy(model), copied(model, {})
    assert described(found, {}, {}) == described(wanted, {}, {})


def test_nothing_of_the_copy_is_the_original() -> None:
    model = Plain()
    made = copied(model, {})
    made.norm.running_mean += 1
    made.sizes.append(3)
    made.kept["a"] += 1
    made.conv.register_forward_hook(lambda *a: None)
    made.conv.stride = (9, 9)
    assert not model.norm.running_mean.any()
    assert model.sizes == [1, 2]
    assert model.kept["a"].tolist() == [1, 1]
    assert not model.conv._forward_hooks
    assert model.conv.stride == (1, 1)
