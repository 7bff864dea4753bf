"""No method on any toy changes anything of the user's: after success, faults, Ctrl-C, in threads, under guard."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import catalog
from pellucid.engine import shadow
from pellucid.explain import explain
from pellucid.testing.faults import KINDS, FailAt
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import NAMES, patched, toy, twin_of_in_place_input
from pellucid.testing.universal import answered, asked
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


# --- explain leaves every toy as it was, under whatever settings it is called

@pytest.mark.parametrize("name", NAMES)
def test_every_method_leaves_every_toy_as_it_was(name: str) -> None:
    for method in METHODS:
        on = toy(name)
        x = on.x
        with pristine(on.model, x):
            e = answered(method, least(method), on, x)
        if on.error or method.name == "grad_cam":
            assert (e is None) == (on.error is not None or name not in PLACES)
        if e is None:
            continue
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
        x = rude.x
        with pristine(rude.model, x):
            found = answered(method, least(method), rude, x)
        if found is None:
            continue
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
    while sum(fired.values()) < 60:
        method, on, kind = draws.choice(METHODS), toy(draws.choice(toys)), draws.choice(KINDS)
        x, count = on.x, FailAt()
        with count:
            found = answered(method, least(method), on, x)
        if found is None:
            continue
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


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited", "ignore::pytest.PytestUnraisableExceptionWarning")
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
            # Python swallows what is raised while an unfinished generator expression is thrown away.
            if event == "call" and "pellucid" in frame.f_code.co_filename and frame.f_code.co_name != "<genexpr>":
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
