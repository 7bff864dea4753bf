"""Explanations made by hand: what a drawing, a report and a file are tested with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pellucid.words.explanation import Evidence, Explanation, Finding, Recipe, Shown, Verdict
from pellucid.words.features import Features, groups, patches, pixels, segments, units

PASS = Verdict((Finding("sum.holds", "pass", "the values sum to the score minus the baseline's score within 0.3 %"),))
WARN = Verdict((Finding("error.above_tolerance", "warn", "the estimated error is 4.2 % where 1 % was asked for",
                        "raise `points` above 512, or accept a tolerance of 5 %"),))
FAIL = Verdict((Finding("values.all_zero", "fail", "every value is zero although the score moves by 3.1",
                        "explain the score before the softmax"),
                Finding("model.mutated", "warn", "the model changed a buffer while it was read")))


def made(values: Any, features: Features, more: dict[str, Any] | None = None, **usual: Any) -> Explanation:
    """An explanation with plausible company; `more` wins over what is usual for it."""
    tensor = torch.as_tensor(values, dtype=torch.float32) if not isinstance(values, torch.Tensor) else values
    known: dict[str, Any] = {
        "method": "integrated_gradients", "target": "seven", "score": 8.31, "baseline_score": 0.12, "residual": 0.0021,
        "labels": ("six", "seven"), "scores": {"seven": 8.31, "six": 1.2}, "verdict": PASS,
        "evidence": Evidence(passes=3, forwards=3, rows=65, seconds=0.42, chunk=32),
        "recipe": Recipe({"method": "integrated_gradients", "target": 7, "tolerance": 0.01, "rule": "auto"}),
        "provenance": {"weights": "sha256:4c1e…", "pellucid": "0.1.0", "torch": "2.13.0", "seed": 0},
        "paper": "arXiv:1703.01365",
        "summary": "Average gradient along the straight road from baseline to x, times the distance walked.",
    }
    return Explanation(tensor, features, **{**known, **usual, **(more or {})})


def seven(size: int = 64) -> np.ndarray[Any, Any]:
    """A hand-drawn seven: light strokes on a dark ground."""
    y, x = np.mgrid[:size, :size] / size
    bar = np.exp(-(((y - 0.25) / 0.05) ** 2)) * (x > 0.25) * (x < 0.75)
    stem = np.exp(-(((x - (0.72 - (y - 0.25) * 0.5)) / 0.05) ** 2)) * (y > 0.25) * (y < 0.85)
    ink = np.clip(np.maximum(bar, stem), 0, 1)
    return np.stack([30 + 215 * ink, 34 + 205 * ink, 60 + 160 * ink], -1).astype(np.uint8)


def landscape(height: int = 224, width: int = 224) -> np.ndarray[Any, Any]:
    """A picture with colours: sky, sun, hills."""
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    sky = np.stack([110 + 90 * y, 160 + 50 * y, 225 - 30 * y], -1)
    sun = np.exp(-(((x - 0.7) ** 2 + (y - 0.28) ** 2) / 0.012))[..., None] * np.array([140, 70, -90])
    hill = (y > 0.62 + 0.1 * np.sin(7 * x))[..., None]
    land = np.stack([60 + 50 * x, 120 - 40 * y + 20 * np.sin(40 * x), 55 + 20 * x], -1)
    return np.clip(np.where(hill, land, sky + sun), 0, 255).astype(np.uint8)


def digit(**more: Any) -> Explanation:
    """Values per pixel over a small picture."""
    image = seven()
    light = image[..., 0] / 255.0
    rng = np.random.default_rng(0)
    values = light * np.linspace(1.0, -0.35, 64)[:, None] * (0.02 + 0.004 * rng.standard_normal((64, 64)))
    return made(values, pixels(64, 64), shown=Shown("image", image), more=more)


def cam(**more: Any) -> Explanation:
    """A 7 x 7 map of a layer over a 224 x 224 picture."""
    y, x = np.mgrid[:7, :7]
    values = 1.6 * np.exp(-((x - 4.6) ** 2 + (y - 1.8) ** 2) / 2.2) - 0.5 * np.exp(-((x - 1) ** 2 + (y - 5) ** 2) / 3)
    return made(values, units((7, 7), kind="image", name="layer4"), shown=Shown("image", landscape()),
                method="grad_cam", target="sunset", verdict=WARN, baseline_score=None, residual=None,
                summary="How much each place of the last feature map would move the score, by its gradient.", more=more)


def patched(**more: Any) -> Explanation:
    """Patches of 28 pixels, with sampling errors."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 0.2, (8, 8))
    values[2, 5] = 1.4
    return made(values, patches(224, 224, 28), shown=Shown("image", landscape()), method="kernel_shap",
                target="sunset", error=torch.full((8, 8), 0.12), more=more)


def halves(**more: Any) -> Explanation:
    """A segmentation: sky and land."""
    index = (torch.arange(60)[:, None] >= 35).long().expand(60, 90).contiguous()
    return made([0.8, -0.3], segments(index), shown=Shown("image", landscape(60, 90)), method="occlusion", more=more)


ENGLISH = "The film was not bad at all: a slow start, but the ending is wonderful!"
CHINESE = "这部电影的开头有点慢，但是结尾非常精彩，我会推荐给所有朋友。"


def sentence(**more: Any) -> Explanation:
    """Word pieces of an English sentence, in lower case as a tokenizer gives them."""
    names = ["the", "film", "was", "not", "bad", "at", "all", ":", "a",
             "slow", "start", ",", "but", "the", "ending", "is", "wonder", "##ful", "!"]
    values = [0.02, 0.1, -0.05, 0.62, -0.9, 0.12, 0.2, 0, 0.03, -0.55, -0.1, 0, 0.3, 0.02, 0.15, 0.05, 1.3, 0.4, 0.1]
    return made(values, groups(range(len(names)), names, "tokens", "tokens"), target="positive",
                shown=Shown("text", text=ENGLISH), score=3.42, baseline_score=-0.2, more=more)


def chinese(**more: Any) -> Explanation:
    """Words of a Chinese sentence."""
    names = ["这部", "电影", "的", "开头", "有点", "慢", "，", "但是", "结尾",
             "非常", "精彩", "，", "我", "会", "推荐", "给", "所有", "朋友", "。"]
    values = [0.0, 0.1, 0, -0.1, -0.3, -0.8, 0, 0.35, 0.2, 0.5, 1.4, 0, 0.05, 0.1, 0.9, 0, 0.05, 0.1, 0]
    return made(values, groups(range(len(names)), names, "tokens", "words"), target="好评",
                shown=Shown("text", text=CHINESE), score=4.1, baseline_score=0.3, more=more)


def arabic(**more: Any) -> Explanation:
    """A sentence from right to left with a Latin word in it."""
    text = "كان الفيلم رائعا على Netflix لكن البداية بطيئة"
    names = text.split()
    return made([0.1, 0.2, 1.1, 0.0, 0.15, 0.3, -0.1, -0.7], groups(range(len(names)), names, "tokens", "words"),
                target="إيجابي", shown=Shown("text", text=text), more=more)


COLUMNS = (("minutes_viewed", "12 min"), ("price", "€ 49.90"), ("returning_customer", "yes"), ("country", "DE"),
           ("items_in_basket", "3"), ("device", "phone"), ("discount_code_entered", "no"), ("hour", "21"),
           ("pages", "14"), ("城市", "上海"), ("age_of_account", "812 d"), ("browser", "Firefox"),
           ("newsletter", "yes"), ("payment_failed_before", "no"))


def row(**more: Any) -> Explanation:
    """One row of a table with errors."""
    names = [n for n, _ in COLUMNS]
    values = [0.9, -0.62, 0.44, 0.05, 0.31, -0.18, -0.12, 0.02, 0.21, 0.08, 0.03, -0.01, 0.04, 0.06]
    error = torch.tensor([0.05, 0.04, 0.06, 0.05, 0.04, 0.05, 0.04, 0.03, 0.05, 0.05, 0.02, 0.02, 0.03, 0.03])
    return made(values, groups(range(len(names)), names, "columns", "columns"), error=error, target="buys",
                shown=Shown("table", cells=tuple(c for _, c in COLUMNS)), method="kernel_shap", score=1.37,
                baseline_score=0.16, paper="arXiv:1705.07874", summary="Shapley values by weighted least squares "
                "over coalitions of features.", more=more)


def layer(**more: Any) -> Explanation:
    """Channels of a layer: (16, 8, 8)."""
    values = torch.randn(16, 8, 8, generator=torch.Generator().manual_seed(3))
    values[:, 2, 3] += 2
    return made(values, units((16, 8, 8)), shown=Shown("image", seven()), method="layer_activation", more=more)
