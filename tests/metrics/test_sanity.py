"""Randomisation and random labels: closed forms on linear models, all parameters reached, blind methods caught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scored import F64, linear
from torch import Tensor, nn

import pellucid
from pellucid.changes.checkpoint import Checkpoint
from pellucid.changes.shuffle import Shuffled
from pellucid.metrics import sanity
from pellucid.numbers.ranking import lots
from pellucid.numbers.similarity import cosine, rank, ssim
from pellucid.testing.pristine import pristine
from pellucid.words.errors import PellucidError

X = torch.randn(1, 8, generator=lots(3), dtype=F64)
PICTURE = 2
"""A sample of the digits that carries the watermark."""


async def edges(case: pellucid.Case) -> Tensor:
    """An edge detector: it looks at the picture, and never at the model."""
    down, across = case.x.diff(dim=-2), case.x.diff(dim=-1)
    return torch.nn.functional.pad(down, (0, 0, 0, 1)).abs() + torch.nn.functional.pad(across, (0, 1)).abs()


class Two(nn.Module):
    """w2 · (W1 x), without a nonlinearity; the layers are declared against the order of their use."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, 1, bias=False, dtype=F64)
        self.first = nn.Linear(8, 5, bias=False, dtype=F64)
        with torch.no_grad():
            for k, p in enumerate(self.parameters()):
                p.copy_(torch.randn(p.shape, generator=lots(6, k), dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))


def drawn(net: nn.Module, *names: str, seed: int = 0) -> dict[str, Tensor]:
    """What a change puts in place, by name; the model's own where it puts nothing."""
    with Shuffled(names, seed).on(net):
        return {n: p.detach().clone() for n, p in net.named_parameters()}


# --- similarity

def test_similarities_by_hand_and_against_the_peers() -> None:
    a, b = (torch.randn(30, generator=lots(k), dtype=F64) for k in (1, 2))
    assert cosine(a, b) == pytest.approx(float((a * b).sum() / (a * a).sum().sqrt() / (b * b).sum().sqrt()), abs=1e-12)
    stats = pytest.importorskip("scipy.stats")
    assert rank(a, b) == pytest.approx(stats.spearmanr(a.numpy(), b.numpy()).statistic, abs=1e-12)
    assert rank(a, -3 * a) == pytest.approx(-1)
    assert cosine(a, 2 * a) == pytest.approx(1)
    assert rank(a, torch.ones(30)) is None
    assert cosine(a, torch.zeros(30)) is None


@pytest.mark.parametrize(("shape", "window"), [((20, 31), 7), ((7, 7), 7), ((6, 9), 5), ((3, 40), 3)])
def test_ssim_against_scikit_image(shape: tuple[int, int], window: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = (torch.randn(shape, generator=lots(k), dtype=F64) for k in (4, 5))
    b = (a + b) / 2
    right = metrics.structural_similarity(a.numpy(), b.numpy(), win_size=window, data_range=4.0)
    assert ssim(a, b, span=4.0) == pytest.approx(right, abs=1e-6)
    scaled = [m / m.abs().max() for m in (a, b)]
    span = float(max(m.max() for m in scaled) - min(m.min() for m in scaled))
    right = metrics.structural_similarity(scaled[0].numpy(), scaled[1].numpy(), win_size=window, data_range=span)
    assert ssim(a, 7 * b) == pytest.approx(right, abs=1e-6)


def test_ssim_of_the_same_picture_is_one_and_of_none_is_none() -> None:
    a = torch.randn(12, 12, generator=lots(4), dtype=F64)
    assert ssim(a, 5 * a) == pytest.approx(1)
    assert ssim(a, torch.ones(12, 12)) is None
    assert ssim(a[:2], a[:2]) is None


# --- closed forms

def test_a_linear_model_is_explained_by_the_very_weights_that_were_drawn() -> None:
    """Input times gradient of w x is w x, element by element: so it is of what stands in w's place."""
    net = linear(*torch.randn(8, generator=lots(1)).tolist())
    x, w = X[0], next(net.parameters()).detach()[0].clone()
    right = [cosine(w * x, drawn(net, "", seed=s)["weight"][0] * x) or 0.0 for s in range(3)]
    e = pellucid.explain(net, X, "input_x_gradient", target=0)
    found = pellucid.evaluate(e, metrics="randomisation", similarity="cosine", replicates=3)["randomisation"]
    assert found.value == pytest.approx(sum(right) / 3, abs=1e-12)
    assert found.error == pytest.approx(float(np.std(right, ddof=1)) / 3**0.5, abs=1e-12)
    assert found.details["reached"] == 1
    assert not found.controls


@pytest.mark.parametrize(("order", "stages"), [
    ("cascading", (("last",), ("last", "first"))), ("bottom_up", (("first",), ("first", "last"))),
    ("independent", (("first",), ("last",))),
])
def test_two_layers_in_every_order_by_hand(order: str, stages: tuple[tuple[str, ...], ...]) -> None:
    """The mean is over the stages alone: the model as it is, at 1, is not among them."""
    net, x, right = Two(), X[0], list[list[float]]()
    own = (net.last.weight @ net.first.weight).detach()[0] * x
    for seed in range(2):
        row = list[float]()
        for names in stages:
            now = drawn(net, *names, seed=seed)
            similarity = rank(own, (now["last.weight"] @ now["first.weight"])[0] * x)
            assert similarity is not None
            row.append(similarity)
        right.append(row)
    e = pellucid.explain(net, X, "input_x_gradient", target=0)
    found = pellucid.evaluate(e, metrics="randomisation", order=order, replicates=2)["randomisation"]
    assert [y for _, y in found.curve] == pytest.approx(right[0], abs=1e-12)
    assert [x for x, _ in found.curve] == [0.5, 1]
    assert found.value == pytest.approx(sum(map(sum, right)) / 4, abs=1e-12)
    assert found.details["stages"] == [s[-1] for s in stages]


# --- what must be caught, and what must not

@pytest.mark.parametrize("similarity", ["rank", "cosine", "ssim"])
def test_a_method_that_never_looks_at_the_model_fails(similarity: str) -> None:
    subject, x = pellucid.load("demo:digits"), pellucid.samples("digits")[PICTURE]
    blind = pellucid.evaluate(pellucid.explain(subject, x, edges), metrics=["randomisation", "random_labels"],
                              similarity=similarity, replicates=2, other="demo:digits-random")
    assert blind["randomisation"].value == pytest.approx(1, abs=1e-9)
    assert blind["random_labels"].value == pytest.approx(1, abs=1e-9)
    assert blind.verdict.status == "fail"
    (finding,) = [f for f in blind.verdict.findings if f.code == "sanity.failed"]
    assert "randomisation" in finding.reason
    assert "random_labels" in finding.reason
    assert finding.do


@pytest.mark.parametrize("name", ["grad_cam", "saliency", "input_x_gradient"])
def test_methods_that_look_at_the_model_pass(name: str) -> None:
    subject, x = pellucid.load("demo:digits"), pellucid.samples("digits")[PICTURE]
    found = pellucid.evaluate(pellucid.explain(subject, x, name), metrics=["randomisation", "random_labels"],
                              other="demo:digits-random")
    assert "sanity.failed" not in {f.code for f in found.verdict.findings}
    assert found["randomisation"].details["last"] < 0.5
    assert found["random_labels"].value < sanity.SAME - 0.2
    assert abs(found["randomisation"].details["unrelated"]) < 0.1
    assert found["randomisation"].details["reached"] == 1
    low, high = found["randomisation"].interval or (0.0, 0.0)
    assert low < found["randomisation"].value < high


def test_a_map_that_only_turns_its_sign_is_the_same_by_size() -> None:
    a = torch.randn(20, generator=lots(8), dtype=F64)
    layout = pellucid.explain(linear(*a.tolist()), a[None], "saliency", target=0).features
    assert sanity.alike(a, -a, layout, "rank", absolute=False) == pytest.approx(-1)
    assert sanity.alike(a, -a, layout, "rank", absolute=True) == pytest.approx(1)


# --- the same target, other weights, any model

def test_the_target_that_the_model_said_is_explained_at_every_stage() -> None:
    asked: list[Any] = []

    async def listening(case: pellucid.Case) -> Tensor:
        asked.append(case.target)
        (slope,) = await case.gradient(case.here)
        return slope

    net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 6)).double()
    e = pellucid.explain(net, X, listening)
    said = int(net(X).argmax())
    asked.clear()
    pellucid.evaluate(e, metrics="randomisation", replicates=2)
    assert len(asked) == 4
    assert {t.index for t in asked} == {said}


def test_twins_weights_and_statistics_stand_in_the_models_place() -> None:
    """The explanation of the other network itself, whichever way it is given."""
    own, other = pellucid.load("demo:digits"), pellucid.load("demo:digits-random")
    x = pellucid.samples("digits")[PICTURE]
    e = pellucid.explain(own, x, "input_x_gradient", target="7")
    right = rank(e.values.flatten(), pellucid.explain(other, x, "input_x_gradient", target="7").values.flatten())
    for given in (other, other.module, other.module.state_dict(), "demo:digits-random"):
        with pristine(own.module), pristine(other.module):
            found = pellucid.evaluate(e, metrics="random_labels", other=given)["random_labels"]
        assert found.value == pytest.approx(right, abs=1e-4)
        assert found.error == 0


def test_a_file_of_weights(tmp_path: Path) -> None:
    one, two = Two(), Two()
    with torch.no_grad():
        two.first.weight.mul_(-1)
    save_file(two.state_dict(), tmp_path / "two.safetensors")
    e = pellucid.explain(one, X, "input_x_gradient", target=0)
    found = pellucid.evaluate(e, metrics="random_labels", other=tmp_path / "two.safetensors")["random_labels"]
    assert found.value == pytest.approx(-1)
    assert found.details["other"] == "two.safetensors"


def test_random_labels_were_learnt_by_heart_and_say_nothing() -> None:
    card = pellucid.load("demo:digits-random").card
    assert card["accuracy"]["memorised"] > 0.9
    assert card["accuracy"]["memorised_true_digits"] < 0.2
    assert card["accuracy"]["held_out_plain"] < 0.2


def test_stages_may_be_named_and_superpixels_are_compared_over_their_pixels() -> None:
    subject, x = pellucid.load("demo:digits"), pellucid.samples("digits")[PICTURE]
    e = pellucid.explain(subject, x, "saliency", features="patches:8")
    found = pellucid.evaluate(e, metrics="randomisation", similarity="ssim", layers="layer2, head", replicates=2)
    assert found["randomisation"].details["stages"] == ["head", "layer2"]
    assert 0 < found["randomisation"].details["reached"] < 1
    index = torch.arange(64)[:, None] // 16 * 4 + torch.arange(64) // 16
    cut = pellucid.explain(subject, x, "saliency", features=index)
    assert pellucid.evaluate(cut, metrics="randomisation", similarity="ssim", replicates=2)["randomisation"].value < 1


# --- what cannot be measured

@pytest.mark.parametrize(("options", "code"), [
    ({"order": "sideways"}, "option.value"), ({"similarity": "taste"}, "option.value"),
    ({"similarity": "ssim"}, "metric.unfit"),
])
def test_what_does_not_fit_costs_the_metric(options: dict[str, Any], code: str) -> None:
    e = pellucid.explain(Two(), X, "saliency", target=0)
    assert pellucid.evaluate(e, metrics="randomisation", **options).unfit["randomisation"].code == code


@pytest.mark.parametrize(("options", "code"), [
    ({"layers": "lost"}, "layer.unknown"), ({"layers": ()}, "option.value"),
])
def test_layers_that_do_not_exist_are_told_before_a_pass(options: dict[str, Any], code: str) -> None:
    e = pellucid.explain(Two(), X, "saliency", target=0)
    with pytest.raises(PellucidError) as found:
        pellucid.evaluate(e, metrics="randomisation", **options)
    assert found.value.code == code


@pytest.mark.parametrize(("other", "code"), [
    ({"first.weight": torch.zeros(5, 8)}, "weights.mismatch"),
    ({**Two().state_dict(), "more": torch.zeros(1)}, "weights.mismatch"),
    ({**Two().state_dict(), "last.weight": torch.zeros(1, 6)}, "weights.mismatch"),
    ("demo:digits-random", "weights.mismatch"), ("demo:digit", "demo.unknown"), (3, "weights.unknown_kind"),
])
def test_a_network_of_another_kind_is_refused(other: Any, code: str) -> None:
    e = pellucid.explain(Two(), X, "saliency", target=0)
    with pytest.raises(PellucidError) as found:
        pellucid.evaluate(e, metrics="random_labels", other=other)
    assert found.value.code == code


def test_no_other_network_is_told_and_constant_maps_have_no_likeness() -> None:
    e = pellucid.explain(Two(), X, "saliency", target=0)
    assert pellucid.evaluate(e, metrics="random_labels").unfit["random_labels"].code == "metric.other"
    flat = pellucid.explain(linear(*[1.0] * 8), torch.ones(1, 8, dtype=F64), "input_x_gradient", target=0)
    assert pellucid.evaluate(flat, metrics="randomisation").unfit["randomisation"].code == "metric.degenerate"


def test_a_stage_without_an_explanation_is_left_out_and_told() -> None:
    calls = 0

    async def moody(case: pellucid.Case) -> Tensor:
        nonlocal calls
        mine = calls = calls + 1
        (slope,) = await case.gradient(case.here)
        return torch.ones_like(slope) if mine == 2 else slope

    e = pellucid.explain(Two(), X, moody, target=0)
    found = pellucid.evaluate(e, metrics="randomisation", replicates=2)["randomisation"]
    assert found.details["left_out"] == ["last"]
    assert found.details["stages"] == ["first"]


def test_checkpoints_are_equal_by_their_numbers() -> None:
    a, b = Two().state_dict(), Two().state_dict()
    assert Checkpoint(a) == Checkpoint(b, "another name")
    assert hash(Checkpoint(a)) == hash(Checkpoint(b))
    b["first.weight"] = b["first.weight"] + 1
    assert Checkpoint(a) != Checkpoint(b)
    assert "checkpoint" in repr(Checkpoint(a))
