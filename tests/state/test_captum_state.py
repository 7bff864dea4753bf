"""captum's methods leave nothing behind: after success, an error, Ctrl-C, in threads, under guard."""

from __future__ import annotations

import gc
import random
import threading
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pellucid
from pellucid import catalog
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


@pytest.mark.parametrize("on", ["relu_mlp", "patched"])
@pytest.mark.parametrize("name", ["DeepLift", "LRP", "GradientShap"])
def test_the_model_is_as_it_was_whatever_interrupts(name: str, on: str) -> None:
    (method, options), counter = few(name), FailAt()
    where = toy(on)
    with counter, suppress(PellucidError):
        asked(method, options, where, where.x)
    for kind in KINDS:
        for at in random.Random(f"{name} {on} {kind}").sample(range(counter.operations), 4):
            where = toy(on)
            with pristine(where.model, where.x), suppress(kind, PellucidError), FailAt(at, kind):
                asked(method, options, where, where.x)


def test_one_question_leaves_nothing_for_the_next_on_a_guarded_model() -> None:
    """LRP that fails leaves rules on modules; the questions of the same run that follow must not meet them."""
    where = toy("patched")
    alone = asked(catalog.find("captum:DeepLift"), {}, where, where.x).values
    where = toy("patched")
    both = pellucid.explain(where.subject(), [where.make(0), where.make(1)],
                            ["captum:LRP", "captum:DeepLift", "captum:Saliency"])
    assert all(isinstance(e, PellucidError) for e in both["captum:LRP"])
    assert torch.equal(both["captum:DeepLift"][0].values, alone)


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
    assert seen[-1][0] < 40
    assert all(done <= wanted for done, wanted in seen)


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
