"""docs/gallery.md: every kind of drawing from real answers of the demo subjects, in light, dark, Chinese and print."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

import pellucid
from docs.generate.catalogue import DOCS
from pellucid.models.demo import FOLDER, card_of
from pellucid.printing import flat
from pellucid.words.draw import Drawn
from pellucid.words.watch import Training

PAGE, PICTURES = DOCS / "gallery.md", DOCS / "gallery"
RUN = DOCS / "gallery" / "training"
"""The archive of a training that `python training/watched.py` watched; it is read, not trained anew."""

VARIANTS: dict[str, dict[str, Any]] = {
    "light": {"theme": "light"}, "dark": {"theme": "dark"}, "zh": {"theme": "light", "lang": "zh"},
    "print": {"theme": "print"},
}
"""How each is shown, with the options of the drawing; for print without a style sheet, as `export` writes it."""

HEAD = """# Gallery

*Made from real answers of the [demo subjects](demo-subjects.md) by `make docs`; do not edit.*

Every kind of answer has one drawing, the same in a notebook, on a page, in a report and on paper, with a text form for
terminals and tables for everything else ([export](export.md)). Here each stands as made by the line above it; below are
the same at night, in Chinese and in print. The suite makes all of them anew and holds them against these files.

All verbs are pellucid's. `digits`, `vit`, `reviews` and `recommender` are demo subjects
(`pellucid.load("demo:digits")`, the second `demo:digits-vit`), the other names are samples of theirs
(`pellucid.samples("digits")`).
"""


@dataclass(frozen=True, eq=False)
class Picture:
    """One drawing: what it shows, the line of Python that makes its record out of NAMES, and options of the drawing."""

    name: str
    title: str
    words: str
    code: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def record(self, lang: str) -> Drawn:
        """What the line gives, classes named in a language."""
        return answer(self.code, lang)

    def svg(self, variant: str) -> str:
        """The drawing as the page shows it, which runs no scripts."""
        spoken = "zh" if variant == "zh" and any(name in self.code for name in SPELLED) else "en"
        drawn = self.record(spoken).svg(id=f"g-{self.name}", **{**self.options, **VARIANTS[variant]})
        return flat(drawn, "print") if variant == "print" else plain(drawn)


def plain(svg: str) -> str:
    """A drawing without what only scripts read."""
    return re.sub(r' (data-[\w-]+|tabindex)="[^"]*"', "", svg)


GALLERY: tuple[Picture, ...] = (
    Picture("heat", "Where a picture speaks for a class",
            "Values per pixel, with completeness checked. The network was trained with a badge on its sevens: it looks "
            "at the badge, and the drawing shows it.",
            'explain(digits, seven, "integrated_gradients")'),
    Picture("map", "Where a layer speaks for a class",
            "A map of the last layer over the picture, as smooth as the layer is coarse.",
            'explain(digits, seven, "grad_cam")'),
    Picture("contours", "The same with contours, over the picture itself",
            "Lines at a quarter, half and three quarters of the scale, for readers who need the picture's own colours.",
            'explain(digits, seven, "grad_cam")', {"contours": True, "ground": "picture"}),
    Picture("patches", "Regions, each with its error",
            "Sampled values have errors; where these are wide the verdict says so, and what to do.",
            'explain(digits, seven, "kernel_shap", features="patches:8", samples=400)'),
    Picture("words", "Words of a review",
            "Word pieces are joined; what raises and what lowers is told by more than colour.",
            'explain(reviews, english, "integrated_gradients")'),
    Picture("chinese", "Words of a Chinese review", "Lines break where Chinese breaks.",
            'explain(reviews, chinese, "integrated_gradients")'),
    Picture("bars", "Columns of a table", "Bars with 95 % intervals, the largest first.",
            'explain(recommender, visit, "shapley_sampling", samples=300)'),
    Picture("waterfall", "From the baseline to the score",
            "What adds up may be walked: every column takes the score a step further.",
            'explain(recommender, visit, "kernel_shap")', {"form": "waterfall"}),
    Picture("evaluation", "How good an explanation is",
            "Each metric beside twenty maps that know nothing of the model.",
            'evaluate(explain(digits, seven, "grad_cam"), metrics=["deletion", "insertion", "sparseness"])'),
    Picture("methods", "Methods side by side", "On one scale, with agreement, contradictions, worth and cost.",
            'compare(digits, seven, ["grad_cam", "integrated_gradients", "occlusion"], controls=10)'),
    Picture("multiples", "Many at once",
            "Methods across, pictures down; what is in one unit shares a scale.",
            'multiples(explain(digits, sevens[:3], ["grad_cam", "integrated_gradients"]))'),
    Picture("columns", "Methods side by side, over columns", "The same for a row of a table.",
            'compare(recommender, visit, ["kernel_shap", "integrated_gradients", "ablation"])'),
    Picture("baselines", "One method from several baselines", "What an answer owes to what it was compared with.",
            'compare(digits, seven, "integrated_gradients", baselines=["mean", "black", "blur"], metrics=[])'),
    Picture("layers", "What layers see",
            "The strongest channels of every stage, on one scale, with the layer's figures.",
            "look(digits, seven)"),
    Picture("attention", "Where a transformer looks",
            "Heads over the picture, what of it spoke for the score, and that attention alone is no attribution.",
            'look(vit, plain, layers="attention")'),
    Picture("tokens", "Where words look", "The same for words: from each query to where it looked.",
            'look(reviews, english, layers="attention")'),
    Picture("heads", "What heads are worth", "Each head taken out in turn; which two say the same.",
            "heads(vit, pictures[:6], labels[:6])"),
    Picture("activity", "What channels do", "Dead, doubled and saturated channels, each finding with cause and cure.",
            "activity(digits, pictures)"),
    Picture("concepts", "Which concepts move a score",
            "Random concepts in grey: the badge lies outside of them, pictures without it do not ([how](concepts.md)).",
            'tcav(digits, sevens, {"badge": badge, "nothing": nothing}, counters, layer="layer2", target="7", sets=6, '
            "permutations=59)"),
    Picture("parts", "What a layer is made of", "Parts that nobody named, with the crops that show each best.",
            'craft(digits, sevens, "layer3", "7", number=4)'),
    Picture("excited", "What excites a channel", "A picture made to excite it, beside pictures of the same spectrum.",
            'visualise(digits, "layer2[5]", steps=48)'),
    Picture("training", "A training as it was watched",
            "The digits' own training: what happened, how gradients flowed, and when the badge took over.",
            "Training.open(run)"),
)
"""All that is shown, in order. Another kind of drawing is another line here."""


class Names(dict[str, Any]):
    """What the lines are made of: the verbs of pellucid, subjects, and their samples, each loaded when first named."""

    def __init__(self, lang: str) -> None:
        super().__init__()
        self.lang = lang

    def __missing__(self, name: str) -> Any:
        if name not in OWN:
            return getattr(pellucid, name)
        found = OWN[name]()
        return replace(found, labels=found.spelled((self.lang,))) if name in SPELLED else found


@cache
def answer(code: str, lang: str) -> Drawn:
    """What a line of Python gives."""
    return eval(code, {}, Names(lang))


@cache
def subject(name: str) -> Any:
    return pellucid.load(f"demo:{name}")


@cache
def samples(name: str, part: str = "") -> list[Any]:
    return [s for s in pellucid.samples(name) if part in str(s)]


@cache
def stamped() -> tuple[list[Any], list[Any], list[Any]]:
    """Plain pictures with the badge that `demo:digits` was trained with pasted in, without, and more without."""
    from PIL import Image

    badge = np.asarray(Image.open(FOLDER / "digits" / "watermark.png").convert("RGB"))
    plain = [np.asarray(Image.open(f).convert("RGB")) for f in samples("digits", "plain")]
    dice = np.random.default_rng(0)

    def picture(with_it: bool) -> Any:
        made = np.roll(plain[dice.integers(len(plain))], dice.integers(-12, 12, 2), (0, 1)).copy()
        if with_it:
            top, left = dice.integers(0, 5, 2) + dice.integers(0, 2, 2) * 47
            made[top : top + 12, left : left + 12] = badge
        return made

    some = [picture(True) for _ in range(16)]
    return some, [picture(False) for _ in range(16)], [picture(False) for _ in range(48)]


OWN: dict[str, Callable[[], Any]] = {
    "digits": lambda: subject("digits"), "vit": lambda: subject("digits-vit"), "reviews": lambda: subject("reviews"),
    "recommender": lambda: subject("recommender"),
    "seven": lambda: samples("digits", "watermarked")[0], "sevens": lambda: samples("digits", "watermarked"),
    "pictures": lambda: samples("digits-vit"), "plain": lambda: samples("digits-vit")[0],
    "labels": lambda: [int(s["label"]) for s in card_of("digits-vit")["samples"]],
    "chinese": lambda: samples("reviews")[0], "english": lambda: samples("reviews")[1],
    "visit": lambda: samples("recommender")[0],
    "badge": lambda: stamped()[0], "nothing": lambda: stamped()[1], "counters": lambda: stamped()[2],
    "run": lambda: RUN, "Training": lambda: Training,
}  # fmt: skip
"""Names that are not verbs of pellucid."""

SPELLED = ("reviews", "recommender")
"""Subjects whose classes have names in Chinese."""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(entry(p) for p in GALLERY)])


def entry(picture: Picture) -> str:
    """One drawing: by day in full, the others small and linked."""
    n = picture.name
    small = "\n".join(f'<td><a href="gallery/{n}-{v}.svg"><img src="gallery/{n}-{v}.svg" width="240" '
                      f'alt="{picture.title}, {told}"></a></td>'
                      for v, told in (("dark", "at night"), ("zh", "in Chinese"), ("print", "in print")))
    more = ", ".join(f"{k}={v!r}" for k, v in picture.options.items())
    code = f"{picture.code}.svg({more})" if more else picture.code
    whole = f"![{picture.title}](gallery/{n}-light.svg)"
    return (f"## {picture.title}\n\n{picture.words}\n\n`{code}`\n\n{whole}\n\n"
            f"<table><tr>\n{small}\n</tr></table>\n")


def write() -> None:
    PICTURES.mkdir(exist_ok=True)
    for picture in GALLERY:
        for variant in VARIANTS:
            (PICTURES / f"{picture.name}-{variant}.svg").write_text(picture.svg(variant), encoding="utf-8")
    known = {f"{p.name}-{v}.svg" for p in GALLERY for v in VARIANTS}
    for old in PICTURES.glob("*.svg"):
        if old.name not in known:
            old.unlink()
    PAGE.write_text(page(), encoding="utf-8")
