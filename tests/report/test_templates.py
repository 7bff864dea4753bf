"""What a report is for orders it; the owner's logo is a picture; everything is counted."""

from __future__ import annotations

import base64
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.report import templates
from pellucid.report.compose import document
from pellucid.report.document import Group, Section
from pellucid.report.page import page, report
from pellucid.report.paper import paper
from pellucid.words.activity import Activity, Channels
from pellucid.words.concepts import Concepts
from pellucid.words.errors import FileError, InputError, OptionError, PellucidError
from pellucid.words.evaluation import Evaluation, Measurement
from pellucid.words.explanation import Finding, Shown, Verdict
from pellucid.words.look import Look, Seen
from pellucid.words.visualised import Visualised
from pellucid.words.watch import Record, Run, Training

sys.path.insert(0, str(Path(__file__).parents[1] / "drawings"))
import samples


def judged(**more: Any) -> Evaluation:
    return Evaluation({"deletion": Measurement("deletion", -1.2, better="lower", kind="faithfulness",
                                               controls=(0.1, -0.3, 0.4))}, "grad_cam", "seven", **more)


def silent() -> Activity:
    layer = Channels("conv1", "Conv2d", (4, 8, 8), 6, 64, torch.tensor([6, 0, 3, 6]), torch.rand(4), dead=(1,))
    return Activity({"conv1": layer}, inputs=6, model="toy")


def excited() -> Visualised:
    finding = Finding("visualise.dead", "fail", "no start moved the unit: its gradient is zero everywhere", "look")
    return Visualised(np.zeros((8, 8, 3), np.uint8), torch.zeros(1, 3, 8, 8), "unit 5 of layer2", 0.0, 0.0, (0.1, 0.2),
                      ((0, 0.0), (8, 0.0)), 8, 0, "toy", (finding,))


def looked() -> Look:
    values = torch.rand(3, 4, 4)
    seen = Seen("layer1", "places", (3, 4, 4), 0, 1, (values,), order=(0, 1, 2), profile={"mean": 0.5},
                scale=(0.0, 1.0))
    return Look({"layer1": seen}, inputs=1, model="toy")


def watched() -> Training:
    return Training(Run("toy", ("a",), method="saliency"), (Record(0, {"loss": 1.0}), Record(5, {"loss": 0.5})))


def test_every_kind_of_record_has_its_place_in_a_report() -> None:
    kinds = [samples.row(), judged(), silent(), excited(), looked(), watched(),
             Concepts({}, "seven", 5, 10, 49, 0.05, "bh", "units", "logistic", 0.01, 0)]
    made = document(kinds, widths=(640, 640))
    for lang in ("en", "zh"):
        html = page(kinds, lang=lang)
        assert html.count('<article id="e') == len(kinds)
    assert {e.item.drawn for e in made.entries} == {k.drawn for k in kinds}
    assert all(e.question and e.blocks and e.spoken for e in made.entries)
    for count in ("1 explanation", "1 evaluation", "1 study of activity", "1 visualisation", "1 look at layers",
                  "1 training", "1 test of concepts"):
        assert count in made.made
    assert paper(kinds).startswith(b"%PDF")


@pytest.mark.parametrize(("items", "name"), [
    ([samples.row()], "prediction"),
    ([samples.row(), judged()], "prediction"),
    ([samples.cam(), samples.patched()], "methods"),
    ([samples.digit(provenance={"model": "a"}), samples.digit(provenance={"model": "b"})], "models"),
    ([samples.row(), silent()], "audit"),
    ([watched(), silent()], "training"),
    ([watched(), silent(), samples.row()], "audit"),
    ([samples.row(), samples.sentence()], ""),
], ids=["one", "judged", "methods", "models", "audit", "training", "all", "nothing in common"])
def test_the_template_is_told_by_what_there_is(items: list[Any], name: str) -> None:
    assert templates.chosen(items) == name
    made = document(items, widths=(640, 640))
    assert made.template == name
    assert bool(made.lead) == bool(name)


def test_an_audit_puts_the_gravest_first_and_training_the_training() -> None:
    made = document([samples.row(), looked(), samples.row(verdict=samples.WARN), excited()], widths=(640, 640),
                    template="audit")
    assert [e.status for e in made.entries] == ["fail", "warn", "pass", ""]
    assert made.overview is not None
    assert [row[-1] for row in made.overview.rows] == ["1", "1", "0", "–"]
    assert document([silent(), watched()], widths=(640, 640)).entries[0].item.drawn == "training"


def test_models_are_laid_side_by_side_input_by_input() -> None:
    pictures = [Shown("image", samples.seven() // n) for n in (1, 2)]  # asked one by one: nobody says which is which
    items = [samples.digit(provenance={"model": m}, shown=p) for m in ("first", "second") for p in pictures]
    made = document(items, widths=(640, 640))
    assert [(p.title, [e.item.provenance["model"] for e in p.entries]) for p in made.parts  # type: ignore[attr-defined]
            if isinstance(p, Group)] == [("Input 1", ["first", "second"]), ("Input 2", ["first", "second"])]
    assert made.overview is not None
    assert {row[0] for row in made.overview.rows} == {"first", "second"}


def test_sections_keep_their_order_and_a_template_only_introduces_them() -> None:
    parts = [Section("B", "", [samples.row()]), samples.row(verdict=samples.FAIL), Section("A", "", [])]
    made = document(parts, widths=(640, 640), template="audit")
    assert [e.status for e in made.entries] == ["pass", "fail"]
    assert made.title == "What was found in the model"


def test_caveats_and_every_finding_are_told() -> None:
    both = Verdict((*samples.FAIL.findings, *samples.WARN.findings))
    html = page(samples.row(verdict=both))
    for said in ("What it does not say", "values.all_zero", "model.mutated", "error.above_tolerance"):
        assert said in html
    assert "What it does not say" in page(replace(judged(), verdict=both))


@pytest.mark.parametrize(("items", "options", "code"), [
    (["text"], {}, "report.item"),
    ([Section("s", "", [3])], {}, "report.item"),
    ([samples.row()], {"template": "audits"}, "report.template"),
    ([samples.row()], {"lang": "xx"}, "option.lang"),
    ([samples.row()], {"logo": b"GIF89a"}, "logo.kind"),
    ([samples.row()], {"logo": b"\x89PNG\r\n\x1a\nbroken"}, "logo.kind"),
    ([samples.row()], {"logo": b"<html><svg></svg></html>"}, "logo.kind"),
    ([samples.row()], {"logo": b"\x89PNG\r\n\x1a\n" + b"0" * 2_100_000}, "logo.large"),
])
def test_wrong_use_is_told_by_code(items: list[Any], options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as refused:
        page(items, **options)
    assert refused.value.code == code


def test_a_logo_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError) as refused:
        page(samples.row(), logo=tmp_path / "none.png")
    assert refused.value.code == "logo.unreadable"


MALICE = b"""<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="60" height="20" viewBox="0 0 60 20"
 onload="alert(1)"><script>alert(2)</script><rect width="60" height="20" fill="#0b7"/>
 <text x="2" y="14" font-family="sans-serif" onclick="alert(3)">Acme</text></svg>"""


def raster(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 20), (0, 180, 120)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(("content", "media"), [
    (raster("PNG"), "image/png"), (raster("JPEG"), "image/jpeg"), (MALICE, "image/svg+xml")])
def test_a_logo_is_only_ever_a_picture(tmp_path: Path, content: bytes, media: str) -> None:
    place = tmp_path / "logo"
    place.write_bytes(content)
    html = page(samples.row(), logo=place)
    assert f'<img src="data:{media};base64,{base64.b64encode(content).decode()}"' in html
    assert html.count("<script") == 1
    assert "onload" not in html.replace("onloadstart", "")
    import pypdf

    plain, owned = paper(samples.row()), paper(samples.row(), logo=content)
    count = [sum(len(p.images) for p in pypdf.PdfReader(io.BytesIO(made)).pages) for made in (plain, owned)]
    assert count[1] == count[0] + 1


def test_a_logo_that_names_other_files_is_refused_on_paper() -> None:
    fetching = MALICE.replace(b"<rect", b'<image href="file:///etc/hostname" width="5" height="5"/><rect')
    with pytest.raises(OptionError) as refused:
        paper(samples.row(), logo=fetching)
    assert refused.value.code == "logo.kind"


# --- what a verb returns, as it is

def test_what_several_methods_or_inputs_gave_is_a_report_as_it_is() -> None:
    error = InputError("file.missing", "no file 'x.png'", "a picture", "check the path")
    made = document({"saliency": [samples.digit(), error], "grad_cam": [samples.cam()]}, widths=(640, 640), lang="en")
    assert len(made.entries) == 2
    left = made.parts[-1]
    assert isinstance(left, Group)
    assert left.title == "Not answered"
    assert "[file.missing] no file 'x.png'" in left.paragraphs[0]
    assert "check the path" in left.paragraphs[0]


@pytest.mark.parametrize(("items", "more", "code"), [
    ([], {}, "report.empty"), ({}, {}, "report.empty"), (None, {}, "report.item"), ("x", {}, "report.item"),
    ([3], {}, "report.item"), (samples.row(), {"title": None}, "option.value"),
    (samples.row(), {"notes": ["a"]}, "option.value")])
def test_what_is_no_record_is_said(items: Any, more: dict[str, Any], code: str, tmp_path: Path) -> None:
    with pytest.raises(PellucidError) as found:
        report(items, tmp_path / "x.html", **more)
    assert found.value.code == code
    assert not list(tmp_path.iterdir())


def test_entries_with_the_same_question_are_told_apart() -> None:
    items = [samples.digit(method="saliency"), samples.digit(method="grad_cam"), samples.row(target="other")]
    names = [e.name for e in document(items, widths=(640, 640), lang="en").entries]
    assert names == ["Why ‘seven’? · Saliency", "Why ‘seven’? · Grad-CAM", "Why ‘other’?"]
    two = [samples.digit(shown=Shown("image", samples.seven() // n)) for n in (1, 2)]
    assert [e.name for e in document(two, widths=(640, 640), lang="en").entries] == [
        "Why ‘seven’? · Input 1", "Why ‘seven’? · Input 2"]


def test_of_many_a_reader_in_a_hurry_is_told_what_wants_care() -> None:
    items = [samples.row() for _ in range(20)] + [samples.row(verdict=samples.WARN)]
    made = document(items, widths=(640, 640), lang="en")
    assert [e.status for e in made.hurry] == [made.entries[-1].status]
    assert made.tally.endswith("20 passed their checks")
    assert len(document(items[:3], widths=(640, 640)).hurry) == 3


def test_a_reader_in_a_hurry_is_told_the_answer_of_whatever_it_is() -> None:
    told = document(judged(), widths=(640, 640), lang="en").entries[0]
    assert told.sentence.startswith(told.question)
    assert any(character.isdigit() for character in told.sentence.removeprefix(told.question))
    assert told.verdict not in told.sentence
