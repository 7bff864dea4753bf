"""What the engine itself costs: many examples of a model that does next to nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bench import measure
from bench.row import Bound, Findings, Row
from bench.setup import Setup

WHAT = "µs"
BOTH = "forward + backward of one row"


def build(setup: Setup) -> Findings:
    """Time of everything minus the model's own passes over the same rows, by example and question."""
    import pellucid
    from pellucid.engine.run import run
    from pellucid.words.case import Carrier, Case
    from pellucid.words.features import units
    from pellucid.words.site import INPUT
    from pellucid.words.target import Class

    count = 64 if setup.quick else 256
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2)).eval().to(setup.device)
    x = torch.randn(count, 8, device=setup.device)
    layout, target, nothing = units((8,)), Class(1), torch.zeros(8, device=setup.device)

    async def asks_gradient(case: Case) -> Any:
        return await case.gradient(case.here)

    async def asks_both(case: Case) -> Any:
        return await case.gradient(case.here), await case.score(case.there)

    facts: dict[Any, Any] = {}

    def engine(conversation: Any) -> None:
        run(model, [conversation(Case(Carrier({0: row[None]}), row, nothing, layout, target, INPUT, 0)) for row in x],
            facts=facts)

    def plain(rows: torch.Tensor) -> None:
        leaf = rows.clone().requires_grad_()
        torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)

    explain_questions = 2  # saliency asks for the gradient at x, explain() for the score at x
    times = measure.alternate({
        "engine": lambda: engine(asks_gradient), "engine, two questions": lambda: engine(asks_both),
        "explain": lambda: pellucid.explain(model, x, "saliency", target=1),
        "all rows": lambda: plain(x), "one row": lambda: [plain(x[:1]) for _ in range(20)],
    }, 3 if setup.quick else 12, measure.clock_of(setup.device), 5, 400)
    found = Findings()
    for name, side, questions in (("engine", "engine", 1), ("explain()", "explain", explain_questions),
                                  ("engine, two questions in turn", "engine, two questions", 2)):
        own = [(a - b) / (count * questions) for a, b in zip(times[side], times["all rows"], strict=True)]
        found.put(WHAT, name, "example and question", measure.spread([1e6 * t for t in own]))
        found.put("time", name, BOTH, measure.ratio(own, [t / 20 for t in times["one row"]]))
    found.notes.append(f"{count} examples at once; the model's own passes over all rows are subtracted.")
    return found


ROWS = [
    Row("overhead", "Engine time per example and question on a model of two small layers", build, [
        Bound(WHAT, "example and question", 50, "engine", WHAT),
        Bound(WHAT, "example and question", 50, "engine, two questions in turn", WHAT),
        Bound(WHAT, "example and question", 50, "explain()", WHAT),
    ]),
]
