"""The two table subjects: a shop's visitors, drawn from a process we wrote, and scikit-learn's tumours."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

from card import write_card, write_weights
from pellucid.models.demo_nets import TableNet

Columns = dict[str, np.ndarray]
CATEGORIES = {"gender": ("female", "male", "other"), "device": ("phone", "desktop", "tablet")}
UNITS = {"minutes_viewed": "min", "saves": "items", "past_spend": "yuan", "days_since_last_visit": "days",
         "age": "years", "hour_of_visit": "h"}
CHINESE = {"minutes_viewed": "浏览分钟", "saves": "收藏数", "past_spend": "历史消费",
           "days_since_last_visit": "距上次访问天数", "discount_seen": "看到折扣", "device": "设备",
           "age": "年龄", "gender": "性别", "hour_of_visit": "访问时刻"}


def visitors(n: int, rng: np.random.Generator) -> Columns:
    """Draw n visitors; every column is independent of the others, as a shopkeeper would write them down."""
    return {
        "minutes_viewed": rng.gamma(2.0, 6.0, n).round(1),
        "saves": rng.poisson(1.5, n).astype(float),
        "past_spend": np.exp(rng.normal(5.0, 1.0, n)).round(),
        "days_since_last_visit": rng.exponential(20.0, n).round(),
        "discount_seen": (rng.random(n) < 0.4).astype(float),
        "device": rng.choice(CATEGORIES["device"], n, p=(0.6, 0.3, 0.1)),
        "age": rng.integers(18, 76, n).astype(float),
        "gender": rng.choice(CATEGORIES["gender"], n, p=(0.48, 0.48, 0.04)),
        "hour_of_visit": rng.integers(0, 24, n).astype(float),
    }


def contributions(x: Columns) -> Columns:
    """What each column adds to the log-odds of buying. Gender and the hour add nothing."""
    return {
        "minutes_viewed": 2.0 * np.log1p(x["minutes_viewed"]),
        "saves": 0.8 * np.minimum(x["saves"], 5),
        "past_spend": 0.7 * np.log1p(x["past_spend"]),
        "days_since_last_visit": -0.03 * np.minimum(x["days_since_last_visit"], 60),
        "discount_seen": 0.7 * x["discount_seen"],
        "device": 0.4 * (x["device"] == "desktop"),
        "age": -0.0003 * (x["age"] - 38) ** 2,
        "gender": np.zeros(len(x["age"])),
        "hour_of_visit": np.zeros(len(x["age"])),
    }


OFFSET = -9.5


def buy(x: Columns, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds and the coin thrown with them."""
    logit = sum(contributions(x).values()) + OFFSET
    return logit, (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(int)


def describe(x: Columns, units: dict[str, str]) -> list[dict[str, Any]]:
    """The columns of the card: how each is standardised or spread out."""
    out: list[dict[str, Any]] = []
    for name, values in x.items():
        if name in CATEGORIES:
            out.append({"name": name, "kind": "category", "categories": list(CATEGORIES[name]),
                        "unit": "", "mean": 0.0, "std": 1.0})
        else:
            out.append({"name": name, "kind": "number", "categories": [], "unit": units.get(name, ""),
                        "mean": round(float(values.mean()), 6), "std": round(float(values.std()), 6)})
    return out


def encode(x: Columns, columns: list[dict[str, Any]]) -> Tensor:
    """Numbers minus mean over deviation; a category as one 0-or-1 column for each of its values."""
    parts = []
    for column in columns:
        values = x[column["name"]]
        if column["kind"] == "category":
            parts += [(values == c).astype(np.float32) for c in column["categories"]]
        else:
            parts.append((values - column["mean"]) / column["std"])
    return torch.tensor(np.stack(parts, 1), dtype=torch.float32)


def fit(net: nn.Module, x: Tensor, y: Tensor, *, seed: int, epochs: int, rate: float, decay: float) -> None:
    """AdamW with a falling rate on shuffled batches of 128."""
    g = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    net.train()
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=g).split(128):
            optimiser.zero_grad()
            F.cross_entropy(net(x[index]), y[index]).backward()
            optimiser.step()
        plan.step()
    net.eval()


@torch.no_grad()
def predict(net: nn.Module, x: Tensor) -> Tensor:
    return net(x).argmax(1)


def cell(value: Any) -> str:
    return str(value) if isinstance(value, str) else f"{float(value):.6g}"


def write_rows(file: Path, x: Columns, rows: list[int]) -> None:
    """Raw values under a header, as a user would hand them in."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(x)
        writer.writerows([cell(values[i]) for values in x.values()] for i in rows)


def take(x: Columns, rows: np.ndarray) -> Columns:
    return {name: values[rows] for name, values in x.items()}


def write_subject(folder: Path, net: TableNet, learn: Columns, test: Columns, truth: Tensor,
                  card: dict[str, Any], *, figures: dict[str, float]) -> None:
    """Weights, samples, background and card; held-out accuracy is measured on the rounded weights."""
    write_weights(net, folder / "weights.safetensors")
    columns = card["columns"]
    right = predict(net, encode(test, columns)) == truth
    write_rows(folder / "samples.csv", test, list(range(20)))
    write_rows(folder / "background.csv", learn, list(range(100)))
    back = encode(learn, columns)[:100]
    write_card(folder, {
        "task": "table",
        "accuracy": {"held_out": float(right.float().mean()), **figures},
        **card,
        "background": {"file": "background.csv", "rows": 100,
                       "mean": [round(v, 5) for v in back.mean(0).tolist()],
                       "std": [round(v, 5) for v in back.std(0, correction=0).tolist()]},
        "samples": [{"file": "samples.csv", "row": i, "label": card["labels"][int(truth[i])]} for i in range(20)],
    })


def make_recommender(folder: Path, seed: int) -> None:
    """Train on 12,000 visitors, measure on 4,000 others, and write down the true importances."""
    rng = np.random.default_rng(seed)
    learn, test, many = visitors(12_000, rng), visitors(4_000, rng), visitors(200_000, rng)
    _, bought = buy(learn, rng)
    logit, truth = buy(test, rng)
    columns = describe(learn, UNITS)
    x = encode(learn, columns)
    torch.manual_seed(seed)
    net = TableNet(x.shape[1], (64, 32))
    fit(net, x, torch.tensor(bought), seed=seed, epochs=16, rate=2e-3, decay=0.05)
    spread = {name: float(v.std()) for name, v in contributions(many).items()}
    order = sorted(spread, key=lambda name: -spread[name])
    write_subject(folder, net, learn, test, torch.tensor(truth), {
        "name": "recommender", "labels": ["will not buy", "will buy"], "labels_zh": ["不会购买", "会购买"],
        "preprocess": {"numbers": "(value - mean) / std", "categories": "one 0-or-1 column per category"},
        "columns": columns, "columns_zh": CHINESE, "width": x.shape[1], "hidden": [64, 32],
        "true_importance": [{"column": name, "std_of_logit": round(spread[name], 4)} for name in order],
        "seed": seed, "licence": "MIT (drawn by this project from the process in docs/demo-subjects.md)",
    }, figures={"best_possible": float(((logit > 0) == truth).mean()), "always_the_commoner": float(1 - truth.mean())})


def make_tumours(folder: Path, seed: int) -> None:
    """Three quarters of scikit-learn's breast-cancer table to learn from, one quarter held out."""
    data = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names]
    table: Columns = {name: data.data[:, i] for i, name in enumerate(names)}
    first, second = train_test_split(np.arange(len(data.target)), test_size=0.25, random_state=seed,
                                     stratify=data.target)
    learn, test = take(table, first), take(table, second)
    columns = describe(learn, {})
    x = encode(learn, columns)
    torch.manual_seed(seed)
    net = TableNet(x.shape[1], (32, 16))
    fit(net, x, torch.tensor(data.target[first]), seed=seed, epochs=60, rate=2e-3, decay=0.2)
    truth = torch.tensor(data.target[second])
    write_subject(folder, net, learn, test, truth, {
        "name": "tumours", "labels": ["malignant", "benign"], "labels_zh": ["恶性", "良性"],
        "preprocess": {"numbers": "(value - mean) / std"},
        "columns": columns, "width": x.shape[1], "hidden": [32, 16], "seed": seed,
        "licence": "Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning Repository, CC BY 4.0; via scikit-learn",
    }, figures={"always_the_commoner": float(truth.float().mean())})
