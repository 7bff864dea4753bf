"""The pristine check sees every kind of change that anything could make to a model, an input or a setting."""


from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from pellucid.testing.faults import FailAt
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import toy

# --- pristine sees every kind of change

ARRAY = np.zeros(3)
HELD: list[Any] = []
"""What must not be let go before the comparison."""

Change = Callable[[nn.Module, Tensor], Any]


def _set(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def _write(tensor: Tensor) -> None:
    with torch.no_grad():
        tensor.add_(1)


def _write_silently(model: nn.Module) -> None:
    next(model.parameters()).data.add_(1)


def _write_and_undo(tensor: Tensor) -> None:
    with torch.no_grad():
        tensor.mul_(-1).mul_(-1)


def _replace(model: Any, x: Tensor) -> None:
    model.body.weight = nn.Parameter(model.body.weight.detach().clone())


def _move_storage(model: Any, x: Tensor) -> None:
    model.body.weight.data = model.body.weight.data.clone()


CHANGES: dict[str, tuple[Change, str]] = {
    "mode": (lambda m, x: m.eval(), "training"),
    "class": (lambda m, x: _set(m, "__class__", type("Other", (type(m),), {})), "class"),
    "attribute": (lambda m, x: _set(m, "leftover", 1), "leftover: new"),
    "forward": (lambda m, x: _set(m, "forward", lambda v: v), "forward: new"),
    "attribute gone": (lambda m, x: m.__dict__.pop("note"), "note: gone"),
    "attribute's value": (lambda m, x: _set(m, "note", "other"), "note: 'mine' → 'other'"),
    "module exchanged": (lambda m, x: _set(m, "drop", nn.Dropout(0.5)), "model._modules"),
    "module added": (lambda m, x: m.add_module("more", nn.Identity()), "more.id: new"),
    "forward hook": (lambda m, x: m.register_forward_hook(lambda *a: None), "_forward_hooks"),
    "forward pre-hook": (lambda m, x: m.register_forward_pre_hook(lambda *a: None), "_forward_pre_hooks"),
    "hook with keywords": (lambda m, x: m.register_forward_hook(lambda *a: None, with_kwargs=True), "with_kwargs"),
    "backward hook": (lambda m, x: m.register_full_backward_hook(lambda *a: None), "_is_full_backward_hook"),
    "backward pre-hook": (lambda m, x: m.register_full_backward_pre_hook(lambda *a: None), "_backward_pre_hooks"),
    "state dict hook": (lambda m, x: m.register_state_dict_post_hook(lambda *a: None), "_state_dict_hooks"),
    "global hook": (lambda m, x: register_module_forward_hook(lambda *a: None), "_global_forward_hooks"),
    "array written": (lambda m, x: ARRAY.__setitem__(0, 7.0), "input[1]['array'].bytes"),
    "parameter written": (lambda m, x: _write(m.body.weight), "body.weight.bytes"),
    "parameter written silently": (lambda m, x: _write_silently(m), "body.weight.bytes"),
    "parameter written and undone": (lambda m, x: _write_and_undo(m.body.weight), "body.weight.version"),
    "parameter replaced": (_replace, "body.weight.id"),
    "parameter moved": (_move_storage, "body.weight.storage"),
    "parameter's type": (lambda m, x: m.double(), "body.weight.dtype"),
    "parameter's strides": (lambda m, x: _set(m.body.weight, "data", m.body.weight.data.T.contiguous().T), "stride"),
    "parameter added": (lambda m, x: m.register_parameter("y", nn.Parameter(torch.ones(1))), "parameter y.id: new"),
    "parameter frozen": (lambda m, x: m.body.weight.requires_grad_(False), "body.weight.requires_grad"),
    "parameter hook": (lambda m, x: m.body.weight.register_hook(lambda g: g), "body.weight.hooks"),
    "accumulation hook": (lambda m, x: m.body.bias.register_post_accumulate_grad_hook(lambda p: None), "accumulation"),
    "gradient gone": (lambda m, x: m.zero_grad(), "body.weight.grad"),
    "gradient written": (lambda m, x: m.body.weight.grad.add_(1), "body.weight.grad"),
    "gradient replaced": (lambda m, x: _set(m.body.weight, "grad", m.body.weight.grad.clone()), "body.weight.grad"),
    "buffer written": (lambda m, x: m.norm.running_mean.add_(1), "norm.running_mean.bytes"),
    "buffer added": (lambda m, x: m.register_buffer("b", torch.ones(1)), "buffer b.id: new"),
    "input written": (lambda m, x: _write(x), "input[0].bytes"),
    "input written and undone": (lambda m, x: _write_and_undo(x), "input[0].version"),
    "input's flag": (lambda m, x: x.requires_grad_(), "input[0].requires_grad"),
    "input's gradient": (lambda m, x: _set(x, "grad", torch.ones_like(x)), "input[0].grad"),
    "input's hook": (lambda m, x: x.requires_grad_().register_hook(lambda g: g), "input[0].hooks"),
    "grad mode": (lambda m, x: torch.set_grad_enabled(False), "grad mode"),
    "inference mode": (lambda m, x: HELD.append(torch._C._InferenceMode(True)), "inference mode"),
    "anomaly mode": (lambda m, x: torch.autograd.set_detect_anomaly(True), "anomaly mode"),
    "autocast": (lambda m, x: torch.set_autocast_enabled("cpu", True), "autocast cpu"),
    "determinism": (lambda m, x: torch.use_deterministic_algorithms(True), "deterministic"),
    "threads": (lambda m, x: torch.set_num_threads(torch.get_num_threads() + 1), "threads"),
    "default dtype": (lambda m, x: torch.set_default_dtype(torch.float64), "default dtype"),
    "cudnn": (lambda m, x: _set(torch.backends.cudnn, "benchmark", True), "cudnn"),
    "attention kernels": (lambda m, x: torch.backends.mha.set_fastpath_enabled(False), "attention kernels"),
    "dispatch mode": (lambda m, x: FailAt().__enter__(), "dispatch modes"),
    "numpy errors": (lambda m, x: np.seterr(divide="raise"), "numpy errors"),
    "random state of python": (lambda m, x: random.random(), "random state of python"),
    "random state of numpy": (lambda m, x: np.random.rand(), "random state of numpy"),
    "random state of torch": (lambda m, x: torch.rand(1), "random state of torch"),
    "seed of torch": (lambda m, x: torch.manual_seed(5), "random state of torch"),
}


@pytest.fixture
def _settings_put_back() -> Iterator[None]:
    grad, threads, states = torch.is_grad_enabled(), torch.get_num_threads(), (
        random.getstate(), np.random.get_state(), torch.get_rng_state())
    errors, fast, benchmark = np.geterr(), torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.benchmark
    hooks = dict(nn.modules.module._global_forward_hooks)
    torch.manual_seed(1)
    yield
    while torch._C._len_torch_dispatch_stack():
        torch.utils._python_dispatch._pop_mode()
    HELD.clear()
    torch.set_grad_enabled(grad)
    torch.autograd.set_detect_anomaly(False)
    torch.set_autocast_enabled("cpu", False)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.mha.set_fastpath_enabled(fast)
    np.seterr(**errors)
    nn.modules.module._global_forward_hooks.clear()
    nn.modules.module._global_forward_hooks.update(hooks)
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def _owned() -> tuple[Any, Tensor]:
    """A model in training mode with gradients and an attribute, and an input."""
    model: Any = toy("training").model
    model.note = "mine"
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        model(x).sum().backward()
    return model, x


@pytest.mark.usefixtures("_settings_put_back")
@pytest.mark.parametrize("kind", CHANGES)
def test_pristine_sees(kind: str) -> None:
    change, named = CHANGES[kind]
    model, x = _owned()
    ARRAY[:] = 0.0
    with pytest.raises(AssertionError, match="not pristine") as found, pristine(model, x, {"array": ARRAY}):
        change(model, x)
    assert named in str(found.value)


def test_pristine_sees_a_change_behind_an_exception() -> None:
    model, x = _owned()

    def interrupted() -> None:
        with pristine(model, x):
            model.eval()
            raise KeyboardInterrupt

    with pytest.raises(AssertionError, match="training") as found:
        interrupted()
    assert isinstance(found.value.__cause__, KeyboardInterrupt)


def test_pristine_lets_an_exception_pass_and_is_silent_where_nothing_changed() -> None:
    model, x = _owned()
    with pytest.raises(ZeroDivisionError), pristine(model, x, {"more": (x, np.ones(3))}):
        _ = 1 / 0
    with pristine(model, x), torch.random.fork_rng(devices=[]), torch.no_grad():
        x + torch.rand(1)
