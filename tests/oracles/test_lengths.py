"""Examples of different lengths share passes only where that changes no answer; who minds padding is found out."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from oracle_nets import minilm, normal, settled
from torch import Tensor, nn

import pellucid
from pellucid.catalog import find
from pellucid.engine import lengths
from pellucid.engine.run import run
from pellucid.words.case import Carrier, Case, Padding
from pellucid.words.features import units
from pellucid.words.target import Class

TEXTS = ["a b c d e f g h i j k", "c a", "f a c e b a g", "h e a d", "b", "d e a f b e d", "c a b b a g e d"]
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("saliency", {}), ("integrated_gradients", {"steps": 6}), ("occlusion", {}), ("kernel_shap", {"samples": 40}),
    ("smooth(saliency)", {"samples": 3})]


class Letters:
    """A tokenizer of single letters between two special tokens; 0 fills, 3 masks."""

    is_fast, pad_token_id, mask_token_id, model_max_length = False, 0, 3, 64

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        ids = [1, *(4 + ord(c) - ord("a") for c in text.split()), 2]
        return {"input_ids": ids, "attention_mask": [1] * len(ids),
                "special_tokens_mask": [1, *[0] * (len(ids) - 2), 1]}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"t{i}" for i in ids]


class Net(nn.Module):
    """Letters to vectors, told apart by their neighbours, to three scores in the way that `pool` says."""

    def __init__(self, pool: str) -> None:
        super().__init__()
        self.pool, self.words = pool, nn.Embedding(32, 8)
        self.mix, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.lstm = nn.LSTM(8, 8, batch_first=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        h, mask = self.words(input_ids), attention_mask[..., None].to(self.head.weight.dtype)
        count = attention_mask.sum(1)
        if self.pool == "packed lstm":
            packed = nn.utils.rnn.pack_padded_sequence(h, count.cpu(), batch_first=True, enforce_sorted=False)
            return self.head(self.lstm(packed)[1][0][0])
        if self.pool == "lstm":
            return self.head(self.lstm(h)[0][:, -1])
        if self.pool == "maximum without mask":  # an empty place says the most only beside an f
            loud = 5.0 * (input_ids == 9).any(1)[:, None, None] - 4.0
            return self.head((self.mix(h) + (1 - mask) * loud).amax(1))
        h = torch.tanh(self.mix(h))
        mean = (h * mask).sum(1) / mask.sum(1)
        if self.pool == "mean without mask":
            return self.head(h.mean(1))
        if self.pool == "weak mask":
            weight = (h.sum(-1) - 7 * (1 - mask[..., 0])).softmax(1)
            return self.head((h * weight[..., None]).sum(1))
        if self.pool == "gradient only":
            longer = input_ids.shape[1] / count[:, None]
            return self.head(mean.detach() + (mean - mean.detach()) * longer)
        if self.pool == "last place":
            return self.head(h[:, -1] + mean)
        return self.head(mean)


def letters(pool: str, dtype: torch.dtype = torch.float32) -> Any:
    return pellucid.wrap(settled(Net(pool)).to(dtype), tokenizer=Letters(), site="words")


def gpt2(dtype: torch.dtype = torch.float32) -> Any:
    import transformers

    config = transformers.GPT2Config(vocab_size=32, n_positions=32, n_embd=16, n_layer=2, n_head=2, num_labels=3,
                                     pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model = settled(transformers.GPT2ForSequenceClassification(config)).to(dtype)
    return pellucid.wrap(model, tokenizer=Letters())


def roberta(dtype: torch.dtype = torch.float32) -> Any:
    import transformers

    config = transformers.RobertaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                        intermediate_size=24, max_position_embeddings=32, num_labels=3,
                                        pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model = settled(transformers.RobertaForSequenceClassification(config)).to(dtype)
    return pellucid.wrap(model, tokenizer=Letters())


def alike(subject: Any, texts: list[str], method: str, padded: bool, values: float = 3e-5, score: float = 1e-6,
          **options: Any) -> None:
    """Together is what each is alone."""
    found = pellucid.explain(subject, texts, method, target=1, **options)
    for text, e in zip(texts, found, strict=True):
        true = pellucid.explain(subject, text, method, target=1, strict=True, **options)
        assert e.evidence.padded is padded
        assert not true.evidence.padded
        assert e.values.shape == true.values.shape
        assert abs(e.score - true.score) <= score * max(1.0, abs(true.score))
        # Differences of scores cannot be better than the scores.
        scale = max(float(true.values.abs().max()), abs(true.score) * (0.0 if values < 1e-9 else 0.1))
        assert float((e.values - true.values).abs().max()) <= values * scale


@pytest.mark.parametrize(("method", "options"), METHODS, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("make", [gpt2, roberta, lambda: letters("mean"), lambda: letters("packed lstm")],
                         ids=["gpt2", "roberta", "mean", "packed lstm"])
def test_together_is_alone_where_padding_is_hidden(
    make: Callable[[], Any], method: str, options: dict[str, Any], vision: bool
) -> None:
    alike(make(), TEXTS, method, True, **options)


@pytest.mark.parametrize("make", [gpt2, roberta, lambda d: letters("mean", d), lambda d: letters("packed lstm", d)],
                         ids=["gpt2", "roberta", "mean", "packed lstm"])
def test_in_double_precision_together_is_alone_to_the_last_digits(
    make: Callable[[torch.dtype], Any], vision: bool
) -> None:
    for method, options in METHODS[:3]:
        alike(make(torch.float64), TEXTS, method, True, 1e-11, 1e-12, **options)


def test_trained_encoders_give_the_same_scores_alone_and_together(vision: bool) -> None:
    texts = ["a truly good film", "not bad at all, I loved every minute of it", "what a waste of a long evening",
             "bad", "the plot was thin and the actors were bored", "fine, but not great"]
    model, tokenizer = minilm()
    # the larger in float64: in float32 processors round six layers by more than scores may differ
    exact = {"values": 1e-8, "score": 1e-9}
    for subject, close in ((pellucid.load("demo:reviews"), {}),
                           (pellucid.wrap(model.double(), tokenizer=tokenizer), exact)):
        for method, options in (("saliency", {}), ("integrated_gradients", {"steps": 5}), ("occlusion", {})):
            alike(subject, texts, method, True, **close, **options)


MINDING = ["lstm", "mean without mask", "maximum without mask", "weak mask", "gradient only"]


@pytest.mark.parametrize("pool", MINDING)
def test_a_model_that_minds_padding_is_never_padded(pool: str) -> None:
    for method, options in METHODS[:3]:
        if pool == "gradient only" and method == "occlusion":
            continue  # its scores do not mind, and are all that is asked
        found = pellucid.explain(letters(pool), TEXTS, method, target=1, **options)
        for text, e in zip(TEXTS, found, strict=True):
            true = pellucid.explain(letters(pool), text, method, target=1, strict=True, **options)
            torch.testing.assert_close(e.values, true.values, rtol=1e-4, atol=1e-6)
            if pool != "gradient only" or method == "saliency":  # where only scores are asked it may be padded
                assert not e.evidence.padded


def careless(true: Any, got: Any, fit: Any, sizes: tuple[int, int]) -> Any:
    """A probe that looks at scores only."""
    return held(SimpleNamespace(scores=true.scores, gradients={}, readings={}),
            SimpleNamespace(scores=got.scores, gradients={}, readings={}), fit, sizes)


held = lengths._held


@pytest.mark.parametrize(("pool", "saboteur"), [
    ("gradient only", {"_held": careless}), ("mean without mask", {"_held": lambda true, got, fit, sizes: fit}),
    ("lstm", {"_agree": lambda a, b: True}), ("weak mask", {"TOLERANCE": {torch.float32: 1e-2}, "LOUD": 0.0}),
    ("maximum without mask", {"_noisy": lambda order: order})])
def test_each_part_of_the_probe_is_needed(pool: str, saboteur: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    test_a_model_that_minds_padding_is_never_padded(pool)
    for name, value in saboteur.items():
        monkeypatch.setattr(lengths, name, value)
    with pytest.raises(AssertionError):
        test_a_model_that_minds_padding_is_never_padded(pool)


def test_padding_goes_before_the_start_where_only_that_changes_nothing() -> None:
    sides: set[bool] = set()
    own = lengths.Fit.own

    def seen(self: Any, *given: Any) -> Any:
        sides.add(self.left)
        return own(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lengths.Fit, "own", seen)
        alike(letters("last place"), TEXTS, "saliency", True)
        alike(letters("last place"), TEXTS, "occlusion", True)
    assert True in sides


@pytest.mark.parametrize("layer", ["transformer.h.0", "transformer.ln_f", "score"])
def test_values_at_layers_are_cut_back_to_their_own_length(layer: str, vision: bool) -> None:
    subject = gpt2()
    for method, options in (("inside(saliency)", {}), ("inside(integrated_gradients)", {"steps": 3})):
        alike(subject, TEXTS, method, True, layer=layer, **options)


def test_a_function_of_the_output_is_probed_for_itself(vision: bool) -> None:
    import transformers

    config = transformers.GPT2Config(vocab_size=32, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    subject = pellucid.wrap(settled(transformers.GPT2LMHeadModel(config)), tokenizer=Letters())
    for target in (lambda out: out.logits[:, -1, 5], lambda out: out.logits[:, 1, 5]):
        found = pellucid.explain(subject, TEXTS, "saliency", target=target)
        for text, e in zip(TEXTS, found, strict=True):
            true = pellucid.explain(subject, text, "saliency", target=target, strict=True)
            torch.testing.assert_close(e.values, true.values, rtol=1e-4, atol=1e-6)


def test_one_text_that_cannot_be_explained_takes_no_other_along() -> None:
    subject = letters("mean")
    with torch.no_grad():
        subject.module.words.weight[4 + ord("z") - ord("a")] = float("nan")
    texts = [*TEXTS[:3], "a z", *TEXTS[3:], "z"]
    found = pellucid.explain(subject, texts, "integrated_gradients", target=1, steps=4)
    assert [getattr(e, "code", None) == "output.not_finite" for e in found] == ["z" in t for t in texts]
    for text, e in zip(texts, found, strict=True):
        if "z" not in text:
            true = pellucid.explain(letters("mean"), text, "integrated_gradients", target=1, steps=4)
            torch.testing.assert_close(e.values, true.values, rtol=1e-4, atol=1e-6)


def test_fewer_passes_are_made_and_the_same_ones_every_time() -> None:
    texts = [" ".join("abcdefghij"[k % 7 : k % 7 + 1 + k % 9]) for k in range(40)]
    apart = pellucid.explain(letters("lstm"), texts, "occlusion")[0].evidence
    subject = letters("mean")
    found = [pellucid.explain(subject, texts, "occlusion") for _ in range(3)]
    assert found[0][0].evidence.passes < apart.passes
    # What a row takes is known from the second time on.
    assert found[1][0].evidence.passes == found[2][0].evidence.passes
    assert all(torch.equal(a.values, b.values) for a, b in zip(found[1], found[2], strict=True))


def test_no_bucket_wastes_more_than_it_may_and_none_is_lost() -> None:
    made = [SimpleNamespace(works=[0] * w, length=n, first=SimpleNamespace(
        points=SimpleNamespace(n=p), case=SimpleNamespace(origin=torch.zeros(n, 2))))
        for n, w, p in sorted(((1 + k * 7 % 41, 1 + k % 3, 1 + k * k % 9) for k in range(60)), reverse=True)]
    found = lengths.buckets(made, 64)  # type: ignore[arg-type]
    assert [b for bucket in found for b in bucket] == made
    assert len(found) < len({b.length for b in made})
    for bucket in found:
        used = sum(len(b.works) * b.first.points.n * b.length for b in bucket)
        filled = sum(len(b.works) * b.first.points.n * bucket[0].length for b in bucket)
        assert filled - used <= lengths.WASTE * filled


@pytest.mark.parametrize("masked", [True, False])
def test_signals_of_any_length_may_say_how_they_are_filled(masked: bool) -> None:
    class Signal(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            y = torch.sin(x) * (mask if masked else 1.0)
            return torch.stack([y.sum(1), (y * y).sum(1) + (0 if masked else x.shape[1])], 1)

    padding = Padding(((0, 1, 0.5), (1, 1, 0.0)))
    signals = [normal(n, seed=n, dtype=torch.float64) for n in (9, 8, 5, 8, 3, 9)]
    cases = [Case(Carrier({0: s[None], 1: torch.ones(1, len(s), dtype=torch.float64)}, padding), s,
                  torch.zeros_like(s), units((len(s),)), Class(1)) for s in signals]
    found, tally = run(Signal().double(), [find("integrated_gradients")(c, steps=20) for c in cases])
    assert tally.padded is masked
    for s, e in zip(signals, found, strict=True):
        torch.testing.assert_close(e.value, torch.sin(s) ** 2, rtol=1e-9, atol=1e-9)
