"""Nothing of the user's changes: pristine sees every kind of change, and no method on any toy makes one."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from pellucid import catalog
from pellucid.engine import shadow
from pellucid.explain import explain
from pellucid.testing.faults import KINDS, FailAt
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import NAMES, patched, toy, twin_of_in_place_input
from pellucid.testing.universal import asked
from pellucid.words.errors import ModelError, PellucidError
from pellucid.words.method import Method

METHODS = [*catalog.methods().values(), *map(catalog.find, (
    "inside(integrated_gradients)", "smooth(saliency)", "contrast(input_x_gradient)", "averaged(kernel_shap)"))]
PLACES = {"cnn", "reused", "residual", "vit", "lstm", "encoder"}
"""Toys whose layer has places, or tokens, to draw a map over."""

GUARDED = [name for name in NAMES if toy(name).isolation == "guard"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def least(method: Method) -> dict[str, int]:
    return {k: v for k, v in {"samples": 8, "steps": 4}.items() if k in method.defaults}


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
    "threads": (lambda m, x: torch.set_num_threads(2), "threads"),
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


# --- explain leaves every toy as it was, under whatever settings it is called

@pytest.mark.parametrize("name", NAMES)
def test_every_method_leaves_every_toy_as_it_was(name: str) -> None:
    for method in METHODS:
        on = toy(name)
        x = on.x
        placeless = method.name == "grad_cam" and name not in PLACES
        with pristine(on.model, x):
            if on.error or placeless:
                with pytest.raises(PellucidError) as found:
                    asked(method, least(method), on, x)
                assert found.value.code == (on.error or "layer.no_places")
                continue
            e = asked(method, least(method), on, x)
        assert e.evidence.isolation == on.isolation
        assert ("isolation.guard" in {f.code for f in e.verdict.findings}) == (on.isolation == "guard")
        assert on.isolation == "shadow" or e.verdict.status != "pass"


@pytest.mark.parametrize("name", ["cnn", "encoder", "uncopyable"])
@pytest.mark.parametrize("state", ["no_grad", "inference", "anomaly", "autocast", "requires_grad", "float64"])
def test_settings_of_the_caller_stay_and_change_nothing(name: str, state: str) -> None:
    on = toy(name)
    x = on.x
    method = catalog.find("input_x_gradient")
    plain = asked(method, {}, on, x, target=0)
    around: dict[str, Callable[[], Any]] = {
        "no_grad": torch.no_grad, "inference": torch.inference_mode, "autocast": lambda: torch.autocast("cpu"),
        # Without the check for NaN the mode is entered without a warning about its cost.
        "anomaly": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False)}
    if state == "requires_grad":
        x.requires_grad_()
    if state == "float64":
        torch.set_default_dtype(torch.float64)
    try:
        with around.get(state, torch.enable_grad)(), pristine(on.model, x):
            e = asked(method, {}, on, x, target=0)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.allclose(e.values, plain.values, rtol=1e-4, atol=1e-6)


def test_an_input_that_is_written_into_is_the_users_own_no_more() -> None:
    rude, polite = toy("in_place_input"), twin_of_in_place_input()
    for method in METHODS:
        if method.name == "grad_cam":
            continue
        x = rude.x
        with pristine(rude.model, x):
            found = asked(method, least(method), rude, x)
        expected = asked(method, least(method), polite, polite.x)
        assert torch.allclose(found.values, expected.values, rtol=1e-5, atol=1e-6), method.name
        assert found.score == pytest.approx(expected.score, rel=1e-6)


# --- the guard

@pytest.mark.parametrize("name", GUARDED)
def test_the_guard_gives_the_numbers_of_the_model_in_evaluation(name: str) -> None:
    on = toy(name)
    mode = on.model.training
    e = asked(catalog.find("integrated_gradients"), {"steps": 32}, on, on.x, target=0)
    assert e.evidence.isolation == "guard"
    assert e.verdict.status == "warn"
    modes = [(m, m.training) for m in on.model.modules()]
    with torch.no_grad():
        _evaluate(on.model)
        truth = on.model(torch.cat([on.x, torch.zeros_like(on.x)]))[:, 0]
    for module, training in modes:
        module.training = training
    assert on.model.training is mode
    assert e.score == pytest.approx(float(truth[0]), rel=1e-5, abs=1e-6)
    assert float(e.values.sum()) == pytest.approx(float(truth[0] - truth[1]), rel=1e-4, abs=1e-5)


def _evaluate(model: nn.Module) -> None:
    for module in model.modules():
        module.training = False


def test_a_patched_forward_is_found_in_strict_mode_and_for_layers_too() -> None:
    on = toy("patched")
    for method, strict in (("saliency", True), ("inside(saliency)", False), ("inside(saliency)", True)):
        with pristine(on.model):
            assert asked(catalog.find(method), {}, on, on.x, strict=strict).evidence.isolation == "guard"


def test_a_forward_patched_between_two_calls_is_found() -> None:
    on = toy("training")
    subject = on.subject()
    before = asked(catalog.find("saliency"), {}, on, on.x, subject, target=0)
    patched(on.model)
    with pristine(on.model):
        after = asked(catalog.find("saliency"), {}, on, on.x, subject, target=0)
    assert (before.evidence.isolation, after.evidence.isolation) == ("shadow", "guard")
    assert torch.allclose(after.values, 2 * before.values, rtol=1e-5)


def test_weights_under_guard_are_not_written_either() -> None:
    on = toy("writes_parameters")
    patched(on.model)
    with pytest.raises(ModelError) as found, pristine(on.model):
        asked(catalog.find("saliency"), {}, on, on.x)
    assert found.value.code == "model.mutated"


# --- faults

def test_faults_at_any_operation_leave_nothing() -> None:
    """A short campaign: method, toy, fault and place are drawn; it counts that faults really fired."""
    draws = random.Random(20)
    toys = [n for n in NAMES if toy(n).error is None]
    fired: dict[str, int] = {}
    while sum(fired.values()) < 120:
        method, on, kind = draws.choice(METHODS), toy(draws.choice(toys)), draws.choice(KINDS)
        if method.name == "grad_cam" and on.name not in PLACES:
            continue
        x, count = on.x, FailAt()
        with count:
            asked(method, least(method), on, x)
        fault = FailAt(draws.randrange(count.operations), kind)
        with pristine(on.model, x), suppress(kind, PellucidError), fault:
            asked(method, least(method), on, x)
        if fault.fired:
            fired[kind.__name__] = fired.get(kind.__name__, 0) + 1
    assert set(fired) == {kind.__name__ for kind in KINDS}, fired


class Calls:
    """A count that a model and its shadows share."""

    def __init__(self) -> None:
        self.n = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Calls:
        return self


class Failing(nn.Module):
    """Raises at its k-th call, in the middle of a forward."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.at, self.error, self.calls = at, error, Calls()

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.body(x))
        self.calls.n += 1
        if self.calls.n == self.at:
            raise self.error("planted by a test")
        return self.head(x)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@pytest.mark.parametrize("at", [1, 2, 3])
def test_what_the_forward_raises(kind: type[BaseException], at: int) -> None:
    """Memory running out is tried again with fewer rows, Ctrl-C and exit pass, anything else gets our code."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Failing(at, kind)
    x = torch.ones(1, 6)
    with pristine(model, x):
        if issubclass(kind, torch.OutOfMemoryError | MemoryError):
            with suppress(PellucidError):  # where not even one row fits there is nothing to halve
                e = explain(model, x, "integrated_gradients", steps=16, chunk=8)
                assert e.evidence.retries == 1
        elif issubclass(kind, Exception):
            with pytest.raises(ModelError) as found:
                explain(model, x, "integrated_gradients", steps=16, chunk=8)
            assert found.value.code == "model.failed"
            assert isinstance(found.value.__cause__, kind)
        else:
            with pytest.raises(kind, match="planted"):
                explain(model, x, "integrated_gradients", steps=16, chunk=8)
    assert model.calls.n >= at
    assert not torch.isnan(explain(model, x, "saliency").values).any()


@pytest.mark.parametrize("name", ["cnn", "vit", "hooked"])
def test_ctrl_c_between_two_lines_of_python(name: str) -> None:
    """The interrupt comes at the k-th call of a function of the package, wherever that is."""
    import sys

    on = toy(name)
    method = catalog.find("integrated_gradients")

    def interrupted(at: int) -> int:
        seen = 0

        def profile(frame: Any, event: str, argument: Any) -> None:
            nonlocal seen
            if event == "call" and "pellucid" in frame.f_code.co_filename:
                seen += 1
                if seen == at:
                    raise KeyboardInterrupt
        x = on.x
        with pristine(on.model, x):
            sys.setprofile(profile)
            try:
                asked(method, {"steps": 4}, on, x)
            except KeyboardInterrupt:
                return -1
            finally:
                sys.setprofile(None)
        return seen

    calls = interrupted(0)
    places = random.Random(name).sample(range(1, calls), 12)
    assert [interrupted(at) for at in places] == [-1] * 12


# --- threads

@pytest.mark.parametrize("name", ["cnn", "gelu_mlp", "uncopyable"])
def test_four_threads_get_the_numbers_of_one(name: str) -> None:
    on = toy(name)
    subject = on.subject()
    methods = [catalog.find(m) for m in ("saliency", "integrated_gradients", "ablation", "saliency")]
    expected = [[asked(m, {}, on, on.make(k), strict=True).values for k in range(5)] for m in methods]
    found: list[list[Tensor]] = [[] for _ in methods]
    errors: list[BaseException] = []

    def work(which: int) -> None:
        try:
            found[which] = [asked(methods[which], {}, on, on.make(k), subject, strict=True).values for k in range(5)]
        except BaseException as error:
            errors.append(error)

    with pristine(on.model):
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors, errors
    for mine, alone in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, alone, strict=True))


def test_every_guarded_and_refused_toy_is_there() -> None:
    assert {"uncopyable", "remembering", "patched", "patched_training", "patched_leaf"} == set(GUARDED)
    assert {n for n in NAMES if toy(n).error} == {"writes_parameters", "writes_data"}


def test_without_the_shadow_the_same_checks_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutation check of this file: on the user's own model, in training mode, every run leaves a trace."""

    def bare(model: nn.Module) -> nn.Module:
        for module in model.modules():
            module.training = False
        return model

    monkeypatch.setattr(shadow, "cast", bare)
    runs = traces = 0
    for name in ("gelu_mlp", "training", "writes_buffers", "hooked", "cnn"):
        for method, fault in [(m, f) for m in METHODS if m.name != "grad_cam" for f in (-1, 40)]:
            on = toy(name)
            on.model.train()
            runs += 1
            try:
                with pristine(on.model, on.x), suppress(RuntimeError, PellucidError), FailAt(fault):
                    asked(method, least(method), on, on.x)
            except AssertionError:
                traces += 1
    assert traces == runs
    assert runs >= 90
