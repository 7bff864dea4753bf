"""Records in a notebook without one: what is handed to it, and what its widget tells Python."""

from __future__ import annotations

from dataclasses import replace
from html import unescape

import pytest

import pellucid
from pellucid import catalog, notebook
from tests.drawings import samples


def inside(html: str) -> str:
    """The page in the frame."""
    return unescape(html.partition('srcdoc="')[2].partition('"')[0])


def test_a_title_with_signs_of_markup_is_written_once() -> None:
    e = replace(samples.row(), target="a < b & c")
    html = e._repr_html_()
    assert 'title="Why ‘a &lt; b &amp; c’?"' in html
    assert "<title>Why ‘a &lt; b &amp; c’?</title>" in inside(html)
    assert e._repr_mimebundle_()["text/plain"] == e.text()


def test_a_widget_tells_the_sum_of_what_is_selected_and_where_it_lies() -> None:
    pytest.importorskip("anywidget")
    e = samples.row()
    w = e.live()
    w.selected = [0, 2]
    assert w.total == pytest.approx(float(e.values.double()[[0, 2]].sum()))
    low, high = w.interval
    assert (high - low) / 2 == pytest.approx(1.96 * float(e.error.double()[[0, 2]].norm()))
    assert (high + low) / 2 == pytest.approx(w.total)
    assert replace(e, error=None).live().interval is None
    assert "<svg" in w.svg


def test_a_model_and_the_catalogue_show_what_they_hold() -> None:
    subject = pellucid.load("demo:tumours")
    shown = inside(subject._repr_mimebundle_()["text/html"])
    assert f"{sum(p.numel() for p in subject.module.parameters()):,}" in shown
    assert all(name in shown for name, _ in subject.module.named_modules() if name)
    known = inside(catalog.methods()._repr_mimebundle_()["text/html"])
    assert all(f">{name}<" in known for name in catalog.methods())


def test_progress_elsewhere_than_in_a_notebook_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with notebook.progress("explaining") as told:
        told(1, 2)
    assert capsys.readouterr().out == ""
