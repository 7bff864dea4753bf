"""What a look is drawn as: every layer with its maps, numbers and name; attention with what it is not."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import pellucid
from pellucid.views.grid import Tile, shrunk, tiles
from pellucid.words.errors import OptionError
from pellucid.words.look import Look

HOSTILE = ("<script>alert(1)</script>", "a\u202eb", "{x}", "&amp;", "'\"><img src=x>")


def seen(name: str, layers: str = "stages") -> pellucid.Look:
    return pellucid.look(pellucid.load(f"demo:{name}"), pellucid.samples(name)[0], layers)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_layer_is_drawn_with_its_strongest_channels(lang: str, vision: bool) -> None:
    look = seen("digits")
    drawn = look.svg(lang=lang, top=6)
    ElementTree.fromstring(drawn)
    for layer in look:
        assert f">{layer}<" in drawn
    assert f">#{look['stem'].order[0]}<" in drawn
    assert drawn.count("<image") == 1 + 4 * 6 + 2  # the input, maps of four layers, units of two
    assert "href=\"http" not in drawn


def test_attention_is_drawn_with_what_it_is_not(vision: bool) -> None:
    look = seen("digits-vit", "attention")
    drawn, text = look.svg(), look.text()
    for said in (drawn, text):
        assert "is no attribution" in " ".join(said.split())
        assert f"{look.agreed['blocks.3.attn']:+.2f}" in said
    # the input; what stands beside attention; over the picture and as matrices, mean and heads
    assert drawn.count("<image") == 1 + 3 + 4 * 5 * 2
    first = look.attention["blocks.0.attn"]
    over = look.over_picture(first)
    assert over is not None
    assert torch.equal(over.flatten(1), first[:, 0, 1:])


def test_the_text_form_is_a_table_of_figures() -> None:
    look = seen("recommender")
    lines = look.text().splitlines()
    assert any(line.startswith("body.1") and f"{look['body.1'].profile['sparsity']:.0%}" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_models_own_names_are_data(name: str) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(name, nn.Linear(3, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return next(self.children())(x)

    drawn = pellucid.look(pellucid.wrap(Odd(), name=name), torch.ones(1, 3), name).svg()
    root = ElementTree.fromstring(drawn)
    assert not [e for e in root.iter() if e.tag.endswith(("script", "img"))]
    assert "\u202e" not in drawn


def test_tiles_share_a_scale_and_large_maps_are_averaged() -> None:
    big = torch.zeros(400, 400).numpy()
    big[:200] = 1
    small = shrunk(big)
    assert small.shape == (134, 134)  # blocks of 3, the last of 1
    assert small[0, 0] == 1
    nodes, below = tiles([Tile(big, "a"), Tile(big / 2, "b")], 1.0, 0, 0, 300)
    assert below > 0
    hrefs = [n.attributes["href"] for n in nodes if n.tag == "image"]
    assert hrefs[0] != hrefs[1]  # half as strong is half as deep, not stretched to the same


@pytest.mark.parametrize("wrong", [{"width": 10}, {"top": 0}, {"theme": "red"}, {"example": 3}])
def test_wrong_options_are_said(wrong: dict[str, int | str]) -> None:
    with pytest.raises(OptionError, match=r"option\.width" if "width" in wrong else r"option\.value"):
        seen("recommender").svg(**wrong)


def test_twelve_layers_of_twelve_heads_over_197_tokens_stay_small() -> None:
    draws = torch.Generator().manual_seed(0)
    attention = {f"blocks.{k}.attn": torch.rand(12, 197, 197, generator=draws).mul(4).softmax(-1) for k in range(12)}
    drawn = Look(attentions=(attention,), inputs=1, model="vit").svg(top=12)
    assert drawn.count("<image") >= 12 * 12
    assert len(drawn.encode()) < 3_000_000
