"""Models of all sorts: outputs, inputs, wrappers, number formats, and targets that do not exist."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from oracle_nets import cnn, mlp, normal, settled
from torch import Tensor, nn

import pellucid

W = normal(6, 3, seed=1)


@dataclass
class Answer:
    logits: Tensor
    hidden: Tensor


class Pair(NamedTuple):
    scores: Tensor
    attention: Tensor


class Linear(nn.Module):
    """x @ W in a wrapping of one's choice."""

    def __init__(self, wrapped: Callable[[Tensor], Any] = lambda out: out) -> None:
        super().__init__()
        self.weight, self.wrapped = nn.Parameter(W.clone()), wrapped

    def forward(self, x: Tensor) -> Any:
        return self.wrapped(x @ self.weight)


def maps(out: Tensor) -> Tensor:
    return torch.zeros(len(out), 2, 4, 4)


@pytest.mark.parametrize("wrapped", [
    lambda out: {"logits": out, "hidden": maps(out)}, lambda out: {"scores": out, "hidden": maps(out)},
    lambda out: Answer(out, maps(out)), lambda out: Pair(out, maps(out)), lambda out: (out,), lambda out: [out, None],
    lambda out: {"head": {"scores": out}, "ids": out.argmax(1)},
], ids=["logits", "scores", "dataclass", "named tuple", "tuple", "list", "nested"])
def test_the_scores_are_found_in_any_kind_of_output(wrapped: Callable[[Tensor], Any]) -> None:
    x = normal(1, 6)
    for method in ("input_x_gradient", "integrated_gradients", "kernel_shap"):
        e = pellucid.explain(Linear(wrapped), x, method, target=2)
        torch.testing.assert_close(e.values, x[0] * W[:, 2], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("wrapped", "code"), [
    (lambda out: "cat", "output.no_score"), (lambda out: None, "output.no_score"),
    (lambda out: (), "output.no_score"), (lambda out: out[:, :, None].expand(-1, -1, 4), "target.needed"),
    (lambda out: {"a": out, "b": out + 1}, "output.ambiguous"), (lambda out: out.sum(), "output.rows"),
    (lambda out: out.T, "output.rows"), (lambda out: out.argmax(1, keepdim=True), "site.disconnected"),
], ids=["text", "nothing", "empty", "map", "two", "sum", "transposed", "class number"])
def test_an_output_without_a_score_says_what_is_missing(wrapped: Callable[[Tensor], Any], code: str) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(Linear(wrapped), normal(1, 6), "saliency")
    assert error.value.code == code


def test_a_single_score_needs_no_target_and_any_function_of_the_output_may_be_one() -> None:
    x = normal(2, 6)
    for wrapped in (lambda out: out[:, 0], lambda out: out[:, :1]):
        for e, row in zip(pellucid.explain(Linear(wrapped), x, "input_x_gradient"), x, strict=True):
            torch.testing.assert_close(e.values, row * W[:, 0])
    e = pellucid.explain(Linear(lambda out: {"a": out, "b": 3 * out}), x[:1], "input_x_gradient",
                         target=lambda out: out["b"][:, 1] - out["a"][:, 2])
    torch.testing.assert_close(e.values, x[0] * (3 * W[:, 1] - W[:, 2]))
    assert not e.recipe.replayable


@pytest.mark.parametrize(("target", "code"), [
    (3, "target.out_of_range"), (10**12, "target.out_of_range"), (-1, "target.out_of_range"),
    ("-1", "target.out_of_range"), ((0, 7), "target.out_of_range"), ("inner[3]", "target.out_of_range"),
    ("cat", "target.unknown"), ("other[1]", "layer.unknown"), (1.0, "target.unreadable"), (True, "target.unreadable"),
    ((0, 1, 2), "target.unreadable"), (lambda out: 3, "target.no_score"), (lambda out: out, "target.shape"),
    (lambda out: out.sum(), "target.shape"),
], ids=lambda v: v if isinstance(v, str) else repr(v)[:18])
def test_a_target_that_does_not_exist_is_refused(target: Any, code: str) -> None:
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(Nested(), normal(1, 6), "saliency", target=target)
    assert error.value.code == code


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + 1


def test_targets_may_be_named_paired_or_given_for_each_input() -> None:
    x = normal(3, 6)
    subject = pellucid.wrap(Linear(), labels=["cat", "dog", "cow"])
    for target, weight in (("dog", W[:, 1]), (("cow", "cat"), W[:, 2] - W[:, 0]), ("cow - dog", W[:, 2] - W[:, 1])):
        e = pellucid.explain(subject, x[:1], "input_x_gradient", target=target)
        torch.testing.assert_close(e.values, x[0] * weight)
    for k, e in enumerate(pellucid.explain(subject, x, "input_x_gradient", target=[2, "cat", ("dog", "cow")])):
        weight = (W[:, 2], W[:, 0], W[:, 1] - W[:, 2])[k]
        torch.testing.assert_close(e.values, x[k] * weight)
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(subject, x, "saliency", target=[0, 1])
    assert error.value.code == "target.count"
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(subject, x[:1], "saliency", target="dgo")
    assert "'dog'" in error.value.do


class Two(nn.Module):
    """A picture-like input, a vector beside it, and a switch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 3), nn.Linear(2, 3)

    def forward(self, x: Tensor, side: Tensor, *, twice: bool = False) -> Tensor:
        out = self.a(x) * self.b(side)
        return 2 * out if twice else out


@pytest.mark.parametrize("how", ["positions", "keywords"])
def test_of_several_inputs_the_chosen_one_is_explained_and_the_others_stay(how: str) -> None:
    net, x, side = settled(Two()), normal(4, 6), normal(4, 2, seed=3)
    given: Any = (x, side) if how == "positions" else {"x": x, "side": side, "twice": True}
    factor = 1 if how == "positions" else 2
    for k, e in enumerate(pellucid.explain(net, given, "integrated_gradients", target=1, steps=2)):
        torch.testing.assert_close(e.values, factor * x[k] * net.a.weight[1] * net.b(side)[k, 1], rtol=1e-4, atol=1e-5)
    subject = pellucid.wrap(net, explain_input=1 if how == "positions" else "side")
    for k, e in enumerate(pellucid.explain(subject, given, "kernel_shap", target=1)):
        torch.testing.assert_close(e.values, factor * side[k] * net.b.weight[1] * net.a(x)[k, 1], rtol=1e-4, atol=1e-5)


def test_whole_numbers_are_refused_with_the_way_out() -> None:
    net = settled(nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3)))
    ids = torch.tensor([[1, 2, 3]])
    with pytest.raises(pellucid.PellucidError) as error:
        pellucid.explain(net, ids, "saliency")
    assert error.value.code.startswith("input.")
    assert "site=" in str(error.value)
    e = pellucid.explain(pellucid.wrap(net, site="0"), ids, "input_x_gradient", target=1)
    words = net[0](ids)
    torch.testing.assert_close(e.values, (words * net[2].weight[1].reshape(3, 4)).sum(-1)[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "kernel_shap", "occlusion"])
def test_half_precision_models_are_explained_as_well_as_their_format_allows(dtype: torch.dtype, method: str) -> None:
    net, x = mlp(), normal(2, 6).to(dtype).float()
    true = pellucid.explain(mlp(dtype=torch.float64), x.double(), method, target=1)
    half = pellucid.explain(net.to(dtype), x.to(dtype), method, target=1)
    coarse = 2e-2 if dtype == torch.bfloat16 else 3e-3
    for a, b in zip(half, true, strict=True):
        assert a.values.dtype == torch.float32
        scale = float(b.values.abs().max()) + (abs(b.score) if method != "saliency" else 0)
        assert float((a.values - b.values).abs().max()) <= 2 * coarse * scale


def test_a_compiled_model_is_explained_at_its_layers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(cnn(), backend="eager")
        x = normal(1, 3, 12, 12)
        compiled(x)
    for method, options in (("grad_cam", {"layer": "4"}), ("saliency", {}), ("occlusion", {"window": 6})):
        ours = pellucid.explain(compiled, x, method, target=2, **options)
        torch.testing.assert_close(ours.values, pellucid.explain(cnn(), x, method, target=2, **options).values)


def test_gradients_of_a_sum_over_two_paths_are_not_lost_at_a_shared_input() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            h = self.a(x)
            x.mul_(0)  # the model may spoil its own input
            return h * h + h

    net, x = settled(Skip()), normal(1, 6)
    before = x.clone()
    e = pellucid.explain(net, x, "saliency", target=0, absolute=False)
    h = before @ net.a.weight.T + net.a.bias
    torch.testing.assert_close(e.values, (2 * h[0, 0] + 1) * net.a.weight[0])
    assert torch.equal(x, before)
