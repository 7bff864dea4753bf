"""look(): what the layers say, bit for bit, in one pass; of a set the true figures, and nothing of it held."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import pellucid
from pellucid.numbers.activity import Contribution, Figures, Spectrum, Spread, effective_rank
from pellucid.numbers.ranking import lots
from pellucid.testing.faults import LiveBytes
from pellucid.testing.pristine import pristine
from pellucid.words.errors import PellucidError


def hooked(subject: Any, names: list[str], x: Any) -> dict[str, Tensor]:
    """What a hook that anybody would write gets to see."""
    modules, found, hooks = dict(subject.module.named_modules()), dict[str, Tensor](), list[Any]()
    for name in names:
        def hook(m: nn.Module, args: Any, out: Any, name: str = name) -> None:
            value = out[0] if isinstance(out, tuple) else getattr(out, "last_hidden_state", out)
            found[name] = value.detach().clone()
        hooks.append(modules[name].register_forward_hook(hook))
    training = subject.module.training
    subject.module.eval()
    inputs = subject.read(x).carrier.inputs
    with torch.no_grad():
        subject.module(*(v for k, v in inputs.items() if isinstance(k, int)),
                       **{k: v for k, v in inputs.items() if isinstance(k, str)})
    subject.module.train(training)
    for h in hooks:
        h.remove()
    return found


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True)
        self.down, self.head = nn.Conv2d(8, 6, 3, stride=2, padding=1), nn.Linear(6, 4)
        self.spare = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.down(self.act(self.conv(x)))).mean((2, 3)))


def net(seed: int = 0) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net().eval()


def pictures(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 8, 8, generator=lots(seed))


# --- what one input shows

@pytest.mark.parametrize("name", ["digits", "digits-vit", "reviews", "recommender"])
def test_values_are_a_hooks_own_bit_for_bit_in_one_pass(name: str, vision: bool) -> None:
    subject, x = pellucid.load(f"demo:{name}"), pellucid.samples(name)[0]
    with pristine(subject.module):
        seen = pellucid.look(subject, x)
    for layer, value in hooked(subject, list(seen), x).items():
        assert torch.equal(seen[layer].values[0], value[0]), layer
    assert pellucid.look(subject, x).evidence.passes == 1


def test_a_layer_that_is_overwritten_in_place_is_seen_as_it_was_said() -> None:
    model, x = net(), pictures(1)
    seen = pellucid.look(model, x, ["conv", "down"])
    with torch.no_grad():
        assert torch.equal(seen["conv"].values[0], model.conv(x)[0])
    assert bool((seen["conv"].values[0] < 0).any())


def test_tokens_of_a_picture_are_laid_over_it_without_what_stands_before_them(vision: bool) -> None:
    seen = pellucid.look(pellucid.load("demo:digits-vit"), pellucid.samples("digits-vit")[0])["blocks.1"]
    assert (seen.kind, seen.grid, seen.before) == ("tokens", (8, 8), 1)
    assert seen.maps(top=5).shape == (5, 8, 8)
    first = seen.order[0]
    assert torch.equal(seen.maps()[0].flatten(), seen.values[0][1:, first])


# --- attention

def test_attention_is_kept_by_layer_sums_to_one_and_says_how_exact_it_is(vision: bool) -> None:
    subject, text = pellucid.load("demo:reviews"), pellucid.samples("reviews")[0]
    seen = pellucid.look(subject, text, layers="attention")
    assert len(seen.attention) == 3
    for value in seen.attention.values():
        heads, queries, keys = value.shape
        assert (heads, queries) == (4, keys)
        torch.testing.assert_close(value.sum(-1), torch.ones(heads, queries), rtol=0, atol=1e-5)
    assert seen.agreement is not None
    assert 0 <= seen.agreement < 1e-5
    one = pellucid.look(subject, text, layers=[f"{next(iter(seen.attention))}:attention"])
    assert list(one.attention) == list(seen.attention)[:1]


def test_attention_is_the_eager_models_own(vision: bool) -> None:
    import copy

    subject, text = pellucid.load("demo:reviews"), pellucid.samples("reviews")[0]
    eager = copy.deepcopy(subject.module)
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        true = eager(**subject.read(text).carrier.inputs, output_attentions=True).attentions
    for mine, theirs in zip(pellucid.look(subject, text, "attention").attention.values(), true, strict=True):
        torch.testing.assert_close(mine, theirs[0], rtol=0, atol=1e-5)


# --- what a set shows

def test_figures_of_a_set_are_those_of_all_its_values(vision: bool) -> None:
    model, x = net(), pictures(70)
    seen = pellucid.look(model, list(x[:, None]), ["conv", "head"], keep=2)
    with torch.no_grad():
        true = model.conv(x)
    conv = seen["conv"]
    assert conv.inputs == 70
    assert len(conv.values) == 2
    assert conv.channels is not None
    torch.testing.assert_close(conv.channels[:, 0], true.mean((0, 2, 3)).double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(conv.channels[:, 1], true.double().var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(conv.channels[:, 2], true.amax((0, 2, 3)).double(), rtol=1e-5, atol=1e-5)
    assert conv.profile["spread"] == pytest.approx(float(true.std(correction=0)), rel=1e-4)
    assert conv.scale == pytest.approx((float(true.min()), float(true.max())), rel=1e-5)
    with torch.no_grad():
        covariance = torch.cov(model(x).double().T, correction=0)
    assert seen["head"].profile["rank over inputs"] == pytest.approx(
        float(effective_rank(torch.linalg.eigvalsh(covariance))), rel=1e-4)


def test_a_loader_streams_by_and_memory_does_not_grow_with_it() -> None:
    model = net()

    def peak(n: int) -> tuple[int, Any]:
        loader = DataLoader(TensorDataset(pictures(n), torch.zeros(n)), batch_size=16)
        with LiveBytes() as live:
            found = pellucid.look(model, loader, ["conv", "down"], keep=1)
        return live.peak - n * 3 * 8 * 8 * 4, found

    peak(64)
    (few, _), (many, seen) = peak(64), peak(1000)
    assert seen.inputs == 1000
    assert many < 1.2 * few
    kept = 1000 * 8 * 8 * 8 * 4  # what holding one layer's values of all inputs would take: the bound would see it
    assert few + kept > 1.2 * few


def test_inputs_that_cannot_be_read_are_told_and_the_others_are_seen() -> None:
    model, x = net(), pictures(3)
    x[1, 0, 0, 0] = math.nan
    seen = pellucid.look(model, list(x[:, None]), ["conv"])
    assert seen.inputs == 2
    assert list(seen.failed) == [1]
    assert seen.failed[1].code.endswith("not_finite")


def test_channels_are_ordered_by_what_is_asked_for() -> None:
    model, x = net(), pictures(1)
    with torch.no_grad():
        value = model.conv(x)[0].double()
    for by, score in (("activation", value.square().mean((1, 2))), ("variance", value.var((1, 2), correction=0))):
        order = pellucid.look(model, x, "conv", rank=by)["conv"].order
        assert list(order) == score.argsort(descending=True).tolist()
    seen = pellucid.look(model, x, "conv", rank="attribution", target=2)["conv"]
    e = pellucid.explain(model, x, "inside(input_x_gradient)", layer="conv", target=2, precision="exact")
    size = e.values.reshape(8, 8, 8).sum((1, 2)).abs()
    assert list(seen.order) == size.argsort(descending=True).tolist()


# --- figures by hand

def test_figures_by_hand() -> None:
    value = torch.tensor([[[0.0, 0, 1, 3], [-1, -1, -1, -1]]])
    figures = Figures(0, (-1.0, 3.0))(value)[0]
    assert figures[0].tolist() == [1, 1.5, 3, 0, 0.5, 0.5, 0.25]
    assert figures[1].tolist() == [-1, 0, -1, -1, 0, 0, 1]
    assert torch.equal(Figures(1)(value.mT)[0], Figures(0)(value)[0])
    assert Contribution(0)(torch.ones(1, 2, 4), value).tolist() == [[4, 4]]


def test_effective_rank_is_one_for_copies_and_all_for_what_is_independent() -> None:
    base = torch.randn(1, 16, 16, generator=lots(1))
    assert float(Spread(0)(base.expand(8, -1, -1)[None])) == pytest.approx(1, abs=1e-6)
    assert float(effective_rank(torch.ones(5))) == pytest.approx(5)
    assert float(effective_rank(torch.zeros(5))) == 0


def test_fine_detail_is_the_share_of_high_frequencies() -> None:
    at = torch.arange(16.0)
    slow, fast = (torch.cos(2 * math.pi * k * at / 16).expand(16, 16) for k in (1, 7))
    assert float(Spectrum(0)(slow[None, None])) == pytest.approx(0, abs=1e-5)
    assert float(Spectrum(0)(fast[None, None])) == pytest.approx(1, abs=1e-5)
    assert float(Spectrum(0)((slow + fast)[None, None])) == pytest.approx(0.5, abs=1e-4)
    assert math.isnan(float(Spectrum(0)(torch.ones(1, 1, 8, 8))))


# --- what cannot be looked at

@pytest.mark.parametrize(("layers", "code", "told"), [
    ("convv", "layer.unknown", "conv"), ("spare", "layer.not_reached", "spare"), ("act", "layer.reused", "act#1"),
    ("attention", "layer.no_attention", "softmax"),
])
def test_a_layer_that_cannot_be_looked_at_is_named_with_what_can(layers: str, code: str, told: str) -> None:
    with pytest.raises(PellucidError) as found:
        pellucid.look(net(), pictures(1), layers)
    assert found.value.code == code
    assert told in str(found.value)


def test_a_layer_without_a_tensor_is_refused() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.says = Says()
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x * self.says(x))

    class Says(nn.Module):
        def forward(self, x: Tensor) -> float:
            return 2.0

    with pytest.raises(PellucidError) as found:
        pellucid.look(Odd(), torch.ones(1, 4), "says")
    assert found.value.code == "layer.no_tensor"


@pytest.mark.parametrize("wrong", [{"rank": "size"}, {"keep": -1}])
def test_wrong_options_are_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(PellucidError) as found:
        pellucid.look(net(), pictures(1), "conv", **wrong)
    assert found.value.code == "option.value"
