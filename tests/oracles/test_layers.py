"""Any layer of any architecture can be asked: gradients are plain autograd's, prefixes run once are right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from oracle_nets import Recurrent, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.words.case import Case
from pellucid.words.method import Card, Method

Inputs = Mapping[str, Tensor] | tuple[Tensor, ...]


def asked(model: Any, x: Any, question: Callable[[Case], Any], **options: Any) -> Any:
    """What the engine answers to one question of a method that asks nothing else."""
    got: list[Any] = []

    async def ask(case: Case) -> Tensor:
        got.append(await question(case))
        return case.x * 0

    pellucid.explain(model, x, Method("ask", ask, Card("gradient", "")), **options)
    return got[0]


def slope_at(model: Any, x: Any, layer: str, target: int) -> Tensor:
    return asked(model, x, lambda case: case.gradient(case.here, wrt=layer), target=target)[0]


def first(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    return next((f for v in value if (f := first(v)) is not None), None) if isinstance(value, tuple | list) else None


def swapped(value: Any, new: Tensor) -> Any:
    if isinstance(value, Tensor):
        return new
    return type(value)([swapped(value[0], new), *value[1:]])


def autograd(model: nn.Module, call: Callable[[], Tensor], names: list[str]) -> dict[str, Tensor]:
    """The gradient of a score at every call of every module, by plain hooks: one forward, nothing cut off."""
    kept: dict[str, Tensor] = {}
    calls: dict[str, int] = {}
    handles = []
    for name in names:
        def hook(m: nn.Module, a: Any, out: Any, name: str = name) -> Any:
            value = first(out)
            if value is None or not value.is_floating_point():
                return None
            calls[name] = calls.get(name, 0) + 1
            value = value if value.requires_grad else value.detach().requires_grad_()
            kept[f"{name}#{calls[name]}"] = value
            return swapped(out, value.clone())

        handles.append(model.get_submodule(name).register_forward_hook(hook))
    try:
        score = call()
    finally:
        for handle in handles:
            handle.remove()
    found = torch.autograd.grad(score, list(kept.values()), allow_unused=True)
    return {site.removesuffix("#1") if calls[site.partition("#")[0]] == 1 else site: g[0]
            for site, g in zip(kept, found, strict=True) if g is not None}


def resnet() -> tuple[nn.Module, Any, Any]:
    import torchvision

    return settled(torchvision.models.resnet18(num_classes=7)), (normal(1, 3, 40, 40),), {}


def timm_vit() -> tuple[nn.Module, Any, Any]:
    import timm

    net = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, depth=2, num_classes=7)
    return settled(net), (normal(1, 3, 32, 32),), {}


def bert() -> tuple[nn.Module, Any, Any]:
    import transformers

    config = transformers.BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=24, num_labels=7)
    ids = {"input_ids": torch.tensor([[2, 7, 9, 11, 3]]), "attention_mask": torch.tensor([[1, 1, 1, 1, 1]])}
    return settled(transformers.BertForSequenceClassification(config)), ids, {
        "site": "bert.embeddings.word_embeddings"}


def lstm() -> tuple[nn.Module, Any, Any]:
    return settled(Recurrent()), (normal(1, 5, 4),), {}


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


def encoder() -> tuple[nn.Module, Any, Any]:
    return settled(Encoder()), (normal(1, 5, 8),), {}


class Dense(nn.Module):
    """Each convolution sees what all before it said, as in a DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(7, 4, 3, padding=1), nn.Conv2d(11, 4, 3)
        self.head = nn.Linear(4, 7)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in (self.a, self.b):
            seen.append(nn.functional.relu(conv(torch.cat(seen, 1)), inplace=True))
        return self.head(self.c(torch.cat(seen, 1)).mean((2, 3)))


def dense() -> tuple[nn.Module, Any, Any]:
    return settled(Dense()), (normal(1, 3, 8, 8),), {}


MAKERS = {"resnet18": resnet, "timm vit": timm_vit, "bert": bert, "lstm": lstm, "transformer encoder": encoder,
          "densenet-like": dense}


def scored(net: nn.Module, given: Any, target: int) -> Callable[[], Tensor]:
    def call() -> Tensor:
        out = net(**given) if isinstance(given, dict) else net(*(v.clone().requires_grad_() for v in given))
        return getattr(out, "logits", out)[0, target]

    return call


@pytest.mark.parametrize("kind", MAKERS)
def test_gradient_at_every_layer_is_plain_autograds(kind: str, vision: bool) -> None:
    net, given, how = MAKERS[kind]()
    subject = pellucid.wrap(net, **how)
    x = given if isinstance(given, dict) else given[0]
    names = [n for n, _ in net.named_modules() if n and "position_embeddings" not in n]  # one value for all rows
    true = autograd(net, scored(net, given, 2), names)
    assert len(true) >= 3
    for layer, slope in true.items():
        ours = slope_at(subject, x, layer, 2)
        assert ours.shape == slope.shape, layer
        worst = float((ours - slope).abs().max())
        assert worst <= 2e-6 * float(slope.abs().max()) + 1e-9, f"{layer}: {worst}"


# -- outputs that are more than a tensor, modules that are called more than once

class TwoStates(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 6, num_layers=2, batch_first=True), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        out, (hidden, _) = self.lstm(x)
        return self.head(torch.cat([out[:, -1], hidden[0]], -1))


def test_parts_of_a_tuple_are_asked_by_name_and_batch_axes_that_are_not_first_are_found() -> None:
    net, x = settled(TwoStates()), normal(1, 5, 4)
    out, (hidden, _) = net.lstm(x)
    out, hidden = out.requires_grad_(), hidden.requires_grad_()
    whole, first_state = torch.autograd.grad(net.head(torch.cat([out[:, -1], hidden[0]], -1))[0, 1], [out, hidden])
    torch.testing.assert_close(slope_at(net, x, "lstm:0", 1), whole[0])
    torch.testing.assert_close(slope_at(net, x, "lstm", 1), whole[0])
    torch.testing.assert_close(slope_at(net, x, "lstm:1.0", 1), first_state[:, 0])
    with pytest.raises(pellucid.PellucidError) as error:
        slope_at(net, x, "lstm:2", 1)
    assert error.value.code == "layer.part"


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.act, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.b(self.act(self.a(x)))))


def test_a_reused_module_is_asked_by_its_call_and_refused_without() -> None:
    net, x = settled(Twice()), normal(1, 5)
    first_call = torch.tanh(net.a(x)).requires_grad_()
    second = torch.tanh(net.b(first_call))
    one, two = torch.autograd.grad(net.head(second)[0, 2], [first_call, second])
    torch.testing.assert_close(slope_at(net, x, "act#1", 2), one[0])
    torch.testing.assert_close(slope_at(net, x, "act#2", 2), two[0])
    for layer, code in (("act", "layer.reused"), ("act#3", "layer.not_reached"), ("akt", "layer.unknown")):
        with pytest.raises(pellucid.PellucidError) as error:
            slope_at(net, x, layer, 2)
        assert error.value.code == code


class Inside(nn.Module):
    """Turns gradients off within its forward, as feature extractors like to do."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.a, self.b = how, nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "no_grad":
            with torch.no_grad():
                h = torch.tanh(self.a(x))
        elif self.how == "switch":
            before = torch.is_grad_enabled()
            torch.set_grad_enabled(False)
            h = torch.tanh(self.a(x))
            torch.set_grad_enabled(before)
        elif self.how == "decorator":
            h = torch.no_grad()(lambda: torch.tanh(self.a(x)))()
        else:
            h = torch.tanh(self.a(x)).detach()
        return self.b(h)


@pytest.mark.parametrize("how", ["no_grad", "switch", "decorator"])
def test_a_forward_that_turns_gradients_off_is_explained_all_the_same(how: str) -> None:
    net, x = settled(Inside(how)), normal(1, 5)
    true = (net.b.weight[1] * (1 - torch.tanh(net.a(x)) ** 2)) @ net.a.weight
    e = pellucid.explain(net, x, "saliency", target=1, absolute=False)
    torch.testing.assert_close(e.values, true[0])
    assert torch.is_grad_enabled()


def test_a_forward_that_cuts_the_gradient_for_good_is_refused_not_answered_with_zeros() -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(settled(Inside("detach")), normal(1, 5), "saliency", target=1)
    assert error.value.code == "site.disconnected"


class InPlaceNext(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        h *= 2
        h.clamp_(min=0)
        h[:, 0] = 0
        return self.b(h)


def test_what_is_done_in_place_after_a_layer_does_not_reach_what_was_read_there() -> None:
    net, x = settled(InPlaceNext()), normal(1, 5)
    seen = net.a(x)[0]
    slope = 2 * net.b.weight[0] * (seen > 0) * torch.tensor([0.0, 1, 1, 1, 1, 1])
    torch.testing.assert_close(asked(net, x, lambda case: case.reading(case.here, of="a"))[0], seen)
    torch.testing.assert_close(slope_at(net, x, "a", 0), slope)


class Folded(nn.Module):
    """Puts time into the batch axis for one layer, as time-distributed and windowed models do."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.tanh(self.each(x.flatten(0, 1)))
        return self.head(rows.unflatten(0, x.shape[:2]).sum(1))


def test_a_layer_with_several_rows_per_example_is_refused_rather_than_answered_for_one_of_them() -> None:
    net, x = settled(Folded()), normal(2, 5, 4)
    for example in pellucid.explain(net, x, "inside(saliency)", layer="each", target=0):
        assert isinstance(example, pellucid.PellucidError)
        assert example.code == "layer.no_rows"
    with pytest.raises(pellucid.PellucidError) as error:
        slope_at(net, x[:1], "each", 0)
    assert error.value.code == "layer.no_rows"


# -- the layers before a site run once

PREFIXES = [
    ("resnet18", "layer1.0.bn1"), ("resnet18", "layer2.0.downsample"), ("timm vit", "blocks.0.norm1"),
    ("timm vit", "blocks.1.attn"), ("timm vit", "blocks.1"), ("bert", "bert.encoder.layer.0"),
    ("bert", "bert.encoder.layer.1.attention.self:0"), ("densenet-like", "a"), ("densenet-like", "b"),
    ("transformer encoder", "encoder.layers.0"), ("lstm", "embed"),
]


@pytest.mark.parametrize("method", ["inside(integrated_gradients)", "inside(ablation)"])
@pytest.mark.parametrize(("kind", "layer"), PREFIXES)
def test_running_the_prefix_once_changes_no_value(kind: str, layer: str, method: str, vision: bool) -> None:
    net, given, how = MAKERS[kind]()
    x = given if isinstance(given, dict) else given[0]
    options: dict[str, Any] = {"layer": layer, "target": 1} | ({"steps": 6} if "gradients" in method else {})
    once = pellucid.explain(pellucid.wrap(net, **how), x, method, **options)
    alone = pellucid.explain(pellucid.wrap(net, **how), x, method, chunk=1, **options)
    assert once.evidence.prefix_once
    assert not alone.evidence.prefix_once
    scale = max(float(alone.values.abs().max()), abs(alone.score) if "ablation" in method else 0.0)
    assert float((once.values - alone.values).abs().max()) <= 3e-6 * scale


class Counts(nn.Module):
    """Takes the number of rows before the layer and uses it after, in one of several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.a, self.b, self.head = how, nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[0]
        h = torch.tanh(self.a(x))
        y = torch.tanh(self.b(h))
        if self.how == "view":
            return self.head(y.reshape(rows, -1))
        if self.how == "mean":
            return self.head(y.reshape(rows, -1, 6).mean(1).expand(len(y), -1))
        if self.how == "first":
            return self.head(y + y[:rows].sum(0, keepdim=True) / rows * (rows != len(y)))
        if self.how == "out":
            return self.head(torch.add(y, h, out=torch.empty(rows, 6)) if not y.requires_grad else y + h)
        return self.head(torch.stack([y, h.expand_as(y)] if rows == len(y) else [y, -h.expand_as(y)]).sum(0))


@pytest.mark.parametrize("how", ["view", "mean", "first", "out", "branch"])
@pytest.mark.parametrize("method", ["inside(ablation)", "inside(integrated_gradients)", "inside(kernel_shap)"])
def test_a_model_whose_rows_were_counted_before_the_layer_gets_full_rows(how: str, method: str) -> None:
    net, x = settled(Counts(how)), normal(1, 6)
    e = pellucid.explain(net, x, method, layer="b", target=1)
    alone = pellucid.explain(settled(Counts(how)), x, method, layer="b", target=1, chunk=1)
    torch.testing.assert_close(e.values, alone.values, rtol=1e-5, atol=1e-6)
    if how in ("view", "mean", "first", "branch"):
        assert not e.evidence.prefix_once


class Branches(nn.Module):
    """Two branches that meet at the end; the output carries a part of its own for one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        left, right = torch.tanh(self.left(x)), torch.tanh(self.right(x))
        return {"logits": self.head(left + right), "right": right}


@pytest.mark.parametrize("target", ["right[2]", "function"])
def test_a_score_beside_the_layer_is_answered_whatever_was_asked_before(target: str) -> None:
    net, x = settled(Branches()), normal(1, 6)
    asked_for: Any = (lambda out: out["right"][:, 2]) if target == "function" else target
    pellucid.explain(net, x, "inside(ablation)", layer="left", target=1)
    e = pellucid.explain(net, x, "inside(ablation)", layer="left", target=asked_for)
    # The left branch does not reach the right one: nothing but rounding is left.
    assert float(e.values.abs().max()) <= 1e-6
