"""A comparison drawn: the explanations side by side on one scale, how far they agree, and what each is worth."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from torch import Tensor

from pellucid.numbers.agreement import unit
from pellucid.views import palette, png
from pellucid.views.compared import MARKED, MEASURES, cells, facts, feature_names, label, sides, sums_of, text, title
from pellucid.views.evaluation import missing, sealed, sheet_of
from pellucid.views.frame import SHAPES, Sheet, band, compact, line, lines
from pellucid.views.grid import scale_bar
from pellucid.views.heat import panel, picture_of
from pellucid.views.matrix import labelled, percent, two
from pellucid.views.palette import Array
from pellucid.views.svg import Element, Markup, el
from pellucid.views.words import say
from pellucid.views.writing import clip, em, signed
from pellucid.words.comparison import Comparison
from pellucid.words.explanation import Finding

__all__ = ["draw", "text"]


def draw(compared: Comparison, *, lang: str = "en", width: float = 720, top: int = 12, theme: str = "auto",
         id: str = "") -> Markup:
    """One SVG: verdict, small multiples, consensus, contradictions, agreement, and a table of worth and cost.

    `top` is how many words or columns are shown; `width`, `theme` and `id` are as in `Explanation.svg`.
    """
    c = compared
    seen = hashlib.sha256(b"".join(np.ascontiguousarray(v.numpy()).tobytes() for v in c.laid.values())).hexdigest()
    sheet = sheet_of(c, lang, width, theme, id or f"r{seen[:8]}{lang}{width:.0f}")
    nodes, y = band(c, sheet)
    y += 38
    asked = title(c, lang)
    made, y = lines(asked, sheet.margin, y, 22, sheet.inner, "strong", 1.25, most=3)
    nodes += made
    made, y = lines(facts(c, lang), sheet.margin, y - 3, 13, sheet.inner, "soft tab", most=2)
    nodes += made
    y += 10
    notes = list[str]()
    for part in (_pictures if _grid(c, next(iter(c.laid.values()))) is not None else _table, _contradictions,
                 _agreement, _worth):
        made, y = part(c, sheet, y, top, notes)
        nodes += made
    made, y = missing({n: Finding(e.code, "warn", e.found, e.do) for n, e in c.errors.items()}, sheet, y, "left out")
    nodes += made
    for note in notes:
        made, y = lines(note, sheet.margin, y, 11.5, sheet.inner, "soft")
        nodes += made
        y += 3
    data = {what: [[None if v != v else round(v, 4) for v in row] for row in m.tolist()]
            for what, m in c.agreement.items()}
    return sealed(sheet, nodes, y, asked, _spoken(c, lang), theme, c, data_kind="comparison", data_target=c.target,
                  data_names=json.dumps(list(c), ensure_ascii=False), data_agreement=json.dumps(data),
                  data_consensus=None if c.consensus is None else compact(c.consensus.tolist()),
                  data_average=None if c.average is None else compact(c.average.tolist()))


def _section(sheet: Sheet, key: str, y: float, **data: object) -> Element:
    return line(sheet.say(key, **data), sheet.margin, y + 14, 15, "strong")


def _grid(c: Comparison, values: Tensor) -> Array | None:
    """Values over the positions of a picture, None where the layout is not laid over one."""
    layout = c.layout
    if layout.kind != "image" or layout.index.dim() != 2:
        return None
    return np.append(values.double().numpy(), 0.0)[layout.index.numpy()]


def _pictures(c: Comparison, sheet: Sheet, y: float, top: int, notes: list[str]) -> tuple[list[Element], float]:
    """The picture, each explanation over it, and what they say together; contradictions are outlined."""
    image = picture_of(c.first.shown)
    shown = {name: unit(v) for name, v in c.laid.items()}
    sums = sums_of(c)
    limit = max(float(v.abs().max()) for v in [*shown.values(), *(v for key, v, _ in sums if key != "prominent")])
    tiles: list[tuple[str, Tensor | None, str]] = [] if image is None else [(sheet.say("input"), None, "")]
    tiles += [(label(c, n, sheet.lang), v, c[n].verdict.status) for n, v in shown.items()]
    tiles += [(sheet.say(key), v, "") for key, v, _ in sums]
    nodes = [_section(sheet, "side by side", y)]
    y += 30
    gap, across = 16.0, 2 if sheet.narrow else min(4, max(3, len(tiles)))
    size = (sheet.inner - gap * (across - 1)) / across
    aspect = min(max(c.layout.index.shape[0] / c.layout.index.shape[1], 0.2), 2.0)
    for start in range(0, len(tiles), across):
        for k, (name, values, status) in enumerate(tiles[start : start + across]):
            nodes.append(_tile(c, name, values, status, image, limit if name != sheet.say("prominent") else 1.0,
                               sheet.margin + k * (size + gap), y, size, size * aspect))
        y += size * aspect + 34
    nodes += scale_bar(limit, sheet.margin, y - 4, 160, f"{sheet.id}-s")
    nodes.append(line(f"← {sheet.say('lower')} · {sheet.say('raise')} →", sheet.margin + 176, y + 4, 11.5, "soft"))
    notes.append(sheet.say("shared scale"))
    notes += _read(c, sheet)
    if c.contradictions:
        notes.append(sheet.say("boxed"))
    return nodes, y + 36


def _read(c: Comparison, sheet: Sheet) -> list[str]:
    if c.average is not None:
        return [sheet.say("average read")]
    effects = sum(e.means == "effect" for e in c.explanations.values())
    return [sheet.say("consensus read", n=effects)] if effects > 1 else []


def _tile(c: Comparison, name: str, values: Tensor | None, status: str, image: Array | None, limit: float, x: float,
          y: float, wide: float, tall: float) -> Element:
    """One small picture with its name and, where its checks did not pass, the verdict's sign."""
    group = el("g", el("title", name), data_tile=name)
    sharp = image is not None and max(image.shape[:2]) < 128
    if image is not None:
        ground = png.fit(image if values is None else png.faint(image), 400)
        group.add(panel(png.data_uri(ground), x, y, wide, tall, sharp))
    else:
        group.add(el("rect", x=x, y=y, width=wide, height=tall, class_="well"))
    if values is not None:
        grid = _grid(c, values)
        assert grid is not None
        group.add(panel(png.data_uri(palette.rgba(grid, limit)), x, y, wide, tall, True, name))
        group.add(*_boxes(c, x, y, wide, tall))
    left = x
    if status and status != "pass":
        group.add(el("path", d=SHAPES[status], transform=f"translate({x:g} {y + tall + 6:g}) scale(.72)",
                     class_=f"icon {status}"))
        left += 18
    return group.add(line(clip(name, (wide - (left - x)) / 13), left, y + tall + 18, 12.5))


def _boxes(c: Comparison, x: float, y: float, wide: float, tall: float) -> list[Element]:
    """A frame round every feature about which there are contradictions of some size."""
    index, made = c.layout.index.numpy(), list[Element]()
    rows, across = index.shape
    for found in c.contradictions[:40]:
        r, k = np.nonzero(index == found.at)
        if r.size:
            made.append(el("rect", x=x + k.min() * wide / across, y=y + r.min() * tall / rows,
                           width=(k.max() - k.min() + 1) * wide / across,
                           height=(r.max() - r.min() + 1) * tall / rows, class_="boxed", data_at=found.at))
    return made


def _table(c: Comparison, sheet: Sheet, y: float, top: int, notes: list[str]) -> tuple[list[Element], float]:
    """Words or columns as rows, explanations as columns, the features that are largest together first."""
    sums = [(key, v) for key, v, kind in sums_of(c) if kind == "signed" or key == "prominent"]
    every = [*((label(c, n, sheet.lang), unit(v)) for n, v in c.laid.items()), *((sheet.say(k), v) for k, v in sums)]
    order = first(c, top)
    values = np.array([[float(v[i]) for _, v in every] for i in order])
    limit = float(np.abs(values).max()) or 1.0
    names, places = feature_names(c, sheet.lang), {f.at for f in c.contradictions}
    nodes = [_section(sheet, "side by side", y)]
    y += 32
    left = min(sheet.inner * (0.34 if sheet.narrow else 0.4), max(em(names[i]) for i in order) * 13.5 + 30)
    wide = (sheet.inner - left) / len(every)
    heads = [[clip(t, wide / 12) for t in _broken(n, wide / 12)] for n, _ in every]
    deep = max(map(len, heads))
    for k, parts in enumerate(heads):
        for r, part in enumerate(parts):
            nodes.append(line(part, sheet.margin + left + (k + 0.5) * wide, y + (deep - len(parts) + r) * 14, 11,
                              "strong" if k >= len(c) else "soft", text_anchor="middle"))
    made, below = labelled(values, limit, [("⇄ " if i in places else "") + names[i] for i in order], [], sheet.margin,
                           y + deep * 14 - 24, left, wide, 26, told=percent,
                           says=lambda r, k: f"{names[order[r]]}, {every[k][0]}: {signed(values[r, k])}")
    notes.append(sheet.say("shared scale"))
    notes += _read(c, sheet)
    if places & set(order):
        notes.append(sheet.say("swapped"))
    return [*nodes, *made], below + 16


def _broken(name: str, limit: float) -> list[str]:
    """A heading in at most three lines, cut between its words where there are any."""
    parts = name.replace(":", ": ").replace("_", "_ ").split()
    out = [parts[0]] if parts else [""]
    for part in parts[1:]:
        glue = "" if out[-1].endswith("_") else " "
        out = [*out[:-1], out[-1] + glue + part] if em(out[-1] + glue + part) <= limit else [*out, part]
    return out[:3]


def first(c: Comparison, top: int) -> list[int]:
    """The features that are largest together, in a text in its own order."""
    ranked = next((v for _, v, _ in sums_of(c)), None)
    assert ranked is not None
    order: list[int] = ranked.abs().argsort(descending=True, stable=True)[:top].tolist()
    return sorted(order) if c.layout.kind == "tokens" else order


def _contradictions(c: Comparison, sheet: Sheet, y: float, top: int, notes: list[str]) -> tuple[list[Element], float]:
    """Which features, and who says what of them."""
    nodes = [_section(sheet, "contradict", y)]
    y += 36
    if not c.contradictions:
        made, y = lines(sheet.say("contradict none"), sheet.margin, y, 12.5, sheet.inner, "soft")
        return [*nodes, *made], y + 10
    names = feature_names(c, sheet.lang)
    for found in c.contradictions[:MARKED]:
        made, y = lines(names[found.at] + sheet.say("colon") + sides(c, found, sheet.lang), sheet.margin, y, 12.5,
                        sheet.inner, most=2)
        nodes += [el("g", *made, data_contradiction=found.at, data_size=f"{found.size:.4g}")]
    if len(c.contradictions) > MARKED:
        nodes.append(line(sheet.say("more contradict", n=len(c.contradictions) - MARKED), sheet.margin, y, 12, "soft"))
        y += 18
    return nodes, y + 10


def _agreement(c: Comparison, sheet: Sheet, y: float, top: int, notes: list[str]) -> tuple[list[Element], float]:
    """A matrix for each measure, the names once at the left and their numbers above; nothing for a single one."""
    m = len(c)
    if m < 2:
        return [], y
    nodes = [_section(sheet, "agreement", y)]
    y += 44
    known = [label(c, n, sheet.lang) for n in c]
    names = [f"{i + 1}  {name}" for i, name in enumerate(known)]
    beside = 1 if sheet.narrow or m > 6 else 3
    left = min(sheet.inner * 0.42 if beside == 1 else 172.0, max(map(em, names)) * 13 + 12)
    wide = min(56.0, ((sheet.inner - left) / beside - 16 * (beside > 1)) / m)
    titles = [sheet.say(f"agree {what}", k=c.k) for what in MEASURES]
    room = (sheet.inner - left) / beside
    step = min(max(m * wide, *(em(t) * 12 for t in titles)) + 16, room)
    below = y
    for k, (what, head) in enumerate(zip(MEASURES, titles, strict=True)):
        x = sheet.margin + (left + k * step if k and beside > 1 else 0)
        start = x + (left if beside == 1 or not k else 0)
        nodes.append(line(clip(head, (step - 2 if beside > 1 else sheet.inner) / 12), start, y - 4, 12, "soft"))
        values = c.agreement[what].numpy()
        made, below = labelled(values, 1.0, names if beside == 1 or not k else [""] * m, [str(i + 1) for i in range(m)],
                               x, y + 2, left if beside == 1 or not k else 0.0, wide, 26.0,
                               says=lambda r, q, v=values: f"{known[r]}, {known[q]}: {two(float(v[r, q]))}")
        nodes.append(el("g", *made, data_measure=what))
        y = below + 24 if beside == 1 else y
    chance = f"{c.k / c.layout.n:.2f}"
    notes.append(sheet.say("agreement read", k=c.k, chance=chance))
    return nodes, below + 14


def _worth(c: Comparison, sheet: Sheet, y: float, top: int, notes: list[str]) -> tuple[list[Element], float]:
    """A row for each explanation: verdict, faithfulness beside its controls, rows and seconds."""
    nodes = [_section(sheet, "baseline worth" if c.baselines else "worth", y)]
    y += 40
    heads, rows = cells(c, sheet.lang)
    left = sheet.inner * (0.3 if not sheet.narrow else 1.0)
    wide = (sheet.inner - (left if not sheet.narrow else 0)) / (len(heads) - 1)
    start = sheet.margin + (left if not sheet.narrow else 0)
    for k, head in enumerate(heads):
        x = sheet.margin if not k else start + k * wide
        if k or not sheet.narrow:
            nodes.append(line(clip(head, (left if not k else wide - 6) / 12), x, y, 11.5, "soft",
                              text_anchor=None if not k else "end"))
    y += 8
    for name, row in zip(c, rows, strict=True):
        status = c[name].verdict.status
        group = el("g", el("title", sheet.say(status)), data_row=name)
        group.add(el("path", d=f"M{sheet.margin:.1f} {y:.1f}h{sheet.inner:.1f}", class_="rule"))
        group.add(el("path", d=SHAPES[status], class_=f"icon {status}",
                     transform=f"translate({sheet.margin:g} {y + 8:g}) scale(.72)"))
        group.add(line(clip(row[0], (left - 24) / 13.5), sheet.margin + 22, y + 20, 13))
        at = y + (20 if not sheet.narrow else 40)
        for k, told in enumerate(row[1:], 1):
            figure, _, beside = told.partition("  ")
            x, size = start + k * wide, 12.5 if not sheet.narrow else 11
            if beside and not sheet.narrow:
                group.add(line(beside, x, at, 11, "soft tab", text_anchor="end"))
            group.add(line(figure, x - (42 if beside and not sheet.narrow else 0), at, size, "tab",
                           text_anchor="end"))
            if beside and sheet.narrow:
                group.add(line(beside, x, at + 14, 10, "soft tab", text_anchor="end"))
        nodes.append(group)
        y += 30 if not sheet.narrow else 62
    notes.append(sheet.say("worth read"))
    return nodes, y + 18


def _spoken(c: Comparison, lang: str) -> list[str]:
    """What is said to who cannot see it."""
    told = [facts(c, lang)]
    for what in MEASURES:
        typical = c.typical(what)
        if typical == typical:
            told.append(say(lang, f"agree {what}", k=c.k) + say(lang, "colon") + two(typical))
    return [*told, *(f"{feature_names(c, lang)[f.at]}: {sides(c, f, lang)}" for f in c.contradictions[:MARKED])]


