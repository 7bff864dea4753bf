"""Methods that read attention, against the papers' formulas with whole matrices and plain autograd."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import torch
from attention_nets import Attend, Picture, Stack, hugging, probabilities
from oracle_nets import normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.cli.main import main
from pellucid.methods import queries
from pellucid.methods.attention import flowed
from pellucid.numbers.ranks import ranks, spearman
from pellucid.testing.declared import tokens
from pellucid.testing.faults import LiveBytes
from pellucid.testing.laws import law
from pellucid.words.case import Case
from pellucid.words.method import Card, Law, Method, Need

EXACT = {"rtol": 0.0, "atol": 1e-12}
CHAINS = ("attention_rollout", "attention_relevance")
METHODS = ("attention", "gradient_attention", *CHAINS)


def gated(kept: list[Tensor], logits: Tensor, target: int = 1) -> list[Tensor]:
    """Mean over heads of ReLU(∂f/∂A · A) for every layer."""
    slopes = torch.autograd.grad(logits[0, target], kept, retain_graph=True)
    return [torch.relu(g * a)[0].mean(0).detach() for g, a in zip(slopes, kept, strict=True)]


def rollout(kept: list[Tensor]) -> Tensor:
    """Abnar & Zuidema: ½A + ½I, rows divided by their sums, multiplied from the first layer to the last."""
    found = torch.eye(kept[0].shape[-1], dtype=kept[0].dtype)
    for a in kept:
        mixed = 0.5 * a[0].detach().mean(0) + 0.5 * torch.eye(a.shape[-1], dtype=a.dtype)
        found = mixed / mixed.sum(-1, keepdim=True) @ found
    return found


def relevance(kept: list[Tensor], logits: Tensor, target: int = 1) -> Tensor:
    """Chefer et al.: R ← R + Ā R from R = I."""
    found = torch.eye(kept[0].shape[-1], dtype=kept[0].dtype)
    for a in gated(kept, logits, target):
        found = found + a @ found
    return found


def by_hand(method: str, kept: list[Tensor], logits: Tensor, target: int = 1) -> Tensor:
    """What a method says from every query (rows) to every token."""
    if method == "attention":
        return kept[-1][0].detach().mean(0)
    if method == "gradient_attention":
        return gated(kept, logits, target)[-1]
    if method == "attention_rollout":
        return rollout(kept)
    found = relevance(kept, logits, target)
    return found - torch.eye(len(found), dtype=found.dtype)


def stack(pool: str, how: str = "fused", layers: int = 3) -> tuple[Stack, Tensor]:
    return settled(Stack(how, layers, pool), dtype=torch.float64), normal(1, 6, 8, dtype=torch.float64)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pool", ["first", "last", "mean"])
def test_values_are_the_papers_from_the_tokens_that_the_score_reads(method: str, pool: str) -> None:
    net, x = stack(pool, "fused, causal" if pool == "last" else "fused")
    whole = by_hand(method, *net.slowly(x))
    true = {"first": whole[0], "last": whole[-1], "mean": whole.mean(0)}[pool]
    e = pellucid.explain(net, x, method, target=1)
    torch.testing.assert_close(e.values, true, **EXACT)
    assert e.details["query"] == {"first": "token 0 of 6", "last": "token 5 of 6", "mean": "all 6 tokens"}[pool]
    assert torch.equal(pellucid.explain(net, x, **e.recipe).values, e.values)


@pytest.mark.parametrize("method", METHODS)
def test_any_query_can_be_read_instead(method: str) -> None:
    net, x = stack("first")
    whole = by_hand(method, *net.slowly(x))
    for query, true in (("last", whole[-1]), ("mean", whole.mean(0)), (2, whole[2]), ("first", whole[0])):
        torch.testing.assert_close(pellucid.explain(net, x, method, target=1, query=query).values, true, **EXACT)


def test_rollout_is_a_distribution_over_all_tokens_also_where_a_query_sees_nothing() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.head = Sees(), Sees(), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.two(self.one(x)).mean(1))

    class Sees(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(6, 6, dtype=torch.bool).tril(-1)
            return x + nn.functional.scaled_dot_product_attention(self.q(x), x, x, attn_mask=mask)

    net, x = settled(Half(), dtype=torch.float64), normal(1, 6, 8, dtype=torch.float64)
    for found in (pellucid.explain(net, x, "attention_rollout", target=1),
                  pellucid.explain(*stack("mean"), "attention_rollout", target=1)):
        assert float(found.values.sum()) == pytest.approx(1, abs=1e-12)
        assert bool((found.values > 0).all())


def test_rows_are_divided_by_their_own_sums_where_columns_would_give_another_flow() -> None:
    """vit-explain divides by sums without keepdim: once small weights are dropped its rows no longer sum to 1."""
    a = normal(7, 7, dtype=torch.float64).softmax(-1)
    a = torch.where(a < a.flatten().quantile(0.9), torch.zeros_like(a), a)
    mixed = (a + torch.eye(7, dtype=a.dtype)) / 2
    right, wrong = mixed / mixed.sum(-1, keepdim=True), mixed / mixed.sum(-1)
    ours = torch.stack([flowed(row, a) for row in torch.eye(7, dtype=a.dtype)])
    torch.testing.assert_close(ours, (a + torch.eye(7, dtype=a.dtype)) / (a.sum(-1, keepdim=True) + 1), **EXACT)
    torch.testing.assert_close(ours.sum(-1), torch.ones(7, dtype=a.dtype), **EXACT)
    assert float((wrong.sum(-1) - 1).abs().max()) > 0.02
    assert float((wrong - right).abs().max()) > 0.02


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "vit"])
@pytest.mark.parametrize("method", ["gradient_attention", *CHAINS])
def test_models_with_fused_attention_are_explained_as_their_eager_twins(kind: str, method: str, vision: bool) -> None:
    subject, eager, x = hugging(kind, "sdpa", torch.float64)
    whole = by_hand(method, *probabilities(eager, x))
    e = pellucid.explain(subject, x, method, target=1)
    # the class token, or the last token that is no padding
    true = whole[0, 1:].reshape(2, 2) if kind == "vit" else whole[5 if kind in ("gpt2", "llama") else 0]
    single = kind in ("llama", "vit")  # their eager twins take the softmax in single precision
    torch.testing.assert_close(e.values, true, rtol=0, atol=1e-6 * float(true.max()) if single else 1e-12)


# -- where values lie

def test_a_pictures_values_lie_over_its_patches_without_the_tokens_before_them() -> None:
    net, x = settled(Picture(2), dtype=torch.float64), normal(1, 3, 12, 20, dtype=torch.float64)
    whole = relevance(*net.body.slowly(net.tokens(x)))
    for grid in ({}, {"grid": (3, 5)}):
        e = pellucid.explain(net, x, "attention_relevance", target=1, **grid)
        torch.testing.assert_close(e.values, whole[0, 2:].reshape(3, 5), **EXACT)
        assert e.features.kind == "image"
        assert e.details["places"] == "3 by 5 patches after 2 other tokens"
        assert tuple(e.recipe["grid"]) == (3, 5)


TEXTS = ["a touching and truly unhappy film", "not bad at all, I loved it", "the plot was thin and dull"]


@pytest.mark.parametrize("method", METHODS)
def test_words_of_texts_carry_the_sums_of_their_tokens_and_share_passes(method: str, vision: bool) -> None:
    subject = pellucid.load("demo:reviews")
    words = pellucid.explain(subject, TEXTS, method, target=1)
    assert words[0].evidence.padded
    for text, e in zip(TEXTS, words, strict=True):
        alone = pellucid.explain(subject, text, method, target=1, features="tokens")
        numbers = torch.tensor([w for w in subject.read(text).words if w >= 0])
        summed = torch.zeros(len(e.names)).index_add(0, numbers, alone.values)
        torch.testing.assert_close(e.values, summed, rtol=0, atol=1e-5 * float(summed.abs().max()))
        assert e.score == pytest.approx(alone.score, abs=1e-4)
        assert e.features.kind == "tokens"
        assert len(e.names) == max(numbers) + 1


def test_the_pictures_of_the_demonstration_are_explained_and_drawn(vision: bool) -> None:
    from pellucid.models.demo import samples

    subject = pellucid.load("demo:digits-vit")
    found = pellucid.explain(subject, samples("digits-vit")[0], list(METHODS))
    for e in found.values():
        assert tuple(e.values.shape) == (8, 8)
        assert "8 by 8 patches after 1 other token" in e.details["places"]
        assert "<svg" in e.svg()
    assert found["attention"].recipe["layer"] == "blocks.3.attn:attention"


def test_tokens_that_are_no_features_are_counted() -> None:
    net, x = stack("mean")
    e = pellucid.explain(net, x, "attention_rollout", target=1)
    assert e.names == tuple(f"token {k}" for k in range(6))
    halves = pellucid.explain(net, x, "attention_rollout", target=1, features=torch.tensor([0, 0, 0, 1, 1, -1]))
    torch.testing.assert_close(halves.values, torch.stack([e.values[:3].sum(), e.values[3:5].sum()]), **EXACT)


# -- layers

def test_layers_are_chosen_by_name_in_any_spelling_and_averaged_where_several_are_shown() -> None:
    net, x = stack("first")
    kept, logits = net.slowly(x)
    for layer in ("layers.0", "layers.0:attention", ("layers.0",)):
        e = pellucid.explain(net, x, "attention", target=1, layer=layer)
        torch.testing.assert_close(e.values, kept[0][0, :, 0].detach().mean(0), **EXACT)
    for layer in ("layers.0,layers.2", ("layers.0", "layers.2")):
        e = pellucid.explain(net, x, "gradient_attention", target=1, layer=layer)
        torch.testing.assert_close(e.values, torch.stack(gated(kept, logits)[::2])[:, 0].mean(0), **EXACT)
    short = pellucid.explain(net, x, "attention_rollout", target=1, layers="layers.1,layers.2")
    torch.testing.assert_close(short.values, rollout(kept[1:])[0], **EXACT)


@pytest.mark.parametrize("method", CHAINS)
def test_layer_by_layer_is_all_at_once_and_holds_one_layers_maps(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = settled(Stack("fused", 8), dtype=torch.float64), normal(1, 96, 8, dtype=torch.float64)
    true = pellucid.explain(net, x, method, target=1)
    peaks: dict[int, int] = {}
    for layers in (2, 8):
        monkeypatch.setattr(queries, "KEPT", 0)
        with LiveBytes() as live:
            e = pellucid.explain(net, x, method, target=1, layers=tuple(f"layers.{k}" for k in range(8 - layers, 8)))
        peaks[layers] = live.peak
    torch.testing.assert_close(e.values, true.values, rtol=1e-9, atol=0)
    assert e.evidence.passes > true.evidence.passes
    assert peaks[8] <= 1.1 * peaks[2]


def test_the_score_of_an_inner_unit_is_read_from_the_last_attention_before_it() -> None:
    net, x = stack("mean")
    kept: list[Tensor] = []
    h = x
    for layer in net.layers[:2]:
        kept.append(layer.weights(h).detach().requires_grad_() if not kept else layer.weights(h))
        h = layer.weighed(kept[-1], h) if len(kept) == 2 else h + layer.weighed(kept[-1], h)
    inner = h[:, 3, 2]
    for method in CHAINS:
        e = pellucid.explain(net, x, method, target="layers.1[3,2]")
        torch.testing.assert_close(e.values, by_hand(method, kept, inner[None], 0)[3], **EXACT)
        assert e.details["query"] == "token 3 of 6"


# -- what the verdict says

def test_attention_alone_is_the_same_for_every_target_and_says_so() -> None:
    net, x = stack("first")
    for method in ("attention", "attention_rollout"):
        found = [pellucid.explain(net, x, method, target=t) for t in range(3)]
        assert all(torch.equal(e.values, found[0].values) for e in found)
        assert all([f.code for f in e.verdict.findings] == ["attention.alone"] for e in found)
    for method in ("gradient_attention", "attention_relevance"):
        found = [pellucid.explain(net, x, method, target=t) for t in range(3)]
        assert not torch.allclose(found[0].values, found[1].values)
        assert all("attention.alone" not in [f.code for f in e.verdict.findings] for e in found)


def test_attention_says_how_far_its_ranks_agree_with_what_spoke_for_the_score() -> None:
    net, x = stack("first")
    spoke = pellucid.explain(net, x, "gradient_attention", target=1).values
    e = pellucid.explain(net, x, "attention", target=1)
    below = [(v[:, None] > v).sum(1) + (v[:, None] == v).sum(1) / 2 for v in (e.values, spoke)]
    pairs = torch.corrcoef(torch.stack(below).double())[0, 1]
    assert e.details["agreement"] == pytest.approx(float(pairs), abs=1e-12)
    assert f"{float(pairs):+.2f}" in e.verdict.findings[0].reason
    silent = pellucid.explain(net, x, "attention", target=lambda out: out[:, 1] * 0 + 1, query="first")
    assert silent.details["agreement"] == "undefined"


def test_ranks_share_ties() -> None:
    a = torch.tensor([3.0, 1.0, 3.0, -2.0, 7.0, 3.0])
    assert ranks(a).tolist() == [3.0, 1.0, 3.0, 0.0, 5.0, 3.0]
    assert spearman(a, -a) == pytest.approx(-1)
    assert spearman(a, torch.ones(6)) is None


# -- other numbers, another door

@pytest.mark.parametrize("method", METHODS)
def test_a_model_in_bfloat16_is_read_in_single_precision(method: str) -> None:
    net, x = settled(Stack("fused")), normal(1, 6, 8)
    true = pellucid.explain(net, x, method, target=1)
    half = pellucid.explain(net.bfloat16(), x.bfloat16(), method, target=1)
    assert half.values.dtype == torch.float32
    torch.testing.assert_close(half.values, true.values, rtol=0, atol=0.05 * float(true.values.abs().max()))


def test_the_shell_explains_a_text_by_the_relevance_of_its_attention(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, vision: bool
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXTS[0].encode())))
    assert main(["explain", "demo:reviews", "-", "--method", "attention_relevance", "--query", "first", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    true = pellucid.explain(pellucid.load("demo:reviews"), TEXTS[0], "attention_relevance")
    assert told["values"] == pytest.approx(true.values.tolist(), abs=1e-6)


# -- the law of equal tokens has teeth

def test_the_law_of_equal_tokens_fails_for_a_method_that_minds_their_places() -> None:
    async def later_tokens_get_more(case: Case, *, layers: Any = "auto") -> Tensor:
        (a,) = await case.reading(case.here, of=layers[-1])
        return a.mean(0)[0] * torch.arange(1, 7)

    broken = Method("later", later_tokens_get_more, Card("reading", "", (Law.SYMMETRIC,), "features",
                                                         needs=(Need.ATTENTION, Need.SELF_ATTENTION)),
                    defaults={"layers": "auto"})

    def placed(method: Method) -> Method:
        async def run(case: Case, **options: Any) -> Any:
            from pellucid.numbers.estimate import Estimate
            from pellucid.words.features import groups

            names = [str(k) for k in range(6)]
            return Estimate(await method.run(case, **options), None, None, (), groups(range(6), names, "units", "t"))

        return Method(method.name, run, method.card, defaults=method.defaults)

    with pytest.raises(AssertionError, match=r"^\[SYMMETRIC\]"):
        law("SYMMETRIC").check(placed(broken))
    assert isinstance(tokens().model, nn.Module)


def test_a_layer_with_attention_to_another_sequence_is_refused_even_of_equal_length() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own, self.other, self.head = Attend("fused"), Attend("fused"), nn.Linear(8, 3)

        def forward(self, x: Tensor, memory: Tensor) -> Tensor:
            x = x + self.own(x)
            return self.head((x + self.other(x, context=memory)).mean(1))

    net = settled(Two())
    given = (normal(1, 5, 8), normal(1, 5, 8, seed=1))
    for method in CHAINS:
        with pytest.raises(pellucid.PellucidError) as error:
            pellucid.explain(net, given, method, target=1)
        assert error.value.code == "attention.crossed"
        assert "other:attention" in error.value.found
        assert pellucid.explain(net, given, method, target=1, layers="own").values.shape == (5,)
    assert pellucid.explain(net, given, "attention", target=1).values.shape == (5,)
