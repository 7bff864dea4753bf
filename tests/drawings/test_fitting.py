"""What is drawn and written fits: rows grow with their words, nothing leaves its margin, no column is lost unsaid."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid.views.look import shorter, table
from pellucid.views.words import method_name, say
from pellucid.views.writing import columns, em
from pellucid.words.activity import Activity, Channels
from pellucid.words.concepts import Concepts
from pellucid.words.concepts import Tested as Trial
from pellucid.words.errors import OptionError
from pellucid.words.explanation import Shown
from pellucid.words.heads import Averages, Heads
from pellucid.words.look import Look, Seen
from pellucid.words.multiples import multiples

sys.path.insert(0, str(Path(__file__).parent))
import samples
from test_evaluation import evaluation, over_columns, over_picture

SVG = "{http://www.w3.org/2000/svg}"
WINDOWS = [40, 60, 80]
LANGUAGES = ["en", "zh"]


# --- an evaluation's rows are as high as what stands in them

def rows_of(drawn: str) -> Iterator[tuple[float, list[float]]]:
    """Of each metric's row: where its rule lies, and the baselines of its words."""
    for group in ET.fromstring(drawn).iter(f"{SVG}g"):
        if group.get("data-metric"):
            rule = group.find(f"{SVG}path")
            assert rule is not None
            yield float(rule.attrib["d"].split("h")[0].split()[1]), [
                float(t.attrib["y"]) for t in group.iter(f"{SVG}text")]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [320, 360, 500, 520, 560, 600, 640, 720, 900])
def test_words_of_a_metric_end_above_the_next_rule(width: int, lang: str) -> None:
    rows = list(rows_of(evaluation().svg(width=width, lang=lang)))
    assert len(rows) == 4
    for (_, words), (below, _) in pairwise(rows):
        assert max(words) + 5 <= below


@pytest.mark.parametrize("width", [320, 520])
def test_what_a_number_means_is_never_cut(width: int) -> None:
    assert "…" not in "".join(ET.fromstring(evaluation().svg(width=width)).itertext())


# --- concepts on a phone

def concepts(layer: str = "layer3", pictures: int = 6, score: float = 0.68) -> Concepts:
    null = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    tests = {(c, layer): Trial(c, layer, 9, score, -0.0123, (score, 0.5), (0.5, -0.4), 0.68, 0.68, 0.7, 0.93, 0.01, 0.8,
                               null, torch.ones(2, 3)) for c in ("badge", "ring")}
    shown = {"badge": tuple(Shown("image", samples.seven()) for _ in range(pictures))}
    return Concepts(tests, "seven", 9, 2, 20, 0.05, "bh", "units", "ridge", 1.0, 0, "toy", shown=shown)


def reach(element: ET.Element) -> tuple[float, float]:
    """From where to where an element reaches across; letters by the widest of the usual faces."""
    x = float(element.attrib["x"])
    wide = em(element.text or "") * float(element.attrib["font-size"]) if element.tag == f"{SVG}text" else float(
        element.attrib["width"])
    return (x - wide, x) if element.get("text-anchor") == "end" else (x, x + wide)


@pytest.mark.parametrize("layer", ["layer3", "encoder.blocks.11.attention.output.dense"])
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("width", [320, 360, 500, 720])
def test_concepts_stay_within_their_margin(width: int, lang: str, layer: str) -> None:
    drawn = ET.fromstring(concepts(layer).svg(width=width, lang=lang))
    margin = 28 if width >= 520 else 18
    for kind in ("text", "image", "rect"):
        for element in drawn.iter(f"{SVG}{kind}"):
            if element.get("class") != "ground":
                left, right = reach(element)
                assert left >= margin - 0.1, element.text
                assert right <= width - margin + 0.1, element.text
    said = "".join(drawn.itertext())
    assert "p = 0.68" in said
    assert "0.93" in said or "93%" in said


@pytest.mark.parametrize("width", [320, 360, 500, 720])
def test_all_examples_of_a_concept_are_there_and_apart(width: int) -> None:
    found = [reach(i) for i in ET.fromstring(concepts().svg(width=width)).iter(f"{SVG}image")]
    assert len(found) == 6
    assert all(a[1] + 7.9 <= b[0] for a, b in pairwise(found))
    room = width - (56 if width >= 520 else 36)
    assert found[0][1] - found[0][0] == pytest.approx(min(64, (room - 5 * 8) / 6), abs=0.2)


def test_more_examples_than_fit_are_left_out_before_they_are_too_small() -> None:
    found = [reach(i) for i in ET.fromstring(concepts(pictures=30).svg(width=320)).iter(f"{SVG}image")]
    assert 6 <= len(found) < 30
    assert all(b - a >= 36 for a, b in found)
    assert found[-1][1] <= 302


def test_a_layers_name_ends_before_what_is_said_of_it() -> None:
    for width in (320, 360, 500, 720):
        drawn = ET.fromstring(concepts("encoder.blocks.11.attention.output.dense").svg(width=width))
        texts = list(drawn.iter(f"{SVG}text"))
        for said in (t for t in texts if t.get("text-anchor") == "end"):
            (name,) = (t for t in texts if t.get("y") == said.get("y") and t is not said)
            assert reach(name)[1] / 0.88 < reach(said)[0] + float(name.attrib["x"])


def test_a_figure_stays_beside_its_name() -> None:
    lines = [t.text or "" for t in ET.fromstring(concepts().svg(width=320)).iter(f"{SVG}text")]
    assert any(line.endswith("p = 0.68") for line in lines)
    assert not any(line.startswith("= ") or line.endswith((" p", " =", "·")) for line in lines)


# --- tables for a terminal

def look() -> Look:
    profile = {"mean": 0.123, "spread": 1.234, "sparsity": 0.5, "dead": 0.25, "saturated": 0.1, "rank": 8.11,
               "fine": 0.32}
    seen = {n: Seen(n, "places", (104, 16, 16), 0, 1, profile=profile) for n in ("stem", "layer1.0.downsample")}
    return Look(seen, inputs=1, model="toy")


def heads() -> Heads:
    some = Averages.of(torch.rand(3, 8, generator=torch.Generator().manual_seed(0)))
    names = [(f"encoder.blocks.{k // 2}.attention", k % 2) for k in range(8)]
    return Heads(names, 3, dict.fromkeys(("margin", "changed", "score", "gradient"), some), some, some, model="toy")


def activity() -> Activity:
    channels = {n: Channels(n, "places", (8, 4, 4), 9, 16, torch.arange(8.0), torch.ones(8) / 2, (0,), (1,), (2,),
                            ((3, 4),), (5,), scale=0.123, not_finite=(6,))
                for n in ("stem", "encoder.blocks.0.attention.output")}
    return Activity(channels, (), 9, "toy")


HEADS = {
    "look": ["shape", "short mean", "short sparsity", "short dead", "short rank", "short fine"],
    "heads": ["short margin", "short changed", "short score", "short entropy", "short distance"],
    "activity": ["count", "short dead", "short double", "short not_finite", "short spread"],
    "concepts": ["layer", "tcav score", "tcav slope", "tcav accuracy", "tcav says"],
    "comparison": ["rows short", "took"], "baselines": ["score there", "rows short", "took"],
}
RECORDS: dict[str, Any] = {"look": look, "heads": heads, "activity": activity, "concepts": concepts,
                           "comparison": over_picture, "baselines": lambda: over_columns(baselines=True)}


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_text_fits_its_window_and_says_which_columns_it_leaves_out(window: int, lang: str, kind: str) -> None:
    narrow, wide = (RECORDS[kind]().text(width=w, lang=lang).splitlines() for w in (window, 200))
    assert max(map(columns, narrow)) <= window
    said = squeezed("".join(narrow))
    for key in HEADS[kind]:  # in the table, or named below it
        assert squeezed(say(lang, key)) in said, key
    told = {"en": "inawiderwindow:", "zh": "窗口更宽时另有"}[lang]
    assert told in said or window > 40
    assert told not in squeezed("".join(wide))


def squeezed(text: str) -> str:
    """Without its spaces: lines break where they must."""
    return "".join(text.split())


def test_columns_that_are_left_out_are_counted_and_named() -> None:
    rows = [["name", *(f"column {k}" for k in range(5))], ["a", *"12345"]]
    assert table(rows, 80, "en") == ["name  column 0  column 1  column 2  column 3  column 4",
                                     "a     1                2         3         4         5"]
    assert table(rows, 30, "en")[2:] == ["3 more columns in a wider", "window: column 2, column 3,", "column 4"]
    assert table(rows, 50, "en")[2:] == ["1 more column in a wider window: column 4"]
    assert table(rows, 30, "zh")[2:] == ["窗口更宽时另有 3 列：column", "2、column 3、column 4"]
    assert table(rows, 50, "zh")[2:] == ["窗口更宽时另有 1 列：column 4"]


def test_an_empty_column_takes_no_room_and_is_not_missed() -> None:
    rows = [["name", "a rather long head of nothing", "b"], ["x", "", "1"]]
    assert table(rows, 24, "en", left=1) == ["name  b", "x     1"]


def test_names_are_cut_only_as_far_as_they_stay_apart() -> None:
    names = [f"encoder.blocks.{k}.attention.output" for k in range(12)]
    lines = table([["layer", "value", "other"], *([n, "1.23", "4.56"] for n in names)], 40, "en")
    assert len({line.split()[0] for line in lines[1:13]}) == 12
    assert max(map(columns, lines)) <= 40
    assert shorter("abcdefghij", 5) == "ab…ij"
    assert columns(shorter("一二三四五六七八九十", 9)) <= 9


# --- many at once

@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("window", [24, *WINDOWS])
@pytest.mark.parametrize("row", ["1", "photographs/the harbour of a rather long place name.jpg", "很长的地名" * 9])
def test_the_text_of_multiples_fits_its_window(row: str, window: int, lang: str) -> None:
    es = [[samples.digit(), samples.patched(method="kernel_shap"), OptionError("option.value", "a", "b", "c")]]
    said = multiples(es, rows=(row,), columns=("integrated_gradients", "kernel_shap", "x" * 60)).text(
        width=window, lang=lang)
    assert max(map(columns, said.splitlines())) <= window
    shown = "".join(said.split())
    assert "".join(method_name("kernel_shap", lang).split()) in shown
    assert "✗" in shown
