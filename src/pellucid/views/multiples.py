"""Explanations in rows and columns: small maps, words or bars, coloured on the scale that comparable ones share."""

from __future__ import annotations

import hashlib

import numpy as np

from pellucid.languages.names import METHODS
from pellucid.views import palette, png, story, tokens
from pellucid.views.evaluation import sealed, sheet_of
from pellucid.views.frame import SHAPES, Sheet, line, lines
from pellucid.views.grid import scale_bar
from pellucid.views.heat import coarse, panel, picture, smooth
from pellucid.views.scale import Scale, scale_of
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import method_name, say
from pellucid.views.writing import clip, columns, em, pad, signed, visible, wrap
from pellucid.words.errors import PellucidError
from pellucid.words.explanation import Explanation
from pellucid.words.multiples import Cell, Multiples

GAP, HEAD = 14.0, 34.0
SMALL = 0.7
"""Words are set so much smaller than in a drawing of their own."""
BARS = 5
"""The largest values that a cell of a table shows."""


def draw(many: Multiples, *, lang: str = "en", width: float = 720, top: int = 12, theme: str = "auto", id: str = ""
         ) -> Markup:
    """One SVG: a cell for each explanation; `top` rows are shown. Other options as for `Explanation.svg`."""
    seen = hashlib.sha256("\0".join(f"{e.method}{e.target}{e.score}" for e in many).encode("utf-8", "replace"))
    sheet = sheet_of(many, lang, width, theme, id or f"m{seen.hexdigest()[:8]}{lang}{width:.0f}")
    title = _question(many, lang)
    nodes, y = lines(title, sheet.margin, sheet.margin + 20, 22, sheet.inner, "strong", 1.25, most=3)
    if many.model:
        nodes.append(line(visible(many.model, 80), sheet.margin, y - 3, 13, "soft"))
        y += 18
    scales, rows = _scales(many), many.cells[:top]
    label = min(max(em(_row_name(many, k)) for k in range(len(rows))) * 12 + 12, sheet.inner * 0.16)
    wide = (sheet.inner - label - GAP * (len(many.columns) - 1)) / max(len(many.columns), 1)
    places = [sheet.margin + label + k * (wide + GAP) for k in range(len(many.columns))]
    for x, name in zip(places, many.columns, strict=True):
        nodes.append(line(clip(_column_name(name, lang), wide / 13), x, y + 12, 12.5, "strong"))
    y += 24
    for k, row in enumerate(rows):
        nodes.append(line(clip(_row_name(many, k), label / 12), sheet.margin, y + 16, 12, "soft tab"))
        tall = 0.0
        for x, name, cell in zip(places, many.columns, row, strict=True):
            made, down = _cell(cell, scales, sheet, x, y, wide)
            nodes.append(el("g", *made, **_tile(cell, scales, f"{_row_name(many, k)} · ", name, lang)))
            tall = max(tall, down - y)
        y += tall + 16
    if len(many.cells) > top:
        nodes.append(line(sheet.say("more rows left", n=len(many.cells) - top), sheet.margin, y + 8, 12, "soft"))
        y += 24
    if len(scales) == 1:
        (limit,) = {s.limit for s in scales.values()}
        low = 0.0 if all(story.unsigned(e) for e in many) else None
        nodes += scale_bar(limit, sheet.margin, y + 4, 180, f"{sheet.id}-c", least=low)
        y += 34
    made, y = lines(sheet.say("one scale" if len(scales) == 1 else "scale by method"), sheet.margin, y + 12, 11.5,
                    sheet.inner, "soft")
    return sealed(sheet, [*nodes, *made], y, title, _spoken(many, lang), theme, many, data_kind="multiples")


def _question(many: Multiples, lang: str) -> str:
    targets = list(dict.fromkeys(e.target for e in many))
    return say(lang, "why", target=targets[0]) if len(targets) == 1 else say(lang, "why each", n=len(many))


def _unit(e: Explanation) -> tuple[str, str]:
    """Values of one method at one site are in one unit."""
    return e.method, str(e.recipe.get("layer") or "")


def _scales(many: Multiples) -> dict[tuple[str, str], Scale]:
    """By method and site the scale that holds all its cells; one for all where there is one method."""
    by: dict[tuple[str, str], list[np.ndarray]] = {}
    for e in many:
        grid = story.painted(e)
        by.setdefault(_unit(e), []).append((grid if grid is not None else e.numpy().astype(float)).ravel())
    return {k: scale_of(np.concatenate(v)) for k, v in by.items()}


def _tile(cell: Cell, scales: dict[tuple[str, str], Scale], row: str, column: str, lang: str) -> dict[str, str]:
    """What a script that lays a cell over another needs: its name, and which scale its colours have."""
    if not isinstance(cell, Explanation) or story.painted(cell) is None:
        return {}
    return {"data_tile": row + _column_name(column or cell.method, lang),
            "data_scale": str(list(scales).index(_unit(cell))), "data_limit": f"{scales[_unit(cell)].limit:.6g}"}


def _column_name(name: str, lang: str) -> str:
    return method_name(name, lang) if name in METHODS else visible(name, 120)


def _row_name(many: Multiples, k: int) -> str:
    return visible(many.rows[k], 120)


def _cell(cell: Cell, scales: dict[tuple[str, str], Scale], sheet: Sheet, x: float, y: float, wide: float
          ) -> tuple[list[Element], float]:
    """One explanation, small, with its score and, where its checks did not pass, the verdict's sign."""
    if cell is None:
        return [], y
    if isinstance(cell, PellucidError):
        nodes, down = lines(visible(cell.told(sheet.lang)[0], 200), x, y + 14, 11.5, wide, "soft", most=5)
        return nodes, down
    scale = scales[_unit(cell)]
    if story.painted(cell) is not None:
        nodes, y = _map(cell, scale, x, y, wide)
    elif cell.features.kind == "tokens":
        nodes, y = _words(cell, scale, sheet, x, y, wide)
    else:
        nodes, y = _bars(cell, scale, sheet.lang, x, y, wide)
    status, left = cell.verdict.status, x
    if status != "pass":
        nodes.append(el("g", el("title", say(sheet.lang, status)), el(
            "path", d=SHAPES[status], transform=f"translate({x:g} {y + 5:g}) scale(.72)", class_=f"icon {status}")))
        left += 18
    told = f"{visible(cell.target, 60)} {signed(cell.score)}"
    return [*nodes, line(clip(told, (wide - (left - x)) / 11.5), left, y + 16, 11.5, "soft tab")], y + 22


def _map(e: Explanation, scale: Scale, x: float, y: float, wide: float) -> tuple[list[Element], float]:
    grid, image = story.painted(e), picture(e)
    assert grid is not None
    aspect = image.shape[0] / image.shape[1] if image is not None else grid.shape[0] / grid.shape[1]
    across = min(wide, 260.0)
    tall = across * min(max(aspect, 0.1), 1.6)
    nodes = [el("rect", x=x, y=y, width=across, height=tall, class_="well" if image is None else None,
                fill=None if image is None else "#fff")]
    if image is not None:
        ground = png.data_uri(png.fit(png.faint(image), 300))
        nodes.append(panel(ground, x, y, across, tall, max(image.shape[:2]) < 128))
    soft = coarse(e, grid)
    drawn = smooth(grid) if soft else grid
    nodes.append(panel(png.numbered(*palette.coarse(drawn, scale.limit)), x, y, across, tall, not soft, "map"))
    return nodes, y + tall


def _words(e: Explanation, scale: Scale, sheet: Sheet, x: float, y: float, wide: float) -> tuple[list[Element], float]:
    """The words of a text in a column of their own, smaller."""
    inside = Sheet(wide / SMALL + 2 * sheet.margin, sheet.lang, sheet.id, sheet.top)
    values = e.values.detach().cpu().double().flatten().numpy()
    made, down = tokens.strip(e, inside, 0.0, values, scale)
    moved = f"translate({x - inside.margin * SMALL:.1f} {y:.1f}) scale({SMALL})"
    return [el("g", *made, transform=moved)], y + down * SMALL


def _bars(e: Explanation, scale: Scale, lang: str, x: float, y: float, wide: float) -> tuple[list[Element], float]:
    """The largest values: a name, and a bar below it from the middle to its side."""
    nodes, half = list[Element](), wide / 2
    for k, item in enumerate(story.items(e, lang)[:BARS]):
        at = y + k * HEAD
        told = signed(item.value)
        nodes.append(line(clip(visible(item.name.strip(), 200), wide / 11.5 - em(told) - 0.6), x, at + 11, 11))
        nodes.append(line(told, x + wide, at + 11, 11, "tab", text_anchor="end"))
        size = half * min(abs(item.value) / (scale.limit or 1), 1.0) if np.isfinite(item.value) else 0.0
        nodes.append(el("rect", x=x, y=at + 16, width=wide, height=8, rx=2, class_="well"))
        nodes.append(el("rect", x=x + half if item.value > 0 else x + half - size, y=at + 16, width=max(size, 0.5),
                        height=8, rx=2, class_="pos" if item.value > 0 else "neg", data_value=f"{item.value:.4g}"))
    return nodes, y + BARS * HEAD


def _spoken(many: Multiples, lang: str) -> list[str]:
    return [story.sentence(e, lang) for e in list(many)[:40]]


def text(many: Multiples, *, lang: str = "en", width: int = 80) -> str:
    """A line for each explanation: its row, its column, its sign and what moved the score most."""
    signs, out = {"pass": "✓", "warn": "!", "fail": "✗"}, [*wrap(_question(many, lang), width, columns), ""]
    label = min(max(columns(_row_name(many, k)) for k in range(len(many.cells))), max(width // 4, 8))
    gap = " " * (label + 2)
    for k, row in enumerate(many.cells):
        for name, cell in zip(many.columns, row, strict=True):
            if cell is None:
                continue
            if isinstance(cell, PellucidError):
                told = f"✗ {visible(cell.told(lang)[0], 200)}"
            else:
                found = story.strongest(cell, 3, lang)
                told = f"{signs[cell.verdict.status]} {visible(cell.target, 60)} {signed(cell.score)}: " + str(
                    story.listed(found, lang, story.unsigned(cell)))
            first, *more = wrap(f"{_column_name(name, lang)}  {told}", width - len(gap), columns)
            row_name = pad(clip(_row_name(many, k), label, columns), label)
            out += [f"{row_name}  {first}", *(gap + m for m in more)]
    return "\n".join(out) + "\n"
