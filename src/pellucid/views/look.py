"""What a network saw: its layers' strongest maps and figures, and where each head of its attention looked."""

from __future__ import annotations

import hashlib

from pellucid.views import attention
from pellucid.views.findings import found
from pellucid.views.findings import text as findings_text
from pellucid.views.frame import THEMES, Sheet, line, lines, sheet_style
from pellucid.views.grid import Tile, averaged, scale_bar, strip, tiles
from pellucid.views.heat import Array, panel, picture_of
from pellucid.views.png import data_uri, fit
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import say
from pellucid.views.writing import clip, columns, number, pad, visible, wrap
from pellucid.words.errors import OptionError
from pellucid.words.look import Look, Seen

TOLD = ("mean", "spread", "sparsity", "dead", "not_finite", "saturated", "rank", "fine")
"""Figures of a layer that are shown, where it has them."""

SHARES = {"sparsity", "dead", "saturated", "fine", "not_finite"}


def draw(look: Look, *, lang: str = "en", width: float = 720, top: int = 12, example: int = 0, theme: str = "auto",
         id: str = "") -> Markup:
    """One SVG: a row of maps for each layer, the strongest `top` channels of input number `example`, and heads.

    `width`, `theme` and `id` are as in `Explanation.svg`. Raises `option.value` for an input that was not kept.
    """
    if not 320 <= width <= 2000 or top < 1 or theme not in THEMES:
        raise OptionError("option.value", f"width={width}, top={top}, theme={theme!r}",
                          "320 to 2000 pixels, 1 or more channels, 'auto', 'light', 'dark' or 'print'",
                          "leave them out")
    if not 0 <= example < max(len(look.shown), 1):
        raise OptionError("option.value", f"example={example}", f"0 to {max(len(look.shown) - 1, 0)}: whole values are "
                          "kept of the first inputs", "look again with a larger keep=")
    prefix = id or "k" + hashlib.sha256(repr((look, lang, width, example)).encode()).hexdigest()[:10]
    sheet = Sheet(float(width), lang, prefix, top)
    nodes, y = _head(look, sheet, example)
    if look.findings:
        made, y = found(look.findings, sheet, y + 12)
        nodes += made
    for k, seen in enumerate(look.values()):
        made, y = _layer(seen, sheet, y + 14, example, f"{prefix}-{k}")
        nodes += made
    if look.attentions:
        made, y = attention.section(look, sheet, y + 14, example)
        nodes += made
    height = round(y + sheet.margin)
    title, told = say(lang, "looked", model=look.model), " ".join(_spoken(look, lang))
    return el(
        "svg", el("title", title, id=f"{prefix}-t"), el("desc", told, id=f"{prefix}-d"), sheet_style(prefix, theme),
        el("rect", x=0.5, y=0.5, width=sheet.width - 1, height=height - 1, rx=12, class_="ground"), *nodes,
        xmlns="http://www.w3.org/2000/svg", id=prefix, role="img", lang=lang,
        aria_labelledby=f"{prefix}-t {prefix}-d", width=sheet.width, height=height,
        viewBox=f"0 0 {sheet.width:g} {height}", data_kind="look", data_inputs=look.inputs).markup()


def _head(look: Look, sheet: Sheet, example: int) -> tuple[list[Element], float]:
    """The question, and the input where it is a picture or a text."""
    x, y = sheet.margin, sheet.margin + 22
    nodes, y = lines(sheet.say("looked", model=look.model), x, y, 22, sheet.inner, "strong", 1.25, most=2)
    nodes.append(line(_inputs(look, sheet.lang), x, y - 2, 13, "soft"))
    y += 14
    shown = look.shown[example] if look.shown else None
    image = picture_of(shown)
    if image is not None:
        tall = 96.0 * min(max(image.shape[0] / image.shape[1], 0.3), 1.6)
        nodes.append(panel(data_uri(fit(image, 200)), x, y, 96.0, tall, max(image.shape[:2]) < 96))
        y += tall + 10
    elif shown is not None and shown.text:
        made, y = lines(visible(shown.text, 400), x, y + 10, 13, sheet.inner, "", most=3)
        nodes += made
    return nodes, y


def _layer(seen: Seen, sheet: Sheet, y: float, example: int, prefix: str) -> tuple[list[Element], float]:
    """A layer's name, its figures, and its strongest channels as maps."""
    x = sheet.margin
    nodes = [el("path", d=f"M{x:.1f} {y:.1f}h{sheet.inner:.1f}", class_="rule"),
             line(visible(seen.name, 80), x, y + 22, 14, "strong"),
             line(" × ".join(map(str, seen.shape)), x + sheet.inner, y + 22, 12, "soft tab", text_anchor="end")]
    made, y = lines(figures(seen, sheet.lang), x, y + 40, 12, sheet.inner, "soft")
    nodes += made
    if example >= len(seen.values):
        return nodes, y
    limit = max(abs(seen.scale[0]), abs(seen.scale[1])) or 1.0
    some = [Tile(_flat(m.double().numpy()), f"#{c}") for c, m in zip(
        seen.order[: sheet.top], seen.maps(example, sheet.top), strict=True)]
    if seen.kind == "units" or some[0].values.shape[0] * some[0].values.shape[1] == 1:
        row = seen.values[example].double().flatten().numpy()[:256]
        made, y = strip(row, limit, x, y + 2, sheet.inner, sheet.say("units", n=len(row)), group=visible(seen.name, 80))
    else:
        made, y = tiles(some, limit, x, y + 2, sheet.inner, group=visible(seen.name, 80))
    nodes += [*made, *scale_bar(limit, x, y - 4, 150, prefix, least=0.0 if seen.scale[0] >= 0 else None)]
    noted, y = averaged(some[0].values, sheet, x, y + 24)
    return [*nodes, *noted], y


def _inputs(look: Look, lang: str) -> str:
    return say(lang, "looked at one" if look.inputs == 1 else "looked at", n=look.inputs)


def _flat(values: Array) -> Array:
    """A map as rows and columns; of tokens in a line one row."""
    return values if values.ndim == 2 else values.reshape(1, -1)


def figures(seen: Seen, lang: str) -> str:
    """A layer's figures in a line."""
    told = [say(lang, f"layer {k}", value=f"{v:.0%}" if k in SHARES else number(v))
            for k in TOLD if (v := seen.profile.get(k)) is not None and not (k in ("dead", "saturated") and not v)]
    return say(lang, "joint").join(told)


def _spoken(look: Look, lang: str) -> list[str]:
    said = [told for f in look.findings for told in f.told(lang) if told]
    said += [f"{s.name}{say(lang, 'colon')}{figures(s, lang)}{say(lang, 'stop').strip()}" for s in look.values()]
    return [*said, *([say(lang, "attention alone")] if look.attentions else [])]


def text(look: Look, *, lang: str = "en", width: int = 80) -> str:
    """The same for a terminal: a table of figures, and of each head where it looked."""
    out = [*wrap(say(lang, "looked", model=look.model) + say(lang, "joint") + _inputs(look, lang), width, columns)]
    out += findings_text(look.findings, lang, width) if look.findings else []
    rows = [_row(s) for s in look.values()]
    if rows:
        heads = [say(lang, "layer"), say(lang, "shape"), *(say(lang, f"short {k}") for k in TOLD)]
        out += ["", *table([heads, *rows], width, lang)]
    if look.attentions:
        out += ["", *wrap(say(lang, "attention alone"), width, columns)]
        out += attention.text(look, lang, width)
    for number_, finding in look.failed.items():
        out += wrap(f"{say(lang, 'input')} {number_ + 1}: {finding.code}: {finding.told(lang)[0]}", width, columns)
    return "\n".join(out) + "\n"


def _row(seen: Seen) -> list[str]:
    told = {k: seen.profile.get(k) for k in TOLD}
    return [visible(seen.name, 60), " × ".join(map(str, seen.shape)),
            *("" if v is None else f"{v:.0%}" if k in SHARES else number(v) for k, v in told.items())]


def table(rows: list[list[str]], width: int, lang: str, left: int = 2) -> list[str]:
    """Rows in columns as wide as what is in them, all behind the first `left` to the right; empty ones are left out.

    Where there is no room, the names in the first column are cut as far as they stay apart, and a line below says
    which columns are missing.
    """
    full = [k for k in range(len(rows[0])) if not k or any(r[k] for r in rows[1:])]
    wide = {k: max(columns(r[k]) for r in rows) for k in full}
    rest = [sum(wide[k] + 2 for k in full[1:n]) for n in range(1, len(full) + 1)]
    names = {r[0] for r in rows}
    least = min(wide[0], width // 3)
    while least < min(wide[0], width) and len({shorter(n, least) for n in names}) < len(names):
        least += 1
    shown = max(1, sum(least + r <= width for r in rest))
    wide[0] = min(wide[0], width - rest[shown - 1])
    out = ["  ".join(pad(shorter(r[k], wide[k]), wide[k], right=k >= left) for k in full[:shown]).rstrip()
           for r in rows]
    missing = [rows[0][k] for k in full[shown:]]
    if missing:
        key = "in a wider window one" if len(missing) == 1 else "in a wider window"
        out += wrap(say(lang, key, n=len(missing), list=say(lang, "comma").join(missing)), width, columns)
    return out


def shorter(name: str, limit: int) -> str:
    """A name that is too wide without its middle: what tells names apart is mostly at an end."""
    if columns(name) <= limit:
        return name
    head, tail = clip(name, (limit + 1) // 2, columns), ""
    for char in reversed(name):
        if columns(head + char + tail) > limit:
            break
        tail = char + tail
    return head + tail
