"""Where the heads of attention looked, and beside it what of that spoke for the score."""

from __future__ import annotations

import json

import numpy as np

from pellucid.views import palette, png, story, tokens
from pellucid.views.frame import Sheet, compact, line, lines
from pellucid.views.grid import Tile, averaged, tiles
from pellucid.views.heat import Array, panel
from pellucid.views.scale import scale_of
from pellucid.views.svg import Element, el
from pellucid.views.words import method_name, say
from pellucid.views.writing import clip, columns, em, minus, number, visible, wrap
from pellucid.words.explanation import Explanation, Finding
from pellucid.words.look import Look


def section(look: Look, sheet: Sheet, y: float, example: int) -> tuple[list[Element], float]:
    """Heads by layer: where each query (down) looked (across), what that is not, and what stands beside it."""
    x = sheet.margin
    nodes = [el("path", d=f"M{x:.1f} {y:.1f}h{sheet.inner:.1f}", class_="rule"),
             line(sheet.say("attention"), x, y + 24, 16, "strong")]
    made, y = lines(sheet.say("attention alone"), x, y + 44, 12.5, sheet.inner)
    nodes += made
    names = token_names(look) if example == 0 else []
    if names:
        nodes.append(el("g", data_names=json.dumps(names, ensure_ascii=False)))
    if example == 0:
        made, y = lines(sheet.say("under each head", unit=_unit(look, sheet.lang)), x, y, 12, sheet.inner, "soft")
        nodes += made
    if example == 0 and (look.beside or look.without):
        made, y = _beside(look, sheet, y + 8)
        nodes += made
        made, y = _by_name(look, names, sheet, y)
        nodes += made
    for k, (name, value) in enumerate(look.attentions[example].items()):
        made, y = _layer(look, name, value.double().numpy(), sheet, y + (14 if k else 0), example)
        nodes += made
    return nodes, y


def _layer(look: Look, name: str, found: Array, sheet: Sheet, y: float, example: int) -> tuple[list[Element], float]:
    """One layer's heads, over the picture where a class token looked over one, and as matrices."""
    x, heads = sheet.margin, found if found.ndim == 3 else found.mean(0)
    agreed = look.agreed.get(name) if example == 0 else None
    told = sheet.say("agrees", r=minus(f"{agreed:+.2f}")) if agreed is not None else ""
    nodes, below = lines(visible(name, 80), x, y + 12, 13, sheet.inner, "strong")
    if em(visible(name, 80)) * 14 + em(told) * 11.5 + 12 <= sheet.inner:
        nodes.append(line(told, x + sheet.inner, y + 12, 11.5, "soft tab", text_anchor="end"))
    else:
        made, below = lines(told, x, below - 2, 11.5, sheet.inner, "soft tab")
        nodes += made
    y = below - 10.85
    over = look.over_picture(look.attentions[example][name])
    if over is not None:
        laid = over.double().numpy()
        some = [Tile(laid.mean(0), sheet.say("mean of heads")),
                *(Tile(h, sheet.say("head", n=k + 1)) for k, h in enumerate(laid))]
        made, y = lines(sheet.say("class token"), x, y + 8, 11.5, sheet.inner, "soft")
        nodes += made
        made, y = tiles(some[: sheet.top + 1], _full(laid, 100), x, y - 8.675, sheet.inner, least=84.0,
                        group=f"{visible(name, 80)} · {sheet.say('class token short')}")
        nodes += [*made, line(sheet.say("matrices"), x, y + 10, 11.5, "soft")]
        y += 18
    some = [Tile(heads.mean(0), sheet.say("mean of heads"))]
    if example == 0:
        told = [sheet.say("bits and reach", n=number(b, 2), d=number(d, 2))
                for b, d in zip(look.entropy(name).tolist(), look.distance(name).tolist(), strict=True)]
        some += [Tile(h, sheet.say("head", n=k + 1), told[k]) for k, h in enumerate(heads)]
    else:
        some += [Tile(h, sheet.say("head", n=k + 1)) for k, h in enumerate(heads)]
    made, y = tiles(some[: sheet.top + 1], _full(heads), x, y, sheet.inner, least=96.0,
                    group=visible(name, 80), named=example == 0 and heads.shape[1:] == 2 * (len(token_names(look)),))
    note, y = averaged(heads[0], sheet, x, y)
    return [*nodes, *made, *note], y


def _full(values: Array, share: float = 99.5) -> float:
    """What full colour stands for: the value below which that share, in percent, of the known ones lie."""
    known = values[np.isfinite(values)]
    return (float(np.percentile(known, share)) if known.size else 0.0) or 1.0


NAMED = 48
"""Tokens up to which a matrix has room for their names."""


def token_names(look: Look) -> list[str]:
    """The first input's tokens as attention counts them; one that is no feature, such as that in front of a text, is a
    dot. None where it is not known how they are called."""
    e = next(iter(look.beside.values()), None)
    if e is None or e.features.kind != "tokens":
        return []
    return [visible(e.names[k].strip(), 40) or "␣" if k >= 0 else "·" for k in e.features.index.flatten().tolist()]


def _by_name(look: Look, whole: list[str], sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """The last layer's mean over heads with a name at each row and column, where there are few enough tokens."""
    name, value = list(look.attention.items())[-1]
    mean = value.double().numpy().mean(0) if value.dim() == 3 else None
    if mean is None or mean.shape != (len(whole),) * 2 or not 1 < len(whole) <= NAMED:
        return [], y
    names = [clip(t, 5.5) for t in whole]
    left = max(em(t) for t in names) * 11 + 8
    cell = min((sheet.inner - left) / len(names), 15.0)
    told = sheet.say("token by token", layer=visible(name, 80))
    nodes, y = lines(told, sheet.margin, y + 12, 12, sheet.inner, "strong")
    x, top, wide = sheet.margin + left, y + left + 2, cell * len(names)
    size = min(11.0, cell * 0.92)
    for k, t in enumerate(names):
        at = x + (k + 0.5) * cell
        nodes.append(line(t, x - 5, top + (k + 0.5) * cell + size * 0.36, size, "soft", text_anchor="end"))
        turned = f"translate({at + size * 0.36:.1f} {top - 5:.1f}) rotate(-90)"
        nodes.append(line(t, at, top - 5, size, "soft", text_anchor="middle") if len(t) == 1
                     else line(t, 0.0, 0.0, size, "soft", transform=turned))
    nodes.append(el("rect", x=x, y=top, width=wide, height=wide, class_="well"))
    drawn = png.numbered(*palette.coarse(mean, _full(mean)))
    return [*nodes, el("g", panel(drawn, x, top, wide, wide, True, "mean of heads"), data_across=len(names),
                       data_matrix=compact(mean.ravel().tolist()))], top + wide + 22


def _beside(look: Look, sheet: Sheet, y: float) -> tuple[list[Element], float]:
    """The first input by what follows attention: maps side by side over a picture, else the tokens once for each."""
    x = sheet.margin
    nodes, y = lines(sheet.say("beside attention"), x, y + 12, 13, sheet.inner, "strong")
    made, y = lines(sheet.say("beside attention read"), x, y - 0.85, 12, sheet.inner, "soft")
    nodes += made
    painted = {name: grid for name, e in look.beside.items() if (grid := story.painted(e)) is not None}
    if painted:
        some = [Tile(grid, method_name(name, sheet.lang), limit=float(np.abs(story.known(grid)).max()) or 1.0)
                for name, grid in painted.items()]
        made, y = tiles(some, 1.0, x, y + 2, sheet.inner, least=110.0, group=sheet.say("beside attention"))
        nodes += made
    for name, e in look.beside.items():
        if name not in painted:
            values = e.values.detach().cpu().double().flatten().numpy()
            made, y = lines(_named(name, e, sheet.lang), x, y + 12, 12, sheet.inner, "strong")
            nodes += made
            made, y = tokens.strip(e, sheet, y - 9.4, values, scale_of(values))
            nodes += made
    for name, finding in look.without.items():
        made, y = lines(_missing(name, finding, sheet.lang), x, y + 10, 11.5, sheet.inner, "soft")
        nodes += made
    return nodes, y + 10


def _unit(look: Look, lang: str) -> str:
    """What it is counted in how far heads look."""
    return say(lang, "in patches" if look.grid is not None and len(look.grid) == 2 else "in tokens")


def _named(name: str, e: Explanation, lang: str) -> str:
    """A method, and that it does not know the score where it does not."""
    told = say(lang, "knows no score") if story.means(e) == "strength" else ""
    return method_name(name, lang) + (say(lang, "joint") + told if told else "")


def _missing(name: str, finding: Finding, lang: str) -> str:
    """Why a method does not stand beside attention."""
    return method_name(name, lang) + say(lang, "colon") + visible(finding.reason, 300)


def text(look: Look, lang: str, width: int) -> list[str]:
    """For a terminal: each layer's heads in figures, and the strongest tokens of what stands beside them."""
    out = list[str]()
    for name in look.attention:
        agreed = look.agreed.get(name)
        bits, reach = (", ".join(number(v, 2) for v in f(name).tolist()) for f in (look.entropy, look.distance))
        told = [say(lang, "bits", list=bits), say(lang, "reach", list=reach, unit=_unit(look, lang)),
                *([say(lang, "agrees", r=minus(f"{agreed:+.2f}"))] if agreed is not None else [])]
        out += wrap(visible(name, 80) + say(lang, "colon") + say(lang, "semicolon").join(told), width, columns)
    for name, e in look.beside.items():
        strongest = story.listed(story.strongest(e, 5, lang), lang, story.unsigned(e))
        out += wrap(_named(name, e, lang) + say(lang, "colon") + strongest, width, columns)
    for name, finding in look.without.items():
        out += wrap(_missing(name, finding, lang), width, columns)
    return out
