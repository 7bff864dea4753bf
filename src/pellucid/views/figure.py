"""The drawing as a matplotlib figure, for a paper or a notebook that has its own layout."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.views import heat, palette, story
from pellucid.views.bars import told
from pellucid.views.scale import scale_of
from pellucid.views.words import chosen, method_name, say
from pellucid.views.writing import clip, number, visible, wrap
from pellucid.words.errors import OptionError
from pellucid.words.explanation import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FACES = ("Noto Sans", "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "PingFang SC",
         "Microsoft YaHei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS")  # fmt: skip
CJK = set(FACES[2:])
POINTS = 10.5


def plot(explanation: Explanation, *, lang: str | None = None, width: float = 7.2, top: int = 12) -> Figure:
    """A figure of its own, `width` inches wide; nothing is shown and no global state is touched.

    Needs matplotlib: `pip install "pellucid[plot]"`.
    """
    try:
        import matplotlib
        from matplotlib import font_manager
        from matplotlib.figure import Figure
    except ImportError:
        raise OptionError("plot.missing", "no matplotlib", "matplotlib", 'pip install "pellucid[plot]"') from None
    e, lang = explanation, chosen(lang)
    known = {f.name for f in font_manager.fontManager.ttflist}
    faces = [f for f in FACES if f in known] or ["sans-serif"]
    with matplotlib.rc_context({"font.family": faces, "axes.unicode_minus": True, "text.parse_math": False}):
        figure = Figure(layout="constrained")
        draw_heat(figure, e, lang, width) if story.painted(e) is not None else draw_bars(figure, e, lang, width, top)
        title = f"{say(lang, 'why', target=e.target)}  {say(lang, 'score', score=number(e.score))}"
        lines = [story.verdict(e, lang, 1)[0], title, method_name(e.method, lang)]
        figure.suptitle("\n".join(t for text in lines for t in wrap(text, width * 72 / POINTS)), fontsize=POINTS)
        spoken = title + "".join(e.names[:top])
        if not CJK & known and any(unicodedata.east_asian_width(c) in "WF" for c in spoken):
            figure.text(0.01, 0.01, say("en", "font"), fontsize=8)
    return figure


def draw_heat(figure: Any, e: Explanation, lang: str, width: float) -> None:
    """The input beside the values over it, with a colour bar."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    grid, image = story.painted(e), heat.picture(e)
    assert grid is not None
    across = 1 if image is None else 2
    height, wide = grid.shape if image is None else image.shape[:2]
    figure.set_size_inches(width, width / across * min(max(height / wide, 0.2), 3.0) + 1.4)
    axes = figure.subplots(1, across, squeeze=False)[0]
    for ax in axes:
        ax.set_axis_off()
    if image is not None:
        axes[0].imshow(image)
        axes[0].set_title(say(lang, "input"), fontsize=10)
    ax, key = axes[-1], heat.constant(grid)
    if key:
        flat = e.numpy().ravel()
        words = say(lang, key, n=flat.size, value=number(float(flat[0])))
        ax.text(0.5, 0.5, words, ha="center", va="center", wrap=True, transform=ax.transAxes)
        return
    scale = scale_of(grid if e.values.dim() == 3 else e.values.detach().cpu().double().numpy())
    soft = heat.coarse(e, grid)
    extent = (-0.5, wide - 0.5, height - 0.5, -0.5)
    if image is not None:
        ax.imshow(heat.png.faint(image), cmap="gray", vmin=0, vmax=255, extent=extent)
    ax.imshow(palette.rgba(heat.smooth(grid) if soft else grid, scale.limit), extent=extent, interpolation="nearest")
    ax.set_title(story.map_title(e, lang), fontsize=10)
    low = 0 if story.unsigned(e) else -1
    ramp = palette.over(palette.rgba(np.linspace(low, 1, 2 * palette.STEPS + 1), 1.0), 255) / 255
    bar = ScalarMappable(Normalize(low * scale.limit, scale.limit), ListedColormap(ramp))
    figure.colorbar(bar, ax=list(axes), orientation="horizontal", label=story.effect(e, lang),
                    shrink=0.9 / across, pad=0.04, extend=("both" if low else "max") if scale.clipped else "neither")


def draw_bars(figure: Any, e: Explanation, lang: str, width: float, top: int) -> None:
    """The largest values as bars with their 95 % intervals."""
    found = story.items(e, lang)
    shown = found[:top][::-1]
    figure.set_size_inches(width, 0.32 * len(shown) + 1.6)
    ax = figure.subplots()
    sides = [palette.css(1 if i.value > 0 else -1) for i in shown]
    ax.barh(range(len(shown)), [i.value for i in shown], color=sides, height=0.6,
            xerr=None if not story.uncertain(e) else [i.half or 0.0 for i in shown], ecolor="#333", capsize=2.5)
    ax.axvline(0, color="#59616b", linewidth=0.8)
    names = [f"{clip(visible(i.name.strip(), 200), 20)}  {told(i)}" for i in shown]
    ax.set_yticks(range(len(shown)), names)
    ax.set_xlabel(story.effect(e, lang))
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)
    remarks = [say(lang, "error")] if story.uncertain(e) else []
    if len(found) > top:
        rest = sum(i.value for i in found[top:])
        remarks.insert(0, say(lang, "more", n=len(found) - top, value=number(rest)))
    if remarks:
        figure.supxlabel(" ".join(remarks), fontsize=8)
