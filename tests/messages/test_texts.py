"""Bad texts are refused by code; tokens, words and baselines of good ones are the right ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from refusal import refused

from pellucid.models.text import TextReader, checked, embedding_site, token_limit
from pellucid.words.case import Carrier
from pellucid.words.site import Site

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "un", "##believ", "##able", "我", "喜", "欢",
          "!"]


@pytest.fixture(scope="module")
def tokenizer(vision: bool) -> Any:
    """A WordPiece tokenizer that cuts as BERT's does, Chinese characters one by one."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece({p: i for i, p in enumerate(PIECES)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
                                   sep_token="[SEP]", mask_token="[MASK]")


@pytest.fixture
def reader(tokenizer: Any) -> TextReader:
    return TextReader(tokenizer, Site("embedding"), limit=16)


@pytest.mark.parametrize(("raw", "code"), [
    ("", "text.empty"), (" \n\t", "text.empty"), ("\u200b", "text.empty"), (b"caf\xe9", "text.encoding"),
    ("half \ud800", "text.encoding"), ("nul\0", "text.control_characters"), ("bell\x07", "text.control_characters"),
    ("\x9b31m", "text.control_characters"), ("film " * 15, "text.too_long"), ("x" * 100_001, "text.too_long"),
    (3, "text.type"), (None, "text.type"), (["film"], "text.type"),
])
def test_a_bad_text_is_refused_by_code(reader: TextReader, raw: Any, code: str) -> None:
    error = refused(code, lambda: reader.read(raw))
    if raw == "film " * 15:
        assert error.found == "17 tokens"
        assert error.expected == "at most 16"


def test_lines_bidirectional_marks_and_stacked_accents_are_texts() -> None:
    for text in ("one\r\n\ttwo", "abc \u202e fed", "z\u0351\u036b\u0343a\u200dlgo \ufeff", "<b>{{ x }}</b>"):
        assert checked(text) == text


def test_words_and_names_of_mixed_text(reader: TextReader) -> None:
    example = reader.read("The Unbelievable  film我喜欢the film!")
    tokens = reader.features(example, "tokens", False)
    assert tokens.names == ("The", "Un", "believ", "able", "film", "我", "喜", "欢", "the", "film", "!")
    assert tokens.index.tolist() == [-1, *range(11), -1]
    words = reader.features(example, None, True)
    assert words.names == ("The", "Unbelievable", "film", "我", "喜", "欢", "the", "film", "!")
    assert words.index.tolist() == [-1, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, -1]
    assert example.carrier.inputs["input_ids"].shape == (1, 13)
    assert example.shown.text.startswith("The Un")
    chosen = reader.features(example, torch.tensor([7, 7, 7, 7, 7, 7, 9, 9, 9, 9, 9, 9, 9]), False)
    assert chosen.index.tolist() == [-1, *[0] * 5, *[1] * 6, -1]


def test_an_unknown_word_keeps_its_own_name(reader: TextReader) -> None:
    example = reader.read("the Zugspitze film")
    assert reader.features(example, None, True).names == ("the", "Zugspitze", "film")


def test_byte_pieces_of_one_character_are_one_word(vision: bool) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    made = Tokenizer(models.BPE(alphabet, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    reader = TextReader(PreTrainedTokenizerFast(tokenizer_object=made), Site("embedding"))
    features = reader.features(reader.read("ab 我喜"), None, True)
    assert features.names == ("ab", "我", "喜")
    assert features.sizes.tolist() == [2, 4, 3]
    assert reader.baseline_of(None) == "zero"


def test_baselines_replace_what_is_said_and_nothing_else(reader: TextReader) -> None:
    example = reader.read("the film!")
    for spec, piece in ((None, "[MASK]"), ("mask", "[MASK]"), ("pad", "[PAD]"), ("unk", "[UNK]")):
        value = reader.baseline(example, spec)
        assert isinstance(value, Carrier)
        assert value.inputs["input_ids"].tolist() == [[2, *[PIECES.index(piece)] * 3, 3]]
        assert torch.equal(value.inputs["attention_mask"], example.carrier.inputs["attention_mask"])
    assert example.carrier.inputs["input_ids"].tolist() == [[2, 5, 6, 13, 3]]
    zero = reader.baseline(example, "zero")
    assert isinstance(zero, torch.Tensor)
    assert zero.shape == ()
    refused("baseline.unknown", lambda: reader.baseline(example, "msk"))
    refused("baseline.shape", lambda: reader.baseline(example, torch.zeros(4, 8)))
    refused("features.unknown", lambda: reader.features(example, "wrods", False))


def test_embedding_and_limit_are_found_in_the_model(vision: bool) -> None:
    from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

    sizes = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 8, "max_position_embeddings": 20}
    bert = BertForSequenceClassification(BertConfig(**sizes))
    roberta = RobertaForSequenceClassification(RobertaConfig(**sizes, pad_token_id=1))
    assert embedding_site(bert) == Site("bert.embeddings.word_embeddings")
    assert token_limit(bert, None) == 20
    assert token_limit(roberta, None) == 18
    refused("model.no_embedding", lambda: embedding_site(torch.nn.Linear(2, 2)))
