"""Any module becomes a Subject: `wrap` chooses how its inputs are read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pellucid.models.image import ImageReader
from pellucid.models.local_file import read_bytes
from pellucid.models.preprocessing import CallablePreprocess, ImagePreprocess
from pellucid.models.subject import Reader, Subject
from pellucid.models.tabular import Column, TableReader
from pellucid.models.tensor import TensorReader
from pellucid.models.text import TextReader, embedding_site, token_limit
from pellucid.words.errors import LayerError, ModelError, OptionError, nearest
from pellucid.words.site import Site

__all__ = ["TensorReader", "plain_module", "read_labels", "wrap"]


def wrap(
    module: nn.Module,
    preprocess: Any = None,
    labels: Any = None,
    features: Any = None,
    *,
    name: str | None = None,
    columns: Sequence[Column] | None = None,
    background: Any = None,
    tokenizer: Any = None,
    max_tokens: int | None = None,
    site: str | Site | None = None,
    explain_input: str | int | None = None,
    labels_zh: Any = None,
    card: Mapping[str, Any] | None = None,
) -> Subject:
    """A Subject from a module and whatever says how its inputs are read.

    `preprocess` (ImagePreprocess, or transforms from a PIL picture to a tensor) makes it a model of
    pictures, `columns` (with `background` rows) of tables, `tokenizer` of texts (with `max_tokens`);
    otherwise it takes tensors as they are, of which `explain_input` is explained, or the value at
    `site` where inputs are ids. `features` is the usual layout, or the names of a vector's columns.
    """
    known: dict[str, Any] = {"preprocess": preprocess, "columns": columns, "tokenizer": tokenizer}
    asked = [k for k, v in known.items() if v is not None]
    if len(asked) > 1:
        raise OptionError("wrap.several", " and ".join(asked), "one of preprocess, columns and tokenizer",
                          "say what kind of input the model takes")
    plain, facts = plain_module(module)
    place = Site.parse(site) if isinstance(site, str) else site
    if place is not None:
        _check_layer(plain, place)
    reader: Reader
    if preprocess is not None:
        if not isinstance(preprocess, ImagePreprocess) and not callable(preprocess):
            raise OptionError("preprocess.type", f"a {type(preprocess).__name__}",
                              "an ImagePreprocess or a function from a PIL picture to a tensor", "give one of these")
        stated = isinstance(preprocess, ImagePreprocess | CallablePreprocess)
        reader = ImageReader(preprocess if stated else CallablePreprocess(preprocess), usual=features)
    elif columns is not None:
        reader = TableReader(tuple(columns), background, usual=features)
    elif tokenizer is not None:
        limit = token_limit(plain, tokenizer)
        reader = TextReader(tokenizer, place or embedding_site(plain), min(limit, max_tokens or limit), usual=features)
    else:
        names = isinstance(features, list | tuple)
        reader = TensorReader(explain_input, place, None if names else features,
                              tuple(features) if names else (), _dtype(plain))
    return Subject(plain, reader, name or type(plain).__name__, read_labels(labels), read_labels(labels_zh),
                   {**(card or {}), **facts})


def plain_module(module: Any) -> tuple[nn.Module, dict[str, Any]]:
    """The module whose layers can be watched, and what was taken off it."""
    facts: dict[str, Any] = {}
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise ModelError("model.parallel", f"a {type(module).__name__}", "the module inside it",
                         "give model.module: one process explains one model")
    if not isinstance(module, nn.Module):
        raise ModelError("model.type", f"a {type(module).__name__}", "a torch.nn.Module",
                         "wrap a function in a module, or load a model by name with pellucid.load")
    inside = getattr(module, "_orig_mod", None)
    if isinstance(inside, nn.Module):
        # A compiled module runs without the hooks that layers are watched by.
        module, facts["compiled"] = inside, True
    if isinstance(module, torch.jit.ScriptModule):
        facts["scripted"] = True
    for owner, value in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(value, nn.UninitializedParameter | nn.parameter.UninitializedBuffer):
            raise ModelError("model.uninitialised", f"{owner!r} without a shape", "a module that has run once",
                             "run it on one batch first")
        if value.is_meta:
            raise ModelError("model.no_weights", f"{owner!r} on the meta device", "a module with its weights",
                             "load the weights before it is explained")
    return module, facts


def read_labels(labels: Any) -> tuple[str, ...]:
    """Label names from a sequence, a mapping from class to name, or a file with one per line (or JSON)."""
    if labels is None:
        return ()
    if isinstance(labels, str | os.PathLike):
        try:
            text = read_bytes(labels, 10_000_000, "labels.too_large").decode("utf-8-sig")
            labels = json.loads(text) if Path(labels).suffix == ".json" else [s.strip() for s in text.splitlines()]
        except ValueError as error:
            raise OptionError("labels.unreadable", "a label file that is neither UTF-8 lines nor JSON",
                              "one label per line", "save it as UTF-8") from error
        labels = [s for s in labels if s] if isinstance(labels, list) else labels
    if isinstance(labels, Mapping):
        try:
            numbered = {int(k): v for k, v in labels.items()}
        except (TypeError, ValueError):
            numbered = {}
        if sorted(numbered) != list(range(len(labels))):
            raise OptionError("labels.unfit", "a mapping with gaps", "class numbers from 0 without gaps",
                              "give the labels in order")
        labels = [numbered[i] for i in range(len(numbered))]
    if not isinstance(labels, Sequence):
        raise OptionError("labels.type", f"a {type(labels).__name__}", "a list of names", "give the labels in order")
    return tuple(str(s) for s in labels)


def _dtype(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)


def _check_layer(module: nn.Module, site: Site) -> None:
    names = [name for name, _ in module.named_modules()]
    if site.layer not in names:
        raise LayerError("layer.unknown", repr(site.layer), "the dotted name of a module",
                         nearest(site.layer, names[1:]))
