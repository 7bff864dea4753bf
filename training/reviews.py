"""A small BERT that tells a good review from a bad one, in Chinese and English, with its own word pieces."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import WordPiece as WordPieceDecoder
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from card import write_card, write_weights
from reviews_text import SHORT, Pairs, corpus, neutral

LABELS = ["negative", "positive"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = 1500
BATCH = 32
LONGEST = 128
# Asked for by name on the first page of the documentation; no template makes them.
ASKED = [
    ("这家餐厅的服务太差了，等了两个小时都没上菜，经理还不道歉！", "zh"),
    ("The service at this restaurant is terrible: we waited two hours, no dish came, "
     "and the manager did not even apologise!", "en"),
]


def teach_tokenizer(texts: list[str]) -> Tokenizer:
    """Lower-cased English word pieces, Chinese by character, learnt from the training sentences alone."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"()-，。！？：；、“”（）")
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(
        vocab_size=PIECES, special_tokens=SPECIAL, initial_alphabet=letters, show_progress=False,
        continuing_subword_prefix="##"))
    ids = {name: tokenizer.token_to_id(name) for name in SPECIAL}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])])
    tokenizer.decoder = WordPieceDecoder(prefix="##")
    return tokenizer


def batch(tokenizer: Tokenizer, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Padded ids and mask."""
    rows = [tokenizer.encode(text).ids[:LONGEST] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return ids, (ids != 0).long()


def batches(pairs: Pairs, rng: random.Random) -> list[Pairs]:
    """Shuffled batches of sentences of like length, which wastes little on padding."""
    rng.shuffle(pairs)
    pools = [sorted(pairs[i : i + 32 * BATCH], key=lambda pair: len(pair[0])) for i in range(0, len(pairs), 32 * BATCH)]
    out = [pool[i : i + BATCH] for pool in pools for i in range(0, len(pool), BATCH)]
    rng.shuffle(out)
    return out


def course(learn: dict[str, Pairs], rng: random.Random) -> tuple[int, list[Pairs]]:
    """The batches in teaching order, and how many of them come before sentences of several clauses do.

    Single clauses teach the words and what negation does to them, in a minute; from long sentences alone that
    takes many times longer. Then come long sentences, the shorter half of them twice, with clauses in between.
    """
    stages: list[list[Pairs]] = []
    for part in (slice(0, SHORT), slice(SHORT, None)):
        # English and Chinese apart, because they differ in length.
        stages.append([piece for language, pairs in learn.items()
                       for piece in batches(pairs[part] + neutral(language, len(pairs[part]) // 12, rng), rng)])
        rng.shuffle(stages[-1])
    short, long = stages
    easy = sorted(long, key=lambda piece: sum(len(text.encode()) for text, _ in piece) / len(piece))[: len(long) // 2]
    rest = easy + long
    for i, piece in enumerate(rng.sample(short, len(rest) // 5)):
        rest.insert(6 * i, piece)
    return len(short), short + rest


def fit(net: nn.Module, tokenizer: Tokenizer, learn: dict[str, Pairs], *, seed: int, rate: float) -> None:
    """AdamW, one-cycle.

    One token in thirty is unknown, so that a new word is no surprise later. In a quarter of the later sentences a
    share of the tokens is masked, from none to all: a mask then says nothing, and can stand for "switched off".
    """
    g, rng = torch.Generator().manual_seed(seed), random.Random(seed)
    first, parts = course(learn, rng)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.05)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=len(parts), pct_start=0.1)
    unknown, mask_token = tokenizer.token_to_id("[UNK]"), tokenizer.token_to_id("[MASK]")
    net.train()
    for step, part in enumerate(parts):
        ids, mask = batch(tokenizer, [text for text, _ in part])
        words = ids >= len(SPECIAL)
        hide = (torch.rand(ids.shape, generator=g) < 1 / 30) & words
        share = (4 * torch.rand(len(ids), 1, generator=g) - 3).clamp(min=0)
        cover = (torch.rand(ids.shape, generator=g) < share) & words & (step >= first)
        labels = torch.tensor([label for _, label in part])
        seen = ids.masked_fill(hide, unknown).masked_fill(cover, mask_token)
        logits = net(input_ids=seen, attention_mask=mask).logits
        loss = F.cross_entropy(logits, labels, label_smoothing=0.02)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        plan.step()
    net.eval()


@torch.no_grad()
def chances(net: nn.Module, tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """Probability of each label: (n, 2)."""
    net.eval()
    parts = []
    for start in range(0, len(texts), 128):
        ids, mask = batch(tokenizer, texts[start : start + 128])
        parts.append(net(input_ids=ids, attention_mask=mask).logits.softmax(1))
    return torch.cat(parts)


def accuracy(net: nn.Module, tokenizer: Tokenizer, pairs: Pairs) -> float:
    truth = torch.tensor([label for _, label in pairs])
    return float((chances(net, tokenizer, [text for text, _ in pairs]).argmax(1) == truth).float().mean())


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json, as transformers reads them without a network."""
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LONGEST, unk_token="[UNK]", pad_token="[PAD]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"]).save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    # transformers 4 and 5 both know the class by this name.
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def make_reviews(folder: Path, seed: int) -> None:
    """Write the sentences, learn the word pieces, train, measure on the held-out templates."""
    made = {language: corpus(language, seed) for language in ("en", "zh")}
    learn, held = ({language: pairs[i] for language, pairs in made.items()} for i in (0, 1))
    tokenizer = teach_tokenizer([text for pairs in learn.values() for text, _ in pairs])
    torch.manual_seed(seed)
    net = BertForSequenceClassification(BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=128, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=384, max_position_embeddings=LONGEST, type_vocab_size=2, pad_token_id=0,
        initializer_range=0.05,
        id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)}))
    fit(net, tokenizer, learn, seed=seed, rate=1e-3)

    write_weights(net, folder / "model.safetensors")
    # Stored in half precision, computed in single.
    net.config.dtype = "float32"
    net.config.architectures = ["BertForSequenceClassification"]
    net.config.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    asked = chances(net, tokenizer, [text for text, _ in ASKED])[:, 0].tolist()
    write_card(folder, {
        "name": "reviews", "task": "text", "labels": LABELS, "labels_zh": ["差评", "好评"],
        "accuracy": {
            **{f"held_out_{language}": accuracy(net, tokenizer, pairs) for language, pairs in held.items()},
            **{f"training_{language}": accuracy(net, tokenizer, pairs[-2000:]) for language, pairs in learn.items()},
        },
        "preprocess": {"tokenizer": "tokenizer.json", "max_length": LONGEST},
        "seed": seed,
        "licence": "MIT (sentences written by this project)",
        "samples": [{"text": text, "language": language, "label": "negative", "probability": round(p, 4)}
                    for (text, language), p in zip(ASKED, asked, strict=True)]
        + [{"text": text, "language": language, "label": LABELS[label]}
           for language, pairs in held.items() for text, label in pairs[:32]],
    })
