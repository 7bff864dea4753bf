"""The table of docs/speed.md, made from the results files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
BEGIN = "<!-- results: written by `python -m bench --render`, do not edit -->"
END = "<!-- end of results -->"
UNITS = {"µs": "µs", "s": "s"}


def render(text: str, machines: list[dict[str, Any]]) -> str:
    """The page with its table made anew."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has lost its marks {BEGIN!r} and {END!r}")
    return f"{head}{begin}\n\n{tables(machines)}\n{end}{tail}"


def drifted(text: str, machines: list[dict[str, Any]]) -> bool:
    """Whether the page says something else than the results files."""
    return render(text, machines) != text


def tables(machines: list[dict[str, Any]]) -> str:
    """One section per machine."""
    if not machines:
        return "No machine has been measured yet: `make bench`.\n"
    return "\n".join(_section(found) for found in machines)


def _section(found: dict[str, Any]) -> str:
    rows = found["rows"]
    promises = [p for row in rows.values() for p in row["promises"]]
    kept = sum(p["status"] == "met" for p in promises)
    measured = sum(p["measured"] is not None for p in promises)
    lines = [f"### {_named(found['machine'])}", "",
             f"{kept} of {measured} measured promises are kept; {len(promises) - measured} could not be measured.", ""]
    for name, row in rows.items():
        lines += [f"**{name}**: {row['work']}. {_about(row)}", ""]
        if row["promises"]:
            lines += ["| ours | what | against | promised | measured (quartiles) | |", "|---|---|---|---|---|---|"]
            lines += [_line(p) for p in row["promises"]]
            lines.append("")
        lines += _rest(row)
    return "\n".join(lines)


def _named(machine: dict[str, Any]) -> str:
    start = machine.get("card") or machine.get("processor", "a machine")
    return f"{start}, {machine.get('cores', '?')} cores, {machine.get('memory_gib', '?')} GiB, " \
           f"{machine.get('system', '')}, Python {machine.get('python', '?')}"


def _about(row: dict[str, Any]) -> str:
    if row["status"] != "measured":
        return f"*{row['status'].capitalize()}: {_cell(row['reason'])}.*"
    peers = ", ".join(f"{k} {v}" for k, v in row.get("versions", {}).items())
    return f"{row.get('threads', '?')} threads; {peers}; {row.get('revision', '')}, {row.get('day', '')}."


def _line(p: dict[str, Any]) -> str:
    unit = f" {p['unit']}" if p["unit"] else " ×"
    mark = p["status"] if p["status"] == "met" else f"**{p['status']}**: {_cell(p['reason'])}"
    said = "–"
    if p["measured"] is not None:
        m = p["measured"]
        said = f"{_number(m['median'])}{unit} ({_number(m['low'])} to {_number(m['high'])}, {m['pairs']} pairs)"
    return f"| {p['ours']} | {p['what']} | {p['against']} | ≤ {_number(p['most'])}{unit} | {said} | {mark} |"


def _rest(row: dict[str, Any]) -> list[str]:
    """What was measured without a promise, errors and remarks."""
    told = {f"{p['what']}|{p['ours']}|{p['against']}" for p in row["promises"]}
    lines: list[str] = []
    more = [f"{k.split('|')[1]} {_number(s['median'])} × {k.split('|')[2]} ({k.split('|')[0]})"
            for k, s in row["ratios"].items() if k not in told and "error|" not in k]
    if more:
        lines.append(f"Also: {'; '.join(more)}.")
    if row["errors"]:
        shown = ", ".join(f"{side} {_error(e)}" for side, e in row["errors"].items())
        lines.append(f"Relative error against float64: {shown}.")
    if row["figures"]:
        lines.append("Figures: " + "; ".join(f"{k} {_figure(v)}" for k, v in row["figures"].items()) + ".")
    lines += [_cell(note) for note in row["notes"]]
    return ["  \n".join(lines), ""] if lines else []


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def _error(value: float) -> str:
    return f"{value:.1e}" if value < 1e-3 else f"{100 * value:.2g} %"


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _cell(str(value))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def lines_of(row: dict[str, Any]) -> list[str]:
    """A row's verdicts as lines for a terminal."""
    lines = [_line(p).strip("| ") for p in row["promises"]] if row["status"] == "measured" else []
    return lines + [line for block in _rest(row) for line in block.splitlines()]
