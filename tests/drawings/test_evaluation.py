"""Evaluations and comparisons drawn: every number is there, better is to the right, and labels are only text."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid.numbers import agreement
from pellucid.report.page import Section, page
from pellucid.views.names import METRICS
from pellucid.views.writing import columns
from pellucid.words.comparison import Comparison, Contradiction, Cost
from pellucid.words.errors import OptionError
from pellucid.words.evaluation import Evaluation, Measurement
from pellucid.words.explanation import Evidence, Explanation, Finding, Shown, Verdict
from pellucid.words.features import Features, groups, patches

sys.path.insert(0, str(Path(__file__).parent))
import samples
from hostile import HOSTILE, harmless
from test_drawings import OUTSIDE, SVG
from test_report import Reader

DELETION = Measurement(
    "deletion", 1.234, 0.1, "low", "faithfulness", tuple(2 + k / 10 for k in range(20)),
    curve=((0.0, 4.0), (0.5, 0.5), (1.0, 0.0)), axes=("removed", "score"),
    curves=tuple(((0.0, 4.0), (0.5, 2 + k / 10), (1.0, 0.0)) for k in range(20)), paper="arXiv:1806.07421")
INSERTION = Measurement("insertion", 3.21, 0.0, "high", "faithfulness", tuple(k / 4 for k in range(20)))
LOST = Measurement("aopc", 0.5, 0.0, "high", "faithfulness", tuple(float(k) for k in range(1, 21)))
GINI = Measurement("sparseness", 0.567, 0.0, "", "complexity")


def evaluation(*measured: Measurement, **more: Any) -> Evaluation:
    known: dict[str, Any] = {"method": "integrated_gradients", "target": "seven", "model": "demo:digits"}
    return Evaluation({m.name: m for m in measured or (DELETION, INSERTION, LOST, GINI)}, **{**known, **more})


def comparison(layout: Features, shown: Shown | None, *, baselines: bool = False, names: tuple[str, ...] = (),
               target: str = "seven") -> Comparison:
    """Three explanations: two agree, the third says the contrary in one place."""
    names = names or (("mean", "black", "noise") if baselines else ("grad_cam", "integrated_gradients", "occlusion"))
    first = torch.zeros(layout.n, dtype=torch.float64)
    first[:4] = torch.tensor([4.0, -2.0, 1.0, 0.5], dtype=torch.float64)
    third = first.clone()
    third[1] = 3.0
    laid = dict(zip(names, (first, 2 * first, third), strict=True))
    k, lists = agreement.few(layout.n), list(laid.values())
    matrices = {"rank": agreement.matrix(lists, agreement.rank), "sign": agreement.matrix(lists, agreement.sign),
                "top": agreement.matrix(lists, lambda a, b: agreement.top(a, b, k))}
    mean, spread = agreement.together(lists)
    es: dict[str, Explanation] = {
        n: samples.made(v.reshape(layout.shape), layout, method="owen" if baselines else n, shown=shown, target=target)
        for n, v in laid.items()}
    es[names[2]] = replace(es[names[2]], verdict=samples.WARN)
    found = Contradiction(1, names[0], (names[2],), names[:2], 0.2)
    return Comparison(
        es, layout, laid, matrices, k, mean, spread, agreement.prominence(lists), (found,),
        {n: evaluation(DELETION, INSERTION, method=n) for n in names},
        {n: Cost(10 * i + 7, 1, 2, 0.25 * (i + 1)) for i, n in enumerate(names)},
        {}, Verdict((Finding("compare.contradict", "warn", "one raises what others lower", "do not say which way"),)),
        Evidence(passes=9, seconds=1.5), dict.fromkeys(names, -1.25) if baselines else {},
        torch.stack(lists).mean(0) if baselines else None, "demo:digits")


def over_picture(**more: Any) -> Comparison:
    return comparison(patches(64, 64, 16), Shown("image", samples.seven()), **more)


def over_columns(**more: Any) -> Comparison:
    names = [f"column {k}" for k in range(8)]
    return comparison(groups(range(8), names, "columns", "columns"), Shown("table", cells=("3 kg",) * 8), **more)


def parsed(svg: str) -> ET.Element:
    assert not re.search(OUTSIDE, svg)
    return ET.fromstring(svg)


def words(root: ET.Element) -> str:
    return "\n".join("".join(found.itertext()) for found in root.iter(f"{SVG}text"))


# --- an evaluation

@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [720, 360])
def test_every_metric_stands_with_number_interval_and_what_it_means(lang: str, width: int) -> None:
    e = evaluation()
    root = parsed(e.svg(lang=lang, width=width))
    said = words(root)
    for told in ("1.23", "± 0.2", "3.21", "0.5", "0.567", METRICS["deletion"][lang == "zh"]):
        assert told in said
    flat = " ".join(said.split())
    beaten = ("better than all 20", "no better than any of 20") if lang == "en" else ("优于全部 20", "不优于 20")
    assert all(b in flat for b in beaten)
    data = json.loads(root.get("data-metrics") or "")
    assert data["deletion"]["value"] == 1.234
    assert data["deletion"]["controls"] == list(DELETION.controls)
    assert data["sparseness"]["p"] is None
    titles = [n for n in root.iter() if n.tag in (f"{SVG}title", f"{SVG}desc")]
    assert "1.23" in "".join(titles[1].itertext())


def test_better_is_to_the_right_whichever_end_it_is() -> None:
    """The dot of what beats all stands right of every control; of what beats none, left."""
    root = parsed(evaluation().svg())
    for row in root.iter(f"{SVG}g"):
        name, dots = row.get("data-metric"), [c for c in row if c.tag == f"{SVG}circle"]
        if name is None or not dots:
            continue
        *controls, own = [float(c.get("cx") or 0) for c in dots]
        assert len(controls) == 20
        right = {"deletion": True, "insertion": False, "aopc": False}[name]
        if name == "insertion":  # 3.21 of 0 … 4.75: better than 13 of 20
            assert sum(c < own for c in controls) == 13
        else:
            assert all((c < own) is right for c in controls)
        status = dots[-1].get("class")
        assert status == ("pass" if name == "deletion" else "fail")


def test_curves_carry_their_numbers_and_the_band_of_controls() -> None:
    root = parsed(evaluation().svg())
    (curve,) = [g for g in root.iter(f"{SVG}g") if g.get("data-curve")]
    assert json.loads(curve.get("data-curve") or "") == [4, 0.5, 0]
    assert json.loads(curve.get("data-at") or "") == [0, 0.5, 1]
    assert [p.get("class") for p in curve.iter(f"{SVG}path")] == ["cloud", "axis", "line neg"]
    assert "share of features taken away" in words(root)


def test_what_could_not_be_measured_is_said_with_what_to_do() -> None:
    e = evaluation(GINI, unfit={"pointing_game": Finding("metric.mask", "warn", "no mask", "give a mask")})
    for said in (words(parsed(e.svg())), e.text()):
        assert "Pointing game" in said
        assert "give a mask" in said


@pytest.mark.parametrize("status", ["pass", "warn", "fail"])
def test_the_verdict_comes_first(status: str) -> None:
    e = evaluation(verdict=Verdict((Finding("faithful.not", status, "no better than elsewhere", "try another"),)))
    for item in (e, replace(over_picture(), verdict=e.verdict)):
        root = parsed(item.svg())
        assert root.get("data-verdict") == status
        lead = {"pass": "Checks passed", "warn": "Use with care", "fail": "Do not rely on this"}[status]
        assert words(root).startswith(lead)
        assert item.text().splitlines()[0].startswith(("✓", "!", "✗"))


def test_all_the_metrics_of_the_catalogue_have_a_name_in_both_languages() -> None:
    from pellucid import catalog
    from pellucid.metrics import __name__ as ours

    known = {m.name for m in catalog.metrics().values() if (m.run.__module__ or "").startswith(ours)}
    assert known <= set(METRICS)
    assert all(en and zh for en, zh in METRICS.values())


# --- a comparison

@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [720, 360])
@pytest.mark.parametrize("baselines", [False, True])
@pytest.mark.parametrize("made", [over_picture, over_columns])
def test_every_number_of_a_comparison_is_drawn(made: Any, baselines: bool, width: int, lang: str) -> None:
    c: Comparison = made(baselines=baselines)
    root = parsed(c.svg(lang=lang, width=width))
    said = words(root)
    cells = [float(g.get("data-cell") or "nan") for g in root.iter(f"{SVG}g") if g.get("data-cell")]
    for matrix in c.agreement.values():
        for value in matrix.flatten().tolist():
            assert any(abs(value - v) < 1e-3 for v in cells)
            assert f"{value:.2f}".replace("-", "−") in said
    assert ("−1.25" in said) is baselines
    for name in c:
        assert str(c.cost[name].rows) in said
    assert "20/20" in said
    assert json.loads(root.get("data-names") or "") == list(c)
    assert json.loads(root.get("data-agreement") or "")["rank"][0][1] == pytest.approx(1)
    assert (root.get("data-average") is not None) is baselines
    assert [g.get("data-contradiction") for g in root.iter(f"{SVG}g") if g.get("data-contradiction")] == ["1"]


def test_contradictions_are_outlined_on_the_map_where_they_are() -> None:
    c = over_picture()
    root = parsed(c.svg())
    tiles = [g for g in root.iter(f"{SVG}g") if g.get("data-tile")]
    assert len(tiles) == 1 + 3 + 2  # the input, the explanations, consensus and spread
    for tile in tiles[1:]:
        box = next(r for r in tile.iter(f"{SVG}rect") if r.get("class") == "boxed")
        image = next(i for i in tile.iter(f"{SVG}image") if i.get("data-layer"))
        left, wide = (float(image.get(k) or 0) for k in ("x", "width"))
        assert float(box.get("x") or 0) == pytest.approx(left + wide / 4, abs=0.1)  # patch 1 of 4
        assert float(box.get("y") or 0) == pytest.approx(float(image.get("y") or 0), abs=0.1)


def test_a_measure_that_is_not_defined_is_a_dash() -> None:
    c = over_columns()
    c.agreement["sign"][2] = float("nan")
    assert "–" in words(parsed(c.svg()))
    assert "–" in c.text()


def test_a_single_explanation_has_nothing_to_agree_with() -> None:
    c = over_columns()
    name = next(iter(c))
    one = Comparison({name: c[name]}, c.layout, {name: c.laid[name]}, {k: m[:1, :1] for k, m in c.agreement.items()},
                     c.k, c.consensus, c.spread, c.prominence)
    root = parsed(one.svg())
    assert "How far they agree" not in words(root)
    assert one.text()


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_text_forms_fit_and_say_the_same(width: int, lang: str) -> None:
    for item in (evaluation(), over_picture(), over_columns(baselines=True)):
        said = item.text(width=width, lang=lang)
        assert all(columns(row) <= width for row in said.splitlines()), max(said.splitlines(), key=columns)
    assert "1.23" in evaluation().text(width=width, lang=lang)
    assert "1.00" in over_picture().text(width=width, lang=lang)


# --- labels of others

@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_text_and_nothing_else(label: str) -> None:
    e = evaluation(target=label, method=label, model=label, unfit={label: Finding(label, "warn", label, label)})
    many = (label + "1", label + "2", label + "3")
    layout = groups(range(5), [label] * 5, "columns", "columns")
    c = comparison(layout, Shown("table", cells=(label,) * 5), names=many, target=label)
    for item in (e, c, replace(c, model=label)):
        harmless(item.svg())
        item.text()
    Reader(page([e, c], title=label))


# --- options, and the page

@pytest.mark.parametrize("wrong", [{"width": 100}, {"theme": "red"}, {"lang": "fr"}])
def test_wrong_options_are_said(wrong: dict[str, Any]) -> None:
    for item in (evaluation(), over_picture()):
        with pytest.raises(OptionError, match=r"option\."):
            item.svg(**wrong)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_report_takes_both_beside_explanations(lang: str) -> None:
    e, c = evaluation(), over_picture()
    read = Reader(page([samples.digit(), e, Section("Compared", "", [c, samples.row()])], lang=lang))
    ids = [v for _, k, v in read.attributes if k == "id"]
    assert len(ids) == len(set(ids))
    assert {v[1:] for tag, k, v in read.attributes if tag == "a" and k == "href"} <= set(ids)
    assert read.tags.count("article") == 4
    assert "compare.contradict" in read.text
    assert "arXiv:1806.07421" in read.text
    assert ("This page embeds" in read.text) is (lang == "en")
    assert not Reader(page(e)).text.count("This page embeds")
