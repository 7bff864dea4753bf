"""Values that are missing or infinite leave a hole and nothing else; maps that are made small say so; titles fit."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.views import heat, palette, story
from pellucid.views.grid import FINEST, Tile, coloured, shrunk, tiles
from pellucid.views.writing import em
from pellucid.words.explanation import Shown
from pellucid.words.features import groups, units
from pellucid.words.look import Look
from pellucid.words.multiples import multiples
from tests.drawings import samples

SVG = "{http://www.w3.org/2000/svg}"


def painted(href: str) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(href.partition("base64,")[2]))).convert("RGBA"))


@pytest.mark.parametrize("hole", [float("nan"), float("inf"), float("-inf")])
def test_a_hole_stays_a_hole_and_adds_nothing(hole: float) -> None:
    whole = samples.cam()
    values = whole.values.clone()
    values[1, 5] = hole
    e = replace(whole, values=values)
    found = {i.name: i.value for i in story.ninths(e)}
    assert np.isfinite(list(found.values())).all()
    assert sum(found.values()) == pytest.approx(float(values[torch.isfinite(values)].sum()))
    fine = heat.smooth(values.double().numpy())
    assert np.isnan(fine[32:64, 160:192]).all()  # the whole cell, and no other
    assert np.isnan(fine).sum() == 32 * 32
    assert np.isfinite(fine[48, 112])
    assert np.nanmax(np.abs(fine)) <= float(whole.values.abs().max())
    image = next(i for i in ElementTree.fromstring(e.svg()).iter(f"{SVG}image") if i.get("data-layer") == "values")
    assert painted(image.get("href") or "")[48, 176, 3] == 0
    assert "e308" not in e.svg() + e.text()
    assert "1 values are not finite" in " ".join(e.text().split())
    assert "█" in e.text()
    for path in heat.contours(fine, 1.0, 0, 0, 70, 70):
        assert np.isfinite(float(path.attributes["data_level"]))


def test_a_place_has_a_sum_over_channels_as_far_as_they_are_known() -> None:
    values = torch.ones(3, 4, 4)
    values[1, 0, 0], values[2, 0, 0] = torch.nan, torch.inf
    values[:, 0, 1] = torch.nan
    e = samples.made(values, units((3, 4, 4)), shown=Shown("image", samples.seven()))
    grid = story.painted(e)
    assert grid is not None
    assert grid[0, 0] == 1
    assert np.isnan(grid[0, 1])
    assert grid[0, 2] == 3


def test_values_are_read_back_from_a_tiles_colours_with_holes_and_ends() -> None:
    drawn = painted(coloured(np.array([[0.0, 0.5, 1.0, -1.0, 1.2, -3.0, np.nan, np.inf]]), 1.0))[0]
    full = round(palette.OPACITY * 255)
    assert drawn[:, 3].tolist() == [0, palette.coarse(np.zeros(1), 1)[1][95, 3], full, full, full + 1, full + 1, 1, 1]
    assert (drawn[4, 0] > drawn[4, 2], drawn[5, 0] > drawn[5, 2]) == (True, False)


def test_a_large_map_keeps_its_edge_and_says_how_large_it_is() -> None:
    big = np.random.default_rng(0).random((197, 197))
    big[196, :] = 7.0
    small = shrunk(big)
    assert small.shape == (99, 99)
    assert small[98, 3] == 7.0
    assert small[10, 20] == pytest.approx(big[20:22, 40:42].mean())
    nodes, _ = tiles([Tile(big, "a"), Tile(big[:FINEST, :FINEST], "b")], 1.0, 0, 0, 300)
    first, second = [n.attributes for n in nodes if n.tag == "image"]
    assert (first["data_block"], json.loads(first["data_shape"])) == (2, [197, 197])
    assert second["data_block"] is second["data_shape"] is None


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_titles_of_attention_stay_on_a_narrow_card_and_off_each_other(lang: str) -> None:
    names = ["the", "soup", "was", "cold"]
    beside = samples.made([0.1, -0.2, 0.3, 0.4], groups(range(4), names, "tokens", "tokens"),
                          shown=Shown("text", text=" ".join(names)), method="gradient_attention")
    layer = "encoder.layers.3.attention.self.of.a.name"
    look = Look(attentions=({layer: torch.rand(2, 200, 200)},), agreed={layer: 0.4}, inputs=1, model="m",
                beside={"gradient_attention": beside}, shown=(Shown("text", text="a"),))
    for width in (339, 720):
        root = ElementTree.fromstring(look.svg(width=width, lang=lang))
        lines = [(float(t.get("x") or 0), float(t.get("y") or 0), float(t.get("font-size") or 0), t) for t in
                 root.iter(f"{SVG}text") if t.get("transform") is None and "token" not in (t.get("class") or "")]
        boxes = []
        for x, y, size, t in lines:
            told = "".join(t.itertext())
            wide = em(told, 1.0) * size
            left = x - {"end": wide, "middle": wide / 2}.get(t.get("text-anchor") or "", 0)
            assert left + wide <= width - 4, told
            boxes.append((left, left + wide, y - size * 0.7, y, told))
        for k, a in enumerate(boxes):
            for b in boxes[:k]:
                assert a[0] >= b[1] or b[0] >= a[1] or a[2] >= b[3] or b[2] >= a[3], (a, b)
        said = "".join(t for *_, t in boxes)
        assert ("200 × 200" in said) is True


def test_cells_laid_over_one_another_are_named_as_drawn_and_know_their_scale() -> None:
    a = samples.digit(method="grad_cam")
    many = multiples([[a, replace(a, method="integrated_gradients")]])
    groups_ = [g for g in ElementTree.fromstring(many.svg(lang="zh")).iter(f"{SVG}g") if g.get("data-tile")]
    assert [g.get("data-scale") for g in groups_] == ["0", "1"]
    assert [g.get("data-tile") for g in groups_] == ["1 · Grad-CAM", "1 · 积分梯度"]
