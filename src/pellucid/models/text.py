"""Texts for language models: tokens or words may be switched off, special tokens never."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.models import layouts
from pellucid.models.layouts import Layout
from pellucid.models.subject import Example
from pellucid.models.tensors import as_tensor, check_finite, is_array, own, recorded
from pellucid.words.case import Carrier, Padding
from pellucid.words.errors import InputError, ModelError, OptionError, nearest
from pellucid.words.explanation import Shown
from pellucid.words.features import Features, groups
from pellucid.words.site import Site

CHARACTERS, TOKENS = 100_000, 4_096
LAYOUTS = ("tokens", "words")
BASELINES = ("mask", "pad", "unk", "zero")
IDEOGRAPHS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


@dataclass(frozen=True, eq=False)
class TextExample(Example):
    """A text with what the tokenizer said of it.

    `words` numbers the word of each token, -1 for special tokens; `spans` are places in the text.
    """

    words: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TextReader:
    """Reads one text for a Hugging Face model; it is explained at the output of the word embedding.

    `limit` is how many tokens the model takes, special ones included; longer texts are refused, never
    cut short.
    """

    tokenizer: Any
    site: Site
    limit: int = TOKENS
    usual: Layout = None

    @property
    def task(self) -> str:
        return "text"

    def split(self, raw: Any) -> list[Any] | None:
        """The texts of a list or of a column."""
        if isinstance(raw, list | tuple):
            return list(raw)
        return list(raw.tolist()) if hasattr(raw, "tolist") and getattr(raw, "ndim", 0) == 1 else None

    def read(self, raw: Any) -> TextExample:
        """Tokens with the model's own special tokens, one row, nothing padded or cut."""
        text = checked(raw)
        fast = bool(getattr(self.tokenizer, "is_fast", False))
        made = self.tokenizer(text, return_special_tokens_mask=True, return_attention_mask=True,
                              return_offsets_mapping=fast, truncation=False, verbose=False)
        ids = list(made["input_ids"])
        special = [bool(v) for v in made["special_tokens_mask"]]
        if len(ids) > min(self.limit, TOKENS):
            raise InputError("text.too_long", f"{len(ids)} tokens", f"at most {min(self.limit, TOKENS)}",
                             "shorten the text, or explain its parts one by one")
        if all(special):
            raise InputError("text.empty", "a text of which no token is left", "at least one word", "give a text")
        spans = [(int(a), int(b)) for a, b in made["offset_mapping"]] if fast else [(0, 0)] * len(ids)
        word_ids = made.word_ids() if fast else [None if s else i for i, s in enumerate(special)]
        inputs: dict[str | int, Any] = {
            key: torch.tensor([made[key]], dtype=torch.int64)
            for key in ("input_ids", "attention_mask", "token_type_ids") if key in made
        }
        tokens = self.tokenizer.convert_ids_to_tokens(ids)
        pieces = tuple(text[a:b].strip() or _plain(t) for (a, b), t in zip(spans, tokens, strict=True))
        notes = () if fast else ("the tokenizer does not say where tokens come from: words are tokens",)
        cells = tuple(p for p, s in zip(pieces, special, strict=True) if not s)
        shown = Shown("text", text=text, cells=cells, notes=notes)
        return TextExample(Carrier(inputs, self._padding(inputs)), self.site, None, shown, notes,
                           tuple(joined(text, spans, word_ids, special)), tuple(spans), pieces)

    def features(self, example: Example, layout: Layout, coarse: bool) -> Features:
        """words (the usual ones), tokens, or a map with a whole number per token."""
        assert isinstance(example, TextExample)
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        words, n = example.words, len(example.words)
        if layout is not None and not isinstance(layout, str):
            chosen = layouts.given(layout, (n,), [(0,)])
            if isinstance(layout, Features):
                return chosen
            # Special tokens stay on whatever the map says of them.
            index = _tight([int(i) if w >= 0 else -1 for i, w in zip(chosen.index.tolist(), words, strict=True)])
            return _named(index, [" ".join(p) for p in _members(index, example.pieces)], "segments")
        name, _ = layouts.spelled(layout or "words", LAYOUTS)
        if name == "tokens":
            return _named(_tight([i if w >= 0 else -1 for i, w in enumerate(words)]), example.shown.cells, "tokens")
        names: list[str] = []
        for members in _members(words, range(n)):
            start, stop = example.spans[members[0]][0], example.spans[members[-1]][1]
            names.append(example.shown.text[start:stop].strip() or "".join(example.pieces[i] for i in members))
        return _named(words, names, "words")

    def baseline(self, example: Example, spec: Any) -> Tensor | Carrier:
        """mask (the usual one), pad or unk in place of every ordinary token, zero, or a value like x.

        The first three are texts of their own, to be read at the embedding; zero is a 0-dimensional
        tensor for the engine to expand.
        """
        assert isinstance(example, TextExample)
        if is_array(spec):
            value = own(as_tensor(spec), "the baseline")
            check_finite(value, "the baseline")
            if value.dim() and value.shape[0] != len(example.words):
                raise OptionError("baseline.shape", f"a baseline of shape {tuple(value.shape)}",
                                  f"({len(example.words)}, width of the embedding)", "give a value for each token")
            return value
        name = self.baseline_of(spec)
        if name == "zero":
            return torch.zeros(())
        known = [b for b in BASELINES if b == "zero" or self._id(b) is not None]
        token = self._id(name) if isinstance(name, str) and name in BASELINES else None
        if token is None:
            raise OptionError("baseline.unknown", f"the baseline {str(spec)[:40]!r}", ", ".join(known),
                              nearest(str(name), known))
        ids = example.carrier.inputs["input_ids"].clone()
        ids[0, torch.tensor(example.words) >= 0] = token
        return replace(example.carrier, inputs={**example.carrier.inputs, "input_ids": ids})

    def layout_of(self, layout: Layout, coarse: bool) -> str:
        """tokens or words, or `segments` for a map."""
        layout, coarse = layouts.settled(layout, self.usual, coarse)
        return layouts.layout_name(layout, "words")

    def baseline_of(self, spec: Any) -> Any:
        """The baseline's name, or the value itself."""
        return recorded(spec, next((b for b in BASELINES if self._id(b) is not None), "zero"))

    def _padding(self, inputs: Mapping[str | int, Any]) -> Padding | None:
        """Padding ids that the mask hides; whether the model minds is for the engine to find out."""
        token = next((t for t in map(self._id, ("pad", "eos")) if t is not None), 0)
        fill = {"input_ids": token, "attention_mask": 0, "token_type_ids": 0}
        return Padding(tuple((key, 1, fill[str(key)]) for key in inputs))

    def _id(self, name: str) -> int | None:
        return getattr(self.tokenizer, f"{name}_token_id", None)


def checked(raw: Any) -> str:
    """The text, or an InputError that names what is wrong with it."""
    if isinstance(raw, bytes | bytearray):
        try:
            raw = bytes(raw).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError("text.encoding", f"bytes that are not UTF-8, from byte {error.start}", "UTF-8",
                             "decode them with their own encoding first") from error
    if not isinstance(raw, str):
        raise InputError("text.type", f"a {type(raw).__name__}", "a text (str), or a list of texts", "give str")
    if len(raw) > CHARACTERS:
        raise InputError("text.too_long", f"{len(raw)} characters", f"at most {CHARACTERS}",
                         "shorten the text, or explain its parts one by one")
    for at, character in enumerate(raw):
        if 0xD800 <= ord(character) <= 0xDFFF:
            raise InputError("text.encoding", f"half a surrogate pair at character {at}", "Unicode text",
                             "read the text with its own encoding")
        if character not in "\t\n\r" and unicodedata.category(character) == "Cc":
            raise InputError("text.control_characters", f"U+{ord(character):04X} at character {at}",
                             "text without control characters (tabs and line ends are fine)", "remove it")
    if not raw.strip():
        raise InputError("text.empty", "an empty text" if not raw else "white space only", "at least one word",
                         "give a text")
    return raw


def joined(text: str, spans: Sequence[tuple[int, int]], word_ids: Sequence[int | None],
           special: Sequence[bool]) -> list[int]:
    """The number of each token's word, -1 for special tokens.

    Words are the tokenizer's own, cut further at white space and around every Chinese character.
    """
    out: list[int] = []
    count, last_id, last = -1, None, (0, 0)
    for (start, stop), word, apart in zip(spans, word_ids, special, strict=True):
        if apart:
            out.append(-1)
            last_id = None
            continue
        # Byte pieces of one character share its span; they stay together.
        inside = stop > start and start < last[1]
        # A token of nothing but white space belongs to the word behind it.
        inside = inside or text[last[0] : last[1]].isspace()
        fresh = last_id is None or word != last_id
        fresh = fresh or any(c.isspace() for c in text[last[1] : start + 1])
        fresh = fresh or _ideograph(text[start : start + 1]) or _ideograph(text[max(last[1] - 1, 0) : last[1]])
        if fresh and not (inside and out and out[-1] >= 0):
            count += 1
        out.append(count)
        last_id, last = word, (start, stop)
    return out


def embedding_site(model: nn.Module) -> Site:
    """Where a Hugging Face model turns ids into vectors, found by identity among its modules."""
    ask = getattr(model, "get_input_embeddings", None)
    try:
        table = ask() if callable(ask) else None
    except NotImplementedError:
        table = None
    if isinstance(table, nn.Module):
        for name, module in model.named_modules():
            if module is table and name:
                return Site(name)
    raise ModelError("model.no_embedding", f"a {type(model).__name__} that does not say where its word embedding is",
                     "a model with get_input_embeddings()", "give site='name of the embedding module'")


def token_limit(model: Any, tokenizer: Any) -> int:
    """How many tokens, special ones included, the model and its tokenizer take."""
    config = getattr(model, "config", None)
    limits = [TOKENS, getattr(tokenizer, "model_max_length", None) or TOKENS]
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa and its kin count positions from the padding index on.
        table = next((m for n, m in model.named_modules() if n.endswith("position_embeddings")), None)
        offset = getattr(table, "padding_idx", None)
        limits.append(positions - (offset + 1 if isinstance(offset, int) else 0))
    return int(min(limits))


def _ideograph(character: str) -> bool:
    return bool(character) and any(low <= ord(character) <= high for low, high in IDEOGRAPHS)


def _plain(token: str) -> str:
    return token.removeprefix("##").strip("▁Ġ ") or token


def _tight(numbers: Sequence[int]) -> list[int]:
    """The same groups, numbered without gaps in order."""
    order = {v: i for i, v in enumerate(sorted({v for v in numbers if v >= 0}))}
    return [order.get(v, -1) for v in numbers]


def _members(numbers: Sequence[int], things: Sequence[Any]) -> list[list[Any]]:
    out: list[list[Any]] = [[] for _ in range(max(numbers) + 1)]
    for number, thing in zip(numbers, things, strict=True):
        if number >= 0:
            out[number].append(thing)
    return out


def _named(index: Sequence[int], names: Sequence[str], name: str) -> Features:
    return groups(index, names, "tokens", name)
