"""Many explanations in rows and columns: methods by examples, two models, two targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid.words.draw import Drawn
from pellucid.words.errors import OptionError, PellucidError
from pellucid.words.explanation import Evidence, Explanation, Finding, Verdict

Cell = Explanation | PellucidError | None


@dataclass(frozen=True, eq=False)
class Multiples(Drawn, Sequence[Explanation], drawn="multiples"):
    """Explanations in a grid: `cells` by row and column, an error where there is none, None where nothing was asked.

    What was found in several ways is comparable in colour only where it is in one unit: cells of the same method and
    site share a scale.
    """

    cells: tuple[tuple[Cell, ...], ...]
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    model: str = ""
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def explanations(self) -> list[Explanation]:
        """Those that are there, row by row."""
        return [e for row in self.cells for e in row if isinstance(e, Explanation)]

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What all explanations have in common of where they come from."""
        every = [dict(e.provenance) for e in self.explanations]
        return {k: v for k, v in every[0].items() if all(o.get(k) == v for o in every)} if every else {}

    @property
    def verdict(self) -> Verdict:
        """Every doubt about any of them, once by code and reason."""
        found: dict[tuple[str, str], Finding] = {}
        for e in self.explanations:
            for f in e.verdict.findings:
                found.setdefault((f.code, f.reason), f)
        return Verdict(tuple(found.values()))

    def __getitem__(self, at: Any) -> Any:
        return self.explanations[at]

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.explanations)

    def __len__(self) -> int:
        return len(self.explanations)

    def __repr__(self) -> str:
        return f"Multiples({len(self.cells)} rows by {len(self.columns)} columns; {self.verdict.status})"


def multiples(found: Any, *, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> Multiples:
    """What explain() found, in rows and columns to look at together.

    `found` is a list of explanations (one column), a dictionary of them by method (one row), a dictionary of lists
    (methods across, examples down), or a list of lists (rows of cells). `rows` and `columns` name them; left out, they
    are the dictionary's keys and the inputs' titles or numbers. Raises `option.value` for anything else, and for names
    that do not fit.
    """
    named: list[str] = []
    if isinstance(found, Mapping):
        named = [str(k) for k in found]
        each = [list(v) if isinstance(v, list | tuple) else [v] for v in found.values()]
        tall = max((len(c) for c in each), default=0)
        cells = [[c[k] if k < len(c) else None for c in each] for k in range(tall)]
    elif isinstance(found, list | tuple):
        cells = [list(c) if isinstance(c, list | tuple) else [c] for c in found]
    else:
        cells = []
    wide = max((len(r) for r in cells), default=0)
    every = [c for r in cells for c in r]
    if not any(isinstance(c, Explanation) for c in every) or not all(
            c is None or isinstance(c, Explanation | PellucidError) for c in every):
        raise OptionError("option.value", f"a {type(found).__name__} with something else than explanations",
                          "what explain() returned: a list, a dictionary by method, or rows of these",
                          "pass explain(model, inputs, methods)")
    for name, given, count in (("rows", rows, len(cells)), ("columns", columns, wide)):
        if given and len(given) != count:
            raise OptionError("option.value", f"{name}= with {len(given)} names", f"{count} names",
                              f"name every one, or leave {name} out")
    across = tuple(columns) or tuple(named) or ("",) * wide
    down = tuple(rows) or tuple(_title(r, k) for k, r in enumerate(cells))
    models = {str(e.provenance.get("model") or "") for e in every if isinstance(e, Explanation)}
    return Multiples(tuple((*r, *[None] * (wide - len(r))) for r in cells), down, across,
                     models.pop() if len(models) == 1 else "")


def _title(row: Sequence[Cell], number: int) -> str:
    """A row's input by its title, else its number."""
    shown = next((e.shown for e in row if isinstance(e, Explanation) and e.shown is not None and e.shown.title), None)
    return shown.title if shown is not None else str(number + 1)
