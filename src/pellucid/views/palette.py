"""Colours for signed values: blue below zero, nothing at zero, vermilion above.

Magnitude is shown by opacity and, towards the ends, by depth of colour, so that zero leaves whatever lies
below untouched. The two arms differ in blue against yellow, which every common colour blindness keeps.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STEPS = 255
OPACITY = 0.85
"""At the ends of the scale; a picture below still shows."""

# lightness, chroma, hue (degrees) in OKLCH: from the faintest value to the end of each arm
_ABOVE = ((0.80, 0.135, 68.0), (0.565, 0.200, 34.0))
_BELOW = ((0.80, 0.095, 222.0), (0.500, 0.165, 259.0))

_TO_LMS = np.array([[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728],
                    [1, -0.0894841775, -1.2914855480]])
_TO_RGB = np.array([[4.0767416621, -3.3077115913, 0.2309699292], [-1.2684380046, 2.6097574011, -0.3413193965],
                    [-0.0041960863, -0.7034186147, 1.7076147010]])


def srgb(oklab: Array) -> Array:
    """Colours in OKLab (..., 3) as sRGB in 0 to 1, clipped to what a screen shows (Ottosson, 2020)."""
    linear = np.clip((oklab @ _TO_LMS.T) ** 3 @ _TO_RGB.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def oklab(rgb: Array) -> Array:
    """sRGB in 0 to 1 as OKLab, where equal steps look equal."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ np.linalg.inv(_TO_RGB).T) @ np.linalg.inv(_TO_LMS).T


def _arm(ends: tuple[tuple[float, float, float], tuple[float, float, float]], t: Array) -> Array:
    lightness, chroma, hue = (a + (b - a) * t for a, b in zip(*ends, strict=True))
    angle = np.deg2rad(hue)
    return srgb(np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], -1))


@cache
def _table() -> Array:
    """RGBA bytes for -STEPS..STEPS; zero is fully transparent."""
    t = np.arange(STEPS + 1) / STEPS
    alpha = OPACITY * t**0.85
    arms = [np.concatenate([_arm(ends, t), alpha[:, None]], -1) for ends in (_BELOW, _ABOVE)]
    table = np.concatenate([arms[0][:0:-1], arms[1]])
    table[STEPS] = 0
    return np.round(table * 255).astype(np.uint8)


def rgba(values: Array, limit: float) -> Array:
    """Values as RGBA bytes; ±limit and beyond take the ends, what is not finite stays transparent."""
    t = np.clip(np.where(np.isfinite(values), values, 0) / (limit or 1), -1, 1)
    return _table()[np.round(t * STEPS).astype(int) + STEPS]


COARSE = 63
"""Steps of either arm where many small maps stand together: a quarter of the bytes, and nobody sees it."""


def coarse(values: Array, limit: float) -> tuple[Array, Array]:
    """Values as numbers of colours (bytes), and the colours (2 COARSE + 1, 4) that they number."""
    t = np.clip(np.where(np.isfinite(values), values, 0) / (limit or 1), -1, 1)
    return (np.round(t * COARSE) + COARSE).astype(np.uint8), rgba(np.arange(-COARSE, COARSE + 1), COARSE)


def over(colours: Array, ground: Array | float) -> Array:
    """RGBA bytes laid over a ground (bytes), as bytes without opacity."""
    alpha = colours[..., 3:] / 255
    return np.round(colours[..., :3] * alpha + np.asarray(ground) * (1 - alpha)).astype(np.uint8)


def css(t: float) -> str:
    """The colour at t in -1..1 as #rrggbb, without its opacity."""
    r, g, b = rgba(np.array(t), 1.0)[:3]
    return f"#{r:02x}{g:02x}{b:02x}"
