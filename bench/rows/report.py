"""A report of a hundred explanations: the time until its file is there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import measure
from bench.row import Bound, Findings, Row
from bench.setup import Setup

MANY = 100
"""Explanations of the demo subjects: pictures, maps, table rows and texts by turns."""


def build(setup: Setup) -> Findings:
    import pellucid
    from pellucid.report.page import report

    made = []
    for name, method, share in (("digits", None, 20), ("digits", "integrated_gradients", 20), ("recommender", None, 25),
                                ("reviews", "saliency", 15), ("tumours", None, 20)):
        subject, inputs = pellucid.load(f"demo:{name}"), pellucid.samples(name)
        found = pellucid.explain(subject, [inputs[i % len(inputs)] for i in range(share)], method)
        made += found if isinstance(found, list) else [found]
    assert len(made) == MANY
    with tempfile.TemporaryDirectory() as folder:
        places = {kind: Path(folder, f"many.{kind}") for kind in ("html", "pdf")}
        times = measure.alternate({kind: lambda p=place: report(made, p) for kind, place in places.items()},
                                  1 if setup.quick else 3, least=1, most=8)
        found = Findings()
        for kind, place in places.items():
            found.put("s", kind, "nothing", measure.spread(times[kind]))
            found.put("MB", kind, "nothing", measure.spread([place.stat().st_size / 1e6]))
    return found


ROWS = [
    Row("report", f"A report of {MANY} explanations, as a page and as PDF", build, [
        Bound("s", "nothing", 10.0, "html", "s"), Bound("s", "nothing", 10.0, "pdf", "s"),
        Bound("MB", "nothing", 10.0, "html", "MB"), Bound("MB", "nothing", 10.0, "pdf", "MB"),
    ]),
]
