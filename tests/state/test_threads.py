"""Many threads, one model: the numbers of one thread, modes that stay in theirs, and a training step in between."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack, _len_torch_function_stack
from torch.utils import checkpoint

from pellucid import catalog
from pellucid.engine.recompute import recomputing
from pellucid.evaluate import evaluate
from pellucid.explain import explain
from pellucid.models.subject import Subject
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import Toy, patched, toy
from pellucid.testing.universal import asked
from pellucid.words.errors import ModelError

PATIENCE = 120
"""Seconds after which threads that wait for each other are called a deadlock; all take one together."""

Job = Callable[[Subject, bool], Tensor]


@pytest.fixture(autouse=True)
def _restless() -> Iterator[None]:
    """Threads change places a hundred times more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def method(on: Toy, name: str, **options: Any) -> Job:
    found = catalog.find(name)
    return lambda subject, strict: asked(found, options, on, on.x, subject, strict=strict).values


def judged(on: Toy, name: str) -> Job:
    """Two metrics of an explanation, beside controls."""

    def job(subject: Subject, strict: bool) -> Tensor:
        e = asked(catalog.find(name), {}, on, on.x, subject, strict=strict)
        found = evaluate(e, metrics=["deletion", "insertion"], controls=2, strict=strict, steps=6)
        return torch.tensor([(m.value, *m.controls) for m in found.measurements.values()])

    return job


def eight(on: Toy) -> list[Job]:
    """Methods that change the model in different ways, another library's, and metrics."""
    jobs = [method(on, "saliency"), method(on, "integrated_gradients", steps=9), method(on, "guided_backprop"),
            method(on, "deconvnet"), method(on, "lrp"), method(on, "captum:DeepLift"), judged(on, "input_x_gradient")]
    return [*jobs, method(on, "grad_cam") if on.picture else method(on, "inside(saliency)")]


def gates(name: str) -> Toy:
    """A toy whose activations are ReLUs."""
    on = toy("relu_mlp" if name != "cnn" else "cnn")
    if name == "patched":
        patched(on.model)
    if name == "stray":
        on.model.stray = torch.ones(1, requires_grad=True) * 2  # pyright: ignore[reportArgumentType]
    return on


def at_once(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Every job in a thread of its own, all begun together; what each returned or raised."""
    found: list[Any] = [None] * len(jobs)
    start = threading.Barrier(len(jobs))

    def work(k: int) -> None:
        start.wait()
        try:
            found[k] = jobs[k]()
        except BaseException as error:
            found[k] = error

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(t.is_alive() for t in threads), "threads wait for each other"
    return found


# --- the numbers of one thread

@pytest.mark.parametrize("name", ["cnn", "relu_mlp", "patched", "stray"])
@pytest.mark.parametrize("strict", [True, False], ids=["one subject, strict", "subjects of their own"])
def test_eight_threads_get_the_bits_of_one(name: str, strict: bool) -> None:
    """Bits are promised in strict mode, and where nothing was learnt in between: then everybody has his subject."""
    on = gates(name)
    jobs, common = eight(on), on.subject()
    expected = [job(on.subject(), strict) for job in jobs]

    def repeated(job: Job) -> list[Tensor]:
        return [job(common if strict else on.subject(), strict) for _ in range(3)]

    with pristine(on.model, on.x):
        found = at_once([lambda job=job: repeated(job) for job in jobs])
    for mine, alone in zip(found, expected, strict=True):
        assert not isinstance(mine, BaseException), mine
        assert all(torch.equal(one, alone) for one in mine)


def test_eight_threads_about_a_guarded_model_say_that_it_is_guarded() -> None:
    on = toy("uncopyable")
    subject = on.subject()
    found = at_once([lambda k=k: explain(subject, on.make(k), "integrated_gradients", steps=8) for k in range(8)])
    assert [e.evidence.isolation for e in found] == ["guard"] * 8
    alone = [explain(on.subject(), on.make(k), "integrated_gradients", steps=8) for k in range(8)]
    assert all(torch.allclose(a.values, b.values, rtol=1e-5, atol=1e-7) for a, b in zip(found, alone, strict=True))


def test_two_guarded_models_and_another_library_do_not_wait_for_each_other() -> None:
    """Two locks are in play: the model's, and the one for random states."""
    models = [gates("patched"), gates("stray")]
    jobs = [method(on, name) for on in models for name in ("captum:DeepLift", "captum:GradientShap", "saliency")]
    owners = [on for on in models for _ in range(3)]
    expected = [job(on.subject(), True) for job, on in zip(jobs, owners, strict=True)]
    found = at_once([lambda job=job, on=on: [job(on.subject(), True) for _ in range(4)]
                     for job, on in zip(jobs, owners, strict=True)])
    for mine, alone in zip(found, expected, strict=True):
        assert not isinstance(mine, BaseException), mine
        assert all(torch.equal(one, alone) for one in mine)


# --- what another thread sees of an explanation that is under way

class Halfway:
    """Stops an explanation after its first pass, for as long as somebody does something."""

    def __init__(self, what: Callable[[], Any]) -> None:
        self.what, self.did = what, False
        self.found: Any = None

    def __call__(self, done: int, wanted: int) -> None:
        if not self.did:
            self.did = True
            (self.found,) = at_once([self.what])


def trained(model: nn.Module, x: Tensor, step: bool) -> Tensor:
    """A step of training by hand: the loss's gradient, which with `step` goes into the weights."""
    loss = model(x).square().sum()
    weights = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, weights)
    if step:
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= 0.1 * gradient
    return torch.cat([g.flatten() for g in gradients])


def explained(on: Toy, name: str, **more: Any) -> Any:
    # One row a pass, so that there is something between the passes.
    return asked(catalog.find(name), {"steps": 4} if name == "integrated_gradients" else {}, on, on.x, target=0,
                 chunk=1, **more)


@pytest.mark.parametrize("name", ["integrated_gradients", "ablation", "guided_backprop", "lrp", "captum:DeepLift"])
def test_a_forward_and_a_backward_of_another_thread_are_what_they_are_alone(name: str) -> None:
    """The gradient of another thread is the model's own, whatever rules the explanation has at that moment."""
    on = toy("relu_mlp")
    rows = torch.cat([on.make(k) for k in range(4)])
    alone, plain = trained(on.model, rows, step=False), explained(on, name)
    halfway = Halfway(lambda: trained(on.model, rows, step=False))
    with pristine(on.model, on.x):
        beside = explained(on, name, progress=halfway)
    assert halfway.did
    assert torch.equal(halfway.found, alone)
    assert torch.equal(beside.values, plain.values)


def test_a_backward_into_the_weights_gradients_is_harmless() -> None:
    on = toy("relu_mlp")
    plain = explained(on, "ablation")
    beside = explained(on, "ablation", progress=Halfway(lambda: on.model(on.x).sum().backward()))
    assert torch.equal(beside.values, plain.values)
    assert all(p.grad is not None for p in on.model.parameters())


@pytest.mark.parametrize("name", ["integrated_gradients", "ablation", "lrp", "captum:DeepLift"])
def test_a_step_of_training_in_between_is_refused(name: str) -> None:
    """Half of the passes saw other weights: such numbers are of no model. The next explanation is of the new one."""
    on = toy("relu_mlp")
    with pytest.raises(ModelError) as found:
        explained(on, name, progress=Halfway(lambda: trained(on.model, on.x, step=True)))
    assert found.value.code == "model.mutated"
    fresh = toy("relu_mlp")
    fresh.model.load_state_dict(on.model.state_dict())
    assert torch.equal(explained(on, name).values, explained(fresh, name).values)


def test_a_forward_in_training_that_moves_statistics_is_refused() -> None:
    on = toy("training")
    rows = torch.cat([on.make(k) for k in range(4)])
    with torch.random.fork_rng(devices=[]), pytest.raises(ModelError) as found:
        explained(on, "ablation", progress=Halfway(lambda: on.model(rows)))
    assert found.value.code == "model.mutated"


def seen(on: Toy) -> tuple[Any, ...]:
    return (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), _len_torch_function_stack(),
            _len_torch_dispatch_stack(), torch.is_autocast_enabled("cpu"), on.model.training,
            [len(m._forward_hooks) for m in on.model.modules()], [p.requires_grad for p in on.model.parameters()])


@pytest.mark.parametrize("name", ["integrated_gradients", "guided_backprop", "deconvnet", "lrp", "inside(saliency)",
                                  "captum:DeepLift", "captum:GuidedBackprop"])
def test_modes_of_an_explanation_are_seen_by_no_other_thread(name: str) -> None:
    """Looked at in the middle of a forward: the target's function is called when all modes are open."""
    on = toy("relu_mlp")
    on.model.train()
    (before,) = at_once([lambda: seen(on)])
    looks: list[Any] = []

    def target(output: Tensor) -> Tensor:
        looks.extend(at_once([lambda: seen(on)]))
        return output[:, 0]

    with pristine(on.model, on.x):
        asked(catalog.find(name), {}, on, on.x, target=target)
    assert looks
    assert all(look == before for look in looks)


def test_nobody_looks_at_a_model_while_it_is_under_another_threads_guard() -> None:
    """It has that explanation's hooks on it then: what was learnt of it would be taken for another model's."""
    on = gates("stray")
    subject, others, kept = on.subject(), list[threading.Thread](), list[bool]()
    found: list[Any] = []

    def target(output: Tensor) -> Tensor:
        if not others:
            before = subject.facts["modules"]
            others.append(threading.Thread(target=lambda: found.append(inner(subject, False)), daemon=True))
            others[0].start()
            others[0].join(0.3)  # as long as it takes to look
            kept.append(subject.facts.get("modules") is before)
        return output[:, 0]

    inner = method(on, "inside(saliency)", target=0)
    mine = method(on, "inside(saliency)", target=target)(subject, False)
    others[0].join(PATIENCE)
    assert kept == [True]
    assert torch.equal(found[0], mine)


def test_blocks_that_are_computed_twice_leave_the_settings_of_all_threads_alone() -> None:
    """One thread is in the middle of such a pass when another begins and ends one."""
    on, other = toy("cnn"), toy("cnn")

    def settings() -> Any:
        return checkpoint._enable_checkpoint_early_stop

    before, within = settings(), list[Any]()
    with ExitStack() as stack:
        stack.enter_context(recomputing(on.model, []))
        last = recomputing(other.model, [])
        last.__enter__()
        within.append(settings())
    last.__exit__(None, None, None)
    assert [*within, settings()] == [before, before]


# --- teeth

def test_without_shadows_of_their_own_threads_get_in_each_others_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutation check of this file: methods that share one model's modules see each other's hooks and rules."""
    from pellucid.engine import shadow

    on = gates("cnn")
    expected = [job(on.subject(), True) for job in eight(on)]
    monkeypatch.setattr(shadow, "cast", lambda model: model)
    wrong = 0
    for _ in range(3):
        found = at_once([lambda job=job: [job(on.subject(), True) for _ in range(3)] for job in eight(on)])
        for mine, alone in zip(found, expected, strict=True):
            wrong += isinstance(mine, BaseException) or not all(torch.equal(one, alone) for one in mine)
    assert wrong
