"""Batches, layers and inputs as people give them: both verbs read them alike, or say what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pellucid
from pellucid.cli.main import main
from pellucid.numbers.ranking import lots
from pellucid.streaming import streamed
from pellucid.words.errors import PellucidError

VERBS = pytest.mark.parametrize("verb", [pellucid.look, pellucid.activity])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=lots(seed))


def made(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers).eval()


def rows() -> nn.Sequential:
    return made(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3))


class Keyed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(10, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).relu())


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(10, 8), nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.head(self.first(x) + self.second(z))


class Silent(nn.Module):
    """A layer that says nothing beside one that does."""

    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> None:
            return None

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.nothing = nn.Linear(4, 2), self.Nothing()

    def forward(self, x: Tensor) -> Tensor:
        self.nothing(x)
        return self.layer(x)


def refusal(ask: Callable[[], object]) -> PellucidError:
    with pytest.raises(PellucidError) as error:
        ask()
    return error.value


# --- batches

def pairs() -> dict[str, tuple[Callable[[], nn.Module], Any, int]]:
    x, y = normal(6, 10), torch.arange(6) % 3
    mixed = [{"x": one, "labels": int(label)} for one, label in zip(x, y, strict=True)]
    return {
        "classes": (rows, [(x, y)], 6),
        "classes in a list": (rows, [[x, y.tolist()]], 6),
        "numbers instead of classes": (rows, [(x, y.float())], 6),
        "rows of targets": (rows, [[x, normal(6, 3)]], 6),
        "a place in the set": (rows, [(x, y, torch.arange(6))], 6),
        "inputs one by one": (rows, [[x[:1], x[1:2]]], 2),
        "three inputs one by one": (rows, [[x[:1], x[1:2], x[2:3]]], 3),
        "a mapping": (Keyed, DataLoader(cast("Any", mixed), batch_size=4), 6),
        "two inputs of a model": (Two, [(x, normal(6, 4))], 6),
        "two inputs and classes": (Two, [(x, normal(6, 4), y)], 6),
        "masks over pictures": (lambda: made(nn.Conv2d(3, 4, 3), nn.ReLU()),
                                [(normal(4, 3, 6, 6), torch.zeros(4, 6, 6, dtype=torch.long))], 4),
    }


@VERBS
@pytest.mark.parametrize("name", pairs())
def test_every_input_of_a_batch_is_read_and_no_label_is(verb: Any, name: str) -> None:
    make, batches, count = pairs()[name]
    found = verb(make().eval(), batches if isinstance(batches, DataLoader) else iter(batches))
    assert (found.inputs, dict(found.failed)) == (count, {})


def test_what_is_read_of_a_batch_is_what_it_holds() -> None:
    net, x, y = rows(), normal(5, 10), torch.arange(5) % 3
    loader = DataLoader(TensorDataset(x, y, y + 7), batch_size=2)
    seen = pellucid.look(net, loader, "0")
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(seen["0"].values), net[0](x))
    read = list(streamed(pellucid.wrap(net), loader))
    assert [label for _, label in read] == y.tolist()
    assert torch.equal(torch.cat([one for one, _ in read]), x)


@VERBS
@pytest.mark.parametrize("second", [normal(6, 10), None], ids=["like the inputs", "in another number"])
def test_a_batch_that_could_be_two_things_is_refused_by_its_shapes(verb: Any, second: Tensor | None) -> None:
    batch = [normal(6, 10), normal(4, 10, 2) if second is None else second]
    error = refusal(lambda: verb(rows(), iter([batch])))
    assert error.code == "batch.unclear"
    assert all(str(tuple(t.shape)) in error.found for t in batch)
    assert "张量" in error.told("zh")[0]


# --- channels behind a pooling

def test_channels_stay_channels_where_a_pooling_leaves_one_place() -> None:
    net = made(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 2))
    x = normal(20, 2, 30)
    seen = pellucid.look(net, x)
    assert {name: len(one.order) for name, one in seen.items()} == {"0": 6, "1": 6, "2": 6, "3": 6, "4": 2}
    assert seen["2"].channels is not None
    with torch.no_grad():
        torch.testing.assert_close(seen["2"].channels[:, 0].float(), net[:3](x).mean((0, 2)))
    assert pellucid.activity(net, x)["2"].count == 6


# --- errors

@VERBS
def test_where_every_input_fails_the_first_ones_reason_is_told(verb: Any) -> None:
    net = Silent().eval()
    assert refusal(lambda: verb(net, normal(3, 4), ["layer", "nothing"])).code == "layer.no_tensor"
    assert refusal(lambda: verb(net, normal(1, 4), ["layer", "nothing"])).code == "layer.no_tensor"
    broken = refusal(lambda: verb(rows(), torch.full((3, 10), torch.nan)))
    assert broken.code == "input.not_finite"
    assert "NaN" in broken.found
    assert refusal(lambda: verb(rows(), iter([]))).code == "input.empty"


def test_heads_tell_it_too() -> None:
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), 1,
                                enable_nested_tensor=False).eval()
    assert refusal(lambda: pellucid.heads(net, torch.full((3, 4, 8), torch.nan))).code == "input.not_finite"
    assert refusal(lambda: pellucid.heads(net, normal(3, 4, 8), ablation="mean", layers=[])).code == "option.value"


class Picky(nn.Module):
    """A model that cannot take what begins below -100."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        if bool((x[:, 0] < -100).any()):
            raise ValueError("too low")
        return self.layer(x)


@VERBS
def test_a_first_input_that_the_model_cannot_take_does_not_end_the_set(verb: Any) -> None:
    x = normal(5, 4)
    x[0, 0] = -1000
    found = verb(Picky().eval(), x, "layer")
    assert (found.inputs, list(found.failed)) == (4, [0])
    assert found.failed[0].code == "model.failed"


@VERBS
@pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray])
def test_an_input_without_a_batch_axis_is_told_to_have_one(verb: Any, kind: type) -> None:
    net = made(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    picture, row = normal(3, 9, 9), normal(10)
    if kind is np.ndarray:
        picture, row = picture.numpy(), row.numpy()
    for model, x in ((net, picture), (rows(), row)):
        error = refusal(lambda model=model, x=x: verb(model, x))
        assert "x[None]" in error.do
        assert "x[None]" in error.told("zh")[2]
    assert verb(net, picture[None]).inputs == 1


@VERBS
@pytest.mark.parametrize("layers", [None, [3], [], 7, ["0", None]], ids=str)
def test_layers_that_are_no_names_are_refused(verb: Any, layers: Any) -> None:
    error = refusal(lambda: verb(rows(), normal(2, 10), layers))
    assert (error.code, error.found) == ("option.value", f"layers={layers!r}")


def test_the_shell_takes_layers_with_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, told = tmp_path / "x.png", list[list[str]]()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(picture)
    for spelled in (["--layers", "layer1, head"], ["-l", "layer1", "-l", "head"]):
        assert main(["look", "demo:digits", str(picture), *spelled, "--json", "--no-progress"]) == 0
        told.append([layer["name"] for layer in json.loads(capsys.readouterr().out)["layers"]])
    assert told[0] == told[1]
