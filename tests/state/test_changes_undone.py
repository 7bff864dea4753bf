"""Changes of weights reach every parameter of any model, undo themselves, and never write what is the user's."""

from __future__ import annotations

import copy
import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pellucid
from pellucid.changes.checkpoint import Checkpoint
from pellucid.changes.shuffle import Shuffled, chosen, drawn
from pellucid.choices import weights
from pellucid.engine import shadow
from pellucid.explain import wrapped
from pellucid.numbers.ranking import lots
from pellucid.testing.faults import KINDS, FailAt
from pellucid.testing.pristine import pristine, snapshot
from pellucid.testing.toys import toy
from pellucid.words.errors import LayerError, ModelError, PellucidError


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


# --- models of every kind

class Attending(nn.Module):
    """An in-projection that belongs to no layer, an out_proj that is never called, and a layer that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.scale = nn.Parameter(torch.ones(8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.idle = nn.Linear(4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.head((self.scale * self.attention(x, x, x)[0])[:, 0])


class Recurrent(nn.Module):
    """An LSTM, which holds its weights in a list of its own as well."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, num_layers=2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Tied(nn.Module):
    """One matrix on the way in and out, and a bias that is held by a list that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.out.weight = self.into.weight
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(6))])

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.into(x).relu() + self.biases[0])


def normed() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3),
                         nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))


def torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    net: Any = VisionTransformer(image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24,
                                 num_classes=3)
    nn.init.normal_(net.heads[0].weight)  # it comes with zeros, behind which nothing matters
    return net


def timm_vit() -> nn.Module:
    import timm

    return timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=24, depth=2, num_heads=2, num_classes=3)


def parametrized() -> nn.Module:
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    torch.nn.utils.parametrizations.weight_norm(net[0])
    return net


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scripts are on their way out
        return nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(5, 7), nn.Tanh())), nn.Linear(7, 3))


def half() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).bfloat16()


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "attention": (Attending, (5, 8)), "lstm": (Recurrent, (5, 4)), "tied": (Tied, (6,)),
    "batch norm": (normed, (3, 8, 8)),
    "encoder": (lambda: nn.Sequential(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), nn.Flatten(),
                                      nn.Linear(40, 3)), (5, 8)),
    "torchvision vit": (torchvision_vit, (3, 16, 16)), "timm vit": (timm_vit, (3, 32, 32)),
    "weight norm": (parametrized, (5,)), "scripted": (scripted, (5,)), "half": (half, (5,)),
}


@pytest.fixture(params=MODELS)
def asked(request: pytest.FixtureRequest, vision: bool) -> tuple[nn.Module, Tensor]:
    build, shape = MODELS[request.param]
    net = build().eval()
    return net, torch.randn(1, *shape, generator=lots(1)).to(next(net.parameters()).dtype)


# --- every parameter is reached

def test_every_parameter_is_another_after_the_whole_cascade(asked: tuple[nn.Module, Tensor]) -> None:
    net, x = asked
    subject = wrapped(net)
    with pristine(net, x):
        stages = weights.stages(subject, subject.read(x))
        assert weights.reached(net, stages) == 1
        every = tuple(n for stage in stages for n in stage)
        copy_ = shadow.cast(net)
        places = [p.data_ptr() for p in copy_.parameters()]
        with Shuffled(every, 0).on(copy_):
            for (name, own), there in zip(net.named_parameters(), copy_.parameters(), strict=True):
                # in bfloat16 a number drawn may be the very one that was learnt
                assert float((own == there).double().mean()) < 0.05, name
                assert there.data_ptr() != own.data_ptr()
                assert there.shape == own.shape
                assert there.dtype == own.dtype
        assert [p.data_ptr() for p in copy_.parameters()] == places
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), copy_.parameters(), strict=True))


def test_every_stage_alone_changes_what_the_model_says(asked: tuple[nn.Module, Tensor]) -> None:
    """And so the model computes with what was drawn, wherever it keeps a second hold of a parameter."""
    net, x = asked
    subject = wrapped(net)
    copy_: Any = shadow.cast(net)
    with torch.no_grad():
        before = copy_(x)
        for stage in weights.stages(subject, subject.read(x)):
            with Shuffled(stage, 0).on(copy_):
                assert not torch.equal(copy_(x), before), stage
            assert torch.equal(copy_(x), before), stage


def test_metric_on_every_kind_of_model(asked: tuple[nn.Module, Tensor]) -> None:
    net, x = asked
    e = pellucid.explain(net, x, "input_x_gradient", target=1)
    with pristine(net, x):
        found = pellucid.evaluate(e, metrics="randomisation", replicates=2, similarity="cosine")
    assert found["randomisation"].details["reached"] == 1
    assert found["randomisation"].value < 0.9
    assert "sanity.failed" not in {f.code for f in found.verdict.findings}


# --- in order of use

def test_parameters_come_in_the_order_in_which_they_are_used() -> None:
    net = Attending().eval()
    subject = wrapped(net)
    stages = weights.stages(subject, subject.read(torch.randn(1, 5, 8)))
    flat = [n for stage in stages for n in stage]
    assert flat[0] == "token"
    places = [flat.index(n) for n in ("attention.in_proj_weight", "attention.out_proj", "scale", "head.weight")]
    assert places == sorted(places)
    assert stages[-1] == ("head.weight", "head.bias", "idle.weight", "idle.bias")  # never used: with the last


def test_a_long_flat_model_is_put_together_and_a_deep_one_cut_where_it_fits() -> None:
    flat = nn.Sequential(*(nn.Linear(4, 4) for _ in range(50)))
    subject = wrapped(flat)
    stages = weights.stages(subject, subject.read(torch.ones(1, 4)))
    assert 10 < len(stages) <= weights.MOST
    assert weights.reached(flat, stages) == 1
    assert stages[0][0] == "0.weight"
    deep = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)) for _ in range(12)))
    subject = wrapped(deep)
    assert weights.stages(subject, subject.read(torch.ones(1, 4))) == tuple((str(k),) for k in range(12))


# --- what is drawn

def test_constants_change_and_layers_of_one_shape_differ() -> None:
    net = nn.ModuleDict({n: nn.LayerNorm(16) for n in "abc"} | {"d": nn.Linear(16, 16), "e": nn.Linear(16, 16)})
    values = {n: drawn(p, n, 0) for n, p in net.named_parameters()}
    for name, parameter in net.named_parameters():
        assert not bool((values[name] == parameter).any()), name
    assert len({tuple(v.flatten().tolist()) for v in values.values()}) == len(values)
    assert float(values["a.weight"].mean()) == pytest.approx(1, abs=0.1)
    own, other = net.get_parameter("d.weight").detach(), values["d.weight"]
    assert float(other.square().mean() / own.square().mean()) == pytest.approx(1, rel=0.3)


def test_seeds_and_names_decide_and_nothing_else() -> None:
    weight = nn.Parameter(torch.randn(6, 6))
    assert torch.equal(drawn(weight, "a", 1), drawn(weight, "a", 1))
    assert len({tuple(drawn(weight, n, s).flatten().tolist()) for n in "ab" for s in range(4)}) == 8
    whole = nn.Parameter(torch.arange(40), requires_grad=False)
    moved = drawn(whole, "a", 1)
    assert not torch.equal(moved, whole)
    assert torch.equal(moved.sort().values, whole)


def test_what_is_one_stays_one() -> None:
    net: Any = shadow.cast(Tied())
    for names in (("into",), ("out",)):
        with Shuffled(names, 0).on(net):
            assert net.out.weight is net.into.weight
            first = net.into.weight.detach().clone()
        assert not torch.equal(first, net.into.weight)
    assert list(chosen(net, ("out",))) == ["into.weight"]


def test_unknown_names_are_told() -> None:
    with pytest.raises(LayerError, match=r"layer\.unknown.*'head'"), Shuffled(("heda",), 0).on(Recurrent()):
        pass


# --- nothing of the user's is written, whatever happens

@pytest.mark.parametrize("name", ["vit", "lstm", "tied", "training", "uncopyable", "patched"])
def test_a_fault_at_any_operation_leaves_nothing(name: str) -> None:
    on = toy(name)
    subject = on.subject()
    e = pellucid.explain(subject, on.x, "saliency", target=1)
    more: dict[str, Any] = {"metrics": ["randomisation", "random_labels", "avg_sensitivity"], "replicates": 2,
                            "samples": 2, "other": copy.deepcopy(on.model.state_dict())}
    with pristine(on.model, on.x), (count := FailAt()):
        pellucid.evaluate(e, **more)
    fired = 0
    for turn, at in enumerate(range(0, count.operations, max(1, count.operations // 12))):
        kind = KINDS[turn % len(KINDS)]
        with pristine(on.model, on.x), suppress(kind, PellucidError), (fault := FailAt(at, kind)):
            pellucid.evaluate(e, **more)
        fired += fault.fired
    assert fired >= 10


def test_the_check_would_see_a_change_that_writes() -> None:
    """Teeth: the same numbers written into the shadow's memory are the user's from then on."""
    net: Any = Recurrent()
    before = snapshot(net)
    with torch.no_grad():
        shadow.cast(net).get_parameter("head.weight").copy_(drawn(net.head.weight, "head.weight", 0))
    assert snapshot(net) != before


def test_nothing_is_held_afterwards() -> None:
    net = Recurrent().eval()
    e = pellucid.explain(net, torch.randn(1, 5, 4), "saliency", target=1)
    pellucid.evaluate(e, metrics="randomisation", replicates=2)
    gc.collect()
    count = len([t for t in gc.get_objects() if issubclass(type(t), Tensor)])
    for seed in range(3):
        pellucid.evaluate(e, metrics="randomisation", replicates=2, seed=seed)
    gc.collect()
    assert len([t for t in gc.get_objects() if issubclass(type(t), Tensor)]) <= count + 8


# --- another checkpoint

def test_weights_and_statistics_are_those_of_the_other_and_go_again() -> None:
    one, two = normed().eval(), normed()
    two.train()(torch.randn(20, 3, 8, 8))
    two.eval()
    x = torch.randn(2, 3, 8, 8)
    copy_ = shadow.cast(one)
    with pristine(one), pristine(two), torch.no_grad():
        before = copy_(x)
        with Checkpoint(two.state_dict()).on(copy_):
            assert torch.equal(copy_(x), two(x))
        assert torch.equal(copy_(x), before)
        with suppress(KeyboardInterrupt), Checkpoint(two.state_dict()).on(copy_):
            raise KeyboardInterrupt
        assert torch.equal(copy_(x), before)


def test_tied_weights_may_be_given_by_either_name() -> None:
    one, two = Tied().eval(), Tied().eval()
    x = torch.randn(2, 6)
    for state in (two.state_dict(), dict(two.named_parameters()),
                  {n: p for n, p in two.state_dict().items() if n != "into.weight"}):
        with torch.no_grad(), Checkpoint(state).on(shadow.cast(one)):
            pass
        copy_ = shadow.cast(one)
        with torch.no_grad(), Checkpoint(state).on(copy_):
            assert torch.equal(copy_(x), two(x))
    with pytest.raises(ModelError, match=r"weights\.mismatch.*1 missing"), Checkpoint({}).on(shadow.cast(nn.Linear(
            2, 2, bias=False))):
        pass
