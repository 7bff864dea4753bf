"""How many inputs change class without a head, with an interval that a share can have; and the drawing's scale."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import torch

import pellucid
from pellucid.words.heads import Averages, Estimated
from tests.look.bred import Attending, pictures, trained

SVG = "{http://www.w3.org/2000/svg}"


def test_shares_have_the_exact_interval_and_never_less_than_nothing() -> None:
    """Of 10 inputs none, one and four: Clopper and Pearson's table; of one input 5 % to 1 and 0 to 95 %."""
    rows = torch.zeros(10, 3)
    rows[0, 1] = rows[:4, 2] = 1
    low, high = Averages.of(rows, share=True).interval()
    assert low.tolist() == pytest.approx([0, 0.0025, 0.1216], abs=5e-5)
    assert high.tolist() == pytest.approx([1 - 0.05**0.1, 0.4450, 0.7376], abs=5e-5)
    low, high = Averages.of(torch.tensor([[0.0, 1.0]]), share=True).interval()
    assert (low.tolist(), high.tolist()) == (pytest.approx([0, 0.05]), pytest.approx([0.95, 1]))


def test_how_many_change_class_is_a_share_wherever_it_is_told() -> None:
    net, (x, y) = trained(Attending, 0), pictures(12, 5)
    found = pellucid.heads(net, x, compare=0, gradient=False)
    low, high = found.importance["changed"].interval()
    assert bool(((low >= 0) & (low <= found.importance["changed"].values) & (high <= 1)).all())
    for share in (0.0, 0.5):
        plan = found.plan(share=share)
        assert plan.loss is not None
        exact = Estimated.share(torch.arange(12) < round(12 * plan.loss.value))
        assert (plan.loss.low, plan.loss.high) == (exact.low, exact.high)
    few = pellucid.heads(net, x[:1], compare=0, gradient=False)
    assert float(few.importance["changed"].interval()[0].min()) == 0
    one = few.plan(share=0.1).loss
    assert one is not None
    assert (one.value, one.low, one.high) == (0, 0, pytest.approx(0.95))
    labelled = pellucid.heads(net, x, y, compare=0, gradient=False).plan(share=0.0)
    assert labelled.loss is not None
    assert labelled.loss.low < 0 < labelled.loss.high  # of accuracy some may be gained


@pytest.mark.parametrize("width", [320.0, 720.0])
def test_bars_stand_on_an_axis_whose_numbers_say_how_long_they_are(width: float) -> None:
    """Where the numbers stand is where a bar of that size ends."""
    net, x = trained(Attending, 0), pictures(12, 5)[0]
    found = pellucid.heads(net, x, compare=0, gradient=False)
    drawn = ElementTree.fromstring(found.svg(width=width))
    marks = [(float(t.text.replace("−", "-")), float(t.get("x", "")))
             for t in drawn.iter(f"{SVG}text") if t.get("text-anchor") == "middle" and t.text]
    assert len(marks) >= 2
    (a, at_a), (b, at_b) = marks[0], marks[-1]
    pixels = (at_b - at_a) / (b - a)
    zero = at_a - a * pixels
    bars = [g for g in drawn.iter(f"{SVG}g") if g.get("data-head")]
    assert len(bars) == len(found.names)
    for g in bars:
        value, (rect,) = float(g.get("data-head", "")), list(g.iter(f"{SVG}rect"))
        start, long = float(rect.get("x", "")), float(rect.get("width", ""))
        assert (start + long if value >= 0 else start) == pytest.approx(zero + value * pixels, abs=0.7)
