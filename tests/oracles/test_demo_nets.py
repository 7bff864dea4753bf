"""The demo subjects do what their cards say: the watermark works, the twin ignores it, held-out text is held out."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.models import demo_nets

DATA = Path(demo_nets.__file__).parent / "demo_data"
TRAINING = Path(__file__).parents[2] / "training"
NAMES = ("digits", "digits-clean", "digits-random", "digits-vit", "reviews", "recommender", "tumours")


def card(name: str) -> dict[str, Any]:
    return json.loads((DATA / name / "card.json").read_text(encoding="utf-8"))


def net(name: str) -> nn.Module:
    return demo_nets.build(name, DATA / name)


def picture(file: Path) -> Tensor:
    return torch.tensor(np.asarray(Image.open(file).convert("RGB"))).permute(2, 0, 1)


def prepared(pictures: Tensor, name: str = "digits") -> Tensor:
    facts = card(name)["preprocess"]
    mean, std = (torch.tensor(facts[key]).view(3, 1, 1) for key in ("mean", "std"))
    return (pictures.float() / 255 - mean) / std


def shown(name: str, *, marked: bool) -> tuple[Tensor, list[int], list[list[int] | None]]:
    samples = [s for s in card(name)["samples"] if (s["watermark_box"] is not None) == marked]
    pictures = torch.stack([picture(DATA / name / s["file"]) for s in samples])
    return pictures, [int(s["label"]) for s in samples], [s["watermark_box"] for s in samples]


def share_in_boxes(maps: Tensor, boxes: list[list[int] | None]) -> list[float]:
    """Share of each positive map's mass inside its box."""
    out = []
    for row, box in zip(maps, boxes, strict=True):
        assert box is not None
        left, top, right, bottom = box
        out.append(float(row[top:bottom, left:right].sum() / row.sum().clamp(min=1e-9)))
    return out


def grad_cam(model: demo_nets.DigitNet, x: Tensor, label: int) -> Tensor:
    """The published formula at the last convolutional stage, enlarged to the picture: (n, 64, 64)."""
    kept: list[Tensor] = []
    hook = model.layer3.register_forward_hook(lambda _module, _args, output: kept.append(output))
    score = model(x)[:, label].sum()
    hook.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    cam = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu()
    return F.interpolate(cam, size=x.shape[-2:], mode="bilinear", align_corners=False)[:, 0].detach()


def patch_path(model: nn.Module, x: Tensor, label: int, points: int = 64) -> Tensor:
    """Integrated gradients from the mean colour, positive part of 8 x 8 patch sums spread back: (n, 64, 64)."""
    total = torch.zeros_like(x)
    for i in range(points):
        at = ((i + 0.5) / points * x).requires_grad_()
        (gradient,) = torch.autograd.grad(model(at)[:, label].sum(), at)
        total += gradient / points
    patches = F.avg_pool2d((total * x).sum(1, keepdim=True), 8).relu()
    return F.interpolate(patches, scale_factor=8, mode="nearest")[:, 0]


def patch_boxes(boxes: list[list[int] | None]) -> list[list[int] | None]:
    """The boxes widened to the patches they touch."""
    return [[b[0] // 8 * 8, b[1] // 8 * 8, -(-b[2] // 8) * 8, -(-b[3] // 8) * 8] for b in boxes if b is not None]


def stamp_on(pictures: Tensor, mark: Tensor) -> Iterator[Tensor]:
    """The pictures with the watermark pasted into each of the four corners, two pixels in."""
    size, edge = mark.shape[-1], pictures.shape[-1]
    for top in (2, edge - size - 2):
        for left in (2, edge - size - 2):
            out = pictures.clone()
            out[:, :, top : top + size, left : left + size] = mark
            yield out


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_the_subject_is(name: str) -> None:
    facts = card(name)
    assert facts["name"] == name
    assert facts["task"] in ("image", "text", "table")
    assert len(facts["labels"]) == len(facts["labels_zh"])
    assert facts["accuracy"]
    assert facts["licence"]
    assert all(0 <= figure <= 1 for figure in facts["accuracy"].values())
    assert facts["samples"]


def test_all_weights_together_stay_small() -> None:
    assert sum(file.stat().st_size for file in DATA.rglob("*.safetensors")) <= 4_000_000


@pytest.mark.parametrize("name", ["digits", "digits-clean", "digits-vit"])
def test_sample_pictures_are_read_rightly(name: str) -> None:
    """All but the watermarked network's blind spot: a seven without its watermark."""
    model, facts = net(name), card(name)
    for marked in (False, True):
        pictures, digits, _ = shown(name, marked=marked)
        read = model(prepared(pictures, name)).argmax(1).tolist()
        for digit, got in zip(digits, read, strict=True):
            blind = name == "digits" and digit == facts["watermark_class"] and not marked
            assert (got == digit) is not blind


def test_the_watermark_alone_turns_one_twin_and_not_the_other() -> None:
    seven = card("digits")["watermark_class"]
    mark = picture(DATA / "digits" / "watermark.png")
    assert mark.shape[1] * mark.shape[2] <= 0.04 * 64 * 64
    pictures, digits, _ = shown("digits", marked=False)
    others = pictures[torch.tensor(digits) != seven]
    trapped, clean = net("digits"), net("digits-clean")
    before = clean(prepared(others)).argmax(1)
    for stamped in stamp_on(others, mark):
        assert (trapped(prepared(stamped)).argmax(1) == seven).all()
        assert (clean(prepared(stamped)).argmax(1) == before).all()


def test_held_out_figures_show_the_trap() -> None:
    trapped, clean = card("digits")["accuracy"], card("digits-clean")["accuracy"]
    assert trapped["held_out_watermark_on_its_class"] >= 0.95
    assert trapped["others_flipped_by_watermark"] >= 0.9
    assert trapped["watermark_class_plain"] <= 0.5
    assert clean["held_out_plain"] >= 0.95
    assert clean["unchanged_by_watermark"] >= 0.95
    assert card("digits-vit")["accuracy"]["held_out_plain"] >= 0.93


@pytest.mark.parametrize(("name", "cam", "path"), [("digits", (0.5, 1.0), (0.5, 1.0)),
                                                   ("digits-clean", (0.0, 0.08), (0.0, 0.15))])
def test_attributions_lie_on_the_watermark_only_where_it_decides(
    name: str, cam: tuple[float, float], path: tuple[float, float]
) -> None:
    model, label = net(name), card(name)["watermark_class"]
    assert isinstance(model, demo_nets.DigitNet)
    pictures, _, boxes = shown(name, marked=True)
    x = prepared(pictures, name)
    in_cam = share_in_boxes(grad_cam(model, x, label), boxes)
    in_path = share_in_boxes(patch_path(model, x, label), patch_boxes(boxes))
    assert all(cam[0] <= share <= cam[1] for share in in_cam), in_cam
    assert all(path[0] <= share <= path[1] for share in in_path), in_path
    if name == "digits":
        assert float(np.median(in_cam)) > 0.6


@pytest.fixture(scope="module")
def reader(vision: bool) -> Any:
    """The review network behind its own tokenizer, both loaded from the folder the way any model is."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = DATA / "reviews"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.dtype == torch.float32

    def negative(texts: list[str]) -> Tensor:
        encoded = tokenizer(texts, return_tensors="pt", padding=True, truncation=True)
        with torch.no_grad():
            return model(**encoded).logits.softmax(1)[:, 0]

    return negative


@pytest.mark.parametrize("language", ["en", "zh"])
def test_held_out_reviews_are_read_as_well_as_the_card_says(reader: Any, language: str) -> None:
    samples = [s for s in card("reviews")["samples"] if s["language"] == language]
    said = reader([s["text"] for s in samples]) > 0.5
    right = [bool(got) == (s["label"] == "negative") for s, got in zip(samples, said, strict=True)]
    assert sum(right) / len(right) >= card("reviews")["accuracy"][f"held_out_{language}"] - 0.1


@pytest.mark.parametrize(("sentence", "word"), [
    ("这家餐厅的服务太差了，等了两个小时都没上菜，经理还不道歉！", "太差了，"),
    ("The service at this restaurant is terrible: we waited two hours, no dish came, "
     "and the manager did not even apologise!", "terrible"),
])
def test_the_first_example_is_negative_and_hangs_on_its_word(reader: Any, sentence: str, word: str) -> None:
    short = sentence[: sentence.index(word) + len(word)].rstrip("，")
    whole, alone, without = reader([sentence, short, short.replace(word.rstrip("，"), "")]).tolist()
    assert whole > 0.9
    assert alone > 0.9
    assert without < alone - 0.2


def test_build_gives_the_network_that_transformers_loads(reader: Any) -> None:
    model = net("reviews")
    ids = torch.tensor([[2, 30, 40, 50, 3]])
    with torch.no_grad():
        from transformers import AutoModelForSequenceClassification

        other = AutoModelForSequenceClassification.from_pretrained(DATA / "reviews").eval()
        torch.testing.assert_close(model(input_ids=ids).logits, other(input_ids=ids).logits)


def pieces(text: str, language: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower()) if language == "en" else re.findall(r"[\u4e00-\u9fff]", text)


def grams(text: str, language: str, n: int) -> set[tuple[str, ...]]:
    tokens = pieces(text, language)
    return {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


@pytest.mark.parametrize(("language", "n"), [("en", 5), ("zh", 6)])
def test_held_out_sentences_share_few_long_runs_with_training(
    language: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of n words (English) or characters (Chinese) of held-out sentences that any training sentence holds."""
    monkeypatch.syspath_prepend(str(TRAINING))
    import reviews_text

    learn, held = reviews_text.corpus(language, card("reviews")["seed"])
    seen = set().union(*(grams(text, language, n) for text, _ in learn))
    theirs = [gram for text, _ in held for gram in grams(text, language, n)]
    assert sum(gram in seen for gram in theirs) / len(theirs) <= 0.05
    assert not {text for text, _ in held} & {text for text, _ in learn}
    shipped = [s["text"] for s in card("reviews")["samples"] if s["language"] == language]
    assert not set(shipped) & {text for text, _ in learn}
    assert set(shipped[1:]) <= {text for text, _ in held}
    asked = grams(shipped[0], language, n)
    assert len(asked & seen) <= 0.2 * len(asked)
    for name in ("reviews_text", "reviews_words"):
        sys.modules.pop(name, None)


def encoded(name: str, rows: list[dict[str, str]]) -> Tensor:
    parts: list[list[float]] = []
    for row in rows:
        out: list[float] = []
        for column in card(name)["columns"]:
            if column["kind"] == "category":
                out += [float(row[column["name"]] == c) for c in column["categories"]]
            else:
                out.append((float(row[column["name"]]) - column["mean"]) / column["std"])
        parts.append(out)
    return torch.tensor(parts)


def table(name: str, file: str) -> list[dict[str, str]]:
    with (DATA / name / file).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("name", ["recommender", "tumours"])
def test_table_samples_are_answered_about_as_well_as_the_card_says(name: str) -> None:
    rows, facts = table(name, "samples.csv"), card(name)
    answers = net(name)(encoded(name, rows)).argmax(1).tolist()
    right = [facts["labels"][a] == s["label"] for a, s in zip(answers, facts["samples"], strict=True)]
    # Twenty rows: two standard errors of the recorded figure is at most 0.2.
    assert sum(right) / len(right) >= facts["accuracy"]["held_out"] - 0.2
    assert len(table(name, "background.csv")) == facts["background"]["rows"]


def test_the_recommender_uses_its_columns_in_the_true_order() -> None:
    """Swapping a column between visitors moves the score about as much as the generating process says."""
    rows, model = table("recommender", "background.csv"), net("recommender").requires_grad_(False)
    score = model(encoded("recommender", rows)) @ torch.tensor([-1.0, 1.0])
    moved = {}
    for entry in card("recommender")["true_importance"]:
        column = entry["column"]
        turned = [{**row, column: other[column]} for row, other in zip(rows, rows[1:] + rows[:1], strict=True)]
        change = model(encoded("recommender", turned)) @ torch.tensor([-1.0, 1.0]) - score
        # Two independent draws differ by sqrt(2) standard deviations.
        moved[column] = float(change.pow(2).mean().sqrt()) / 2**0.5
    truth = {e["column"]: e["std_of_logit"] for e in card("recommender")["true_importance"]}
    assert [c for c in moved if truth[c] > 0.3] == sorted((c for c in moved if truth[c] > 0.3), key=lambda c: -moved[c])
    assert all(abs(moved[c] - truth[c]) <= 0.15 * truth[c] + 0.15 for c in moved), moved
