"""`python -m bench`: every row in its own process, results after each, the page at the end."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from bench import judge, machine, page, results
from bench.row import Row
from bench.rows import ROWS, find
from bench.setup import ROOT, Setup

LONGEST = 420
"""Seconds after which a row is given up."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--row", action="append", default=[], metavar="NAME",
                        help="a row, a group of rows (grad_cam) or a pattern (ig_*); all by default")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; all physical cores by default")
    parser.add_argument("--quick", action="store_true", help="few rounds, results under out/bench: to try things")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument("--render", action="store_true", help="write the table of docs/speed.md anew, measure nothing")
    parser.add_argument("--check", action="store_true", help="exit 1 where docs/speed.md differs from the results")
    parser.add_argument("--inside", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.list:
        for row in ROWS:
            print(f"{row.name:34} {row.work}")
        return 0
    if args.render or args.check:
        return _page(check=args.check)
    setup = Setup(args.device, args.threads or machine.cores(), args.quick)
    if args.inside:
        Path(args.inside).write_text(json.dumps(_inside(find(args.row[0]), setup)), encoding="utf-8")
        return 0
    chosen = [row for row in ROWS if not args.row or any(_means(wanted, row.name) for wanted in args.row)]
    if not chosen:
        print(f"no row is called {' or '.join(args.row)}; see --list", file=sys.stderr)
        return 2
    described = machine.describe(args.device)
    folder = ROOT / "out" / "bench" if args.quick else results.FOLDER
    for row in chosen:
        print(f"{row.name}: {row.work}", flush=True)
        told = _apart(row, setup)
        results.merge(results.path_of(described, folder), described, {row.name: told}, [r.name for r in ROWS])
        _say(told)
    return 0 if args.quick else _page(check=False)


def _means(wanted: str, name: str) -> bool:
    return fnmatch.fnmatch(name, wanted) or name.partition("/")[0] == wanted


def _apart(row: Row, setup: Setup) -> dict[str, Any]:
    """A row in a process of its own; whatever becomes of it is its record."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.json"
        command = [sys.executable, "-m", "bench", "--row", row.name, "--inside", str(out), "--device", setup.device,
                   "--threads", str(setup.threads), *(["--quick"] if setup.quick else [])]
        try:
            done = subprocess.run(command, cwd=ROOT, env=setup.environment(), capture_output=True, text=True,
                                  timeout=LONGEST, check=False)
        except subprocess.TimeoutExpired:
            return judge.missing(row, judge.FAILED, f"took longer than {LONGEST} s", _about(setup))
        if out.exists():
            return json.loads(out.read_text(encoding="utf-8"))
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return judge.missing(row, judge.FAILED, last[0], _about(setup))


def _inside(row: Row, setup: Setup) -> dict[str, Any]:
    """The measurement itself, or why there is none."""
    from bench.take import take

    try:
        lacking = row.needs()
        if lacking is not None:
            return judge.missing(row, judge.ABSENT, lacking, _about(setup))
        return judge.record(row, take(row, setup), _about(setup))
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines()
        return judge.missing(row, judge.FAILED, f"{type(error).__name__}: {lines[0] if lines else ''}", _about(setup))


def _about(setup: Setup) -> dict[str, Any]:
    return {"device": setup.device.partition(":")[0], "threads": setup.threads, "quick": setup.quick,
            "day": datetime.date.today().isoformat(), "revision": machine.revision(), "versions": machine.versions()}


def _say(told: dict[str, Any]) -> None:
    if told["status"] != "measured":
        print(f"  {told['status']}: {told['reason']}", flush=True)
    for line in page.lines_of(told):
        print(f"  {line}", flush=True)


def _page(check: bool) -> int:
    text = page.PAGE.read_text(encoding="utf-8")
    machines = results.all_of()
    if not check:
        page.PAGE.write_text(page.render(text, machines), encoding="utf-8")
        return 0
    if page.drifted(text, machines):
        print(f"{page.PAGE.relative_to(ROOT)} differs from the results: python -m bench --render", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
