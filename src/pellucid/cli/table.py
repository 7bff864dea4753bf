"""The table of `pellucid methods MODEL`: every method on this model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pellucid.languages.sentences import translated

if TYPE_CHECKING:
    from pellucid.overview import Row

MARKS = {"valid": ("✓ Valid", "green"), "caveat": ("! Valid with a caveat", "yellow"),
         "open": ("? Valid once an option is given", "cyan"), "invalid": ("✗ Not valid here", "red")}
"""How each status is written; never by colour alone."""

ORDER = tuple(MARKS)


def as_dict(row: Row) -> dict[str, Any]:
    """A row for machines."""
    cost = None if row.price is None else {
        "least": row.price.least, "most": row.price.most, "gradient": row.price.gradient}
    return {"method": row.method.name, "status": row.status, "reason": row.reason, "do": row.do, "cost": cost,
            "options": {k: list(v) if isinstance(v, tuple) else v for k, v in row.options}}


def shown(rows: list[Row], *, given: bool, lang: str = "en") -> list[Any]:
    """The table, the valid ones first, and what its words mean."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return ["", Text(translated("shell", "Which methods are valid is told when an input is given: pellucid methods "
                                    "MODEL INPUT", lang), "dim")]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("valid here", "rows through the model"):
        table.add_column(translated("shell", name, lang), header_style="bold", no_wrap=True)
    for row in rows:
        if row.status == "valid":
            table.add_row(row.method.name, "" if row.price is None else _rows(row, lang))
    made: list[Any] = ["", table]
    for status in ORDER[1:]:
        words, colour = MARKS[status]
        alike: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            if row.status == status:
                alike.setdefault((row.reason, row.do), []).append(row)
        made += [Text("\n" + translated("shell", words, lang), f"bold {colour}")] if alike else []
        for some in alike.values():
            names = ", ".join(r.method.name + ("" if r.price is None else f" ({_rows(r, lang)})") for r in some)
            seen, more = some[0].told(lang)
            seen += ("：" if lang == "zh" else ": ") + more if more else ""
            made += [Text(names), Padding(Text(seen, "dim"), (0, 0, 0, 4))]
    about = "Costs are for the defaults" + ("" if given else ", on an input made up for this model")
    return [*made, "", Text(translated(
        "shell", f"{about}; at least and at most where a method stops at a tolerance. Around any of them: inside(…), "
        "smooth(…), contrast(…), averaged(…), under(…).", lang), "dim")]


def _rows(row: Row, lang: str) -> str:
    """What a method costs, in rows or gradients."""
    return translated("price", str(row.price), lang)
