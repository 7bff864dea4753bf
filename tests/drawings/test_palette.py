"""Colours stay apart for readers who see fewer of them, text stands out, sizes are those of the page."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from docs.generate import design
from pellucid.views import frame, palette
from pellucid.views.chart import shades

SEEN = {  # Machado, Oliveira and Fernandes, doi:10.1109/TVCG.2009.113, severity 1, for linear RGB
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
APART, FAINT = 0.11, 0.06
"""Distances in OKLab, where a just noticeable step is about 0.02: from half of the scale on, and below."""


def linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def gamma(rgb: np.ndarray) -> np.ndarray:
    rgb = np.clip(rgb, 0, 1)
    return np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)


def seen(rgb: np.ndarray, eyes: str | None) -> np.ndarray:
    """sRGB in 0 to 1 as OKLab, as these eyes see it."""
    return palette.oklab(rgb if eyes is None else gamma(linear(rgb) @ np.array(SEEN[eyes]).T))


def drawn(values: np.ndarray, ground: float) -> np.ndarray:
    """The signed scale over a ground."""
    return palette.over(palette.rgba(values, 1.0), np.full(3, ground)) / 255


def hexed(colour: str) -> np.ndarray:
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255


@pytest.mark.parametrize("eyes", [None, *SEEN])
@pytest.mark.parametrize("ground", [255.0, 21.0])
def test_both_sides_of_zero_stay_apart_for_all_eyes(eyes: str | None, ground: float) -> None:
    sizes = np.array([0.3, 0.5, 0.75, 1.0])
    below, above = (seen(drawn(side * sizes, ground), eyes) for side in (-1, 1))
    assert (np.linalg.norm(below - above, axis=-1) > np.array([FAINT, APART, APART, APART])).all()
    zero = seen(drawn(np.zeros(1), ground), eyes)
    for side in (below, above):
        assert (np.linalg.norm(side - zero, axis=-1) > FAINT).all()


@pytest.mark.parametrize("eyes", [None, *SEEN])
def test_a_larger_value_is_never_lighter(eyes: str | None) -> None:
    steps = np.linspace(0, 1, 65)
    for side in (-1, 1):
        light = seen(drawn(side * steps, 255.0), eyes)[:, 0]
        assert (np.diff(light) <= 1e-3).all()
        assert light[0] - light[-1] > 0.3


def test_red_against_green_would_not_pass() -> None:
    red, green = hexed("#d0021b"), hexed("#4c8a00")
    assert np.linalg.norm(seen(red, None) - seen(green, None)) > 2 * APART
    near = min(np.linalg.norm(seen(red, eyes) - seen(green, eyes)) for eyes in ("protanopia", "deuteranopia"))
    assert near < APART


def test_neighbouring_series_are_told_apart() -> None:
    for n in (2, 3, 4):
        colours = [hexed(c) for c in shades(n)]
        assert all(np.linalg.norm(seen(a, None) - seen(b, None)) > 0.06 for a, b in pairwise(colours))


def luminance(colour: str) -> float:
    return float(linear(hexed(colour)) @ [0.2126, 0.7152, 0.0722])


def contrast(a: str, b: str) -> float:
    """The ratio of WCAG 2."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["LIGHT", "DARK", "PRINT"])
def test_text_and_signs_stand_out_from_their_ground(theme: str) -> None:
    colours = getattr(frame, theme)
    for name in ("ink", "soft", "pass", "warn", "fail", "pos", "neg"):
        assert contrast(colours[name], colours["ground"]) >= 4.5, name
    assert contrast(colours["soft"], colours["well"]) >= 4.5
    assert contrast("#777777", "#888888") < 4.5  # the measure itself


def test_letters_have_the_sizes_of_the_page() -> None:
    odd = []
    for file in sorted(Path(frame.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("line", "lines"):
                size = node.args[3] if len(node.args) > 3 else None
                if isinstance(size, ast.Constant) and size.value not in frame.SIZES:
                    odd.append(f"{file.name}:{node.lineno}: {size.value}")
    assert odd == []


def test_the_page_says_what_the_code_draws() -> None:
    assert design.PAGE.read_text("utf-8") == design.text(), "make docs"
