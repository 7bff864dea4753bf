"""docs/grid.md: every method on every kind of network, in three number formats."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import pellucid
from pellucid.models.tabular import Column
from pellucid.testing.toys import toy
from pellucid.words.errors import PellucidError
from pellucid.words.method import Method, Need

PAGE = Path(__file__).parents[1] / "grid.md"
DTYPES = (torch.float64, torch.float32, torch.bfloat16)

HEAD = """# Every method on every kind of network

*Made by running it: `make docs` writes this page, and the test suite fails where a cell turns out otherwise.*

Eight small networks, each with the traits that explanations stumble over, in float64, float32 and bfloat16. ✓ is an
answer that the test compares: float64 with itself in passes of three rows, float32 and bfloat16 with float64. (✓) is
an answer whose verdict carries a caveat about the model. A code means that the method refuses, and says why and what
to take instead. Where a format differs from float64 it is named: *rough* is an answer in bfloat16 that is off by more
than a third, because the differences between scores that it is made of are smaller than the three digits kept.

The networks: a CNN with BatchNorm and in-place ReLUs; a convolution and a ReLU called twice; a skip connection written
as `+=`; a vision transformer with fused attention; a BERT of Hugging Face; an LSTM; an MLP over a table with one-hot
groups; two inputs by keyword.
"""


@dataclass(frozen=True)
class Cell:
    """What came of one method on one network in one format: values, or the code of the refusal.

    `values` are per element where the method gives those: sums over a word's dimensions may vanish.
    """

    code: str = ""
    values: Tensor | None = None
    caveat: bool = False

    @property
    def mark(self) -> str:
        return f"`{self.code}`" if self.code else "(✓)" if self.caveat else "✓"

    def apart(self, other: Cell) -> float:
        """How far the values are from the other's, relative to those."""
        if self.values is None or other.values is None:
            return float("nan")
        scale = other.values.double().norm().clamp(min=1e-300)
        return float((self.values.double() - other.values.double()).norm() / scale)


ROUGH = 1 / 3


class Bert(nn.Module):
    """A tiny BERT that classifies, by Hugging Face, from ids alone."""

    def __init__(self) -> None:
        super().__init__()
        import transformers

        self.inner = transformers.BertForSequenceClassification(transformers.BertConfig(
            vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=16, num_labels=3))

    def forward(self, ids: Tensor) -> Tensor:
        return self.inner(input_ids=ids).logits


def _made(name: str, dtype: torch.dtype) -> tuple[Any, Any, str]:
    """A subject, an input and a layer of one network."""
    if name == "bert":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = Bert().eval().to(dtype)
        ids = torch.tensor([[2, 17, 5, 31, 8, 3]])
        return pellucid.wrap(model, site="inner.bert.embeddings.word_embeddings"), ids, "inner.bert.encoder.layer.0"
    if name == "mlp":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(7, 12), nn.ReLU(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 3))
        columns = (Column("age"), Column("colour", "category", categories=("red", "green", "blue")), Column("size"),
                   Column("shape", "category", categories=("round", "square")))
        rows = [{"age": 0.3 * k, "colour": ("red", "green", "blue")[k % 3], "size": 1.0 - 0.4 * k,
                 "shape": ("round", "square")[k % 2]} for k in range(6)]
        return pellucid.wrap(model.eval().to(dtype), columns=columns, background=rows[1:]), rows[0], "0"
    on = toy(name)
    on.model.to(dtype)
    x = on.x
    x = x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x
    x = {k: v.to(dtype) for k, v in x.items()} if isinstance(x, dict) else x
    return on.subject(), x, on.layer


NETS: dict[str, str] = {
    "cnn": "CNN, in-place ReLU", "reused": "reused modules", "residual": "residual", "vit": "ViT", "bert": "BERT",
    "lstm": "LSTM", "mlp": "MLP, one-hot groups", "two_inputs": "two inputs",
}


SMALL: dict[str, Any] = {"samples": 64, "masks": 64, "steps": 8}
"""Sizes that keep the grid short; equal seeds draw the same in every format."""


def cell(method: Method, net: str, dtype: torch.dtype, **more: Any) -> Cell:
    """Run one cell."""
    subject, x, layer = _made(net, dtype)
    options = {k: v for k, v in SMALL.items() if k in method.defaults}
    if "neuron" in method.defaults:
        options["neuron"] = layer + NEURON[net]
    elif "layer" in method.defaults and Need.ATTENTION not in method.card.needs and net not in PICTURES:
        options["layer"] = layer
    if "baselines" in method.defaults:
        more["baseline"] = "draws:4" if net == "mlp" else ["zero", "mean"] if net in PICTURES else None
    if method.card.coarse and net in PICTURES:
        more["features"] = "patches:4"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            e = pellucid.explain(subject, x, method, target=1, **options, **more)
    except PellucidError as error:
        return Cell(error.code)
    caveat = any(f.code == "method.caveat" for f in e.verdict.findings)
    return Cell("", e.values if e.elements is None else e.elements, caveat)


NEURON = {"cnn": "[0,2,2]", "reused": "[0,4,4]", "residual": "[0,4,4]", "vit": "[0,3]", "bert": "[1,3]",
          "lstm": "[1,3]", "mlp": "[2]", "two_inputs": "[2]"}
"""A unit of each network's layer."""

PICTURES = ("cnn", "reused", "residual", "vit")


def row(method: Method) -> dict[str, list[Cell]]:
    """A method on every network, in every format."""
    return {net: [cell(method, net, dtype) for dtype in DTYPES] for net in NETS}


def told(cells: list[Cell]) -> str:
    """One cell of the page: the mark in float64, and others where they differ."""
    marks = [c.mark for c in cells]
    if not cells[0].code and not cells[2].code and cells[2].apart(cells[0]) > ROUGH:
        marks[2] = "rough"
    more = [f"{str(d).removeprefix('torch.')}: {m}" for d, m in zip(DTYPES[1:], marks[1:], strict=True)
            if m != marks[0]]
    return ", ".join([marks[0], *more])


def page(rows: Callable[[Method], dict[str, list[Cell]]] = row) -> str:
    """The whole page."""
    from docs.generate.catalogue import ours

    head = "| method | " + " | ".join(NETS.values()) + " |\n|---|" + "---|" * len(NETS) + "\n"
    lines = [f"| `{m.name}` | " + " | ".join(told(c) for c in rows(m).values()) + " |" for m in ours()]
    return f"{HEAD}\n{head}" + "\n".join(lines) + "\n"


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def known() -> dict[str, dict[str, str]]:
    """The page's cells as they are written down: by method and network."""
    found: dict[str, dict[str, str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        parts = [p.strip() for p in line.strip("|").split("|")]
        if len(parts) == len(NETS) + 1 and parts[0].startswith("`"):
            found[parts[0].strip("`")] = dict(zip(NETS, parts[1:], strict=True))
    return found


