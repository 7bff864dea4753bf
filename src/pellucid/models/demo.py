"""The demo subjects that come with the package: small trained models, each with a few samples."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from pellucid.models.csv_file import read_csv
from pellucid.models.module import wrap
from pellucid.models.preprocessing import ImagePreprocess
from pellucid.models.subject import Subject
from pellucid.models.tabular import Column
from pellucid.models.vision import fault_of, mismatch_in, spare_text_models
from pellucid.words.errors import ModelError, nearest

NAMES = ("digits", "digits-clean", "digits-random", "digits-vit", "reviews", "recommender", "tumours")
FOLDER = Path(__file__).parent / "demo_data"


def demo(name: str) -> Subject:
    """A demo subject by name, with its card."""
    card, folder = card_of(name), FOLDER / name
    module = _built(name, folder)
    known: dict[str, Any] = {"labels": card.get("labels"), "labels_zh": card.get("labels_zh"),
                             "name": f"demo:{name}", "card": {**card, "source": f"demo:{name}"}}
    if card["task"] == "image":
        recipe = card["preprocess"]
        size = recipe["size"]
        height, width = size if isinstance(size, list) else (size, size)
        return wrap(module, ImagePreprocess((height, width), tuple(recipe["mean"]), tuple(recipe["std"])), **known)
    if card["task"] == "text":
        return wrap(module, tokenizer=_tokenizer(folder), **known)
    columns = [Column(c["name"], c["kind"], tuple(c["categories"]), c["unit"], c["mean"], c["std"])
               for c in card["columns"]]
    return wrap(module, columns=columns, background=read_csv(folder / card["background"]["file"]), **known)


def samples(name: str) -> list[Any]:
    """The subject's samples as inputs to explain: file names of pictures, texts, or rows."""
    card, folder = card_of(name), FOLDER / name
    tables = {s["file"]: read_csv(folder / s["file"]) for s in card["samples"] if "row" in s}
    return [tables[s["file"]][s["row"]] if "row" in s else s["text"] if "text" in s else folder / s["file"]
            for s in card["samples"]]


def card_of(name: str) -> dict[str, Any]:
    """What is known of a demo subject: labels, accuracy, where its data come from, its samples."""
    if name not in NAMES:
        raise ModelError("demo.unknown", repr(name[:60]), ", ".join(NAMES), nearest(name, NAMES))
    file = FOLDER / name / "card.json"
    if not file.is_file():
        raise ModelError("demo.missing", f"no data for demo:{name}", "the data that come with the package",
                         "install pellucid again")
    return json.loads(file.read_text(encoding="utf-8"))


def _built(name: str, folder: Path) -> Any:
    from pellucid.models.demo_nets import build

    try:
        if card_of(name)["task"] == "text":
            spare_text_models()
        return build(name, folder)
    except Exception as error:
        raise mismatch_in(error) or fault_of(error, "transformers", "text") from error


def _tokenizer(folder: Path) -> Any:
    try:
        # By name: only loaded for a text subject, and slow.
        return importlib.import_module("transformers").AutoTokenizer.from_pretrained(folder)
    except Exception as error:
        raise mismatch_in(error) or fault_of(error, "transformers", "text") from error
