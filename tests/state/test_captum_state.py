"""captum's methods leave nothing behind: after success, an error, Ctrl-C, in threads, under guard."""

from __future__ import annotations

import gc
import random
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from captum import attr
from torch import nn

import pellucid
from pellucid import catalog
from pellucid.engine.cost import Clock
from pellucid.engine.foreign import private
from pellucid.testing.faults import KINDS, FailAt
from pellucid.testing.pristine import pristine
from pellucid.testing.toys import toy
from pellucid.testing.universal import asked
from pellucid.words.errors import PellucidError

NAMES = ("DeepLift", "LRP", "GuidedBackprop", "LayerDeepLift", "KernelShap", "GradientShap",
         "NoiseTunnel(IntegratedGradients)")
FEW = {"n_steps": 3, "n_samples": 4, "nt_samples": 2}


def few(name: str) -> tuple[Any, dict[str, Any]]:
    method = catalog.find(f"captum:{name}")
    return method, {k: v for k, v in FEW.items() if k in method.defaults}


@pytest.mark.parametrize("on", ["relu_mlp", "training", "hooked", "frozen", "tied", "patched", "uncopyable",
                                "patched_training"])
@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_as_it_was(name: str, on: str) -> None:
    """captum may refuse a model; LRP writes its weights back in place, and DeepLift leaves values on modules."""
    where, (method, options) = toy(on), few(name)
    with pristine(where.model, where.x), suppress(PellucidError):
        e = asked(method, options, where, where.x)
        assert e.evidence.isolation == where.isolation


@pytest.mark.parametrize(("name", "on"), [("DeepLift", "relu_mlp"), ("LRP", "patched"), ("GradientShap", "relu_mlp")])
def test_the_model_is_as_it_was_whatever_interrupts(name: str, on: str) -> None:
    (method, options), counter = few(name), FailAt()
    where = toy(on)
    with counter, suppress(PellucidError):
        asked(method, options, where, where.x)
    for kind in KINDS[:3]:
        for at in random.Random(f"{name} {on} {kind}").sample(range(counter.operations), 2):
            where = toy(on)
            with pristine(where.model, where.x), suppress(kind, PellucidError), FailAt(at, kind):
                asked(method, options, where, where.x)


class Leaving(attr.Saliency):
    """Leaves a hook on the model that doubles what its first layer says."""

    def attribute(self, inputs: torch.Tensor, target: Any = None) -> Any:  # type: ignore[override]
        found = super().attribute(inputs, target)
        next(m for m in self.forward_func.modules() if isinstance(m, nn.Linear)).register_forward_hook(
            lambda module, args, output: 2 * output)
        return found


@pytest.mark.parametrize("on", ["gelu_mlp", "patched"])
def test_one_question_leaves_nothing_for_the_next(on: str) -> None:
    """Also where there is no shadow, and both run on the model itself, under guard."""
    where = toy(on)
    alone = asked(catalog.find("captum:InputXGradient"), {}, where, where.x)
    where = toy(on)
    both = pellucid.explain(where.subject(), where.x, [Leaving, "captum:InputXGradient", "saliency"])
    assert torch.equal(both["captum:InputXGradient"].values, alone.values)
    assert torch.equal(both["captum:Leaving"].values, both["saliency"].values)
    assert both["saliency"].score == alone.score


def test_threads_draw_what_each_draws_alone_and_global_states_stay() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x = torch.tensor([[0.5, -1.0, 2.0, 0.25]])
    jobs = [(name, seed) for name in ("KernelShap", "GradientShap", "DeepLift") for seed in (1, 2)]

    def ask(name: str, seed: int) -> torch.Tensor:
        return pellucid.explain(net, x, f"captum:{name}", target=1, seed=seed, baseline="zero").values

    alone = {job: ask(*job) for job in jobs}
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    wrong: list[Any] = []

    def work(job: tuple[str, int]) -> None:
        for _ in range(4):
            try:
                if not torch.equal(ask(*job), alone[job]):
                    wrong.append(job)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])
    assert not torch.equal(alone["KernelShap", 1], alone["KernelShap", 2])


def test_private_random_states_are_put_back_after_an_exception_too() -> None:
    before = random.getstate(), torch.get_rng_state()
    with suppress(ZeroDivisionError), private(5, torch.device("cpu")):
        first = torch.rand(3), random.random(), np.random.rand()
        raise ZeroDivisionError
    with private(5, torch.device("cpu")):
        again = torch.rand(3), random.random(), np.random.rand()
    assert torch.equal(first[0], again[0])
    assert first[1:] == again[1:]
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_who_watches_the_progress_can_stop_it() -> None:
    class Stop(Exception):
        pass

    seen: list[tuple[int, int]] = []

    def progress(done: int, asked_: int) -> None:
        seen.append((done, asked_))
        if done > 20:
            raise Stop

    net = nn.Linear(4, 3).eval()
    with pytest.raises(Stop):
        pellucid.explain(net, torch.ones(1, 4), "captum:KernelShap", target=1, n_samples=200, chunk=4,
                         progress=progress)
    assert sum(done > 20 for done, _ in seen) == 1
    assert all(done <= wanted for done, wanted in seen)


def test_time_within_time_is_counted_once() -> None:
    clock, began = Clock(), time.perf_counter()
    with clock.into("model"), clock.into("model"), clock.into("checks"):
        sum(range(100_000))
    assert sum(clock.seconds.values()) <= time.perf_counter() - began
    assert clock.seconds["checks"] > clock.seconds["model"] >= 0


def test_nothing_stays_alive_from_call_to_call() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    x = torch.ones(1, 3, 8, 8)

    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    counts: list[int] = []
    for _ in range(3):
        for name in ("DeepLift", "GuidedBackprop", "LayerDeepLift"):
            pellucid.explain(net, x, f"captum:{name}", target=1, **({"layer": "0"} if name.startswith("Layer") else {}))
        counts.append(alive())
    assert counts[1] == counts[2]
