"""Whatever is watched stays as it is: training goes exactly as it would without."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pellucid
from pellucid.testing.pristine import pristine
from pellucid.words.errors import PellucidError
from tests.watch.trained import attending, convolutions, dense, pictures, rows


@pytest.mark.parametrize("kind", ["dense", "convolutions", "attending"])
def test_a_look_leaves_module_gradients_mode_and_random_states_alone(kind: str) -> None:
    net, (x, y) = {"dense": (dense(), rows()), "convolutions": (convolutions(), pictures()),
                   "attending": (attending(), rows())}[kind]
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with pristine(net, x):
        watcher = pellucid.watch(net, to=[], probe=x[:6], target=y[:6].tolist(), every=1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        with pristine(net, x):
            record = watcher.step()
        assert record is not None
        assert record.notes == ()
    with pristine(net, x):
        watcher.close()


def run(watched: bool, kind: str = "convolutions") -> list[bytes]:
    """The weights and buffers after a few steps with dropout, batch norm and a scheduler."""
    x, y = pictures()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
                            nn.Linear(800, 4))
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        watcher = pellucid.watch(net, to=[], probe=x[:4], method="saliency", every=2) if watched else None
        for k in range(12):
            optimizer.zero_grad()
            F.cross_entropy(net(x[8 * k % 64 :][:16]), y[8 * k % 64 :][:16]).backward()
            optimizer.step()
            if watcher is not None:
                watcher.step()
        return [t.detach().numpy().tobytes() for t in net.state_dict().values()]


def test_a_watched_training_gives_the_same_bytes() -> None:
    assert run(True) == run(False)


def test_an_error_in_the_loop_leaves_nothing_behind_and_is_not_hidden() -> None:
    net, (x, _) = dense(), rows()
    watcher = pellucid.watch(net, to=[], probe=x[:4], every=1)

    def loop() -> None:
        with watcher:
            watcher.step()
            raise ZeroDivisionError

    with pristine(net), pytest.raises(ZeroDivisionError):
        loop()
    assert watcher.closed
    assert [r.step for r in watcher.records] == [0, 1]
    assert watcher.step() is None


def test_a_look_that_fails_is_noted_and_the_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (x, _) = dense(), rows()
    with pellucid.watch(net, to=[], probe=x[:4], every=1) as watcher:
        def broken(*args: Any, **options: Any) -> Any:
            raise RuntimeError("no more")

        monkeypatch.setattr("pellucid.watching.observing.explain", broken)
        record = watcher.step(loss=1.0)
    assert record is not None
    assert record.notes == ("RuntimeError in a look",)
    assert record.layers
    assert record.explained is None
    assert [e.code for e in watcher.training.events] == ["watch.failed"]


def test_figures_are_those_of_the_layers_and_the_weights() -> None:
    """Closed forms: what is written down is what anybody would compute by hand."""
    x = torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.5, 0.0]])
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    optimizer = torch.optim.SGD(net.parameters(), 0.5)
    with pellucid.watch(net, ["0", "1"], to=[], probe=x, explained=False, every=1) as watcher:
        net(x).sum().backward()
        optimizer.step()
        record = watcher.step(loss=torch.tensor(7.0), rate=0.5)
    first = watcher.records[0].layers
    said = torch.stack([x[:, 0], -x[:, 1]], 1)
    assert first["0"].mean == pytest.approx(float(said.mean()), abs=1e-6)
    assert first["0"].spread == pytest.approx(float(said.std(correction=0)), abs=1e-6)
    assert (first["0"].least, first["0"].most) == (-2.0, 4.0)
    assert first["1"].zero == pytest.approx(2 / 6)
    assert sum(first["1"].histogram) == 6
    assert record is not None
    assert record.figures == {"loss": 7.0, "rate": 0.5}
    gradient = torch.tensor([[4.5, -2.0], [3.0, -4.0]])  # of rows whose unit was above zero
    flow = record.flow["0"]
    assert flow.gradient == pytest.approx(float(gradient.norm()))
    after = torch.tensor([[1.0, 0.0], [0.0, -1.0]]) - 0.5 * gradient
    assert flow.weight == pytest.approx(float(after.norm()))
    assert flow.update == pytest.approx(0.5 * float(gradient.norm()) / float(after.norm()))


def test_entropy_of_attention_is_one_where_all_keys_are_alike_and_nought_where_one_is_looked_at() -> None:
    net: Any = attending()
    with torch.no_grad():
        net.attn.in_proj_weight[:8] = 0  # queries of the first head
        net.attn.in_proj_bias[:8] = 0
        net.attn.in_proj_weight[8:16] *= 1e4
    record = pellucid.watch(net, "attention", to=[], probe=rows()[0][:3], explained=False).records[0]
    even, sharp = record.attention["attn"]
    assert even == pytest.approx(1.0, abs=1e-6)
    assert sharp == pytest.approx(0.0, abs=1e-3)


def test_agreement_is_spearmans_with_the_first_and_with_the_look_before() -> None:
    net, (x, _) = dense(), rows()
    with pellucid.watch(net, to=[], probe=x[:3], method="saliency", target=1, every=1) as watcher:
        same = watcher.step()
        with torch.no_grad():
            net[0].weight.copy_(net[0].weight.flip(1))  # type: ignore[operator, union-attr]
        moved = watcher.step()
        again = watcher.step()
    assert same is not None
    assert moved is not None
    assert again is not None
    assert (same.explained.first, same.explained.previous) == (pytest.approx(1.0), pytest.approx(1.0))  # type: ignore[union-attr]
    assert moved.explained.first < 0.9  # type: ignore[union-attr, operator]
    assert again.explained.previous == pytest.approx(1.0)  # type: ignore[union-attr]
    assert again.explained.first == pytest.approx(moved.explained.first)  # type: ignore[union-attr]


@pytest.mark.parametrize(("options", "code"), [
    ({"layers": "nowhere"}, "layer.unknown"),
    ({"every": 0}, "option.value"),
    ({"share": 0.0}, "option.value"),
    ({"to": 3}, "watch.to"),
    ({"probe": None, "method": "saliency"}, "probe.missing"),
    ({"probe": rows()[0][:65]}, "probe.count"),
    ({"method": "no_such"}, "method.unknown"),
    ({"suspect": "everything"}, "suspect.type"),
    ({"suspect": (0, 0, 4, 4)}, "suspect.box"),
    ({"suspect": ["no such column"]}, "suspect.unknown"),
    ({"suspect": torch.ones(3)}, "suspect.shape"),
])
def test_what_is_wrong_is_said_before_the_training_begins(options: dict[str, Any], code: str) -> None:
    with pytest.raises(PellucidError) as found:
        pellucid.watch(dense(), **{"to": [], "probe": rows()[0][:2], **options})
    assert found.value.code == code


def test_without_a_probe_gradients_and_weights_are_watched_layer_by_layer() -> None:
    net, (x, y) = dense(), rows()
    with pellucid.watch(net, to=[], every=1) as watcher:
        F.cross_entropy(net(x), y).backward()
        record = watcher.step()
    assert record is not None
    assert list(record.flow) == ["0", "2", "4"]
    assert all(f.gradient for f in record.flow.values())
    assert record.layers == {}


def test_the_last_look_has_the_last_figures_and_does_not_say_that_nothing_changed() -> None:
    net, (x, y) = dense(), rows()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with pellucid.watch(net, to=[], probe=x[:2], explained=False, share=1e-9) as watcher:
        for k in range(5):
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            loss = torch.tensor(float(k), requires_grad=True) * 2
            assert watcher.step(loss=loss) is None
    assert [r.step for r in watcher.records] == [0, 5]
    assert watcher.records[-1].figures == {"loss": 8.0}
    assert all(f.update is None and f.gradient for f in watcher.records[-1].flow.values())
    assert not any(isinstance(v, torch.Tensor) and v.requires_grad for v in watcher.figures.values())
