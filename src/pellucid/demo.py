"""The story that `pellucid demo` tells: five small real models, each asked why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional as F

from pellucid.explain import explain
from pellucid.languages.choice import chosen
from pellucid.languages.demo import TEXT
from pellucid.models.demo import FOLDER, card_of, samples
from pellucid.models.sources import load
from pellucid.models.subject import Subject
from pellucid.report.page import Section, report
from pellucid.store import atomic
from pellucid.views import story
from pellucid.words.errors import FileError, PellucidError
from pellucid.words.explanation import Explanation

SKIPPED = ("extra.", "vision.")
"""Errors for which a chapter is left out with a word on how to have it: something is not installed."""


@dataclass(frozen=True, eq=False)
class Chapter:
    """A part of the story: what the report shows, and the facts that the text states."""

    name: str
    section: Section
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def __post_init__(self) -> None:
        for e in self.section.items:
            if isinstance(e, Explanation):
                # The digest of the weights is worked out when it is read; soon the model will be gone.
                e.provenance["weights"]


@dataclass(frozen=True, eq=False)
class Skipped:
    """A chapter that this installation cannot tell, with the reason."""

    name: str
    title: str
    error: PellucidError


def say(lang: str, key: str, **data: object) -> str:
    """A text of the story in a language."""
    return TEXT[key][lang == "zh"].format(**data)


def demo(out: str | Path = "out/demo", *, lang: str | None = None,
         told: Callable[[Chapter | Skipped], None] | None = None) -> tuple[Path, list[Chapter]]:
    """Tell the whole story and write `report.html` and the inputs into a folder; `told` hears every chapter.

    `lang` is "en" or "zh", None that of PELLUCID_LANG, else English. Raises `option.lang`, `file.unwritable`.
    """
    lang = chosen(lang)
    folder = Path(out).expanduser()
    _make(folder / "inputs")
    chapters: list[Chapter] = []
    for name, tell in CHAPTERS.items():
        try:
            chapter: Chapter | Skipped = tell(lang)
        except PellucidError as error:
            if not error.code.startswith(SKIPPED):
                raise
            chapter = Skipped(name, say(lang, name), error)
        if isinstance(chapter, Chapter):
            chapters.append(chapter)
            for file, data in chapter.inputs.items():
                atomic.write(folder / "inputs" / file, data)
        if told is not None:
            told(chapter)
    sections = [c.section for c in chapters]
    path = report(sections, folder / "report.html", title=say(lang, "title"), lang=lang, notes=say(lang, "notes"))
    return path, chapters


def shortcut(lang: str) -> Chapter:
    """The watermarked digit: the network that learnt the watermark, and its clean twin."""
    card, pictures = card_of("digits"), samples("digits")
    at = next(i for i, s in enumerate(card["samples"]) if s["watermark_box"])
    sample, picture, mark = card["samples"][at], pictures[at], str(card["watermark_class"])
    box = tuple(sample["watermark_box"])
    plain = [p for p, s in zip(pictures, card["samples"], strict=True) if not s["watermark_box"] and s["label"] != mark]
    pasted = [_pasted(p, picture, box) for p in plain]
    found: list[Explanation] = []
    flipped: list[int] = []
    subjects = [_spoken(load(f"demo:{name}"), lang) for name in ("digits", "digits-clean")]
    for subject in subjects:
        found += [explain(subject, picture, "grad_cam"),
                  explain(subject, picture, "integrated_gradients", features="patches:8")]
        flipped.append(sum(e.target == mark for e in explain(subject, pasted, "saliency")))
    cam, path, clean_cam, clean_path = found
    shares = {"cam": share(cam, box), "path": share(path, box), "clean_cam": share(clean_cam, box),
              "clean_path": share(clean_path, box)}
    facts = {**shares, "area": (box[2] - box[0]) * (box[3] - box[1]) / path.features.index.numel(), "mark": mark,
             "digit": sample["label"], "said": cam.target, "clean": clean_cam.target, "others": len(plain),
             "flipped": flipped[0], "clean_flipped": flipped[1]}
    told = {**facts, **{k: f"{v:.0%}" for k, v in shares.items()}, "area": f"{facts['area']:.1%}"}
    section = Section(say(lang, "shortcut"), say(lang, "shortcut text", **told), (cam, clean_cam, path, clean_path),
                      side_by_side=True)
    return Chapter("shortcut", section, facts, {"watermarked.png": Path(picture).read_bytes()})


def _pasted(onto: Path, source: Path, box: Sequence[int]) -> Any:
    """A picture with a box of another one in the same place."""
    left, top, right, bottom = box
    with Image.open(onto) as picture, Image.open(source) as marked:
        made = picture.convert("RGB")
        made.paste(marked.convert("RGB").crop((left, top, right, bottom)), (left, top))
    return made


def share(e: Explanation, box: Sequence[int]) -> float:
    """How much of the positive heat lies in a box (left, top, right, bottom) of the picture.

    A map at a layer is interpolated to the picture's size, as it is drawn; of patches, those that touch
    the box count whole.
    """
    left, top, right, bottom = box
    heat = e.values.double().clamp(min=0)
    if e.features.index.shape == e.values.shape and e.shown is not None and e.shown.image is not None:
        height, width = e.shown.image.shape[:2]
        heat = F.interpolate(heat[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
        inside = heat[top:bottom, left:right].sum()
    else:
        inside = heat.flatten()[e.features.index[top:bottom, left:right].unique()].sum()
    return float(inside / heat.sum().clamp(min=1e-12))


def transformer(lang: str) -> Chapter:
    """A plain digit, read by a vision transformer."""
    card = card_of("digits-vit")
    at = next(i for i, s in enumerate(card["samples"]) if not s["watermark_box"])
    sample, picture = card["samples"][at], samples("digits-vit")[at]
    subject = _spoken(load("demo:digits-vit"), lang)
    found = explain(subject, picture, "grad_cam")
    text = say(lang, "transformer text", layer=found.recipe["layer"], said=found.target, digit=sample["label"])
    facts = {"said": found.target, "digit": sample["label"]}
    return Chapter("transformer", Section(say(lang, "transformer"), text, (found,)), facts,
                   {"digit.png": Path(picture).read_bytes()})


def reviews(lang: str) -> Chapter:
    """The same complaint in Chinese and in English."""
    subject = _spoken(load("demo:reviews"), lang)
    texts = {s["language"]: s["text"] for s in reversed(card_of("reviews")["samples"]) if "language" in s}
    chinese, english = explain(subject, [texts["zh"], texts["en"]], features="words")
    for found in (chinese, english):
        if isinstance(found, PellucidError):
            raise found
    words = {f"words_{k}": named(e, lang) for k, e in (("zh", chinese), ("en", english))}
    text = say(lang, "reviews text", said_zh=chinese.target, said_en=english.target, **words)
    facts = {"zh": chinese.target, "en": english.target, **words}
    return Chapter("reviews", Section(say(lang, "reviews"), text, (chinese, english)), facts,
                   {f"review-{k}.txt": texts[k].encode() for k in ("zh", "en")})


def recommender(lang: str) -> Chapter:
    """A customer's row, and how the order of the columns compares with the true one."""
    card, subject = card_of("recommender"), _spoken(load("demo:recommender"), lang)
    buys = " - ".join((subject.labels[1], subject.labels[0]))
    rows = samples("recommender")
    quick = explain(subject, rows, "input_x_gradient", target=buys)
    keenest = max(range(len(rows)), key=lambda i: quick[i].score)
    found = explain(subject, rows[keenest], target=buys)
    background = list(subject.reader.background)  # pyright: ignore[reportAttributeAccessIssue]
    many = explain(subject, background, target=buys)
    spread = torch.stack([e.values for e in many]).double().std(0)
    seen = dict(zip(many[0].names, spread.tolist(), strict=True))
    true = {t["column"]: float(t["std_of_logit"]) for t in card["true_importance"]}
    right, pairs = in_order(seen, true)
    facts = {"right": right, "pairs": pairs, "rows": len(many), "seen": seen, "true": true}
    text = say(lang, "recommender text", words=named(found, lang), rows=len(many), right=right, pairs=pairs,
               found=_ranked(seen, lang), true=_ranked(true, lang))
    return Chapter("recommender", Section(say(lang, "recommender"), text, (found,)), facts,
                   {"customers.csv": (FOLDER / "recommender" / "samples.csv").read_bytes()})


def in_order(seen: dict[str, float], true: dict[str, float]) -> tuple[int, int]:
    """Pairs in the true order, of those whose true values differ."""
    names = list(true)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if true[a] != true[b]]
    return sum((seen[a] > seen[b]) == (true[a] > true[b]) for a, b in pairs), len(pairs)


def tumours(lang: str) -> Chapter:
    """A row of the breast-cancer table."""
    card, plain = card_of("tumours"), load("demo:tumours")
    subject = _spoken(plain, lang)
    at = next(i for i, s in enumerate(card["samples"]) if s["label"] == plain.labels[0])
    found = explain(subject, samples("tumours")[at])
    truth = subject.labels[plain.labels.index(card["samples"][at]["label"])]
    text = say(lang, "tumours text", said=found.target, truth=truth, words=named(found, lang))
    return Chapter("tumours", Section(say(lang, "tumours"), text, (found,)), {"said": found.target, "truth": truth},
                   {"tumours.csv": (FOLDER / "tumours" / "samples.csv").read_bytes()})


CHAPTERS: dict[str, Callable[[str], Chapter]] = {
    "shortcut": shortcut, "transformer": transformer, "reviews": reviews, "recommender": recommender,
    "tumours": tumours,
}


def named(e: Explanation, lang: str, k: int = 3) -> str:
    """The k strongest parts in a row."""
    return ("、" if lang == "zh" else ", ").join(i.name.strip() for i in story.strongest(e, k, lang))


def _ranked(values: dict[str, float], lang: str) -> str:
    """Names by size; those that are exactly zero stand apart."""
    comma = "、" if lang == "zh" else ", "
    some = [k for k in sorted(values, key=lambda k: -values[k]) if values[k]]
    none = [k for k in values if not values[k]]
    return comma.join(some) + (say(lang, "none", names=comma.join(none)) if none else "")


def _spoken(subject: Subject, lang: str) -> Subject:
    """The subject with its labels in the language."""
    return replace(subject, labels=subject.spelled((lang,)))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError("file.unwritable", f"a folder that cannot be made: {folder.name!r}",
                        "a place that may be written", "choose another with --out") from error
