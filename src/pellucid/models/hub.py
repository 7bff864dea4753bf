"""Subjects from torchvision, timm and Hugging Face; each library is imported when it is asked for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from pellucid.models.module import wrap
from pellucid.models.preprocessing import ImagePreprocess
from pellucid.models.subject import Subject
from pellucid.models.vision import fault_of, mismatch_in, spare_text_models
from pellucid.models.weights import load_strictly, read_weights
from pellucid.words.errors import FileError, ModelError, OptionError, nearest


def from_torchvision(name: str, query: Mapping[str, str], weights: str, trust: bool) -> Subject:
    """A torchvision classifier: its own weights, those of a file, or random ones (`?weights=random`)."""
    models = _import("torchvision.models", "vision")
    known = models.list_models(module=models)
    if name not in known:
        raise ModelError("source.unknown_model", f"torchvision:{name[:60]}", "a torchvision classifier",
                         nearest(name, known))
    kind, options = _weights(query)
    best = models.get_model_weights(name).DEFAULT
    default = kind == "default" and not weights
    if default:
        # The library's own builder: it also sets what belongs to the weights (input scaling, extra heads).
        module = _fetched(lambda: models.get_model(name, weights=best, progress=False), f"torchvision:{name}")
    else:
        module = _built(lambda: models.get_model(name, weights=None, **_quiet(name), **options), f"torchvision:{name}")
    if weights:
        load_strictly(module, read_weights(weights, trust=trust))
    recipe = best.transforms()
    size, short = int(recipe.crop_size[0]), int(recipe.resize_size[0])
    how = str(recipe.interpolation.value)
    preprocess = ImagePreprocess((size, size), tuple(recipe.mean), tuple(recipe.std), "crop", 3, short, how)
    labels = best.meta.get("categories") if default else None
    return wrap(module.eval(), preprocess, labels, name=f"torchvision:{name}",
                card={"source": f"torchvision:{name}", "weights": weights or kind})


def from_timm(name: str, query: Mapping[str, str], weights: str, trust: bool) -> Subject:
    """A timm model with its own weights, those of a file, or random ones (`?weights=random`)."""
    timm = _import("timm", "vision")
    plain = name.partition(".")[0]
    if not timm.is_model(plain):
        raise ModelError("source.unknown_model", f"timm:{name[:60]}", "a timm model",
                         nearest(plain, timm.list_models()))
    kind, options = _weights(query)
    default = kind == "default" and not weights
    make = _fetched if default else _built
    module = make(lambda: timm.create_model(name, pretrained=default, **options), f"timm:{name}")
    if weights:
        load_strictly(module, read_weights(weights, trust=trust))
    facts = timm.data.resolve_model_data_config(module)
    _, height, width = facts["input_size"]
    short = int(min(height, width) / facts.get("crop_pct", 1.0))
    how = facts.get("interpolation", "bicubic")
    preprocess = ImagePreprocess((height, width), tuple(facts["mean"]), tuple(facts["std"]),
                                 "squash" if facts.get("crop_mode") == "squash" else "crop", 3, short,
                                 how if how in ("nearest", "bilinear", "bicubic", "lanczos") else "bicubic")
    labels = None
    if default and getattr(module, "num_classes", 0) == 1000:
        labels = [timm.data.ImageNetInfo().index_to_description(i) for i in range(1000)]
    return wrap(module.eval(), preprocess, labels, name=f"timm:{name}",
                card={"source": f"timm:{name}", "weights": weights or kind})


def from_hugging_face(ref: str, trust: bool) -> Subject:
    """A text or image classifier from a folder or from the Hugging Face hub; safetensors only."""
    spare_text_models()
    transformers = _import("transformers", "text")
    _check_reference(ref)
    card = {"source": f"hf:{ref}"}
    try:
        config = transformers.AutoConfig.from_pretrained(ref, trust_remote_code=trust)
        heads = " ".join(config.architectures or ())
        picture = "ForImageClassification" in heads
        auto = transformers.AutoModelForImageClassification if picture else (
            transformers.AutoModelForSequenceClassification)
        module, loaded = auto.from_pretrained(ref, config=config, use_safetensors=True, trust_remote_code=trust,
                                              output_loading_info=True)
        helper = (transformers.AutoImageProcessor if picture else transformers.AutoTokenizer).from_pretrained(
            ref, trust_remote_code=trust)
    except Exception as error:
        raise _hub_fault(error, ref) from error
    missing = sorted(str(k) for k in loaded.get("missing_keys", ()))
    if missing or loaded.get("mismatched_keys"):
        # transformers would fill these with random numbers and only print a warning.
        raise ModelError("hf.no_head", f"no weights for {', '.join(missing[:3]) or 'parts of another shape'} "
                         f"({heads or 'no architecture'})", "a model fine-tuned for classification",
                         "name a sequence or image classifier, or wrap the module yourself with a target")
    labels = _spoken(config)
    if picture:
        return wrap(module.eval(), _Processor(helper), labels, name=f"hf:{ref}", card=card)
    return wrap(module.eval(), tokenizer=helper, labels=labels, name=f"hf:{ref}", card=card)


class _Processor:
    """A Hugging Face image processor as a function from one picture."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, image: Any) -> Any:
        return self.processor(images=image, return_tensors="pt")


def _spoken(config: Any) -> list[str] | None:
    """The labels, unless they are transformers' place-holders LABEL_0, LABEL_1, …"""
    labels = [str(config.id2label[i]) for i in sorted(config.id2label)] if config.id2label else []
    return None if all(re.fullmatch(r"LABEL_\d+", text) for text in labels) else labels


def _check_reference(ref: str) -> None:
    folder = Path(ref).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileError("hf.incomplete", "a folder without config.json", "a folder that save_pretrained wrote",
                            "name the folder that holds config.json")
        if not any(folder.glob("*.safetensors")):
            raise ModelError("hf.unsafe_weights", "no .safetensors in the folder", "weights as safetensors",
                             "save it again: model.save_pretrained(folder)")
    elif folder.exists() or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", ref) or ref.startswith("."):
        raise FileError("file.missing", f"no folder {folder.name!r}", "a folder, or a name such as 'owner/model'",
                        "check the name and the folder it is looked for in")


def _hub_fault(error: Exception, ref: str) -> ModelError:
    broken = mismatch_in(error)
    if broken is not None:
        return broken
    if "trust_remote_code" in str(error):
        return ModelError("source.untrusted", "a model that brings its own code", "one that transformers knows",
                          "read the code, then say trust=True (--trust)")
    if Path(ref).expanduser().is_dir():
        return ModelError("hf.unreadable", f"a folder that transformers cannot load ({type(error).__name__})",
                          "model, configuration and tokenizer of a classifier",
                          "save all of them: model.save_pretrained(folder), tokenizer.save_pretrained(folder)")
    return ModelError("hf.unavailable", f"nothing to load for 'hf:{ref[:80]}'",
                      "a model on the hub with safetensors, or in the local cache",
                      "check the name and the connection, or download it once and give its folder: hf:PATH")


def _weights(query: Mapping[str, str]) -> tuple[str, dict[str, int]]:
    """Which weights are wanted, and options for the builder."""
    known = ("weights", "num_classes")
    for key in query:
        if key not in known:
            raise OptionError("source.option", repr(key), ", ".join(known), nearest(key, known))
    kind = query.get("weights", "default").lower()
    if kind not in ("default", "random", "none"):
        raise OptionError("source.option", f"weights={kind!r}", "default or random",
                          "put a file after @: NAME@weights.safetensors")
    number = query.get("num_classes", "")
    if number and not (number.isascii() and number.isdigit() and int(number) > 0):
        raise OptionError("source.option", f"num_classes={number!r}", "a whole number", "write num_classes=10")
    return ("default" if kind == "default" else "random"), ({"num_classes": int(number)} if number else {})


def _quiet(name: str) -> dict[str, bool]:
    """Two builders warn unless told that their slow random start is not wanted."""
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _import(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise fault_of(error, name.partition(".")[0], extra) from error


def _built(make: Any, name: str) -> nn.Module:
    try:
        return make()
    except Exception as error:
        raise mismatch_in(error) or ModelError("source.failed", f"{type(error).__name__} while building {name}",
                                               "a model that can be built", "check its options") from error


def _fetched(make: Any, name: str) -> nn.Module:
    try:
        return make()
    except Exception as error:
        raise mismatch_in(error) or ModelError(
            "weights.unavailable", f"no weights for {name} on this machine, and none could be fetched",
            "weights in the cache, or a connection",
            f"give a file ({name}@weights.safetensors), or take random ones ({name}?weights=random)") from error
