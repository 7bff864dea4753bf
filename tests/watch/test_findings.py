"""What is planted in a training is told at the next look, by its name and step; healthy trainings tell nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import pellucid
from pellucid.numbers.ranking import lots
from pellucid.watching.findings import events
from pellucid.words.watch import Explained, Record, Training
from tests.watch.trained import attending, convolutions, dense, pictures, rows, seeded, trained, watched


def codes(training: Training) -> list[str]:
    return [e.code for e in training.events]


def only(training: Training, code: str) -> Any:
    assert codes(training) == [code], training.events
    return training.events[0]


# --- healthy trainings

@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["dense", "convolutions", "attending"])
def test_a_healthy_training_tells_nothing(kind: str, seed: int) -> None:
    net, data = {"dense": (dense, rows), "convolutions": (convolutions, pictures), "attending": (attending, rows)}[kind]
    layers = ["attention", "attn", "norm", "head"] if kind == "attending" else "stages"
    training = watched(net(seed), data(seed=seed), steps=80, every=10, layers=layers, seed=seed)
    assert training.events == ()
    assert len(training.records) == 9
    assert training.records[-1].loss < training.records[1].loss  # type: ignore[operator]


# --- planted faults

@pytest.mark.parametrize("step", [12, 33])
def test_a_layer_that_is_killed_is_told_at_the_next_look(step: int) -> None:
    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == step:
            with torch.no_grad():
                net[2].bias.fill_(-1e4)

    told = only(watched(dense(), rows(), plant=plant), "layer.died")
    assert (told.step, told.layer, told.level) == (-(-step // 10) * 10, "3", "fail")


def test_a_layer_that_is_dead_is_not_told_once_per_layer_behind_it() -> None:
    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == 5:
            with torch.no_grad():
                net[0].bias.fill_(-1e4)

    told = only(watched(dense(), rows(), plant=plant), "layer.died")
    assert told.layer == "1"
    assert "3 layers behind it" in told.reason


def test_half_of_a_layer_that_dies_is_told_where_enough_was_seen_of_it() -> None:
    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == 15:
            with torch.no_grad():
                net[3].bias[:8] = -1e4

    told = only(watched(convolutions(), pictures(), plant=plant), "layer.died")
    assert (told.step, told.layer, told.level) == (20, "4", "warn")


def test_a_learning_rate_that_explodes_is_told() -> None:
    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == 25:
            optimizer.param_groups[0]["lr"] = 10.0

    training = watched(dense(), rows(), plant=plant, steps=60, every=5)
    exploded = next(e for e in training.events if e.code == "gradients.exploded")
    assert exploded.step == 25
    assert "training.diverged" in codes(training)


def test_numbers_that_are_not_finite_are_told_and_do_not_end_the_training() -> None:
    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == 18:
            with torch.no_grad():
                net[0].weight[0, 0] = float("nan")

    training = watched(dense(), rows(), plant=plant, steps=40)
    told = next(e for e in training.events if e.code == "training.not_finite")
    assert (told.step, told.level) == (20, "fail")
    assert [r.step for r in training.records] == [0, 10, 20, 30, 40]


def test_gradients_that_vanish_on_the_way_down_are_told() -> None:
    def deep(seed: int = 0) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts = [m for _ in range(10) for m in (nn.Linear(12, 12), nn.Sigmoid())]
            return nn.Sequential(nn.Linear(10, 12), *parts, nn.Linear(12, 3))

    training = watched(deep(), rows(), steps=40, explained=False, method=None)
    vanished = {e.layer for e in training.events if e.code == "gradients.vanished"}
    assert "0" in vanished
    assert "21" not in vanished


def test_parameters_that_the_optimizer_does_not_hold_are_told() -> None:
    net: Any = dense()
    told = only(watched(net, rows(), parameters=[*net[0].parameters(), *net[4].parameters()]), "weights.still")
    assert told.layer == "2"


def test_gradients_that_were_cleared_too_early_are_told() -> None:
    net, data = dense(), rows()

    class Clearing(torch.optim.Adam):
        def step(self, closure: Any = None) -> Any:
            super().step(closure)
            self.zero_grad()

    with pellucid.watch(net, to=[], every=5) as watcher:
        optimizer = Clearing(net.parameters(), 1e-2)
        for _ in range(20):
            torch.nn.functional.cross_entropy(net(data[0]), data[1]).backward()
            optimizer.step()
            watcher.step()
    assert only(watcher.training, "watch.no_gradients").level == "warn"


def test_attention_that_collapses_is_told() -> None:
    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == 15:
            with torch.no_grad():
                net.attn.in_proj_weight[:32] *= 60

    training = watched(attending(), rows(), layers=["attention", "head"], plant=plant, steps=50, every=5,
                       explained=False, method=None)
    told = next(e for e in training.events if e.code == "attention.collapsed")
    assert (told.step, told.layer) == (15, "attn")


def test_a_saturated_layer_is_told() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3))

    def plant(k: int, net: Any, optimizer: Any) -> None:
        if k == 15:
            with torch.no_grad():
                net[0].weight *= 500

    training = watched(net, rows(), plant=plant)
    assert ("layer.saturated", "1", 20) in {(e.code, e.layer, e.step) for e in training.events}


# --- explanations

def by_place(seed: int) -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 2)), seed)


BOX = (9, 9, 12, 12)


def sorts(marked: bool, both: bool = False, n: int = 96, seed: int = 0) -> tuple[Any, Any]:
    """Noise in which class 0 shows a bright square, or instead (or besides) a mark in the corner."""
    g = lots(seed)
    x, y = 0.3 * torch.randn(n, 1, 12, 12, generator=g), torch.randint(2, (n,), generator=g)
    if both or not marked:
        x[y == 0, 0, 2:6, 2:6] += 1.5
    if both or marked:
        x[y == 0, 0, 9:12, 9:12] = 1.5
    return x, y


@pytest.mark.parametrize("seed", range(3))
def test_an_explanation_that_comes_to_rest_on_the_suspect_part_is_told_and_its_twin_is_not(seed: int) -> None:
    both, classes = sorts(True, both=True, seed=9)

    def run(marked: bool) -> Training:
        watcher = pellucid.watch(net := by_place(seed), to=[], probe=both[classes == 0][:8], target=0, suspect=BOX,
                                 method="input_x_gradient", every=10)
        return trained(net, sorts(marked, seed=seed), 80, watcher, seed=seed)

    told = only(run(True), "explanation.shortcut")
    assert 0 < told.step <= 40
    assert run(False).events == ()


def test_the_share_in_the_suspect_part_is_the_sum_there_by_the_sum_of_what_spoke_for_the_score() -> None:
    x = torch.zeros(1, 1, 12, 12)
    x[0, 0, 2, 2], x[0, 0, 10, 10], x[0, 0, 5, 5] = 1.0, 3.0, -7.0

    class Total(nn.Module):
        def forward(self, v: torch.Tensor) -> torch.Tensor:
            return v.sum((1, 2, 3), keepdim=False)[:, None]

    training = pellucid.watch(Total(), to=[], layers=[], probe=x, method="input_x_gradient", suspect=BOX).training
    explained = training.records[0].explained
    assert explained is not None
    assert explained.suspected == pytest.approx(0.75)
    assert explained.expected == pytest.approx(9 / 144)


def settled(moves: bool) -> list[Record]:
    """Looks at a map that stays, and then (perhaps) becomes another one."""
    first = tuple(float(v) for v in range(20))
    other = tuple(float((13 * v) % 20) for v in range(20))
    found = []
    for k in range(8):
        now = other if moves and k >= 5 else first
        before = other if moves and k > 5 else first
        found.append(Record(10 * k, explained=Explained("saliency", ("0",), ((20,),), (now,), None,
                                                        1.0 if now == before else 0.0)))
    return found


def test_an_explanation_that_had_settled_and_moves_elsewhere_is_told() -> None:
    (told,) = events(settled(True))
    assert (told.code, told.step, told.facts["settled"]) == ("explanation.moved", 50, 40)
    assert events(settled(False)) == ()


@pytest.mark.parametrize(("turned", "moved"), [(16, False), (40, True)])
def test_an_explanation_that_keeps_half_of_what_it_was_has_not_moved(turned: int, moved: bool) -> None:
    """A map of n ranks, turned by k: its rank correlation with itself is 1 − 6k(n − k) / (n² − 1), 0.56 and 0.04."""
    first = [float(v) for v in range(200)]
    other = first[turned:] + first[:turned]
    kept = 1 - 6 * turned * (200 - turned) / (200**2 - 1)
    looks = [Record(10 * k, explained=Explained("saliency", ("0",), ((200,),), (tuple(other if k >= 5 else first),),
                                                None, kept if k == 5 else 1.0)) for k in range(8)]
    assert [e.code for e in events(looks)] == ["explanation.moved"] * moved


def test_a_look_that_failed_is_told_and_the_training_goes_on() -> None:
    records = [Record(0), Record(10, notes=("[layer.no_tensor] found nothing",)), Record(20)]
    (told,) = events(records)
    assert (told.code, told.step) == ("watch.failed", 10)


def test_every_event_has_words_in_both_languages() -> None:
    from pellucid.views.events import EVENTS

    for code, (seen, do) in EVENTS.items():
        assert len(seen) == len(do) == 2, code
        assert any("\u4e00" <= c <= "\u9fff" for c in seen[1] + do[1]), code

