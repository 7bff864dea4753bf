"""Waterfall, contours and small multiples: what is drawn adds up, encloses and compares as the values do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import pellucid
from pellucid.views.heat import contours
from pellucid.words.errors import OptionError, PellucidError
from pellucid.words.features import units
from pellucid.words.multiples import multiples
from tests.drawings.samples import made


def row(values: list[float], baseline: float = 1.0, **more: Any) -> pellucid.Explanation:
    v = torch.tensor(values)
    known = {"method": "shapley", "baseline_score": baseline, "score": baseline + float(v.sum()), "residual": 0.0}
    known |= more
    return made(v, replace(units((len(values),)), names=tuple(f"column {k}" for k in range(len(values)))), known)


def numbers(svg: str, name: str) -> list[float]:
    return [float(v) for v in re.findall(rf' {name}="(-?[\d.e+-]+)"', svg)]


# --- waterfall

def test_steps_lead_from_the_baselines_score_to_the_inputs() -> None:
    e = row([0.5, -1.25, 2.0, 0.125, -0.0625])
    drawn = e.svg(form="waterfall", top=3)
    steps = numbers(drawn, "data-step")
    assert sum(steps) == pytest.approx(e.score - e.baseline_score)
    assert steps[:3] == [2.0, -1.25, 0.5]
    assert "2 others together" in drawn
    totals = [float(t.replace("−", "-")) for t in re.findall(r"→ +(−?[\d.]+)", e.text(form="waterfall"))]
    assert totals[0] == 1.0
    assert totals[-1] == pytest.approx(e.score, rel=1e-3)
    assert np.diff(totals[:-1]).tolist() == pytest.approx([2.0, -1.25, 0.5, 0.125, -0.0625], abs=1e-3)


def test_an_arrow_points_the_way_the_score_goes() -> None:
    drawn = row([1.0, -0.5]).svg(form="waterfall")
    for d, step in re.findall(r'<path d="(M[^"]+Z)" class="\w+" data-step="(-?[\d.]+)"', drawn):
        x = [float(v) for v in re.findall(r"[ML](-?[\d.]+) ", d)]
        assert (x[2] > x[0]) == (float(step) > 0)
        assert x[2] == (max(x) if float(step) > 0 else min(x))


def test_what_values_leave_over_has_a_step_of_its_own() -> None:
    e = row([1.0, 1.0], score=3.5, residual=-0.5)
    assert numbers(e.svg(form="waterfall"), "data-step") == [1.0, 1.0, 0.5]
    assert "not accounted for" in e.svg(form="waterfall")
    assert "not accounted for" not in row([1.0, 1.0]).svg(form="waterfall")


@pytest.mark.parametrize("more", [{"residual": None}, {"baseline_score": None}, {"means": "strength"}])
def test_values_that_do_not_add_up_have_no_waterfall(more: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as error:
        row([1.0, 2.0], **more).svg(form="waterfall")
    assert error.value.code == "option.form"


# --- significance

def test_stars_stand_at_what_differs_from_zero_among_all_values() -> None:
    errors = torch.tensor([0.1, 0.1, 0.49, 0.5, 0.0])
    e = replace(row([3.0, -2.0, 1.0, 0.5, 0.25]), error=errors)
    sure = e.significant().tolist()
    assert sure == [True, True, False, False, True]  # 1.0 with an error of 0.49 alone would be: p is 0.041
    bars = [line for line in e.text().splitlines() if line.startswith("column")]
    assert [line.endswith(" *") for line in bars] == [True, True, False, False, True]
    assert len(re.findall(r">[+−][^<]* \*</text>", e.svg())) == 3
    assert "* differs" in e.svg()
    assert "* differs" not in row([1.0, 2.0]).svg()


# --- contours

def test_contours_enclose_what_lies_beyond_their_level() -> None:
    rng = np.random.default_rng(0)
    grid = rng.standard_normal((9, 7))
    for path in contours(grid, 2.0, 0.0, 0.0, 70.0, 90.0):
        level = float(path.attributes["data_level"])
        inside = np.pad(grid >= level if level > 0 else grid <= level, 1)
        edges = int((inside[1:] != inside[:-1]).sum() + (inside[:, 1:] != inside[:, :-1]).sum())
        d = path.attributes["d"]
        assert d.count("M") == edges
        for c, r, way in re.findall(r"M(\d+) (\d+)([hv])1", d):  # each lies between a value beyond and one that is not
            c, r = int(c) + 1, int(r) + 1
            a, b = (inside[r - 1, c], inside[r, c]) if way == "h" else (inside[r, c - 1], inside[r, c])
            assert a != b


def test_contours_and_the_pictures_own_colours_are_choices(vision: bool) -> None:
    subject, x = pellucid.load("demo:digits"), pellucid.samples("digits")[0]
    e = pellucid.explain(subject, x, "grad_cam")
    assert "data-level" not in e.svg()
    assert len(numbers(e.svg(contours=True), "data-level")) >= 3
    grey, own = e.svg(), e.svg(ground="picture")
    assert grey != own
    assert own.count(re.findall(r'href="(data:[^"]+)"', own)[0]) == 2  # the input, and below the colours
    with pytest.raises(OptionError):
        e.svg(ground="blue")


# --- small multiples

def test_cells_lie_as_explain_gives_them_and_say_what_went_wrong(vision: bool) -> None:
    subject, xs = pellucid.load("demo:digits"), pellucid.samples("digits")[:2]
    many = multiples(pellucid.explain(subject, [*xs, "nowhere.png"], ["saliency", "grad_cam"]))
    assert many.columns == ("saliency", "grad_cam")
    assert len(many.cells) == 3
    assert isinstance(many.cells[2][0], PellucidError)
    assert len(many) == 4
    drawn = many.svg()
    ElementTree.fromstring(drawn)
    assert drawn.count('data-layer="map"') == 4
    assert many.cells[2][0].found[:20] in drawn
    assert "Saliency" in drawn
    assert "显著性" in many.svg(lang="zh")
    assert len(many.text().splitlines()) >= 8
    values = many.tables()[1]
    assert len(values.rows) == sum(e.values.numel() for e in many)


def test_the_same_method_shares_a_scale_and_another_has_its_own() -> None:
    many = multiples({"saliency": [row([1.0, 2.0], method="saliency"), row([4.0, 1.0], method="saliency")],
                      "lime": [row([100.0, 50.0], method="lime"), row([10.0, 5.0], method="lime")]})
    wide = {}
    for bar in ElementTree.fromstring(many.svg()).iter("{http://www.w3.org/2000/svg}rect"):
        if "data-value" in bar.attrib:
            wide.setdefault(float(bar.attrib["data-value"]), float(bar.attrib["width"]))
    assert wide[4.0] == pytest.approx(2 * wide[2.0], rel=0.01)  # one method, one scale
    assert wide[100.0] == pytest.approx(wide[4.0], rel=0.01)  # each method's largest fills its half
    assert wide[100.0] == pytest.approx(10 * wide[10.0], rel=0.01)


def test_lists_and_rows_are_laid_out_and_other_things_refused() -> None:
    e = row([1.0, 2.0])
    assert [len(r) for r in multiples([e, e, e]).cells] == [1, 1, 1]
    assert [len(r) for r in multiples([[e, e], [e]], columns=["a", "b"]).cells] == [2, 2]
    for wrong in ([], 3, ["x"], [[e], ["x"]]):
        with pytest.raises(OptionError):
            multiples(wrong)
    with pytest.raises(OptionError):
        multiples([e, e], rows=["one"])
