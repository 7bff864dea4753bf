"""Values over a picture: the input, and beside it the picture in grey with the values laid over it in colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from pellucid.views import palette, png, story
from pellucid.views.frame import Part, Sheet, colour_bar, error_notes, line, lines, scale_note
from pellucid.views.scale import Scale, scale_of
from pellucid.views.svg import Element, el
from pellucid.views.words import say
from pellucid.views.writing import columns, em, number, signed, wrap
from pellucid.words.explanation import Explanation, Shown

Array = np.ndarray[Any, Any]

FINE = 224
"""Pixels to which a coarse map is interpolated."""
SHARP = 800
"""A larger picture is averaged down to this before it is embedded."""


def picture(e: Explanation) -> Array | None:
    """The input as bytes (H, W, 3), where there is one."""
    return picture_of(e.shown)


def picture_of(shown: Shown | None) -> Array | None:
    """What is shown of an input as bytes (H, W, 3), where it is a picture."""
    image = shown.image if shown else None
    return image if image is not None and image.ndim == 3 and image.shape[2] == 3 and image.size else None


def constant(grid: Array) -> str | None:
    """The key of the sentence to show instead of a picture that would mislead."""
    finite = grid[np.isfinite(grid)]
    if not finite.size:
        return "none finite"
    if not finite.any():
        return "all zero"
    return "all same" if finite.size > 1 and np.ptp(finite) <= 1e-12 * np.abs(finite).max() else None


def coarse(e: Explanation, grid: Array) -> bool:
    """A map of a layer, one feature per cell and fewer cells than pixels, is drawn smooth."""
    image = picture(e)
    one_each = e.features.index.numel() == e.features.n or e.features.index.dim() != 2
    return image is not None and one_each and grid.shape[0] < image.shape[0] and min(grid.shape) > 1


def smooth(grid: Array) -> Array:
    """Bilinear interpolation of the values themselves, before they become colours.

    A cell whose value is not finite gives its neighbours nothing, and has no value all over.
    """
    scale = max(1.0, FINE / max(grid.shape))
    down, across = (between(n, round(n * scale)) for n in grid.shape)
    finite = np.isfinite(grid)
    drawn = down @ story.known(grid) @ across.T
    if finite.all():
        return drawn
    nearest = finite[np.ix_(down.argmax(1), across.argmax(1))]
    return np.divide(drawn, down @ finite @ across.T, where=nearest, out=np.full(drawn.shape, np.nan))


def between(n: int, m: int) -> Array:
    """Weights (m, n) that interpolate n cell centres at m finer ones; beyond the outer centres is flat."""
    at = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    return np.maximum(0.0, 1 - np.abs(at[:, None] - np.arange(n)))


def missing(e: Explanation) -> int:
    """How many values are not finite."""
    return int((~torch.isfinite(e.values.detach().double())).sum())


def layout(sheet: Sheet, aspect: float, two: bool) -> tuple[float, float, float]:
    """Width and height of a panel and the gap; panels stand side by side where there is room."""
    gap = 24.0
    width = (sheet.inner - gap) / 2 if two and not sheet.narrow else sheet.inner
    width = min(width, 380.0)
    tallest = 420.0
    return (width, width * aspect, gap) if width * aspect <= tallest else (tallest / aspect, tallest, gap)


def panel(uri: str, x: float, y: float, width: float, height: float, sharp: bool,
          layer: str | None = None, **data: Any) -> Element:
    """A picture of the drawing; small ones keep their pixels crisp."""
    return el("image", href=uri, x=x, y=y, width=width, height=height, preserveAspectRatio="none",
              class_="crisp" if sharp else None, data_layer=layer, **data)


def words_instead(e: Explanation, sheet: Sheet, key: str, x: float, y: float,
                  width: float) -> tuple[list[Element], float]:
    """A sentence in place of a map."""
    flat = e.numpy().ravel()
    first, y = lines(sheet.say(key, n=flat.size, value=signed(float(flat[0]))) + sheet.say("stop").strip(),
                     x + 18, y + 34, 15, width - 36, "strong")
    means = {"all zero": "zero means", "all same": "same means"}.get(key)
    rest, y = lines(sheet.say(means), x + 18, y + 4, 13, width - 36, "soft") if means else ([], y)
    return [*first, *rest], y + 10


def body(e: Explanation, sheet: Sheet) -> Part:
    """The middle of the drawing."""
    grid = story.painted(e)
    assert grid is not None
    image, key = picture(e), constant(grid)
    # a patch counts once, however many pixels it paints
    scale = scale_of(grid if e.values.dim() == 3 else e.values.detach().cpu().double().numpy())
    aspect = (image.shape[0] / image.shape[1]) if image is not None else grid.shape[0] / grid.shape[1]
    aspect = min(max(aspect, 0.08), 8.0)
    width, height, gap = layout(sheet, aspect, image is not None)
    nodes, notes = list[Element](), list[str]()
    x, y, top = sheet.margin, 30.0, 30.0
    if image is not None:
        small = png.fit(image, SHARP)
        sharp = max(image.shape[:2]) < 128
        nodes += above(sheet.say("input"), sheet.say("size", width=image.shape[1], height=image.shape[0]),
                       x, y - 12, width)
        nodes.append(panel(png.data_uri(small), x, y, width, height, sharp))
        x, y = (x, y + height + 44) if sheet.narrow else (x + width + gap, y)
    counted = (sheet.say("pieces", n=e.features.n) if e.values.dim() == 1 else
               sheet.say("grid", rows=grid.shape[0] if e.values.dim() == 3 else e.values.shape[0],
                         columns=grid.shape[1] if e.values.dim() == 3 else e.values.shape[1]))
    nodes += above(story.map_title(e, sheet.lang), counted, x, y - 12, width)
    if key:
        made, below = words_instead(e, sheet, key, x, y, width)
        below = max(below, y + (height if image is not None and not sheet.narrow else 0))
        nodes += [el("rect", x=x, y=y, width=width, height=below - y, rx=6, class_="well"), *made]
        return Part(nodes, max(below, top + height if image is not None else 0), Scale(0.0), notes)
    nodes += ground(image, x, y, width, height, sheet.ground)
    soft = coarse(e, grid)
    drawn = smooth(grid) if soft else grid
    colours = palette.rgba(drawn, scale.limit)
    nodes.append(panel(png.data_uri(colours), x, y, width, height, not soft, "values",
                       data_index=numbered(e) if e.values.dim() == 1 else None))
    if sheet.contours:
        nodes += contours(drawn, scale.limit, x, y, width, height)
        notes.append(sheet.say("contours"))
    bar, below = colour_bar(sheet, scale, x, y + height + 30, width, e,
                            "#fff" if image is not None else "var(--well)")
    nodes += bar
    if image is not None and not sheet.narrow:
        nodes += ranking(e, sheet, sheet.margin, y + height + 30, width)
    notes.append(scale_note(sheet, scale))
    if soft:
        notes.append(sheet.say("smooth", rows=grid.shape[0], columns=grid.shape[1]))
    if e.values.dim() == 3:
        notes.append(sheet.say("channels", n=e.values.shape[0]))
    if story.uncertain(e):
        notes.append(error_notes(e, sheet)[-1])
    if missing(e):
        notes.append(sheet.say("not finite", n=missing(e)))
    return Part(nodes, below, scale, notes)


def numbered(e: Explanation) -> str:
    """Which feature lies where, as a picture whose red, green and blue are the digits of its number; 0 for none."""
    at = e.features.index.cpu().numpy().astype(np.int64) + 1
    return png.data_uri(np.stack([at & 255, at >> 8 & 255, at >> 16 & 255], -1))


def above(name: str, size: str, x: float, y: float, width: float) -> list[Element]:
    """A panel's name, and its size where there is room for it."""
    nodes = [line(name, x, y, 12.5, "strong")]
    if em(name) * 14 + em(size) * 11.5 + 12 <= width:
        nodes.append(line(size, x + width, y, 11.5, "soft tab", text_anchor="end"))
    return nodes


LEVELS = (0.25, 0.5, 0.75)
"""Shares of the scale at which lines are drawn, to either side of zero."""


def contours(grid: Array, limit: float, x: float, y: float, width: float, height: float) -> list[Element]:
    """Lines around what lies beyond a level, along the edges of values: dashed where it is below zero."""
    nodes, (rows, columns) = list[Element](), grid.shape
    values = story.known(grid)
    for share in LEVELS:
        for side, kind in ((1, "contour"), (-1, "contour below")):
            inside = np.pad(values * side >= share * limit, 1)
            across, down = inside[1:] != inside[:-1], inside[:, 1:] != inside[:, :-1]
            d = [f"M{c - 1} {r}h1" for r, c in np.argwhere(across[:, 1:-1] != 0) + (0, 1)]
            d += [f"M{c} {r - 1}v1" for r, c in np.argwhere(down[1:-1] != 0) + (1, 0)]
            if d:
                nodes.append(el("path", d="".join(d), class_=kind, data_level=f"{side * share * limit:.4g}", transform=(
                    f"translate({x:.2f} {y:.2f}) scale({width / columns:.5f} {height / rows:.5f})")))
    return nodes


def ground(image: Array | None, x: float, y: float, width: float, height: float, kind: str = "grey"
           ) -> list[Element]:
    """What the colours lie on: the picture in grey or as it is, or a plain field."""
    nodes = [el("rect", x=x, y=y, width=width, height=height, class_="well" if image is None else None,
                fill=None if image is None else "#fff")]
    if image is not None:
        below = image if kind == "picture" else png.faint(image)
        nodes.append(panel(png.data_uri(png.fit(below, SHARP)), x, y, width, height,
                           max(image.shape[:2]) < 128))
    return nodes


def ranking(e: Explanation, sheet: Sheet, x: float, y: float, width: float) -> list[Element]:
    """The strongest parts of the picture in words, below the input."""
    nodes = [line(sheet.say("ninths"), x, y - 8, 11.5, "soft")]
    for i, part in enumerate(story.strongest(e, 3, sheet.lang)):
        at = y + 12 + i * 18
        nodes.append(line(part.name, x, at, 12.5))
        figure = number(part.value) if story.unsigned(e) else signed(part.value)
        nodes.append(line(figure, x + width, at, 12.5, "tab " + ("pos" if part.value > 0 else "neg"),
                          text_anchor="end"))
    return nodes


SHADES = {1: " ░▒▓█", -1: " .-=#"}


def text(e: Explanation, width: int, lang: str) -> list[str]:
    """A coarse map in characters, and the strongest parts in words."""
    grid = story.painted(e)
    assert grid is not None
    key = constant(grid)
    if key:
        flat = e.numpy().ravel()
        means = {"all zero": "zero means", "all same": "same means"}.get(key)
        said = [say(lang, key, n=flat.size, value=signed(float(flat[0]))), *([say(lang, means)] if means else [])]
        return [t for s in said for t in wrap(s, width, columns)]
    across = max(8, min(32, width - 4))
    down = max(2, min(32, round(across / 2 * grid.shape[0] / max(grid.shape[1], 1))))
    rows = torch.from_numpy(np.stack([story.known(grid), np.isfinite(grid).astype(float)]))[None]
    # pooled where the map is finer than the characters, repeated where it is coarser; of known values alone
    sums, share = F.adaptive_avg_pool2d(rows, (down, across))[0].numpy()
    pooled = np.divide(sums, share, where=share > 0, out=np.zeros(sums.shape))
    limit = float(np.abs(pooled).max()) or 1.0
    drawn = ["".join(SHADES[1 if v > 0 else -1][min(4, int(np.ceil(abs(v) / limit * 4 - 0.5)))] for v in row)
             for row in pooled]
    above, below = ("raises", "lowers") if story.means(e) == "effect" else ("stronger", "weaker")
    legend = f"+ ░▒▓█ {say(lang, above)}   − .-=# {say(lang, below)}   █ = ±{number(limit)}"
    if story.unsigned(e):
        legend = f"░▒▓█ {say(lang, 'reacts' if story.means(e) == 'reaction' else 'stronger')}   █ = {number(limit)}"
    frame = ["┌" + "─" * across + "┐", *("│" + r + "│" for r in drawn), "└" + "─" * across + "┘"]
    told = number if story.unsigned(e) else signed
    parts = [f"{told(p.value):>9}  {p.name}" for p in story.strongest(e, 4, lang)]
    blank = wrap(say(lang, "not finite", n=missing(e)), width, columns) if missing(e) else []
    return [*frame, *wrap(legend, width, columns), *blank, "", say(lang, "ninths"), *parts]
