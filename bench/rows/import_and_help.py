"""Starting: the import and the help text, beside Python itself."""

from __future__ import annotations

import subprocess
import sys

from bench import measure
from bench.row import Bound, Findings, Row
from bench.setup import Setup

BARE = "bare Python"


def build(setup: Setup) -> Findings:
    env = setup.environment()

    def python(*arguments: str) -> str:
        return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=True).stdout

    calls = {"import pellucid": ["-c", "import pellucid"],
             "pellucid --help": ["-c", "import sys; sys.argv = ['pellucid', '--help']; "
                                 "from pellucid.cli.main import main; sys.exit(main())"]}
    times = measure.alternate({BARE: lambda: python("-c", "pass"),
                               **{name: lambda c=call: python(*c) for name, call in calls.items()}},
                              3 if setup.quick else 12, least=5, most=40)
    found = Findings()
    for name, call in calls.items():
        found.put("s over", name, BARE, measure.spread([a - b for a, b in zip(times[name], times[BARE], strict=True)]))
        found.put("torch", name, "imported", measure.spread([float(imported(call[1], env))]))
    return found


def imported(code: str, env: dict[str, str]) -> bool:
    """Whether torch is imported when the code ends, however it ends."""
    watched = f"import atexit, sys\natexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n{code}"
    done = subprocess.run([sys.executable, "-c", watched], env=env, capture_output=True, text=True, check=True)
    return done.stderr.strip().endswith("True")


ROWS = [
    Row("import_and_help", "Time of `import pellucid` and of `pellucid --help` over that of bare Python", build, [
        Bound("s over", BARE, 0.1, "import pellucid", "s"), Bound("s over", BARE, 0.1, "pellucid --help", "s"),
        Bound("torch", "imported", 0.0, "import pellucid", "modules"),
        Bound("torch", "imported", 0.0, "pellucid --help", "modules"),
    ]),
]
